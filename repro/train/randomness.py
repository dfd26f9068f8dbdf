"""Randomness as a pure function of what it is for, so that a resumed run draws what an undisturbed one would.

The order of the images is a function of (seed, epoch), crops and flips of (seed, iteration). All is drawn on the CPU,
whatever device trains.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from functools import lru_cache

import torch
from torch import Tensor


def generator(purpose: str, seed: int, number: int = 0) -> torch.Generator:
    """A generator that depends on these three only."""
    digest = hashlib.sha256(f"{purpose}/{seed}/{number}".encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:7], "big"))


def order(seed: int, images: int) -> Callable[[int, int], Tensor]:
    """The order in which a run sees its images: an endless row of permutations, one an epoch.

    Returns:
        A function of (iteration, batch_size) to the indices of that iteration's batch. As in the authors' software a
        batch takes up where the one before it ended, so that one may hold the end of an epoch and the beginning of the
        next, and each image is seen exactly once an epoch.
    """

    @lru_cache(maxsize=2)
    def permutation(epoch: int) -> Tensor:
        return torch.randperm(images, generator=generator("order", seed, epoch))

    def batch(iteration: int, batch_size: int) -> Tensor:
        begin, pieces = iteration * batch_size, []
        end = begin + batch_size
        while begin < end:
            epoch, offset = divmod(begin, images)
            pieces.append(permutation(epoch)[offset : offset + end - begin])
            begin += len(pieces[-1])
        return torch.cat(pieces)

    return batch
