"""What a user did or found wrong, said in one line; everything else is a bug and keeps its traceback."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Any


class UserError(Exception):
    """A mistake to be reported as one line: what, where, what to do."""

    #: The exit status of a command that ends with this error.
    status = 2

    def __str__(self) -> str:
        return printable(super().__str__())


class RecordError(UserError):
    """A file of a results folder that cannot be read, or is not what is asked for."""

    status = 1


class DataError(UserError):
    """Images that are missing, truncated, of a wrong size or wrongly labelled."""

    status = 1


class AbsentError(DataError):
    """The data set looked for is not there, be it that another one is."""


def unknown(kind: str, word: str, choices: Iterable[str]) -> UserError:
    """Say that `word` is no `kind`, and name the choice nearest to it."""
    choices = list(choices)
    near = difflib.get_close_matches(word[:200], choices, n=1, cutoff=0.4)
    hint = f"did you mean {near[0]!r}?" if near else f"there is {', '.join(choices)}"
    return UserError(f"unknown {kind} {shown(word)}: {hint}")


def shown(value: Any) -> str:
    """A value for a message of one line, whatever its type, size and depth."""
    try:
        text = repr(value)
    except (ValueError, RecursionError):  # more digits, or more levels, than Python writes
        return f"a {type(value).__name__}"
    return text if len(text) <= 80 else f"{text[:77]}..."


def counted(number: int, noun: str) -> str:
    """As '1 run' or '2 runs'."""
    return f"{number} {noun}{'s' * (number != 1)}"


def printable(text: str) -> str:
    """A text as one line without control characters, which could rewrite what a terminal shows."""
    return "".join(char if char.isprintable() else repr(char)[1:-1] for char in text)
