"""How far a run is, by its record on disk, whichever machine writes that."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass

from repro.errors import UserError
from repro.records import Row, RunFolder, read_curve


@dataclass(frozen=True)
class Progress:
    """How far a run is.

    Attributes:
        sessions: how many times it was begun or resumed.
        began_at: iteration at which it was, the last time.
        notes: what the user should know of that time.
        row: the last of the curve, if it is of that time.
        test_error: the last of the curve, in percent; None where there is none yet.
    """

    sessions: int
    began_at: int
    notes: tuple[str, ...]
    row: Row | None
    test_error: float | None


def progress(folder: RunFolder) -> Progress | None:
    """What the record says now; None where there is none, or it cannot be read."""
    try:
        record = folder.read()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of a row that is being written
            rows = read_curve(folder.curve_path) if folder.curve_path.exists() else []
    except (OSError, UserError):
        return None
    if record is None or not record.sessions:
        return None
    session = record.sessions[-1]
    tested = [row.test_error for row in rows if not math.isnan(row.test_error)]
    return Progress(
        len(record.sessions),
        session.start,
        session.notes,
        rows[-1] if rows and rows[-1].iteration > session.start else None,
        tested[-1] if tested else None,
    )


def began_at(folder: RunFolder) -> int:
    """Iteration at which a run was begun or resumed last."""
    found = progress(folder)
    return found.began_at if found else 0


def is_complete(folder: RunFolder) -> bool:
    """Whether the record says so.

    Raises:
        RecordError: it cannot be read.
    """
    record = folder.read()
    return record is not None and record.status == "complete"
