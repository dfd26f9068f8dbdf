"""How long runs will take on this machine, from some iterations of them measured now."""

from __future__ import annotations

import heapq
import itertools
import multiprocessing as mp
import signal
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.synchronize import Event

import torch

from repro import names
from repro.data.augment import Prepared, prepare
from repro.data.dataset import Dataset
from repro.launch.execute import CHECKUPS, make_net
from repro.spec import Run, override
from repro.train.evaluate import evaluate
from repro.train.graph import capture
from repro.train.loop import Training, batch_of, train
from repro.train.precision import Numerics, settle

#: Shape of the images and sizes of the two sets, by name of the data set.
_SHAPES = {
    "digits": ((1, 8, 8), 1437, 360),
    "cifar10": ((3, 32, 32), 50_000, 10_000),
    "cifar10-jpeg": ((3, 32, 32), 50_000, 10_000),
}
#: Made-up images to measure with: a batch of an evaluation.
_IMAGES = 500
#: Iterations are measured for so long (seconds), and at least so many of them; of a very deep net just one, once the
#: first has taken longer than this.
_LONG, _MANY, _DEEP = 2.0, 4, 8.0
#: What takes longer than this (seconds) is not measured a second time to leave out what only a first time takes.
_ONCE = 1.0
#: Seconds to wait for the other processes to be at work.
_PATIENCE = 60.0


@dataclass(frozen=True)
class Cost:
    """What a network takes on this machine.

    Attributes:
        iteration: seconds of one iteration of training.
        image: seconds of evaluating one image.
    """

    iteration: float
    image: float

    def of(self, run: Run, last: int | None = None, begun_at: int = 0) -> float:
        """Seconds from one iteration of a run to another, by default all of it, with what is measured on the way."""
        _, train_images, test_images = _SHAPES[run.data]
        whole = run.schedule.iterations
        last = whole if last is None else last
        evaluations = last // run.evaluate_every - begun_at // run.evaluate_every
        checkups = sum(begun_at < share * whole <= last for share in CHECKUPS) + (begun_at == 0)
        images = evaluations * test_images
        if last == whole:
            # An evaluation where none was due, one of the training images, and the responses, which are about two.
            images += bool(whole % run.evaluate_every) * test_images + train_images + 2 * test_images
        # A look at the health of the signals is an iteration that also reduces each feature map twice.
        return (last - begun_at + 2 * checkups) * self.iteration + images * self.image


def measure(runs: Sequence[Run], numerics: Numerics, jobs: int) -> list[Cost]:
    """What each run's network takes while `jobs` runs are at work on this machine; nothing is written.

    Runs that do the same in an iteration are measured once.
    """
    known: dict[tuple[object, ...], Cost] = {}
    keys = [(run.network, run.data, run.optimiser, run.images, run.model) for run in runs]
    with _company(runs, numerics, jobs):
        for key, run in zip(keys, runs, strict=True):
            if key not in known:
                known[key] = _measure(run, numerics)
    return [known[key] for key in keys]


def by_depth(runs: Sequence[Run], numerics: Numerics, jobs: int) -> list[float]:
    """Seconds of each run from measurements of the shallowest and the deepest of them up to 56 layers alone: cost is
    a straight line in depth.
    """
    depths = [names.parse(run.network).depth for run in runs]
    low = min(range(len(runs)), key=lambda i: depths[i])
    high = max(range(len(runs)), key=lambda i: (depths[i] <= 56, depths[i]))
    first, second = measure([runs[low], runs[high]], numerics, jobs)
    span = depths[high] - depths[low]

    def at(depth: int, one: float, other: float) -> float:
        return one + (other - one) * (depth - depths[low]) / span if span else one * depth / depths[low]

    return [
        Cost(at(depth, first.iteration, second.iteration), at(depth, first.image, second.image)).of(run)
        for depth, run in zip(depths, runs, strict=True)
    ]


