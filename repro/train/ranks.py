"""One run on several devices: what the processes of a data-parallel training, its ranks, tell each other.

A batch is that of one process: the same images in the same order with the same crops and flips, of which each rank
takes an equal, contiguous share ("a mini-batch size of 128 on two GPUs", arXiv:1512.03385, Section 4.2). Where a
share of batch normalisation spans ranks, these exchange its statistics at each layer. At the end of each iteration all
exchange a row of numbers whose places never change: the gradients, batch normalisation's running statistics, and what
the curve sums up; and a word on whether to stop. So weights, statistics and sums are the same on all ranks after each
iteration, one of them can write the checkpoint by itself, and a run that is carried on has the same bits. torch's
DistributedDataParallel would leave the statistics apart, and cuts the gradients up otherwise in its first iteration
than in later ones.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from datetime import timedelta
from typing import Any, NoReturn, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.rendezvous import rendezvous

from repro.errors import UserError
from repro.models.norm import Spread, in_shares, set_spread

T = TypeVar("T")

#: How long a rank waits for another that lives and says nothing: rank 0 alone measures a trained net, and writes.
PATIENCE = timedelta(hours=12)
#: The same between GPUs, which exchange within iterations alone: at most rank 0 saves a checkpoint meanwhile. A rank
#: that is lost leaves the others waiting in CUDA, where no word of it reaches them.
PATIENCE_OF_GPUS = timedelta(minutes=30)
#: Where a rank leaves word of why it ends.
_FAILURE = "failure"


class RankError(UserError):
    """What went wrong on another rank."""

    status = 1


class Ranks:
    """The processes that train a run together. This is one alone: it has all there is, and no one to tell.

    Attributes:
        rank: of this process, from 0. Rank 0 leads: it alone reads and writes records, and decides.
        count: of all.
        whole: whether none was lost in the middle of an iteration, after which the others cannot go on.
    """

    def __init__(self, rank: int = 0, count: int = 1) -> None:
        self.rank, self.count = rank, count
        self.whole = True

    @property
    def leads(self) -> bool:
        """Whether this is rank 0."""
        return self.rank == 0

    def part(self, batch: int) -> slice:
        """This rank's share of a batch of that size, which must be a multiple of the ranks."""
        each = batch // self.count
        return slice(self.rank * each, (self.rank + 1) * each)

    def arrange(self, net: nn.Module, shares: int) -> nn.Module:
        """Have a network on its device normalise `shares` shares of the whole batch, given this rank's part of it."""
        return net

    def average(self, net: nn.Module, loss: Tensor, wrong: Tensor) -> tuple[Tensor, Tensor]:
        """Make gradients and running statistics the mean over the ranks, in place.

        Args:
            net: whose gradients are of the mean loss over this rank's images.
            loss: that loss, a scalar.
            wrong: how many of them were classified wrongly, int64.

        Returns:
            The mean loss, and how many were wrong, over the whole batch.
        """
        return loss, wrong

    def deal(self, items: Iterable[T]) -> Iterable[T]:
        """Those of the items that are this rank's; each is one rank's."""
        return items

    def total(self, *numbers: float) -> tuple[float, ...]:
        """Each number's sum over the ranks, the same on all."""
        return numbers

    def agree(self, number: int) -> int:
        """The largest of the ranks' numbers."""
        return number

    def lead(self, act: Callable[[], T]) -> T:
        """What `act` gives on rank 0, on all ranks; a UserError that it raises there is raised on all."""
        return act()

    def say(self, word: Callable[[], object]) -> None:
        """Tell the others what `word` gives, who `hear` it."""

    def hear(self) -> Any:
        """What rank 0 says."""
        raise RuntimeError("one process has no one to hear")

    def agreeing(self) -> AbstractContextManager[None]:
        """What all ranks must get through, or none.

        Raises:
            RankError: this rank did and another did not; why.
        """
        return nullcontext()

    def in_step(self, alike: type[Exception]) -> AbstractContextManager[None]:
        """Iterations, in which a rank that fails, otherwise than `alike` on all, leaves the others waiting: it tells
        them why, and they are not `whole` afterwards.
        """
        return nullcontext()


#: One process.
ALONE = Ranks()


