"""The tables in a run's folder, row by row: curve.csv, responses.csv, health.csv. No field of theirs holds a comma."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from repro.disk import read_text, write_text
from repro.errors import RecordError, shown
from repro.spec import LARGEST


@dataclass(frozen=True)
class Row:
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


COLUMNS = tuple(item.name for item in fields(Row))
#: What ended each line of a curve in the first versions.
_FORMER = ",seconds"


@dataclass(frozen=True)
class HealthRow:
    """A row of health.csv; see `repro.measure.health.Signal` for the last three."""

    iteration: int
    layer: int
    name: str
    activation_variance: float
    gradient_norm: float
    conv_variance: float


HEALTH_COLUMNS = tuple(item.name for item in fields(HealthRow))
RESPONSE_COLUMNS = ("layer", "name", "std")


def format_row(row: Row) -> str:
    """A row as CSV; numbers keep all their bits, NaN is empty."""
    values = asdict(row).values()
    return ",".join("" if isinstance(v, float) and math.isnan(v) else repr(v) for v in values)


def read_curve(path: Path) -> list[Row]:
    """Read curve.csv. A last line that was torn off while being written is dropped with a warning.

    Raises:
        RecordError: any other malformed line, with its number.
    """
    text = read_text(path, "curve")
    whole, _, torn = text.rpartition("\n")
    if torn:
        warnings.warn(f"{path}: last line was torn off and is dropped", stacklevel=2)
    if not whole:
        return []
    rows: list[Row] = []
    for number, values in _lines(path, without_seconds(f"{whole}\n"), COLUMNS):
        try:
            row = Row(_whole(values[0]), *map(_number, values[1:]))
            _check(row)
        except ValueError as error:
            raise RecordError(f"{path}: line {number} is malformed: {error}") from error
        if rows and row.iteration <= rows[-1].iteration:
            raise RecordError(f"{path}: line {number} is out of order: iteration {row.iteration}")
        rows.append(row)
    return rows


def without_seconds(text: str) -> str:
    """The text of a curve without the column of seconds that the first versions wrote."""
    header, *lines = text.split("\n")
    if header != ",".join(COLUMNS) + _FORMER:
        return text
    return "\n".join([header.removesuffix(_FORMER), *(line.rpartition(",")[0] for line in lines)])


def _check(row: Row) -> None:
    """Raise ValueError for a number that no training gives. What is missing or infinite is none."""
    for name, value in asdict(row).items():
        if value < 0 or (name in ("train_error", "test_error") and 100 < value < math.inf):
            raise ValueError(f"{name} is {value}")


def read_responses(path: Path) -> list[tuple[int, str, float]]:
    """Read responses.csv: layer (from 1), name, standard deviation.

    Raises:
        RecordError: a malformed line, with its number.
    """
    found = []
    for number, values in _lines(path, read_text(path, "table of responses"), RESPONSE_COLUMNS):
        try:
            layer, name, std = values
            found.append((_whole(layer), _name(name), _from_zero(std)))
        except ValueError as error:
            raise RecordError(f"{path}: line {number} is malformed: {error}") from error
    return found


def write_responses(path: Path, responses: Sequence[tuple[str, float]]) -> None:
    """Write responses.csv, layers numbered from 1 in the order given."""
    lines = [f"{index},{name},{std!r}" for index, (name, std) in enumerate(responses, start=1)]
    write_text(path, "\n".join([",".join(RESPONSE_COLUMNS), *lines]) + "\n")


def read_health(path: Path) -> list[HealthRow]:
    """Read health.csv.

    Raises:
        RecordError: a malformed line, with its number.
    """
    found = []
    for number, values in _lines(path, read_text(path, "table of signal health"), HEALTH_COLUMNS):
        try:
            iteration, layer, name, *numbers = values
            found.append(HealthRow(_whole(iteration), _whole(layer), _name(name), *map(_number, numbers)))
        except ValueError as error:
            raise RecordError(f"{path}: line {number} is malformed: {error}") from error
    return found


def write_health(path: Path, rows: Sequence[HealthRow]) -> None:
    """Write health.csv."""
    lines = [",".join(str(value) for value in asdict(row).values()) for row in rows]
    write_text(path, "\n".join([",".join(HEALTH_COLUMNS), *lines]) + "\n")


def _lines(path: Path, text: str, columns: Sequence[str]) -> Iterator[tuple[int, list[str]]]:
    """The lines below the header, numbered as in the file, each of as many fields as there are columns."""
    header, *lines = text.removesuffix("\n").split("\n")
    if header != ",".join(columns):
        raise RecordError(f"{path}: line 1 is not the header {','.join(columns)}")
    for number, line in enumerate(lines, start=2):
        values = line.split(",")
        if len(values) != len(columns):
            raise RecordError(f"{path}: line {number} is malformed: it has {len(values)} fields, not {len(columns)}")
        yield number, values


def _whole(text: str) -> int:
    # Python's int and float also take spaces, underscores and other scripts' digits, which nothing here writes.
    if not (text.isascii() and text.isdecimal() and len(text) <= 16) or int(text) > LARGEST:
        raise ValueError(f"{shown(text)} is no whole number")
    return int(text)


def _number(text: str) -> float:
    if text == "":
        return math.nan
    try:
        if text.isascii() and "_" not in text and text == text.strip():
            return float(text)
    except ValueError:
        pass
    raise ValueError(f"{shown(text)} is no number")


def _from_zero(text: str) -> float:
    value = _number(text)
    if value < 0:
        raise ValueError(f"{text} is below 0")
    return value


def _name(text: str) -> str:
    if not text.isprintable() or len(text) > 200:
        raise ValueError(f"{shown(text)} is no layer's name")
    return text
