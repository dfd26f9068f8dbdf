"""Batches of photographs as a pure function of the iteration, so that worker processes have nothing to draw or to save.

What chance decides is drawn for the whole batch, of which each rank takes its part. So a batch is the same for any
number of workers and ranks, and after a resume in the middle of an epoch.
"""

from __future__ import annotations

import hashlib
import shutil
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from repro.data.augment import memory_format
from repro.data.photographs.colour import Statistics, statistics
from repro.data.photographs.crops import center, crop, decode
from repro.data.photographs.dataset import Photographs
from repro.data.photographs.index import Index
from repro.errors import DataError, UserError
from repro.spec import Images, Run
from repro.train import randomness

#: Crops that statistics are taken of (A25).
CROPS = 10_000
#: Photographs that are tested together.
BATCH = 128
#: Batches that a worker has ready, and where they lie.
_AHEAD, _SHARED_MEMORY = 2, Path("/dev/shm")
_order = lru_cache(maxsize=2)(randomness.order)


Item = tuple[Tensor, Tensor] | DataError


@dataclass(frozen=True, eq=False)
class Batches(Dataset[Item]):
    """Item i is this rank's part of iteration i: crops (N, 3, size, size) uint8, and labels (N,) int64.

    Attributes:
        index: of the training set.
        how: crops are taken, by the run's choices.
        seed: of the run.
        batch_size: of all ranks.
        part: this rank's of a batch; see `repro.train.ranks.Ranks.part`.
    """

    index: Index
    how: Images
    seed: int
    batch_size: int
    part: slice

    def chances(self, iteration: int) -> tuple[Tensor, Tensor]:
        """What chance decides for this rank's part: uniform numbers for `crop`, (N, 4), normal ones for colour, (N, 3).

        Both are float64, so that what they differ by between machines is lost in float32.
        """
        generator = randomness.generator("augment", self.seed, iteration)
        uniform = torch.rand(self.batch_size, 4, dtype=torch.float64, generator=generator)
        normal = torch.randn(self.batch_size, 3, dtype=torch.float64, generator=generator)
        return uniform[self.part], normal[self.part]

    def __getitem__(self, iteration: int) -> Item:
        numbers = _order(self.seed, len(self.index))(iteration, self.batch_size)[self.part].numpy()
        chances = self.chances(iteration)[0].tolist()
        return _seen(self.index, numbers, self.how.crop, lambda image, place: crop(image, self.how, chances[place]))

    @property
    def bytes(self) -> int:
        """Of the crops of an item."""
        return int(self.part.stop - self.part.start) * 3 * self.how.crop**2