class Group(Ranks):
    """Several processes, which find each other through a store. Words go over gloo, which no GPU waits for.

    All of them must call the same methods in the same order.

    Raises:
        RankError: any method but `part` and `deal`: another rank is gone; why, if it left word.
    """

    def __init__(self, rank: int, count: int, store: Any) -> None:
        super().__init__(rank, count)
        self.store = store
        self._groups: dict[tuple[str, int], Any] = {}

    def arrange(self, net: nn.Module, shares: int) -> nn.Module:
        """See `Ranks`. The ranks must be a multiple of the shares, or the shares of the ranks."""
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
        """See `Ranks`."""
        with torch.no_grad():
            gradients = [parameter.grad for parameter in net.parameters() if parameter.grad is not None]
            tensors = [*gradients, *(buffer for buffer in net.buffers() if buffer.is_floating_point())]
            # A count of wrong images is exact in float32 up to 2^24.
            sums = torch.stack([loss, wrong.to(loss.dtype)]).to(tensors[0].dtype)
            row = torch.cat([*(tensor.flatten() for tensor in tensors), sums])
            self._exchange(lambda: dist.all_reduce(row, group=self._numbers))
            wrong = row[-1].round().long()
            row.div_(self.count)
            pieces = torch.split(row, [*(tensor.numel() for tensor in tensors), 1, 1])
            for tensor, piece in zip(tensors, pieces, strict=False):
                tensor.copy_(piece.view(tensor.shape))
        return row[-2].to(loss.dtype), wrong

    def deal(self, items: Iterable[T]) -> Iterable[T]:
        """See `Ranks`: in turn."""
        return itertools.islice(items, self.rank, None, self.count)

    def total(self, *numbers: float) -> tuple[float, ...]:
        """See `Ranks`."""
        row = torch.tensor(numbers, dtype=torch.float64)
        self._exchange(lambda: dist.all_reduce(row))
        return tuple(row.tolist())

    def agree(self, number: int) -> int:
        """See `Ranks`."""
        largest = torch.tensor(number)
        self._exchange(lambda: dist.all_reduce(largest, dist.ReduceOp.MAX))
        return int(largest)

    def lead(self, act: Callable[[], T]) -> T:
        """See `Ranks`."""
        if not self.leads:
            answer = self.hear()
            if isinstance(answer, UserError):
                raise answer
            found: T = answer
            return found
        try:
            found = act()
        except UserError as error:
            self._broadcast([error])
            raise
        self._broadcast([found])
        return found

    def say(self, word: Callable[[], object]) -> None:
        """See `Ranks`; nothing where they are not whole, and no one can hear."""
        if self.whole:
            self._broadcast([word()])

    def hear(self) -> Any:
        """See `Ranks`."""
        return self._broadcast([None])

    @contextmanager
    def agreeing(self) -> Iterator[None]:
        """See `Ranks`."""
        problem: Exception | None = None
        try:
            yield
        except Exception as error:
            problem = error
        problems: list[str | None] = [None] * self.count
        own = None if problem is None else _words(problem)
        self._exchange(lambda: dist.all_gather_object(problems, own))
        if problem is not None:
            raise problem
        for rank, words in enumerate(problems):
            if words is not None:
                raise RankError(f"rank {rank}: {words}")

    @contextmanager
    def in_step(self, alike: type[Exception]) -> Iterator[None]:
        """See `Ranks`."""
        try:
            yield
        except alike:
            raise
        except BaseException as error:
            if self.whole:
                self.whole = False
                with suppress(RuntimeError):  # whoever keeps the store is gone too
                    self.store.set(_FAILURE, f"rank {self.rank}: {_words(error)}")
            raise

    def _broadcast(self, word: list[Any]) -> Any:
        self._exchange(lambda: dist.broadcast_object_list(word, src=0))
        return word[0]

    def _exchange(self, act: Callable[[], object]) -> None:
        try:
            act()
        except RuntimeError as error:
            self._lost(error)

    def _lost(self, error: RuntimeError) -> NoReturn:
        self.whole = False
        words = ""
        with suppress(RuntimeError):
            words = self.store.get(_FAILURE).decode() if self.store.check([_FAILURE]) else ""
        raise RankError(f"{words or 'another rank ended without a word'}; start again to carry on") from error

    def _group(self, device: str, size: int) -> Any:
        """The ranks in groups of this size, in order, by what such a device speaks; gives this rank's."""
        backend, patience = ("nccl", PATIENCE_OF_GPUS) if device == "cuda" else ("gloo", PATIENCE)
        if (backend, size) not in self._groups:
            # Every rank has a part in making each group.
            groups = [
                dist.new_group(list(range(first, first + size)), timeout=patience, backend=backend)
                for first in range(0, self.count, size)
            ]
            self._groups[backend, size] = groups[self.rank // size]
        return self._groups[backend, size]

    def _gatherer(self, group: Any, size: int) -> Callable[[Tensor], Tensor]:
        def gather(own: Tensor) -> Tensor:
            own = own.contiguous()
            rows = [torch.empty_like(own) for _ in range(size)]
            self._exchange(lambda: dist.all_gather(rows, own, group))
            return torch.stack(rows)

        return gather


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
        raise RankError(f"the ranks do not find each other: {_words(error)}") from error
    ranks = Group(rank, count, store)
    yield ranks
    if ranks.whole:
        # torchrun ends the others as soon as one has ended with another status than 0.
        ranks.agree(0)
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


def _words(error: BaseException) -> str:
    first: Sequence[str] = str(error).strip().splitlines() or [""]
    return str(error) if isinstance(error, UserError) else f"{type(error).__name__}: {first[0]}"