def makespan(seconds: Sequence[float], jobs: int) -> float:
    """Seconds until all is done, `jobs` at a time, the longest begun first, each as soon as there is a place for it."""
    places = [0.0] * max(1, jobs)
    for each in sorted(seconds, reverse=True):
        heapq.heapreplace(places, places[0] + each)
    return max(places)


def _measure(run: Run, numerics: Numerics) -> Cost:
    training, data = _begin(run, numerics)
    iteration = _iteration(_iterations(training, data, run, numerics))
    return Cost(iteration, _timed(lambda: evaluate(training.net, data.batches("train"), numerics)) / _IMAGES)


def _begin(run: Run, numerics: Numerics) -> tuple[Training, Prepared]:
    """A run on noise of the right shape."""
    (channels, height, width), _, _ = _SHAPES[run.data]
    device = settle(numerics)
    pixels = torch.randint(0, 256, (_IMAGES, channels, height, width), dtype=torch.uint8)
    labels = torch.arange(_IMAGES) % 10
    classes = tuple(map(str, range(10)))
    dataset = Dataset(run.data, pixels, labels, pixels, labels, classes, height // 8, channels == 3, "noise")
    choice = override(run, {"images.held_out": 0, "images.evaluate_on": "test"}).images
    training = Training.start(make_net(run, dataset, device), run, numerics)
    data = prepare(dataset, choice, device)
    if numerics.ranks == 1:
        training.forward, _ = capture(training.net.train(), batch_of(data, run, 0)[0], numerics)
    return training, data


def _iterations(training: Training, data: Prepared, run: Run, numerics: Numerics) -> Iterator[None]:
    """Train for ever, without evaluations; each iteration has left the device when it is yielded."""
    endless = override(run, {"schedule.iterations": 10**9, "log_every": 10**9, "evaluate_every": 10**9})
    for _ in train(training, data, endless, numerics):
        if data.images.device.type == "cuda":
            torch.cuda.synchronize()
        elif data.images.device.type == "mps":
            torch.mps.synchronize()
        yield


def _iteration(steps: Iterator[None]) -> float:
    """Median seconds of an iteration, after the first."""
    began = time.perf_counter()
    next(steps)
    ends = [time.perf_counter()]
    deep = ends[0] - began > _DEEP
    for _ in steps:
        ends.append(time.perf_counter())
        if deep or (len(ends) > _MANY and ends[-1] - ends[0] >= _LONG):
            break
    # Not the mean: in so short a time one disturbance would pass for a slow machine.
    return statistics.median(after - before for before, after in itertools.pairwise(ends))


def _timed(act: Callable[[], object]) -> float:
    """Seconds, without what only a first time takes."""
    for _ in range(2):
        began = time.perf_counter()
        act()
        seconds = time.perf_counter() - began
        if seconds > _ONCE:
            break
    return seconds


@contextmanager
def _company(runs: Sequence[Run], numerics: Numerics, jobs: int) -> Iterator[None]:
    """Have all but one of the places at work: runs side by side share memory and caches."""
    others = jobs - 1 if runs else 0
    if others < 1:
        yield
        return
    context = mp.get_context("spawn")
    middle = sorted(runs, key=lambda run: names.parse(run.network).depth)[len(runs) // 2]
    started = [context.Event() for _ in range(others)]
    processes = [context.Process(target=_keep_busy, args=(middle, numerics, event), daemon=True) for event in started]
    try:
        for process in processes:
            process.start()
        patience = time.monotonic() + _PATIENCE
        for event in started:
            event.wait(max(0.0, patience - time.monotonic()))
        yield
    finally:
        for process in processes:
            process.kill()
        for process in processes:
            process.join()


def _keep_busy(run: Run, numerics: Numerics, started: Event) -> None:
    # Ctrl-C reaches every process of a terminal; the one that measures ends the others.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    training, data = _begin(run, numerics)
    for _ in _iterations(training, data, run, numerics):
        started.set()
