"""The training loop of Section 4.2 (arXiv:1512.03385). It knows nothing of files, terminals or studies."""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from repro.data.augment import Prepared, to_device
from repro.records import Row
from repro.spec import Optimiser, Run
from repro.train import randomness
from repro.train.evaluate import evaluate
from repro.train.photographs import Shown
from repro.train.precision import Numerics
from repro.train.ranks import ALONE, Ranks
from repro.train.schedule import learning_rate, plateaus_of, warms_up


class DivergedError(Exception):
    """The loss is no longer finite; on all ranks at once."""


@dataclass
class State:
    """Where a run stands, apart from its weights and momentum.

    Attributes:
        iteration: iterations done.
        warm_until: index of the first iteration after the warm-up; None while it lasts.
        seconds: spent training so far.
        loss_sum, wrong: of the iterations since the last row of the curve: sum of the batches' mean losses, and wrongly
            classified images. They stay on the device, so that no iteration waits for it.
        since: iterations that these two sum up.
    """

    iteration: int
    warm_until: int | None
    seconds: float
    loss_sum: Tensor
    wrong: Tensor
    since: int = 0

    @classmethod
    def start(cls, run: Run, device: torch.device) -> State:
        """The state before the first iteration."""
        warm_until = None if warms_up(run) else 0
        zero = torch.zeros((), device=device)
        return cls(0, warm_until, 0.0, loss_sum=zero, wrong=torch.zeros_like(zero, dtype=torch.int64))


@dataclass
class Training:
    """All that training changes: the network, what its optimiser remembers, and where it stands.

    Attributes:
        forward: what to call in the net's place while training: itself, or what `repro.train.graph` made of it.
        whole: what to call for an iteration and its learning rate, where `repro.train.whole` has made it one call.
        curve: its rows so far.
    """

    net: nn.Module
    optimiser: torch.optim.SGD
    scaler: torch.amp.GradScaler
    state: State
    forward: Callable[[Tensor], Tensor]
    whole: Callable[[int, float], None] | None = None
    curve: list[Row] = field(default_factory=list)

    @classmethod
    def start(cls, net: nn.Module, run: Run, numerics: Numerics) -> Training:
        """The training of a network on its device before its first iteration."""
        net.to(memory_format=numerics.memory_format())
        scaler = torch.amp.GradScaler(numerics.device, enabled=numerics.precision == "fp16")
        state = State.start(run, torch.device(numerics.device))
        return cls(net, make_optimiser(net, run.optimiser, numerics.precision), scaler, state, forward=net)


def train(
    training: Training, data: Prepared | Shown, run: Run, numerics: Numerics, ranks: Ranks = ALONE
) -> Iterator[Row | None]:
    """Train from where `training` stands to the end of the schedule, changing it in place, alike on all ranks.

    Yields:
        After each iteration None, and before that, where one is due, a row of the curve. After a None, `training` is
        all that carrying on needs: it can be saved there, or left.

    Raises:
        DivergedError: the loss is not finite; seen when the next row is due, and told after that row.
    """
    state = training.state
    batches = feed(data, run, state.iteration, ranks.part(run.optimiser.batch_size))
    training.net.train()
    plateaus = plateaus_of(run.schedule, training.curve, state.warm_until)
    while state.iteration < run.schedule.iterations:
        began = time.perf_counter()
        rate = learning_rate(run.schedule, state.iteration, state.warm_until, plateaus)
        set_rate(training.optimiser, rate, run.optimiser)

        if training.whole:
            training.whole(state.iteration, rate)
        else:
            step(training, *next(batches), numerics, ranks)

        state.since += 1
        state.iteration += 1
        state.seconds += time.perf_counter() - began

        if state.iteration % run.log_every == 0 or state.iteration == run.schedule.iterations:
            row = measure(training, data, run, numerics, rate, ranks)
            training.curve.append(row)
            plateaus = plateaus_of(run.schedule, training.curve, state.warm_until)
            yield row
            if not math.isfinite(row.train_loss):
                raise DivergedError(f"the loss is {row.train_loss} at iteration {state.iteration}")
        yield None


def step(training: Training, x: Tensor, y: Tensor, numerics: Numerics, ranks: Ranks = ALONE) -> None:
    """One step of gradient descent, at the rate that is set, by images (N, C, H, W) and their labels (N,)."""
    net, optimiser, scaler, state = training.net, training.optimiser, training.scaler, training.state
    # The loss and its gradient are fp32, whatever the convolutions are.
    with numerics.autocast():
        logits = training.forward(x)
    loss = F.cross_entropy(logits.float(), y)
    scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
    wrong = (logits.detach().argmax(1) != y).sum()
    mean_loss, wrong = ranks.average(net, loss.detach(), wrong)
    scaler.step(optimiser)
    scaler.update()
    optimiser.zero_grad(set_to_none=True)

    # Of augmented images, in training mode, before the update; the paper does not say what its curves are of.
    state.loss_sum += mean_loss
    state.wrong += wrong


