"""Curves of other programs, brought in as runs marked "foreign"."""

from __future__ import annotations

import csv
import itertools
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from repro import names, study
from repro.data.table import DATA_SETS
from repro.disk import read_text
from repro.errors import RecordError, UserError, unknown
from repro.records.folder import RunFolder
from repro.records.record import read_record
from repro.records.tables import Row, write_curve
from repro.spec import Run, Schedule

BATCH = 128
#: A file beyond this is no file of curves.
LARGEST_FILE = 50_000_000
_ERRORS = ("train_error", "test_error")


class ForeignError(UserError):
    """A file of foreign curves that cannot be used."""

    status = 1


@dataclass(frozen=True)
class Target:
    """What foreign curves are of, where the file does not say it itself."""

    network: str | None = None
    data: str = "cifar10"
    preset: str = "paper"
    seed: int = 0


@dataclass(frozen=True)
class _Point:
    """A line of the file as it stands there; what is missing is NaN or empty."""

    line: int
    network: str
    seed: int | None
    iteration: float
    epoch: float
    train_error: float
    test_error: float


def bring_in(path: Path, results: Path, target: Target) -> list[str]:
    """Write the curves of a file as runs into a results folder; give what was understood, a line per run.

    The file is CSV with a header: `iteration` or `epoch` (which may be broken numbers, and become iterations by the
    number of training images over 128), `train_error` and `test_error` or one of them, and, where it holds several
    runs, `network` and `seed`. Errors are fractions if none in the file is above 1, and else percent. Cells may be
    empty.

    Raises:
        ForeignError: the file cannot be read so: which line, what is wrong.
        UserError: an unknown network, data set or preset, or no network given.
    """
    if target.preset not in study.presets():
        raise unknown("preset", target.preset, study.presets())
    if target.data not in DATA_SETS:
        raise unknown("data set", target.data, DATA_SETS)
    points = _read(path)
    largest = max((error for point in points for error in _errors(point) if not math.isnan(error)), default=0.0)
    scale = 100.0 if largest <= 1 else 1.0
    curves: dict[tuple[str, int], list[Row]] = {}
    for point in points:
        network = point.network or target.network
        if not network:
            raise UserError(f"{path}: which network is it? Give --network, or a column 'network'")
        key = (str(names.parse(network, "cifar")), target.seed if point.seed is None else point.seed)
        curves.setdefault(key, []).append(_row(point, scale, target.data, path))
    said = []
    for (network, seed), rows in curves.items():
        run, kept = _run(network, seed, target, rows), _in_order(rows, path)
        try:
            folder = _write(RunFolder(results, run), kept, path)
        except OSError as error:
            raise ForeignError(f"{results}: cannot be written to: {error.strerror or error}") from error
        form = "fractions" if scale == 100 else "percent"
        said.append(f"{folder.path}: {network} seed {seed}, {len(kept)} points, errors read as {form}, marked foreign")
    return said


def _errors(point: _Point) -> tuple[float, float]:
    return point.train_error, point.test_error


def _read(path: Path) -> list[_Point]:
    try:
        lines = read_text(path, "file of curves", LARGEST_FILE).removeprefix("\ufeff").splitlines()
    except RecordError as error:
        raise ForeignError(str(error)) from error
    reader = csv.reader(lines, skipinitialspace=True)
    columns = [name.strip() for name in next(_rows(reader, path), [])]
    if not {"iteration", "epoch"} & set(columns) or not set(_ERRORS) & set(columns):
        raise ForeignError(
            f"{path}: line 1 has the columns {', '.join(columns) or '(none)'}: epoch or iteration, and train_error "
            "and test_error or one of them, are needed"
        )
    points = []
    for cells in _rows(reader, path):
        if any(cell.strip() for cell in cells):
            if len(cells) != len(columns):
                raise ForeignError(f"{path}: line {reader.line_num} has {len(cells)} cells, not {len(columns)}")
            texts = {name: cell.strip() for name, cell in zip(columns, cells, strict=True)}
            points.append(_point(texts, reader.line_num, path))
    if not points:
        raise ForeignError(f"{path}: has no rows")
    return points


def _rows(reader: Iterator[list[str]], path: Path) -> Iterator[list[str]]:
    try:
        yield from reader
    except csv.Error as error:
        raise ForeignError(f"{path}: cannot be read as a table: {error}") from error


def _point(texts: Mapping[str, str], line: int, path: Path) -> _Point:
    def number(key: str) -> float:
        try:
            value = float(texts.get(key) or "nan")
        except ValueError:
            value = math.inf
        if math.isinf(value) or value < 0:
            raise ForeignError(f"{path}: line {line}: {key} is {texts[key]!r}: a number from 0 is needed")
        return value

    seed = texts.get("seed", "")
    if seed and not re.fullmatch(r"\d{1,9}", seed, re.ASCII):
        raise ForeignError(f"{path}: line {line}: seed is {seed!r}: a whole number is needed")
    return _Point(
        line=line,
        network=texts.get("network", ""),
        seed=int(seed) if seed else None,
        iteration=number("iteration"),
        epoch=number("epoch"),
        train_error=number("train_error"),
        test_error=number("test_error"),
    )


def _row(point: _Point, scale: float, data: str, path: Path) -> Row:
    per_epoch = DATA_SETS[data].train_images / BATCH
    iteration = point.epoch * per_epoch if math.isnan(point.iteration) else point.iteration
    if math.isnan(iteration) or iteration > 1e9:
        raise ForeignError(f"{path}: line {point.line}: its iteration is {iteration:g}: 0 to 1e9 is needed")
    train, test = (scale * error for error in _errors(point))
    if train > 100 or test > 100:
        raise ForeignError(f"{path}: line {point.line}: errors of {train:g} and {test:g} %: 100 is the most")
    return Row(
        iteration=round(iteration),
        epoch=iteration / per_epoch if math.isnan(point.epoch) else point.epoch,
        lr=math.nan,
        train_loss=math.nan,
        train_error=train,
        test_loss=math.nan,
        test_error=test,
    )


def _in_order(rows: Iterable[Row], path: Path) -> list[Row]:
    ordered = sorted((row for row in rows if row.iteration > 0), key=lambda row: row.iteration)
    if not ordered:
        raise ForeignError(f"{path}: has no row beyond iteration 0")
    for before, row in itertools.pairwise(ordered):
        if row.iteration == before.iteration:
            raise ForeignError(f"{path}: two rows of one run are at iteration {row.iteration:,}: give network or seed")
    return ordered


def _run(network: str, seed: int, target: Target, rows: Sequence[Row]) -> Run:
    """The run that such curves would be of; how it was trained is not known beyond its length."""
    run = study.preset_run(target.preset, network, seed, target.data)
    last = max(1, *(row.iteration for row in rows))
    schedule = run.schedule if run.schedule.iterations == last else Schedule(iterations=last)
    return replace(run, schedule=schedule, log_every=1, evaluate_every=1)


def _write(folder: RunFolder, rows: Sequence[Row], path: Path) -> RunFolder:
    if folder.record_path.exists() and read_record(folder.record_path).status != "foreign":
        raise ForeignError(f"{folder.path} holds a run of this program: give another name as --as")
    folder.path.mkdir(parents=True, exist_ok=True)
    write_curve(folder.curve_path, rows)
    final = {key: _last([getattr(row, key) for row in rows]) for key in _ERRORS}
    folder.write({"status": "foreign", "iteration": rows[-1].iteration, "final": final, "data": {"source": path.name}})
    return folder


def _last(values: Iterable[float]) -> float | None:
    return next((value for value in reversed(list(values)) if not math.isnan(value)), None)
