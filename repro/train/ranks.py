"""Data-parallel training: the processes of torchrun, its ranks, run the same program on a part of each batch.

A batch is that of one process: the same images in the same order with the same crops and flips, of which each rank
takes an equal, contiguous part ("a mini-batch size of 128 on two GPUs", arXiv:1512.03385, Section 4.2). Where a share
of batch normalisation spans ranks, they gather its statistics at each layer. At the end of each iteration there is one
all-reduce of a flat row, whose layout never changes: the gradients, batch normalisation's running statistics, and what
the curve sums up. So weights, statistics and sums are the same on all ranks after each iteration, rank 0 can write the
checkpoint by itself, and a resumed run has the same bits. torch's DistributedDataParallel would keep statistics of each
rank's own, and cuts the gradients into other buckets in its first iteration than later.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn

from repro.errors import UserError
from repro.models.norm import Spread, in_shares, set_spread
from repro.spec import Run

T = TypeVar("T")

#: How long a collective waits for a rank.
PATIENCE = timedelta(minutes=15)
#: How long ranks wait for what rank 0 does alone: longer than it takes to measure a trained network.
LONG_PATIENCE = timedelta(hours=3)


class RankError(UserError):
    """What went wrong on one of several ranks."""

    status = 1


class Ranks:
    """The ranks that train a run together, which must call the same methods in the same order.

    By default a single process, where every method is a no-op.

    Attributes:
        rank: of this process, from 0. Rank 0 alone reads and writes records.
        count: of all.
        here: how many of them this machine has.

    Raises:
        RankError: any method but `part`: another rank is gone.
    """

    def __init__(self, rank: int = 0, count: int = 1, here: int = 1) -> None:
        self.rank, self.count, self.here = rank, count, here
        self._groups: dict[tuple[str, int], Any] = {}
        self._waiting: Any = None  # all ranks, as a group of longer patience

    def check(self, run: Run, device: str) -> None:
        """Raise UserError where these ranks cannot share out a run, or cannot have such a device each."""
        batch, shares, cards = run.optimiser.batch_size, run.model.norm_shares, torch.cuda.device_count()
        if batch % self.count:
            raise UserError(
                f"optimiser.batch_size is {batch}, which {self.count} ranks cannot share out equally: give "
                "--nproc-per-node a number that divides it"
            )
        if shares % self.count and self.count % shares:
            raise UserError(
                f"model.norm_shares is {shares} and there are {self.count} ranks: one must be a multiple of the other"
            )
        if self.count > 1 and device == "mps":
            raise UserError(
                "several ranks need --device cpu or cuda: this machine has one GPU, which they cannot share"
            )
        if device == "cuda" and self.here > cards:
            raise UserError(
                f"{self.here} ranks need a CUDA device each, this machine has {cards}: give a smaller --nproc-per-node"
            )

    def part(self, batch: int) -> slice:
        """This rank's part of a batch of that size, which must be a multiple of the ranks."""
        each = batch // self.count
        return slice(self.rank * each, (self.rank + 1) * each)

    def arrange(self, net: nn.Module, shares: int) -> nn.Module:
        """Have a network on its device normalise `shares` shares of the whole batch, given this rank's part of it.

        The ranks must be a multiple of the shares, or the shares of the ranks.
        """
        if self.count == 1:
            return net
        device = next(net.parameters()).device.type
        self._numbers = self._group(device, self.count)
        if shares % self.count == 0:
            spread = Spread(shares // self.count)
        else:
            spread = Spread(1, self._gatherer(self._group(device, self.count // shares), self.count // shares))
        net = in_shares(net, shares)
        set_spread(net, spread)
        return net

    def average(self, net: nn.Module, loss: Tensor, wrong: Tensor) -> tuple[Tensor, Tensor]:
        """All-reduce gradients and running statistics to their mean, in place.

        Args:
            net: whose gradients are of the mean loss over this rank's images.
            loss: that loss, a scalar.
            wrong: how many of them were classified wrongly, int64.

        Returns:
            The mean loss, and how many were wrong, over the whole batch.
        """
        if self.count == 1:
            return loss, wrong
        with torch.no_grad():
            gradients = [parameter.grad for parameter in net.parameters() if parameter.grad is not None]
            tensors = [*gradients, *(buffer for buffer in net.buffers() if buffer.is_floating_point())]
            # A count of wrong images is exact in float32 up to 2^24.
            sums = torch.stack([loss, wrong.to(loss.dtype)]).to(tensors[0].dtype)
            row = torch.cat([*(tensor.flatten() for tensor in tensors), sums])
            self._collective(lambda: dist.all_reduce(row, group=self._numbers))
            wrong = row[-1].round().long()
            row.div_(self.count)
            pieces = torch.split(row, [*(tensor.numel() for tensor in tensors), 1, 1])
            for tensor, piece in zip(tensors, pieces, strict=False):
                tensor.copy_(piece.view(tensor.shape))
        return row[-2].to(loss.dtype), wrong

    @property
    def turns(self) -> slice:
        """Of items of which each rank has one in turn, this rank's."""
        return slice(self.rank, None, self.count)

    def total(self, *numbers: float) -> tuple[float, ...]:
        """All-reduce each number to its sum."""
        if self.count == 1:
            return numbers
        row = torch.tensor(numbers, dtype=torch.float64)
        self._collective(lambda: dist.all_reduce(row))
        return tuple(row.tolist())

    def largest(self, number: int) -> int:
        """All-reduce a number to its maximum."""
        if self.count == 1:
            return number
        row = torch.tensor(number)
        self._collective(lambda: dist.all_reduce(row, dist.ReduceOp.MAX))
        return int(row)

    def broadcast(self, act: Callable[[], T]) -> T:
        """What `act` gives on rank 0, on all ranks; a UserError that it raises there is raised on all."""
        if self.count == 1:
            return act()
        word: list[Any] = [None]
        if self.rank == 0:
            try:
                word = [act()]
            except UserError as error:
                word = [error]
        if self._waiting is None:
            self._waiting = dist.new_group(timeout=LONG_PATIENCE, backend="gloo")
        self._collective(lambda: dist.broadcast_object_list(word, src=0, group=self._waiting))
        if isinstance(word[0], UserError):
            raise word[0]
        found: T = word[0]
        return found

    def _collective(self, act: Callable[[], object]) -> None:
        try:
            act()
        except RuntimeError as error:
            raise RankError("another rank has ended, and says why itself; start again to carry on") from error

    def _group(self, device: str, size: int) -> Any:
        """The ranks in groups of this size, in order; gives this rank's."""
        backend = "nccl" if device == "cuda" else "gloo"
        if (backend, size) not in self._groups:
            # Every rank has a part in making each group.
            groups = [
                dist.new_group(list(range(first, first + size)), timeout=PATIENCE, backend=backend)
                for first in range(0, self.count, size)
            ]
            self._groups[backend, size] = groups[self.rank // size]
        return self._groups[backend, size]

    def _gatherer(self, group: Any, size: int) -> Callable[[Tensor], Tensor]:
        def gather(own: Tensor) -> Tensor:
            own = own.contiguous()
            rows = [torch.empty_like(own) for _ in range(size)]
            self._collective(lambda: dist.all_gather(rows, own, group))
            return torch.stack(rows)

        return gather


#: A single process.
ALONE = Ranks()


@contextmanager
def join() -> Iterator[Ranks]:
    """Meet the other ranks that torchrun has started, if it has; each leaves when all are done.

    Raises:
        RankError: they do not come, or are gone at the end.
    """
    if not dist.is_torchelastic_launched() or os.environ["WORLD_SIZE"] == "1":
        yield ALONE
        return
    names = ("RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE", "LOCAL_RANK")
    rank, count, here, number = (int(os.environ[name]) for name in names)
    if number < torch.cuda.device_count():
        torch.cuda.set_device(number)
    try:
        dist.init_process_group("gloo", rank=rank, world_size=count, timeout=PATIENCE)
    except RuntimeError as error:
        raise RankError(f"the ranks do not find each other: {error}") from error
    ranks = Ranks(rank, count, here)
    yield ranks
    # torchrun ends the others as soon as one has ended with another status than 0.
    ranks.largest(0)
    dist.destroy_process_group()
