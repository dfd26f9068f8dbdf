"""The tables in a run's folder, row by row: curve.csv, responses.csv, health.csv. No field of theirs holds a comma."""

from __future__ import annotations

import math
import re
import warnings
from collections.abc import Iterable, Sequence
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple, TypeVar, get_type_hints

from repro.checked import LARGEST
from repro.disk import read_text, write_text
from repro.errors import RecordError, shown


class Row(NamedTuple):
    """A row of curve.csv. Errors are percent; losses are mean cross-entropy in nats.

    Training loss and error are means over the iterations since the row before, in training mode on augmented crops.
    Test loss and error are NaN where no evaluation was due. No clock is in it: equal runs write equal files.
    """

    iteration: int
    epoch: float
    lr: float
    train_loss: float
    train_error: float
    test_loss: float
    test_error: float


class Response(NamedTuple):
    """A row of responses.csv: a layer, numbered from 1, and the standard deviation of its responses (Figure 7)."""

    layer: int
    name: str
    std: float


class HealthRow(NamedTuple):
    """A row of health.csv; see `repro.measure.health.Signal` for the last three."""

    iteration: int
    layer: int
    name: str
    activation_variance: float
    gradient_norm: float
    conv_variance: float


COLUMNS, RESPONSE_COLUMNS, HEALTH_COLUMNS = Row._fields, Response._fields, HealthRow._fields
AnyRow = TypeVar("AnyRow", Row, Response, HealthRow)


def read_curve(path: Path) -> list[Row]:
    """Read curve.csv. A last line that was torn off while being written is dropped with a warning.

    Raises:
        RecordError: any other malformed line, with its number.
    """
    whole, _, torn = read_text(path, "curve").rpartition("\n")
    if torn:
        warnings.warn(f"{path}: last line was torn off and is dropped", stacklevel=2)
    rows = _read(path, f"{whole}\n", Row) if whole else []
    for line, (before, row) in enumerate(pairwise(rows), start=3):
        if row.iteration <= before.iteration:
            raise RecordError(f"{path}: line {line} is malformed: iteration {row.iteration} is not beyond the last one")
    return rows


def read_responses(path: Path) -> list[Response]:
    """Read responses.csv; RecordError tells a malformed line, with its number."""
    return _read(path, read_text(path, "table of responses"), Response)


def read_health(path: Path) -> list[HealthRow]:
    """Read health.csv; RecordError tells a malformed line, with its number."""
    return _read(path, read_text(path, "table of signal health"), HealthRow)


def write_curve(path: Path, rows: Iterable[Row]) -> None:
    """Write curve.csv as a whole."""
    _write(path, Row, rows)


def write_responses(path: Path, responses: Sequence[tuple[str, float]]) -> None:
    """Write responses.csv, layers numbered from 1 in the order given."""
    _write(path, Response, (Response(layer, name, std) for layer, (name, std) in enumerate(responses, start=1)))


def write_health(path: Path, rows: Iterable[HealthRow]) -> None:
    """Write health.csv."""
    _write(path, HealthRow, rows)


def format_row(row: AnyRow) -> str:
    """A row as CSV; numbers keep all their bits, NaN is empty."""
    return ",".join("" if value != value else str(value) for value in row)


def _write(path: Path, kind: type[AnyRow], rows: Iterable[AnyRow]) -> None:
    write_text(path, "\n".join([",".join(kind._fields), *map(format_row, rows)]) + "\n")


def _read(path: Path, text: str, kind: type[AnyRow]) -> list[AnyRow]:
    """The rows below the header; lines are numbered as in the file."""
    header, *lines = text.removesuffix("\n").split("\n")
    if header != ",".join(kind._fields):
        raise RecordError(f"{path}: line 1 is not the header {','.join(kind._fields)}")
    fields = get_type_hints(kind)
    rows = []
    for number, line in enumerate(lines, start=2):
        cells = line.split(",")
        try:
            if len(cells) != len(fields):
                raise ValueError(f"it has {len(cells)} fields, not {len(fields)}")
            rows.append(kind(*map(_value, fields, fields.values(), cells)))
        except ValueError as error:
            raise RecordError(f"{path}: line {number} is malformed: {error}") from error
    return rows


def _value(name: str, kind: type, text: str) -> Any:
    """A cell as a whole number, a number (NaN where it is empty) or a layer's name.

    No training gives a number below 0, or an error above 100. What is missing or infinite is no number.
    """
    if kind is str and text.isprintable() and len(text) <= 200:
        return text
    # Python's int and float also take spaces, underscores and other scripts' digits, which nothing here writes.
    if kind is not str and re.fullmatch("[-+.0-9a-zA-Z]*", text):
        most = LARGEST if kind is int else 100 if name in ("train_error", "test_error") else math.inf
        with suppress(ValueError):
            value = kind(text) if text or kind is int else math.nan
            if not (value < 0 or most < value < math.inf):
                return value
    raise ValueError(f"{name} is {shown(text)}: a {_KINDS[kind]} is needed")


_KINDS = {int: "whole number", float: "number", str: "layer's name"}
