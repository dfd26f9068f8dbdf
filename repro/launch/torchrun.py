"""Which rank torchrun has made this process. Importing this needs no torch."""

from __future__ import annotations

import os
from dataclasses import dataclass

from repro.errors import UserError

#: Seconds until a rank other than 0 says a mistake of its own. Rank 0, which mostly finds the same, says it at once and
#: ends; torchrun then ends the others.
GRACE = 10.0


@dataclass(frozen=True)
class Place:
    """A process's place among the ranks.

    Attributes:
        rank, count: of all, ranks from 0; without torchrun there is one.
        local_rank, local_count: likewise on this machine.
    """

    rank: int = 0
    count: int = 1
    local_rank: int = 0
    local_count: int = 1


def place() -> Place:
    """This process's place, by its environment.

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


def _number(name: str, default: int) -> int:
    text = os.environ.get(name, str(default))
    if not (text.isascii() and text.isdecimal() and len(text) <= 9):
        raise UserError(f"{name} is {text!r} in the environment: start with torchrun, which sets it, or unset it")
    return int(text)
