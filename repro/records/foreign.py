"""Curves of other programs, brought in as runs marked "foreign".

A file is CSV with a header. What its columns hold, and in which unit, is told by `repro.records.columns`; what cannot
be told safely is refused with the option that says it.
"""

from __future__ import annotations

import argparse
import csv
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import get_args

from repro import names, study
from repro.checked import LARGEST
from repro.data.table import DATA_SETS
from repro.disk import read_text
from repro.errors import RecordError, UserError, counted, shown, unknown
from repro.records.columns import QUANTITIES, What, columns_of, first_epoch_of, unit_of
from repro.records.folder import RunFolder
from repro.records.record import read_record
from repro.records.tables import Row, read_curve, write_curve
from repro.spec import Run, Schedule

BATCH = 128
#: A file beyond this is no file of curves.
LARGEST_FILE = 50_000_000
_ERRORS = ("train_error", "test_error")


#: The cells of each line below the header, and its number.
Lines = list[tuple[int, list[str]]]


class ForeignError(UserError):
    """A file of foreign curves that cannot be used."""

    status = 1


@dataclass(frozen=True)
class Target:
    """What foreign curves are of, and what the files do not say themselves.

    Attributes:
        columns: what a column holds, by its name, where its words do not tell.
        unit: "percent" or "fraction", of all columns; None to judge each by itself.
        first_epoch: the number, 0 or 1, of the first epoch of training; None to judge by the rows.
        images, batch: training images, and images to a batch, by which epochs become iterations.
    """

    network: str | None = None
    data: str = "cifar10"
    preset: str = "paper"
    seed: int = 0
    columns: Mapping[str, str] = field(default_factory=dict)
    unit: str | None = None
    first_epoch: int | None = None
    images: int | None = None
    batch: int = BATCH

    @property
    def per_epoch(self) -> float:
        """Iterations of an epoch."""
        return (self.images or DATA_SETS[self.data].train_images) / self.batch


@dataclass
class _Point:
    """A line of the file: what is missing is not in `values`, errors are percent."""

    line: int
    network: str
    seed: int
    values: dict[str, float]

    @property
    def iteration(self) -> int:
        return round(self.values["iteration"])


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add how curves are brought in to a command's options."""
    add = parser.add_argument_group("curves of other programs").add_argument
    add(
        "--import-curves",
        type=Path,
        action="append",
        default=[],
        metavar="FILE.csv",
        help="first bring in curves as runs marked foreign, into results/NAME; may be repeated, and files of one run "
        "add up. Columns are known by their words: epoch, iteration or step; accuracy or error of train and test (or "
        "val); network and seed if there are several runs",
    )
    add("--as", dest="name", metavar="NAME", help="their source's name")
    add("--network", metavar="NETWORK", help="what they are of, such as resnet-20")
    add("--data", default="cifar10", metavar="NAME", help="on which images (default: cifar10)")
    add("--seed", type=int, default=0, metavar="N", help="their seed (default: 0)")
    add(
        "--column",
        action="append",
        default=[],
        metavar="COLUMN=WHAT",
        help=f"what a column holds: {', '.join(get_args(What))}; may be repeated",
    )
    add(
        "--unit",
        choices=("percent", "fraction"),
        help="of all errors and accuracies (default: each column as it looks)",
    )
    add("--first-epoch", type=int, choices=(0, 1), help="the number of the first epoch (default: as the rows look)")
    add("--images", type=int, metavar="N", help="training images of an epoch (default: all of the data set)")
    add("--batch", type=int, default=BATCH, metavar="N", help=f"images to a batch (default: {BATCH})")


