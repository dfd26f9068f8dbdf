"""Forward and backward pass replayed as CUDA graphs: nets this small keep a GPU waiting for Python otherwise."""

from __future__ import annotations

import gc
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import cast

import torch
from torch import Tensor, nn

from repro.errors import UserError
from repro.models.cifar import Stage
from repro.models.norm import ShareNorm
from repro.models.recompute import activation_bytes
from repro.train.precision import Numerics

Forward = Callable[[Tensor], Tensor]

#: Do without graphs where this environment variable is set.
NO_GRAPH = "REPRO_NO_GRAPH"
#: What speaks against any capture, as bits cannot be compared.
OTHER_EACH_TIME = "this GPU gives other bits each time for the same step"
#: Free memory that a capture without recomputation needs: its activations, those of the net itself beside them, whose
#: signals are looked at now and then, and what neither counts: factor and bytes.
_ROOM, _MARGIN = 2.4, 2**30


def forget(numerics: Numerics) -> None:
    """Free what the graphs of former runs of this process hold, before the next run needs the room.

    torch ties captured steps into cycles of references, which live until Python looks for such; were it to look during
    a capture, freeing a graph would spoil that (PyTorch issues 161037, 195397).
    """
    if numerics.device == "cuda":
        gc.collect()


def capture(net: nn.Module, example: Tensor, numerics: Numerics) -> tuple[Forward, str | None]:
    """Record a net's training step as CUDA graphs, where that is possible and gives the same bits.

    The kernels are those of the net itself, launched all at once instead of one by one. Before they are relied upon,
    three batches go both ways, the last through other weights: where an output, a gradient or a statistic differs in a
    bit, the net itself is used.
    A net that computes activations again does not, once it is captured: there must be room for them.

    Args:
        net: in training mode, on its device. Weights, gradients, statistics and mode are left as found.
        example: images (N, C, H, W) as each iteration will give them; their shape and memory format must not change.
        numerics: of the run.

    Returns:
        What to call in the place of the net while training, and where that is the net itself although the device is a
        GPU, the reason.

    Raises:
        UserError: a capture failed, and since then the GPU does not even compute without one.
        torch.OutOfMemoryError: there is no room even without one.
    """
    if numerics.device != "cuda":
        return net, None
    if os.environ.get(NO_GRAPH):
        return net, f"{NO_GRAPH} is set"
    if any(isinstance(norm, ShareNorm) and norm.spread and norm.spread.gather for norm in net.modules()):
        return net, "batch normalisation is over several ranks, as model.norm_shares is less than they are"
    # Gradients are summed on the stream of the capture, which the engine waits for: it warns all the same.
    if hasattr(torch.autograd.graph, "set_warn_on_accumulate_grad_stream_mismatch"):
        torch.autograd.graph.set_warn_on_accumulate_grad_stream_mismatch(False)
    forget(numerics)
    back = place()
    found = _kept(net)
    recomputing = [(stage, stage.segment) for stage in net.modules() if isinstance(stage, Stage) and stage.segment]
    for stage, _ in recomputing:
        stage.segment = None
    replayed, obstacle = _attempt(net, example, numerics, bool(recomputing))
    with usable_after(obstacle):
        if replayed is None:
            for stage, segment in recomputing:
                stage.segment = segment
            back()
            forget(numerics)
            torch.cuda.empty_cache()
            _step(net, net, example, numerics)
        put_back(found)
        torch.cuda.synchronize()  # an error that comes late belongs here
    return (net, obstacle) if replayed is None else (replayed, None)


def _attempt(net: nn.Module, example: Tensor, numerics: Numerics, deep: bool) -> tuple[Forward | None, str | None]:
    """A captured step that can be relied upon, or why there is none."""
    try:
        with garbage_left_alone():
            if deep and (obstacle := _no_room(net, example, numerics)):
                return None, obstacle
            replayed = _captured(net, example, numerics)
            obstacle = _difference(replayed, net, example, numerics)
            return (None, obstacle) if obstacle else (replayed, None)
    except Exception as error:  # torch's own code of captures asserts, too
        return None, f"the step cannot be captured: {line(error)}"


