"""What a user did or found wrong, said in one line; everything else is a bug and keeps its traceback."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class UserError(Exception):
    """A mistake to be reported as one line: what, where, what to do."""

    #: The exit status of a command that ends with this error.
    status = 2


class RecordError(UserError):
    """A file of a results folder that cannot be read, or is not what is asked for."""

    status = 1


class DataError(UserError):
    """Images that are missing, truncated, of a wrong size or wrongly labelled."""

    status = 1


def unknown(kind: str, word: str, choices: Iterable[str]) -> UserError:
    """Say that `word` is no `kind`, and name the choice nearest to it."""
    choices = list(choices)
    near = difflib.get_close_matches(word, choices, n=1, cutoff=0.4)
    hint = f"did you mean {near[0]!r}?" if near else f"there is {', '.join(choices)}"
    return UserError(f"unknown {kind} {word!r}: {hint}")
