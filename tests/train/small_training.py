"""A training of a small net, on noise that a net can learn from."""

from __future__ import annotations

import torch

from repro.data.augment import Prepared, prepare
from repro.data.dataset import Dataset
from repro.models import build
from repro.spec import Run, Schedule, override
from repro.train.loop import Training
from repro.train.precision import Numerics
from repro.train.randomness import generator

FP32 = Numerics("cpu", "fp32", 1)


def noise(*, flip: bool = False) -> Dataset:
    chance = torch.Generator().manual_seed(0)
    labels = torch.arange(200) % 10
    images = (torch.rand(200, 1, 8, 8, generator=chance) * 100 + labels[:, None, None, None] * 15).to(torch.uint8)
    return Dataset("digits", images, labels, images[:50], labels[:50], tuple("0123456789"), 1, flip, "made up")


def run_of(**settings) -> Run:
    base = Run("plain-8", data="digits", log_every=2, evaluate_every=4, schedule=Schedule(iterations=8))
    return override(base, {"optimiser.batch_size": 16, **settings})


def begin(run: Run, dataset: Dataset, numerics: Numerics = FP32) -> tuple[Training, Prepared]:
    """Before its first iteration."""
    data = prepare(dataset, run.images, torch.device("cpu"))
    shares = run.model.norm_shares
    net = build(run.network, channels=1, generator=generator("init", run.seed), norm_shares=shares)
    return Training.start(net.train(), run, numerics), data