def feed(data: Prepared | Shown, run: Run, first: int, mine: slice) -> Iterator[tuple[Tensor, Tensor]]:
    """What iterations from `first` on train on, a function of seed and iteration alone: images and labels.

    Args:
        mine: of the images of each batch, those to give.
    """
    if isinstance(data, Shown):
        yield from data.feed(first, run.schedule.iterations, mine)
        return
    batch, indices = run.optimiser.batch_size, randomness.order(run.seed, len(data.images))
    for iteration in itertools.count(first):
        crops = data.draw(batch, randomness.generator("augment", run.seed, iteration))
        index = to_device(indices(iteration, batch)[mine], data.device)
        yield data.batch(index, crops[mine])


def batch_of(data: Prepared | Shown, run: Run, iteration: int) -> tuple[Tensor, Tensor]:
    """What an iteration trains on, for who looks at it apart from training: all images of the batch, and labels."""
    if isinstance(data, Shown):
        return data.batch(iteration)
    return next(feed(data, run, iteration, slice(None)))


def measure(training: Training, data: Prepared | Shown, run: Run, numerics: Numerics, rate: float, ranks: Ranks) -> Row:
    """The row of the curve that is due now; begins a new sum, and ends the warm-up once the error allows it."""
    began, state = time.perf_counter(), training.state
    iteration = state.iteration
    ranks.largest(0)  # a rank that is gone is told here; on a GPU, reading a sum would wait for its part of it
    train_loss = state.loss_sum.item() / state.since
    train_error = 100 * state.wrong.item() / (state.since * run.optimiser.batch_size)
    state.loss_sum.zero_(), state.wrong.zero_()
    state.since = 0
    if state.warm_until is None and train_error < run.schedule.warm_up_until:
        state.warm_until = iteration
    test_loss = test_error = math.nan
    if iteration % run.evaluate_every == 0 or iteration == run.schedule.iterations:
        test_loss, test_error = evaluate(training.net, data.batches("test", ranks.turns), numerics, ranks)
    state.seconds += time.perf_counter() - began
    epoch = iteration * run.optimiser.batch_size / len(data.images)
    return Row(iteration, epoch, rate, train_loss, train_error, test_loss, test_error)


def make_optimiser(net: nn.Module, choice: Optimiser, precision: str) -> torch.optim.SGD:
    """SGD with momentum and weight decay (grad += decay x weight, as in Caffe), over all parameters or weights only."""
    weights = [m.weight for m in net.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    kept = {id(weight) for weight in weights}
    others = [p for p in net.parameters() if id(p) not in kept]
    decay = choice.weight_decay
    groups = [
        {"params": weights, "weight_decay": decay},
        {"params": others, "weight_decay": decay if choice.decay == "all" else 0.0},
    ]
    # The fused kernel leaves new momentum unwritten where the first step is skipped, as loss scaling has it in fp16.
    fused = precision != "fp16" and next(net.parameters()).device.type in ("cpu", "cuda")
    return torch.optim.SGD(groups, lr=1.0, momentum=choice.momentum, nesterov=choice.nesterov, fused=fused)


def set_rate(optimiser: torch.optim.SGD, rate: float, choice: Optimiser) -> None:
    """Set the learning rate of the next step.

    torch keeps v = m v + g and subtracts rate x v. In Caffe's form v = m v + rate x g is subtracted, so that what was
    gathered at the old rate goes on at the old rate: the same as scaling torch's v by old / new at a change.
    """
    rate = rounded(rate, optimiser.param_groups[0]["params"][0].device)
    for group in optimiser.param_groups:
        if choice.momentum_form == "caffe" and group["lr"] != rate:
            for parameter in group["params"]:
                buffer = optimiser.state[parameter].get("momentum_buffer")
                if buffer is not None:
                    buffer.mul_(group["lr"] / rate)
        group["lr"] = rate


def rounded(rate: float, device: torch.device) -> float:
    """A learning rate as a device steps by it: on CUDA as float32, as which its kernel takes it within a graph."""
    return torch.tensor(rate, dtype=torch.float32).item() if device.type == "cuda" else rate