def target_of(options: argparse.Namespace, preset: str) -> Target:
    """What those options say.

    Raises:
        UserError: a --column without '=', an unknown WHAT, or a number out of range.
    """
    columns = {}
    for word in options.column:
        name, _, what = word.rpartition("=")
        if not name or what not in get_args(What):
            raise UserError(f"--column {word}: COLUMN=WHAT is needed, WHAT one of {', '.join(get_args(What))}")
        columns[name] = what
    for key, least in (("images", 1), ("batch", 1), ("seed", 0)):
        value = getattr(options, key)
        if value is not None and not least <= value <= LARGEST:
            raise UserError(f"--{key} {value}: a number from {least} to {LARGEST:,} is needed")
    return Target(
        network=options.network,
        data=options.data,
        preset=preset,
        seed=options.seed,
        columns=columns,
        unit=options.unit,
        first_epoch=options.first_epoch,
        images=options.images,
        batch=options.batch,
    )


def bring_in(paths: Sequence[Path], results: Path, target: Target) -> list[str]:
    """Write the curves of some files as runs into a results folder; give what was understood, a line per file and run.

    A run that another file gave before keeps the columns that a later one does not have.

    Raises:
        ForeignError: a file cannot be read: which line, what is wrong.
        UserError: what a file does not tell, with the option that does; an unknown network, data set or preset.
    """
    if target.preset not in study.presets():
        raise unknown("preset", target.preset, study.presets())
    if target.data not in DATA_SETS:
        raise unknown("data set", target.data, DATA_SETS)
    lines = []
    tables = [(path, *_table(path)) for path in paths]
    for name in target.columns:
        if not any(name in header for _, header, _ in tables):
            raise UserError(f"--column {name}: there is no such column: they are {', '.join(tables[0][1])}")
    for path, network, seed, rows, said in [run for table in tables for run in _runs(*table, target)]:
        try:
            folder, before = _write(RunFolder(results, _run(network, seed, target, rows)), target, rows, path)
        except OSError as error:
            raise ForeignError(f"{results}: cannot be written to: {error.strerror or error}") from error
        more = f"; added to {before}" if before else ""
        lines.append(f"{folder}: {network} seed {seed}, {len(rows)} points; {said}{more}; marked foreign")
    return lines


def _runs(
    path: Path, header: list[str], lines: Lines, target: Target
) -> Iterator[tuple[Path, str, int, list[Row], str]]:
    """The file, network, seed and rows of each run in a file, and how that was read, in words."""
    points, said = _points(path, header, lines, target)
    runs: dict[tuple[str, int], list[_Point]] = {}
    for point in points:
        runs.setdefault((point.network, point.seed), []).append(point)
    for (network, seed), mine in runs.items():
        kept, replaced = _in_order(mine, path)
        start = sum(point.iteration == 0 for point in mine)
        more = [f"{counted(replaced, 'row')} of before a restart replaced"] if replaced else []
        more += [f"{counted(start, 'row')} from before training left out"] if start else []
        yield path, network, seed, [_row(point, target) for point in kept], "; ".join([*said, *more])


def _points(path: Path, header: list[str], lines: Lines, target: Target) -> tuple[list[_Point], list[str]]:
    """All rows, with iterations and errors in percent; and how that was read, in words."""
    columns = columns_of(header, target.columns, str(path))
    what = list(columns.values())
    if not {"iteration", "epoch"} & set(what) or not set(QUANTITIES) & set(what):
        raise ForeignError(
            f"{path}: line 1 has the columns {', '.join(header) or '(none)'}: an epoch or iteration, and an error or "
            "accuracy of train or test, are needed; --column COLUMN=WHAT says which is which"
        )
    points = [_point(line, dict(zip(header, cells, strict=True)), columns, target, path) for line, cells in lines]
    if not points:
        raise ForeignError(f"{path}: has no rows")
    said = _to_iterations(points, columns, target, path)
    for name, quantity in columns.items():
        if quantity in QUANTITIES:
            said.append(_to_percent(points, name, quantity, target, path))
    return points, said