class _Whole(nn.Module):
    """A net within a module of its own: a capture changes what it is given, and health and evaluation use the net."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.net(x)
        return logits


def _captured(net: nn.Module, example: Tensor, numerics: Numerics) -> Forward:
    with numerics.autocast():
        return cast(Forward, torch.cuda.make_graphed_callables(_Whole(net).train(), (torch.zeros_like(example),)))


def _difference(replayed: Forward, net: nn.Module, x: Tensor, numerics: Numerics) -> str | None:
    """What speaks against a captured step: other bits than the net's own, if those are ever the same."""
    found = _kept(net)

    def trail(forward: Forward) -> list[Tensor]:
        put_back(found)
        steps = [*_step(forward, net, x, numerics), *_step(forward, net, -x, numerics)]
        # A capture must not keep weights, cast or not, as they were.
        with torch.no_grad():
            for parameter in net.parameters():
                parameter.mul_(1.5)
        steps += _step(forward, net, x, numerics)
        return [*steps, *(buffer.clone() for buffer in net.buffers())]

    own = trail(net)
    if not equal(trail(net), own):
        return OTHER_EACH_TIME
    if not equal(trail(replayed), own):
        return "the captured step gives other bits than the net itself"
    return None


def _step(forward: Forward, net: nn.Module, x: Tensor, numerics: Numerics) -> list[Tensor]:
    """Outputs for a batch, and the gradients of their mean square by all weights."""
    with numerics.autocast():
        logits = forward(x)
    gradients = torch.autograd.grad(logits.float().square().mean(), list(net.parameters()))
    return [logits.detach().clone(), *(gradient.clone() for gradient in gradients)]


def _no_room(net: nn.Module, example: Tensor, numerics: Numerics) -> str | None:
    """Why a net that computes activations again must go on to do so."""
    with numerics.autocast():
        needed = int(_ROOM * activation_bytes(net, example)) + _MARGIN
    torch.cuda.empty_cache()
    free, _ = torch.cuda.mem_get_info()
    need, there = (f"{size / 2**30:.0f} GiB" for size in (needed, free))
    return f"it computes activations again: they need {need}, and {there} are free" if needed > free else None


@contextmanager
def garbage_left_alone() -> Iterator[None]:
    """Keep Python from looking for garbage, which may be a graph: freeing it would spoil a capture."""
    collecting = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collecting:
            gc.enable()


@contextmanager
def usable_after(obstacle: str | None) -> Iterator[None]:
    """Have the GPU compute without a capture, which may have failed: what fails now is told to be of that."""
    try:
        yield
    except torch.OutOfMemoryError:
        raise
    except RuntimeError as error:
        raise UserError(
            f"since a capture as a CUDA graph failed ({obstacle or 'after its check'}), the GPU computes nothing "
            f"({line(error)}): set {NO_GRAPH}=1 to do without graphs"
        ) from error


def place() -> Callable[[], None]:
    """What puts stream and random state back, which a capture that fails may change (PyTorch issue 172390)."""
    stream = torch.cuda.current_stream()
    generator = torch.cuda.default_generators[stream.device_index]
    state = generator.clone_state()

    def back() -> None:
        torch.cuda.set_stream(stream)
        generator.graphsafe_set_state(state)
        torch.cuda.synchronize()

    return back


def _kept(net: nn.Module) -> list[tuple[Tensor, Tensor]]:
    """A net's weights and statistics, each with a copy."""
    return [(tensor, tensor.detach().clone()) for tensor in (*net.parameters(), *net.buffers())]


def put_back(kept: list[tuple[Tensor, Tensor]]) -> None:
    """Give tensors the values of their copies."""
    with torch.no_grad():
        for tensor, before in kept:
            tensor.copy_(before)


def equal(ours: list[Tensor], theirs: list[Tensor]) -> bool:
    """Whether each number is the same, and what is not a number in one is not in the other, as where fp16 overflows."""
    pairs = zip(ours, theirs, strict=True)
    return all(bool(((one == other) | (one.isnan() & other.isnan())).all()) for one, other in pairs)


def line(error: Exception) -> str:
    """The first line of what an error says, or its kind."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
