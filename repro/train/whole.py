"""A whole iteration as one CUDA graph: cutting the images, both passes, the update and the sums of the curve.

What an iteration is given is one small transfer: which images, their crops and flips. The learning rate is a number on
the device. Nothing else comes from Python, which keeps nets this small waiting.
"""

from __future__ import annotations

import os
from collections.abc import Callable

import torch
from torch import Tensor

from repro.data.augment import Crops, Prepared, to_device
from repro.models.cifar import Stage
from repro.spec import Run
from repro.train import randomness
from repro.train.graph import (
    NO_GRAPH,
    OTHER_EACH_TIME,
    equal,
    forget,
    garbage_left_alone,
    line,
    place,
    put_back,
    usable_after,
)
from repro.train.loop import Training, batch_of, set_rate, step
from repro.train.photographs import Shown
from repro.train.precision import Numerics

#: The check's iterations: a weight decides the next batch's gradients, momentum goes on, and the rate changes.
_RATES = (0.1, 0.1, 0.01)


class Whole:
    """An iteration of a training as one call. Weights, statistics, momentum and sums must stay where they lie."""

    def __init__(self, training: Training, data: Prepared, run: Run, numerics: Numerics) -> None:
        self.training, self.data, self.run, self.numerics = training, data, run, numerics
        device, self.batch = data.images.device, run.optimiser.batch_size
        self.order = randomness.order(run.seed, len(data.images))
        #: Of each image of the batch: which it is, the corner of its crop, and whether it is flipped.
        self.row = torch.zeros(4, self.batch, dtype=torch.int64, device=device)
        #: float32, as which the optimiser's kernel takes it.
        self.rate, self.last = torch.zeros((), device=device), 0.0
        self.replay: Callable[[], None] = self.body

    def __call__(self, iteration: int, rate: float) -> None:
        """The iteration with this index, at a learning rate that `set_rate` has set."""
        crops = self.data.draw(self.batch, randomness.generator("augment", self.run.seed, iteration))
        index = self.order(iteration, self.batch)
        row = torch.stack([index, crops.top, crops.left, crops.flip.long()])
        self.row.copy_(to_device(row, self.row.device))
        if rate != self.last:
            self.rate.fill_(rate)
            self.last = rate
        self.replay()

    def body(self) -> None:
        """What is recorded."""
        index, top, left, flip = self.row
        step(self.training, *self.data.cut(index, Crops(top, left, flip.bool())), self.numerics)


def capture_whole(
    training: Training, data: Prepared | Shown, run: Run, numerics: Numerics
) -> tuple[Whole | None, str | None]:
    """Record a training's iteration as one CUDA graph, where that is possible and gives the same bits.

    Before it is relied upon, three iterations at two rates go both ways. All that they change is put back.

    Args:
        training: of one process, its net in training mode, from where it begins or carries on.
        data, run, numerics: of the training.

    Returns:
        What to call for an iteration, or None; and why not, where the device is a GPU and there could be graphs.

    Raises:
        UserError: a capture failed, and since then the GPU does not even compute without one.
    """
    if numerics.device != "cuda" or os.environ.get(NO_GRAPH):
        return None, None
    if not isinstance(data, Prepared):
        return None, "its photographs are not in the GPU's memory"
    if training.scaler.is_enabled():
        return None, "fp16 decides from the gradients whether to make the step"
    if any(stage.segment for stage in training.net.modules() if isinstance(stage, Stage)):
        return None, "the net may have to compute activations again"
    forget(numerics)
    back, optimiser = place(), training.optimiser
    fresh = [p for p in training.net.parameters() if "momentum_buffer" not in optimiser.state[p]]
    for parameter in fresh:  # a first step, which has none, would be recorded as such
        optimiser.state[parameter]["momentum_buffer"] = torch.zeros_like(parameter)
    found = [(tensor, tensor.clone()) for tensor in moving(training)]
    rates = [group["lr"] for group in optimiser.param_groups]
    whole, obstacle = Whole(training, data, run, numerics), None
    try:
        with garbage_left_alone():
            obstacle = _difference(whole, found)
    except Exception as error:  # torch's own code of captures asserts, too
        obstacle = f"it cannot be captured: {line(error)}"
    with usable_after(obstacle):
        if obstacle:
            back()
        optimiser.zero_grad(set_to_none=True)
        put_back(found)
        for group, rate in zip(optimiser.param_groups, rates, strict=True):
            group["lr"] = rate
        for parameter in fresh if obstacle else ():
            del optimiser.state[parameter]
        torch.cuda.synchronize()  # an error that comes late belongs here
    if not obstacle:
        return whole, None
    whole.replay = whole.body  # the graph goes before another one comes
    forget(numerics)
    torch.cuda.empty_cache()
    return None, obstacle


def moving(training: Training) -> list[Tensor]:
    """All tensors that an iteration changes: weights, statistics, momentum, and the sums of the curve."""
    net, state = training.net, training.state
    momentum = [training.optimiser.state[parameter]["momentum_buffer"] for parameter in net.parameters()]
    return [*(p.detach() for p in net.parameters()), *net.buffers(), *momentum, state.loss_sum, state.wrong]


def _difference(whole: Whole, found: list[tuple[Tensor, Tensor]]) -> str | None:
    """Record, and say what speaks against it: other bits than without, if those are ever the same."""
    training, run, begin = whole.training, whole.run, whole.training.state.iteration
    groups = training.optimiser.param_groups

    def trail(iteration: Callable[[int, float], None]) -> list[Tensor]:
        put_back(found)
        for group in groups:
            group["lr"] = _RATES[0]
        for number, rate in enumerate(_RATES, start=begin):
            set_rate(training.optimiser, rate, run.optimiser)
            iteration(number, rate)
        return [tensor.clone() for tensor in moving(training)]

    def without(number: int, rate: float) -> None:
        step(training, *batch_of(whole.data, run, number), whole.numerics)

    own = trail(without)
    if not equal(trail(without), own):
        return OTHER_EACH_TIME
    for group in groups:  # a tensor while this is recorded, and never after
        group["lr"] = whole.rate
    whole.replay = _record(whole.body)
    return None if equal(trail(whole), own) else "it gives other bits than its steps one by one"


def _record(body: Callable[[], None]) -> Callable[[], None]:
    # A stream of its own: a graph that is freed clears the workspaces of its stream (PyTorch issue 193402).
    stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
    graph = torch.cuda.CUDAGraph()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(3):
            body()
    torch.cuda.current_stream().wait_stream(stream)
    with torch.cuda.graph(graph, stream=stream):
        body()
    replay: Callable[[], None] = graph.replay
    return replay
