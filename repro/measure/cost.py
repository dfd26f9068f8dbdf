"""How long runs take on this machine, from some iterations of each, measured now by one process."""

from __future__ import annotations

import heapq
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from repro.data.dataset import Dataset
from repro.data.table import DATA_SETS
from repro.measure.course import CHECKUPS
from repro.measure.health import signal_health
from repro.measure.responses import NoResponsesError, responses
from repro.spec import Images, Run, override
from repro.train.begin import begin, capture_step
from repro.train.evaluate import evaluate
from repro.train.loop import batch_of, train
from repro.train.precision import Numerics

#: Noise to measure with: a batch of an evaluation. Three blocks of iterations take two seconds, or are one iteration.
_IMAGES, _BLOCKS, _LONG = 500, 3, 2.0


@dataclass(frozen=True)
class Cost:
    """What a network takes on this machine.

    Attributes:
        iteration: seconds of one iteration of training, apart from reading photographs.
        image: seconds of evaluating one image, likewise.
        without: what of it cannot be measured, in words; else empty.
    """

    iteration: float
    image: float
    without: str = ""
    #: Seconds to read one photograph, and whether workers do that meanwhile.
    reading: float = 0.0
    ahead: bool = False

    def joined(self, computing: float, images: int) -> float:
        """Seconds of computing on some images, and of reading these."""
        read = images * self.reading
        return max(computing, read) if self.ahead else computing + read

    def of(self, run: Run, last: int | None = None, begun_at: int = 0) -> float:
        """Seconds from one iteration of a run to another, by default all of it, with what is measured on the way."""
        train_images, test_images = DATA_SETS[run.data].train_images, DATA_SETS[run.data].test_images
        whole = run.schedule.iterations
        last = whole if last is None else last
        images = (last // run.evaluate_every - begun_at // run.evaluate_every) * test_images
        if last == whole:
            # An evaluation where none was due, one of the training images, and the responses, which are about two.
            images += bool(whole % run.evaluate_every) * test_images + train_images + 2 * test_images
        # A look at the health of the signals is an iteration that also reduces each feature map twice.
        checkups = sum(begun_at < share * whole <= last for share in CHECKUPS) + (begun_at == 0)
        iteration = self.joined(self.iteration, run.optimiser.batch_size)
        return (last - begun_at + 2 * checkups) * iteration + images * self.joined(self.image, 1)


def measure(runs: Sequence[Run], numerics: Numerics) -> list[Cost]:
    """What each run's network takes; runs that do the same in an iteration are measured once."""
    known: dict[tuple[object, ...], Cost] = {}
    keys = [(run.network, run.family, run.data, run.optimiser, run.images, run.model) for run in runs]
    for key, run in zip(keys, runs, strict=True):
        known[key] = known.get(key) or _measure(run, numerics)
    return [known[key] for key in keys]


def makespan(seconds: Sequence[float], jobs: int) -> float:
    """Seconds until all is done, so many at a time, the longest first."""
    free_at = [0.0] * max(1, min(jobs, len(seconds)))
    for run in sorted(seconds, reverse=True):
        heapq.heapreplace(free_at, free_at[0] + run)
    return max(free_at)


def _measure(run: Run, numerics: Numerics) -> Cost:
    """Train on noise of the right shape, without evaluations; blocks end when the device has done them."""
    crop = run.images.crop
    channels, height, width = (3, crop, crop) if crop else DATA_SETS[run.data].shape
    pixels = torch.randint(0, 256, (_IMAGES, channels, height, width), dtype=torch.uint8)
    labels, classes = torch.arange(_IMAGES) % 10, tuple(map(str, range(10)))
    dataset = Dataset(run.data, pixels, labels, pixels, labels, classes, height // 8, channels == 3, "noise")
    whole = {"images.held_out": 0, "images.evaluate_on": "test"}
    # What reading photographs takes is for the caller to measure.
    run = override(replace(run, images=Images()) if crop else run, whole)
    run = override(run, {"schedule.iterations": 10**9, "log_every": 10**9, "evaluate_every": 10**9})
    training, data = begin(run, dataset, numerics)
    capture_step(training, data, run, numerics)
    steps = train(training, data, run, numerics)

    def timed(act: Callable[[], object]) -> float:
        began = time.perf_counter()
        act()
        if numerics.device != "cpu":
            getattr(torch, numerics.device).synchronize()
        return time.perf_counter() - began

    first = timed(lambda: next(steps))
    size = min(20, max(1, int(_LONG / _BLOCKS / first))) if numerics.device == "cpu" else 20
    blocks = [timed(lambda: [next(steps) for _ in range(size)]) / size for _ in range(_BLOCKS if first < _LONG else 1)]
    evaluations = 1 if numerics.device == "cpu" else 3  # the first on a GPU loads kernels and chooses among them
    image = min(timed(lambda: evaluate(training.net, data.batches("train"), numerics)) for _ in range(evaluations))
    without = _without(training.net, batch_of(data, run, 0), run, numerics)
    # Not the mean: in so short a time one disturbance would pass for a slow machine.
    return Cost(statistics.median(blocks), image / _IMAGES, without)


def _without(net: nn.Module, batch: tuple[Tensor, Tensor], run: Run, numerics: Numerics) -> str:
    """Measure a trained network once, so that nothing at the end of its training is the first of its kind."""
    images, labels = (part[: 2 * run.model.norm_shares] for part in batch)
    with numerics.autocast():
        signal_health(net, images, labels)
        try:
            responses(net, [images])
        except NoResponsesError as error:
            return str(error)
    return ""