def _table(path: Path) -> tuple[list[str], Lines]:
    """The header, and the rows below it with the number of their line."""
    try:
        lines = read_text(path, "file of curves", LARGEST_FILE).removeprefix("\ufeff").splitlines()
    except RecordError as error:
        raise ForeignError(str(error)) from error
    mark = max(",;\t", key=(lines or [""])[0].count)
    reader = csv.reader(lines, delimiter=mark, skipinitialspace=True)
    read = _rows(reader, path)
    header = [name.strip() for name in next(read, [])]
    rows = []
    for cells in read:
        if any(cell.strip() for cell in cells):
            if len(cells) != len(header):
                raise ForeignError(f"{path}: line {reader.line_num} has {len(cells)} cells, not {len(header)}")
            # Where a semicolon parts the cells, as in half of Europe, a comma is the decimal point.
            rows.append((reader.line_num, [cell.strip().replace(",", "." if mark == ";" else ",") for cell in cells]))
    return header, rows


def _rows(reader: Iterator[list[str]], path: Path) -> Iterator[list[str]]:
    try:
        yield from reader
    except csv.Error as error:
        raise ForeignError(f"{path}: cannot be read as a table: {error}") from error


def _point(line: int, cells: Mapping[str, str], columns: Mapping[str, str], target: Target, path: Path) -> _Point:
    texts = {what: cells[name] for name, what in columns.items()}
    network, seed = texts.pop("network", "") or target.network, texts.pop("seed", "") or str(target.seed)
    if not network:
        raise UserError(f"{path}: which network is it? Give --network, or a column 'network'")
    if not re.fullmatch(r"\d{1,9}", seed, re.ASCII):
        raise ForeignError(f"{path}: line {line}: seed is {shown(seed)}: a whole number is needed")
    values = {}
    for what, text in texts.items():
        try:
            value = float(text or "nan")
        except ValueError:
            value = math.inf
        if math.isinf(value) or value < 0:
            raise ForeignError(f"{path}: line {line}: {what} is {shown(text)}: a number from 0 is needed")
        if not math.isnan(value):
            values[what] = value
    return _Point(line, str(names.parse(network, "cifar")), int(seed), values)


def _to_iterations(points: Sequence[_Point], columns: Mapping[str, str], target: Target, path: Path) -> list[str]:
    """Give each point its iteration; how, in words."""
    name = next((name for name, what in columns.items() if what == "iteration"), None)
    by_epoch = "epoch" in columns.values()
    largest = max((point.values.get("iteration", 0.0) for point in points), default=0.0)
    # Some programs count calls of a logger, or epochs, as steps.
    unsafe = name is not None and "step" in name.lower() and name not in target.columns and largest < target.per_epoch
    if unsafe and not by_epoch:
        raise UserError(
            f"{path}: column {name!r} ends at {largest:g}, less than an epoch of {target.per_epoch:.0f} iterations: "
            f"give --column {name}=epoch or --column {name}=iteration"
        )
    if name and not unsafe:
        said = [f"{name} read as iterations"]
    else:
        first = target.first_epoch
        if first is None:
            first = first_epoch_of([point.values for point in points], str(path))
        for point in points:
            point.values.pop("iteration", None)
            if "epoch" in point.values:
                point.values["iteration"] = (point.values["epoch"] + 1 - first) * target.per_epoch
        images = target.images or DATA_SETS[target.data].train_images
        said = [f"epochs counted from {first}, of {images:,} images in batches of {target.batch:,}"]
    for point in points:
        at = point.values.get("iteration", math.nan)
        if not at <= 1e9:
            raise ForeignError(f"{path}: line {point.line}: its iteration is {at:g}: 0 to 1e9 is needed")
    return said


def _to_percent(points: Sequence[_Point], name: str, quantity: str, target: Target, path: Path) -> str:
    """Make a column errors in percent; how it was read, in words."""
    rows = [(point.values["iteration"], point.values[quantity]) for point in points if quantity in point.values]
    unit = target.unit or unit_of(rows, quantity, 10 * target.per_epoch, f"{path}: column {name!r}")
    split, kind = quantity.split("_")
    for point in points:
        if quantity in point.values:
            value = point.values.pop(quantity) * (100 if unit == "fraction" else 1)
            if value > 100:
                raise ForeignError(f"{path}: line {point.line}: {name} is {value:g} %: 100 is the most")
            point.values[f"{split}_error"] = 100 - value if kind == "accuracy" else value
    return f"{name} read as {split} {kind} in {'fractions' if unit == 'fraction' else 'percent'}"


