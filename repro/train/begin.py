"""A run as it begins: its images and its network on the device, its step captured where that can be."""

from __future__ import annotations

import torch
from torch import nn

from repro.data.augment import Prepared, prepare
from repro.data.dataset import Dataset
from repro.data.photographs.dataset import Photographs
from repro.models import build
from repro.spec import Run
from repro.train.graph import capture, forget
from repro.train.loop import Training, batch_of
from repro.train.photographs import Shown, show
from repro.train.precision import Numerics, settle
from repro.train.randomness import generator
from repro.train.ranks import ALONE, Ranks
from repro.train.whole import capture_whole


def begin(
    run: Run, dataset: Dataset | Photographs, numerics: Numerics, workers: int = 0
) -> tuple[Training, Prepared | Shown]:
    """A run before its first iteration, with torch set up for it; so many worker processes read photographs."""
    device = settle(numerics)
    forget(numerics)
    data = seen(run, dataset, device, workers)
    return Training.start(make_net(run, dataset, device), run, numerics), data


def seen(run: Run, dataset: Dataset | Photographs, device: torch.device, workers: int = 0) -> Prepared | Shown:
    """A data set as a run sees it."""
    if isinstance(dataset, Photographs):
        return show(dataset, run, device, workers)
    return prepare(dataset, run.images, device)


def make_net(run: Run, dataset: Dataset | Photographs, device: torch.device) -> nn.Module:
    """The run's network as it begins: initialised by its seed, on the device."""
    net = build(
        run.network,
        channels=dataset.channels,
        classes=len(dataset.classes),
        family=run.family,
        generator=generator("init", run.seed),
        **vars(run.model),
    )
    return net.to(device)


def capture_step(
    training: Training, data: Prepared | Shown, run: Run, numerics: Numerics, ranks: Ranks = ALONE
) -> str | None:
    """Capture an iteration on CUDA, else the net's part of it; says what cannot be and why, and goes on without.

    Of several ranks, which have arranged the net, each captures the net's part for its share of the batch.
    """
    training.net.train()
    less = None
    if ranks.count == 1:
        training.whole, less = capture_whole(training, data, run, numerics)
        if training.whole:
            return None
    example, _ = batch_of(data, run, training.state.iteration)
    training.forward, obstacle = capture(training.net, example[ranks.part(len(example))], numerics)
    if obstacle:
        return f"not as a CUDA graph: {obstacle}"
    return f"the net as CUDA graphs, not all of an iteration: {less}" if less else None
