"""Where torchrun has put this process among those that train each run together. Importing this needs no torch."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass

from repro.errors import UserError
from repro.spec import Run

#: Seconds until a rank other than 0 says a mistake of its own. Rank 0, which mostly finds the same, says it at once and
#: ends; torchrun then ends the others.
GRACE = 10.0


@dataclass(frozen=True)
class Place:
    """One process's place.

    Attributes:
        rank, count: among all processes, from 0; of 1 without torchrun.
        local_rank, local_count: likewise on this machine.
    """

    rank: int = 0
    count: int = 1
    local_rank: int = 0
    local_count: int = 1


def place() -> Place:
    """This process's place, as the environment has it.

    Raises:
        UserError: the environment makes no sense.
    """
    if not {"RANK", "WORLD_SIZE"} <= os.environ.keys():
        return Place()
    rank, count = _number("RANK", 0), _number("WORLD_SIZE", 1)
    found = Place(rank, count, _number("LOCAL_RANK", rank), _number("LOCAL_WORLD_SIZE", count))
    if not (found.rank < found.count and found.local_rank < found.local_count <= found.count):
        raise UserError(f"rank {found.rank} of {found.count} in the environment: start with torchrun, or unset RANK")
    if count > 1 and not {"MASTER_ADDR", "MASTER_PORT"} <= os.environ.keys():
        raise UserError("the environment has WORLD_SIZE but no MASTER_ADDR and MASTER_PORT: start with torchrun")
    return found


def check(plan: Sequence[Run], ranks: int, jobs: int | None, launcher: str) -> None:
    """Raise UserError where so many ranks cannot train these runs, or were asked for beside another way."""
    if ranks == 1:
        return
    if launcher != "local":
        raise UserError(f"--launcher {launcher} starts processes of its own: leave it out, or start without torchrun")
    if jobs not in (None, 1):
        raise UserError(f"--jobs {jobs}: under torchrun all ranks train one run at a time: leave it out")
    for run in plan:
        batch, shares = run.optimiser.batch_size, run.model.norm_shares
        if batch % ranks:
            raise UserError(
                f"optimiser.batch_size is {batch}, which {ranks} ranks cannot share out equally: give "
                "--nproc-per-node a number that divides it"
            )
        if shares % ranks and ranks % shares:
            raise UserError(
                f"model.norm_shares is {shares} and there are {ranks} ranks: one must be a multiple of the other"
            )


def _number(name: str, default: int) -> int:
    text = os.environ.get(name, str(default))
    if not (text.isascii() and text.isdecimal() and len(text) <= 9):
        raise UserError(f"{name} is {text!r} in the environment: start with torchrun, which sets it, or unset it")
    return int(text)