def _in_order(points: Sequence[_Point], path: Path) -> tuple[list[_Point], int]:
    """One run's points by iteration, without the start; and how many a resumed log replaced.

    A resumed run logs some iterations again: its rows take the place of those from there on. Rows at one iteration that
    have nothing in common are one, as where training and test are logged apart.
    """
    merged: list[_Point] = []
    for point in (point for point in points if point.iteration > 0):
        last = merged[-1] if merged else None
        if last and last.iteration == point.iteration and not set(_ERRORS) & set(last.values) & set(point.values):
            merged[-1] = replace(last, values={**last.values, **point.values})
        else:
            merged.append(point)
    kept: list[_Point] = []
    replaced = 0
    repeated = len({point.iteration for point in merged}) < len(merged)
    for point in merged if repeated else sorted(merged, key=lambda point: point.iteration):
        before = len(kept)
        while kept and kept[-1].iteration >= point.iteration:
            kept.pop()
        replaced += before - len(kept)
        if before and not kept:
            raise ForeignError(
                f"{path}: line {point.line} begins again at iteration {point.iteration:,}: two runs? Give network or "
                "seed a column"
            )
        kept.append(point)
    if not kept:
        raise ForeignError(f"{path}: has no row beyond iteration 0")
    return kept, replaced


def _row(point: _Point, target: Target) -> Row:
    errors = {key: point.values.get(key, math.nan) for key in _ERRORS}
    epoch = point.values["iteration"] / target.per_epoch
    return Row(point.iteration, epoch, lr=math.nan, train_loss=math.nan, test_loss=math.nan, **errors)


def _run(network: str, seed: int, target: Target, rows: Sequence[Row]) -> Run:
    """The run that such curves would be of; how it was trained is not known beyond its length."""
    run, last = study.preset_run(target.preset, network, seed, target.data), rows[-1].iteration
    schedule = run.schedule if run.schedule.iterations == last else Schedule(iterations=last)
    return replace(run, schedule=schedule, log_every=1, evaluate_every=1)


def _write(folder: RunFolder, target: Target, rows: Sequence[Row], path: Path) -> tuple[Path, str]:
    """Write a run's folder; gives it, and the files that the columns kept from before are of."""
    former = read_record(folder.record_path) if folder.record_path.exists() else None
    if former and former.status != "foreign":
        raise ForeignError(f"{folder.path} holds a run of this program: give another name as --as")
    old = read_curve(folder.curve_path) if former and folder.curve_path.exists() else []
    kept = [key for key in _ERRORS if not _has(rows, key) and _has(old, key)]
    before = (former.data.source or "another file") if former and kept else ""
    rows = _joined(rows, old, kept)
    folder = RunFolder(folder.path.parents[3], _run(folder.run.network, folder.run.seed, target, rows))
    final = {key: value for row in rows for key in _ERRORS if not math.isnan(value := getattr(row, key))}
    source = f"{before}, {path.name}" if before else path.name
    folder.path.mkdir(parents=True, exist_ok=True)
    write_curve(folder.curve_path, rows)
    about = {"source": source}
    folder.write({"status": "foreign", "iteration": rows[-1].iteration, "final": final, "data": about})
    return folder.path, before


def _has(rows: Sequence[Row], key: str) -> bool:
    return not all(math.isnan(getattr(row, key)) for row in rows)


def _joined(rows: Sequence[Row], old: Iterable[Row], kept: Sequence[str]) -> list[Row]:
    """Rows with the columns that are kept of the rows from before."""
    found = {row.iteration: row for row in rows}
    for row in old if kept else ():
        own = {key: getattr(row, key) for key in kept}
        if not all(map(math.isnan, own.values())):
            blank = row._replace(train_error=math.nan, test_error=math.nan)
            found[row.iteration] = Row(**{**found.get(row.iteration, blank)._asdict(), **own})
    return [found[iteration] for iteration in sorted(found)]
