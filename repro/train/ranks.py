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

import itertools
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.rendezvous import rendezvous

from repro.errors import UserError
from repro.models.norm import Spread, in_shares, set_spread

T = TypeVar("T")

#: How long a collective waits for a rank that is missing. Outside of `Ranks.broadcast` all ranks have equal work.
PATIENCE = timedelta(minutes=15)
#: Where a rank leaves word of why it ends.
_FAILURE = "failure"


class RankError(UserError):
    """What went wrong on another rank."""

    status = 1


class Ranks:
    """The ranks that train a run together, which must call the same methods in the same order.

    By default a single process, where every method is a no-op.

    Attributes:
        rank: of this process, from 0. Rank 0 alone reads and writes records.
        count: of all.
        store: through which several ranks meet.

    Raises:
        RankError: any method but `part` and `deal`: another rank is gone; why, if it left word.
    """

    def __init__(self, rank: int = 0, count: int = 1, store: Any = None) -> None:
        self.rank, self.count, self.store = rank, count, store
        self._groups: dict[tuple[str, int], Any] = {}
        self._broadcasts = 0

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

    def deal(self, items: Iterable[T]) -> Iterable[T]:
        """Every item whose turn is this rank's."""
        return itertools.islice(items, self.rank, None, self.count)

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
        """What `act` gives on rank 0, on all ranks; a UserError that it raises there is raised on all.

        However long it takes, such as the measurement of a trained network, no rank gives up.
        """
        if self.count == 1:
            return act()
        self._broadcasts += 1
        ready = f"broadcast {self._broadcasts}"
        word: list[Any] = [None]
        if self.rank == 0:
            try:
                word = [act()]
            except UserError as error:
                word = [error]
            self._collective(lambda: self.store.set(ready, ""))
        while not self._collective(lambda: self.store.check([ready])):
            self._raise_if_another_failed()
            time.sleep(0.01)
        self._collective(lambda: dist.broadcast_object_list(word, src=0))
        if isinstance(word[0], UserError):
            raise word[0]
        found: T = word[0]
        return found

    def fail(self, error: BaseException) -> None:
        """Leave word of why this rank ends, for the others, whose next collective fails."""
        if self.count == 1 or isinstance(error, RankError):
            return
        with suppress(RuntimeError):  # whoever keeps the store is gone too
            if not self.store.check([_FAILURE]):
                self.store.set(_FAILURE, f"rank {self.rank}: {_first_line(error)}")

    def _collective(self, act: Callable[[], T]) -> T:
        try:
            return act()
        except RuntimeError as error:
            with suppress(RuntimeError):
                self._raise_if_another_failed()
            raise RankError("another rank ended without a word; start again to carry on") from error

    def _raise_if_another_failed(self) -> None:
        if self.store.check([_FAILURE]):
            raise RankError(f"{self.store.get(_FAILURE).decode()}; start again to carry on")

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
def join(rank: int, count: int, local_rank: int) -> Iterator[Ranks]:
    """Meet the other ranks, as torchrun's environment says where; each leaves when all are done.

    Args:
        rank, count: of all.
        local_rank: on this machine, whose CUDA device of that number it takes.

    Raises:
        RankError: they do not come, or are gone at the end.
    """
    if count == 1:
        yield ALONE
        return
    if local_rank < torch.cuda.device_count():
        torch.cuda.set_device(local_rank)
    try:
        store, _, _ = next(rendezvous("env://", rank, count))
        store = dist.PrefixStore("repro", store)  # type: ignore[attr-defined]
        dist.init_process_group("gloo", store=store, rank=rank, world_size=count, timeout=PATIENCE)
    except RuntimeError as error:
        raise RankError(f"the ranks do not find each other: {_first_line(error)}") from error
    ranks = Ranks(rank, count, store)
    try:
        yield ranks
        # torchrun ends the others as soon as one has ended with another status than 0.
        ranks.largest(0)
    except BaseException as error:
        ranks.fail(error)
        raise
    dist.destroy_process_group()


def check_devices(device: str, count: int, here: int) -> None:
    """Raise UserError where `count` ranks, `here` of them on this machine, cannot have such a device each."""
    if count > 1 and device == "mps":
        raise UserError("several ranks need --device cpu or cuda: this machine has one GPU, which they cannot share")
    if device == "cuda" and here > torch.cuda.device_count():
        raise UserError(
            f"{here} ranks need a CUDA device each, this machine has {torch.cuda.device_count()}: give a smaller "
            "--nproc-per-node"
        )


def _first_line(error: BaseException) -> str:
    first = (str(error).strip().splitlines() or [""])[0]
    return str(error) if isinstance(error, UserError) else f"{type(error).__name__}: {first}"
