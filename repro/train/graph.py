"""Forward and backward pass replayed as CUDA graphs: nets this small keep a GPU waiting for Python otherwise."""

from __future__ import annotations

import gc
from collections.abc import Callable
from typing import cast

import torch
from torch import Tensor, nn

from repro.train.precision import Numerics

Forward = Callable[[Tensor], Tensor]


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
    one batch goes both ways: where an output or a gradient differs in a bit, the net itself is used.

    Args:
        net: in training mode, on its device. Weights, gradients, statistics and mode are left as found.
        example: images (N, C, H, W) as each iteration will give them; their shape and memory format must not change.
        numerics: of the run.

    Returns:
        What to call in the place of the net while training, and where that is the net itself although the device is a
        GPU, the reason.
    """
    if numerics.device != "cuda":
        return net, None
    if any(getattr(module, "segment", None) for module in net.modules()):
        return net, "a net of this depth computes activations again, which is not captured"
    whole = _Whole(net).train()
    buffers = [(buffer, buffer.clone()) for buffer in net.buffers()]
    try:
        with numerics.autocast():
            replayed = cast(Forward, torch.cuda.make_graphed_callables(whole, (torch.zeros_like(example),)))
        if not all(map(torch.equal, _step(replayed, net, example, numerics), _step(net, net, example, numerics))):
            return net, "the captured step gives other bits than the net itself"
    except RuntimeError as error:
        return net, f"the step cannot be captured: {str(error).strip().splitlines()[0]}"
    finally:
        for buffer, before in buffers:
            buffer.copy_(before)
    # Gradients are summed on the stream of the capture, which the engine waits for: it warns all the same.
    if hasattr(torch.autograd.graph, "set_warn_on_accumulate_grad_stream_mismatch"):
        torch.autograd.graph.set_warn_on_accumulate_grad_stream_mismatch(False)
    return replayed, None


class _Whole(nn.Module):
    """A net within a module of its own: a capture changes what it is given, and health and evaluation use the net."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.net(x)
        return logits


def _step(forward: Forward, net: nn.Module, x: Tensor, numerics: Numerics) -> list[Tensor]:
    """Outputs for a batch, and the gradients of their sum of squares by all weights."""
    with numerics.autocast():
        logits = forward(x)
    gradients = torch.autograd.grad(logits.float().square().sum(), list(net.parameters()))
    return [logits.detach().clone(), *(gradient.clone() for gradient in gradients)]
