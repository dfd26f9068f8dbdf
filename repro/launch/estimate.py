"""How long runs will take on this machine, from a few iterations of them."""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from repro.data.augment import prepare
from repro.data.dataset import Dataset
from repro.launch.execute import make_net
from repro.spec import Run
from repro.train.evaluate import evaluate
from repro.train.loop import Training, train
from repro.train.precision import Numerics, settle

#: Shape of the images and sizes of the two sets, by name of the data set.
_SHAPES = {
    "digits": ((1, 8, 8), 1437, 360),
    "cifar10": ((3, 32, 32), 50_000, 10_000),
    "cifar10-jpeg": ((3, 32, 32), 50_000, 10_000),
}


@dataclass(frozen=True)
class Estimate:
    """Seconds that a run takes.

    Attributes:
        iteration: of one iteration of training.
        evaluation: of one evaluation of the test set.
        total: of the whole run, with its evaluations and its final measurements.
    """

    iteration: float
    evaluation: float
    total: float


def estimate(run: Run, numerics: Numerics, iterations: int = 5) -> Estimate:
    """Measure some iterations of a run on made-up images of the right shape; nothing is written."""
    shape, train_images, test_images = _SHAPES[run.data]
    device = settle(numerics)
    dataset = _noise(shape, 512, run.data)
    data = prepare(dataset, type(run.images)(), device)
    training = Training.start(make_net(run, dataset, device), run, numerics)
    steps: list[float] = []
    began = time.perf_counter()
    for row in train(training, data, run, numerics):
        if row is None:
            _finish(device)
            steps.append(time.perf_counter() - began)
            if len(steps) > iterations:
                break
            began = time.perf_counter()
    step = statistics.median(steps[1:])
    began = time.perf_counter()
    evaluate(training.net, data.batches("train", size=512), numerics)
    image = (time.perf_counter() - began) / 512
    evaluations = -(-run.schedule.iterations // run.evaluate_every)
    # At the end the training images are evaluated once, and the test images once more for the responses.
    passes = evaluations * test_images + train_images + test_images
    return Estimate(step, image * test_images, step * run.schedule.iterations + image * passes)


def by_depth(runs: Sequence[Run], numerics: Numerics) -> list[float]:
    """Seconds of each run from measurements of the shallowest and the deepest of them up to 56 layers alone: cost is
    a straight line in depth.
    """
    from repro import names

    depths = [names.parse(run.network).depth for run in runs]
    low = min(range(len(runs)), key=lambda i: depths[i])
    high = max(range(len(runs)), key=lambda i: (depths[i] <= 56, depths[i]))
    first = estimate(runs[low], numerics).total
    if depths[low] == depths[high]:
        return [first * depth / depths[low] for depth in depths]
    slope = (estimate(runs[high], numerics).total - first) / (depths[high] - depths[low])
    return [first + slope * (depth - depths[low]) for depth in depths]


def _noise(shape: tuple[int, int, int], images: int, name: str) -> Dataset:
    pixels = torch.randint(0, 256, (images, *shape), dtype=torch.uint8)
    labels = torch.arange(images) % 10
    return Dataset(
        name=name,
        train_images=pixels,
        train_labels=labels,
        test_images=pixels,
        test_labels=labels,
        classes=tuple(map(str, range(10))),
        pad=shape[1] // 8,
        flip=shape[0] == 3,
        source="noise",
    )


def _finish(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize()
    elif device.type == "mps":
        torch.mps.synchronize()
