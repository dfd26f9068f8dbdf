"""Batches of photographs as a pure function of the iteration, so that worker processes have nothing to draw or to save.

What chance decides is drawn for the whole batch, of which each rank takes its part. So a batch is the same for any
number of workers and ranks, and after a resume in the middle of an epoch.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from repro.data.photographs.colour import Statistics, statistics
from repro.data.photographs.crops import Cropping, crop, decode
from repro.data.photographs.index import Index
from repro.errors import DataError, UserError
from repro.train import randomness

#: Crops that statistics are taken of (A25).
CROPS = 10_000
#: Batches that a worker has ready, and where they lie.
_AHEAD, _SHARED_MEMORY = 2, Path("/dev/shm")
_order = lru_cache(maxsize=2)(randomness.order)


@dataclass(frozen=True, eq=False)
class Batches(Dataset[tuple[Tensor, Tensor] | DataError]):
    """Item i is this rank's part of iteration i: crops (N, 3, size, size) uint8, and labels (N,) int64.

    Attributes:
        index: of the training set.
        how: crops are taken.
        seed: of the run.
        batch_size: of all ranks.
        part: this rank's of a batch; see `repro.train.ranks.Ranks.part`.
    """

    index: Index
    how: Cropping
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

    def __getitem__(self, iteration: int) -> tuple[Tensor, Tensor] | DataError:
        """An error is given, not raised: what a worker raises has its traceback in its message."""
        numbers = _order(self.seed, len(self.index))(iteration, self.batch_size)[self.part].numpy()
        crops = np.empty((len(numbers), 3, self.how.size, self.how.size), dtype=np.uint8)
        try:
            for place, chance in enumerate(self.chances(iteration)[0].tolist()):
                number = numbers[place]
                crops[place] = crop(decode(self.index.read(number), self.index.name(number)), self.how, chance)
        except DataError as error:
            return error
        return torch.from_numpy(crops), torch.from_numpy(self.index.labels[numbers])


def feed(batches: Batches, first: int, last: int, workers: int, pin: bool = False) -> Iterator[tuple[Tensor, Tensor]]:
    """The items of iterations from `first` to before `last`, made by worker processes, or by this one if there is none.

    Args:
        pin: put them into pinned memory, from which CUDA copies without waiting.

    Raises:
        DataError: a photograph cannot be read; which. Or a worker was killed.
        UserError: shared memory is too small for what the workers have ready.
    """
    size = (batches.part.stop - batches.part.start) * 3 * batches.how.size**2
    needed = size * _AHEAD * workers
    if workers and _SHARED_MEMORY.is_dir() and shutil.disk_usage(_SHARED_MEMORY).free < needed:
        raise UserError(
            f"{_SHARED_MEMORY}: batches that {workers} workers have ready take {needed / 1e6:.0f} MB, and "
            f"{shutil.disk_usage(_SHARED_MEMORY).free / 1e6:.0f} MB are free: use fewer workers, or enlarge it (docker "
            "run --shm-size=8g)"
        )
    loader = DataLoader(
        batches,
        batch_size=None,
        sampler=range(first, last),
        num_workers=workers,
        prefetch_factor=_AHEAD if workers else None,
        pin_memory=pin,
        generator=torch.Generator(),  # its own, or else it draws from that of all
    )
    try:
        for item in loader:
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


def measure(batches: Batches, workers: int, crops: int = CROPS) -> Statistics:
    """Statistics of a run's first crops, of whichever rank."""
    whole = replace(batches, part=slice(0, batches.batch_size))
    last = -(-crops // whole.batch_size)

    def parts() -> Iterator[NDArray[np.uint8]]:
        for iteration, (images, _) in enumerate(feed(whole, 0, last, workers)):
            yield images[: crops - iteration * whole.batch_size].numpy()

    return statistics(parts())