@dataclass(frozen=True, eq=False)
class Views(Dataset[Item]):
    """Item i is the middle of photographs from i times `BATCH` on, as many or those that are left, in their order."""

    index: Index
    size: int

    def __len__(self) -> int:
        return -(-len(self.index) // BATCH)

    def __getitem__(self, number: int) -> Item:
        numbers = np.arange(number * BATCH, min((number + 1) * BATCH, len(self.index)))
        return _seen(self.index, numbers, self.size, lambda image, place: center(image, self.size))

    @property
    def bytes(self) -> int:
        """Of the views of an item."""
        return BATCH * 3 * self.size**2


def _seen(
    index: Index, numbers: NDArray[np.int64], size: int, take: Callable[[Image.Image, int], NDArray[np.uint8]]
) -> Item:
    """What is taken of each photograph. An error is given, not raised: what a worker raises has its traceback in it."""
    taken = np.empty((len(numbers), 3, size, size), dtype=np.uint8)
    try:
        for place, number in enumerate(numbers):
            taken[place] = take(decode(index.read(number), index.name(number)), place)
    except DataError as error:
        return error
    return torch.from_numpy(taken), torch.from_numpy(index.labels[numbers])


def feed(batches: Batches | Views, which: range, workers: int, pin: bool = False) -> Iterator[tuple[Tensor, Tensor]]:
    """Some items, in order, made by worker processes, or by this one if there is none.

    Args:
        pin: put them into pinned memory, from which CUDA copies without waiting.

    Raises:
        DataError: a photograph cannot be read; which. Or a worker was killed.
        UserError: shared memory is too small for what the workers have ready.
    """
    needed = batches.bytes * _AHEAD * workers
    if workers and _SHARED_MEMORY.is_dir() and shutil.disk_usage(_SHARED_MEMORY).free < needed:
        raise UserError(
            f"{_SHARED_MEMORY}: batches that {workers} workers have ready take {needed / 1e6:.0f} MB, and "
            f"{shutil.disk_usage(_SHARED_MEMORY).free / 1e6:.0f} MB are free: use fewer workers, or enlarge it (docker "
            "run --shm-size=8g)"
        )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of more workers than there are cores, as the user has asked for
        loader = DataLoader(
            batches,
            batch_size=None,
            sampler=which,
            num_workers=workers,
            prefetch_factor=_AHEAD if workers else None,
            pin_memory=pin,
            generator=torch.Generator(),  # its own, or else it draws from that of all
        )
        items = iter(loader)
    try:
        for item in items:
            if isinstance(item, DataError):
                raise item
            yield item
    except RuntimeError as error:
        if "DataLoader worker (pid" not in str(error):  # else a worker raised it: a bug
            raise
        raise DataError(
            f"a worker that reads photographs was ended by the system ({str(error).splitlines()[0]}): memory may be "
            "short, so use fewer workers"
        ) from error


def reading(batches: Batches, workers: int, seconds: float = 2.0) -> float:
    """Seconds to read and crop a photograph, or with several workers those from one to the next."""
    items = feed(batches, range(10**9), workers)
    for _ in range(1 + 2 * _AHEAD * workers):  # what they make while they start
        next(items)
    began, count = time.perf_counter(), 0
    while (passed := time.perf_counter() - began) < seconds or not count:
        count += len(next(items)[1])
    return passed / count


def measure(batches: Batches, workers: int, crops: int = CROPS) -> Statistics:
    """Statistics of a run's first crops, of whichever rank."""
    whole = replace(batches, part=slice(0, batches.batch_size))
    last = -(-crops // whole.batch_size)

    def parts() -> Iterator[NDArray[np.uint8]]:
        for iteration, (images, _) in enumerate(feed(whole, range(last), workers)):
            yield images[: crops - iteration * whole.batch_size].numpy()

    return statistics(parts())


@dataclass(frozen=True, eq=False)
class Shown:
    """Photographs as one run trains on them and is tested: a counterpart of `repro.data.augment.Prepared`.

    Attributes:
        crops: of the whole batches.
        test_images: of the validation set.
        choice: the run's.
        statistics: of its crops.
        device: where they are to be.
        workers: processes that read.
    """

    crops: Batches
    test_images: Index
    choice: Images
    statistics: Statistics
    device: torch.device
    workers: int

    @property
    def images(self) -> Index:
        """Those that are trained on."""
        return self.crops.index

    def described(self) -> dict[str, Any]:
        """What a record says of the images."""
        means = self.statistics.mean
        return {
            "shape": [3, self.choice.crop, self.choice.crop],
            "pad": 0,
            "flip": True,
            "fingerprints": {"train": self.images.fingerprint, "validation": self.test_images.fingerprint},
            "statistics": {
                "crops": min(CROPS, len(self.images)),
                "mean": means.mean((1, 2)).tolist(),
                "covariance": self.statistics.covariance.tolist(),
                "pixel_mean_sha256": hashlib.sha256(means.astype("<f8").tobytes()).hexdigest(),
            },
        }

    def feed(self, first: int, last: int, part: slice) -> Iterator[tuple[Tensor, Tensor]]:
        """Images (N, 3, H, W), float32, and labels of iterations from `first` to before `last`: a part of each."""
        crops = replace(self.crops, part=part)
        items = feed(crops, range(first, last), self.workers, self.device.type == "cuda")
        for iteration, (images, labels) in enumerate(items, first):
            yield self.ready(images, labels, crops.chances(iteration)[1])

    def batch(self, iteration: int) -> tuple[Tensor, Tensor]:
        """All images of an iteration, and their labels."""
        images, labels = next(feed(self.crops, range(iteration, iteration + 1), 0))
        return self.ready(images, labels, self.crops.chances(iteration)[1])

    def batches(self, split: Literal["train", "test"], which: slice = slice(None)) -> Iterator[tuple[Tensor, Tensor]]:
        """All photographs of a split once, the middle of each, and their labels: of these batches some."""
        views = Views(self.images if split == "train" else self.test_images, self.choice.crop)
        for images, labels in feed(views, range(len(views))[which], self.workers, self.device.type == "cuda"):
            yield self.ready(images, labels)

    def ready(self, images: Tensor, labels: Tensor, chances: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """On the device: the mean subtracted, and colours shifted where there are chances for it."""
        x = images.to(self.device, non_blocking=True).float().div_(255).sub_(self._mean)
        if chances is not None and self.choice.colour != "off":
            shifts = self.statistics.shifts(chances.numpy(), self.choice.colour, self.choice.colour_strength)
            x.add_(torch.from_numpy(shifts).float()[:, :, None, None].to(self.device))
        if self.choice.normalise.endswith("-std"):
            x.div_(self._std)
        x = x.contiguous(memory_format=memory_format(self.device))
        return x, labels.to(self.device, non_blocking=True)

    @cached_property
    def _mean(self) -> Tensor:
        mean = self.statistics.mean
        if self.choice.normalise.startswith("channel"):
            mean = mean.mean((1, 2), keepdims=True)
        return torch.from_numpy(mean).float().to(self.device)

    @cached_property
    def _std(self) -> Tensor:
        std = np.sqrt(self.statistics.covariance.diagonal())
        return torch.from_numpy(std).float()[:, None, None].to(self.device)


def show(photographs: Photographs, run: Run, device: torch.device, workers: int) -> Shown:
    """Photographs as a run sees them. Its statistics are taken now, of its first crops, as they will be each time."""
    crops = crops_of(photographs, run)
    # Of an epoch at most.
    found = measure(crops, workers, min(CROPS, len(photographs.train)))
    return Shown(crops, photographs.validation, run.images, found, device, workers)


def crops_of(photographs: Photographs, run: Run) -> Batches:
    """The batches of a run."""
    batch = run.optimiser.batch_size
    return Batches(photographs.train, run.images, run.seed, batch, slice(0, batch))
