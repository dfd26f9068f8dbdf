"""A run's folder on disk: write it so that nothing is ever half-written, read it back, list many.

    run.json        what was run, on what, where, and how it ended
    curve.csv       one row per `log_every` iterations, append-only
    responses.csv   standard deviation of each layer's responses (Figure 7)
    health.csv      variance forward and gradient norm backward of each layer, at some iterations
    checkpoint.pt   weights and everything else that resuming needs; never committed

Nothing here imports torch.
"""

from __future__ import annotations

import csv
import io
import json
import math
import os
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import pandas as pd
from filelock import FileLock, Timeout

from repro import names
from repro.errors import RecordError, UserError
from repro.spec import Run

#: The format of run.json; a reader refuses what it does not know.
FORMAT = 1
#: How a run ended, or that it has not. "stopped" is one that can be carried on; "foreign" was imported.
STATUSES = ("running", "stopped", "complete", "diverged", "failed", "foreign")
#: Larger than any record of ours (1,000 rows take 100 kB); a file beyond it is refused unread.
LARGEST_FILE = 200_000_000


@dataclass(frozen=True)
class Row:
    """A row of curve.csv. Errors are percent; losses are mean cross-entropy in nats.

    Training loss and error are means over the iterations since the row before, in training mode on augmented crops.
    Test loss and error are NaN where no evaluation was due. `seconds` is training time from the first iteration on.
    """

    iteration: int
    epoch: float
    lr: float
    train_loss: float
    train_error: float
    test_loss: float
    test_error: float
    seconds: float


COLUMNS = tuple(item.name for item in fields(Row))


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


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a temporary name beside `path`; on success flush it to disk and put it in the place of `path`."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        yield temporary
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write a whole file or nothing."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path, value: Mapping[str, Any]) -> None:
    """Write a whole JSON file or nothing; NaN and infinity, which JSON lacks, become null."""
    write_text(path, json.dumps(_finite(value), indent=1, allow_nan=False) + "\n")


def _finite(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, Mapping):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return value


class RunFolder:
    """The folder of one run below a results folder."""

    def __init__(self, results: Path, run: Run) -> None:
        self.run = run
        self.path = results / run.path
        self.record_path = self.path / "run.json"
        self.curve_path = self.path / "curve.csv"
        self.responses_path = self.path / "responses.csv"
        self.health_path = self.path / "health.csv"
        self.checkpoint_path = self.path / "checkpoint.pt"

    @contextmanager
    def claim(self) -> Iterator[bool]:
        """Hold this run against other processes; gives False at once where another one holds it.

        The lock is the operating system's, so that it ends with the process that holds it, however that ends.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        lock = FileLock(self.path / "run.lock")
        try:
            lock.acquire(timeout=0)
        except Timeout:
            yield False
            return
        try:
            yield True
        finally:
            lock.release()

    def read(self) -> dict[str, Any] | None:
        """The record, or None where there is none yet.

        Raises:
            RecordError: it cannot be read, or is of another run than this folder's; which fields differ.
        """
        if not self.record_path.exists():
            return None
        record = read_record(self.record_path)
        try:
            recorded = Run.from_dict(record["spec"])
        except UserError as error:
            raise RecordError(f"{self.record_path}: {error}") from error
        if recorded != self.run:
            raise RecordError(
                f"{self.path} holds another run ({'; '.join(self.run.differences(recorded))}): "
                "give another --results folder, or move this one away"
            )
        return record

    def write(self, record: Mapping[str, Any]) -> None:
        """Write run.json."""
        known = {"format": FORMAT, "hash": self.run.hash, "spec": self.run.to_dict()}
        write_json(self.record_path, {**known, **record})

    def append(self, row: Row) -> None:
        """Add a row to curve.csv, and the header before the first."""
        with self.curve_path.open("a", encoding="utf-8", newline="") as file:
            if file.tell() == 0:
                file.write(",".join(COLUMNS) + "\n")
            file.write(format_row(row) + "\n")
            file.flush()

    def rewind(self, iteration: int) -> None:
        """Drop what curve and health hold beyond an iteration: the rows that resuming there will write again."""
        if self.curve_path.exists():
            rows = [row for row in read_curve(self.curve_path) if row.iteration <= iteration]
            write_text(self.curve_path, "\n".join([",".join(COLUMNS), *map(format_row, rows)]) + "\n")
        if self.health_path.exists():
            write_health(self.health_path, [row for row in read_health(self.health_path) if row.iteration <= iteration])

    def add_health(self, rows: Sequence[HealthRow]) -> None:
        """Add the layers' health at one iteration to health.csv, in the place of any from that iteration on."""
        former = read_health(self.health_path) if self.health_path.exists() else []
        write_health(self.health_path, [*(row for row in former if row.iteration < rows[0].iteration), *rows])


def format_row(row: Row) -> str:
    """A row as CSV; numbers keep all their bits, NaN is empty."""
    values = asdict(row).values()
    return ",".join("" if isinstance(v, float) and math.isnan(v) else repr(v) for v in values)


def read_record(path: Path) -> dict[str, Any]:
    """Read a run.json of any run.

    Raises:
        RecordError: unreadable, no JSON, or not a record of a format known here.
    """
    try:
        if path.stat().st_size > LARGEST_FILE:
            raise RecordError(f"{path}: larger than {LARGEST_FILE:,} bytes, no record of a run")
        record = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise RecordError(f"{path}: cannot be read as a record: {error}") from error
    if not isinstance(record, dict) or not isinstance(record.get("spec"), dict):
        raise RecordError(f"{path}: is no record of a run: its 'spec' is missing")
    if record.get("format") != FORMAT:
        raise RecordError(f"{path}: has format {record.get('format')!r}, this version reads format {FORMAT}")
    if record.get("status") not in STATUSES:
        raise RecordError(f"{path}: status is {record.get('status')!r}, not one of {', '.join(STATUSES)}")
    if not isinstance(record.get("iteration"), int) or record["iteration"] < 0:
        raise RecordError(f"{path}: iteration is {record.get('iteration')!r}: a whole number is needed")
    for part in ("data", "numerics", "environment", "final"):
        if not isinstance(record.get(part) or {}, dict):
            raise RecordError(f"{path}: its {part!r} is {record[part]!r:.40}: a table of values is needed")
    return record


def read_curve(path: Path) -> list[Row]:
    """Read curve.csv. A last line that was torn off while being written is dropped with a warning.

    Raises:
        RecordError: any other malformed line, with its number.
    """
    try:
        if path.stat().st_size > LARGEST_FILE:
            raise RecordError(f"{path}: larger than {LARGEST_FILE:,} bytes, no curve of a run")
        text = path.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise RecordError(f"{path}: cannot be read as a curve: {error}") from error
    lines = text.splitlines(keepends=True)
    if lines and not lines[-1].endswith("\n"):
        warnings.warn(f"{path}: last line was torn off and is dropped", stacklevel=2)
        lines.pop()
    if not lines:
        return []
    if lines[0].rstrip("\n") != ",".join(COLUMNS):
        raise RecordError(f"{path}: line 1 is not the header {','.join(COLUMNS)}")
    rows: list[Row] = []
    for number, values in enumerate(csv.reader(io.StringIO("".join(lines[1:]))), start=2):
        try:
            iteration, *numbers = values
            row = Row(int(iteration), *(float(v) if v else math.nan for v in numbers))
        except (ValueError, TypeError) as error:
            raise RecordError(f"{path}: line {number} is malformed: {error}") from error
        if rows and row.iteration <= rows[-1].iteration:
            raise RecordError(f"{path}: line {number} is out of order: iteration {row.iteration}")
        rows.append(row)
    return rows


def read_responses(path: Path) -> list[tuple[int, str, float]]:
    """Read responses.csv: layer (from 1), name, standard deviation.

    Raises:
        RecordError: a malformed line, with its number.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError) as error:
        raise RecordError(f"{path}: cannot be read as responses: {error}") from error
    if not lines or lines[0] != "layer,name,std":
        raise RecordError(f"{path}: line 1 is not the header layer,name,std")
    found = []
    for number, line in enumerate(lines[1:], start=2):
        try:
            layer, name, std = line.split(",")
            found.append((int(layer), name, float(std)))
        except ValueError as error:
            raise RecordError(f"{path}: line {number} is malformed: {error}") from error
    return found


def write_responses(path: Path, responses: Sequence[tuple[str, float]]) -> None:
    """Write responses.csv, layers numbered from 1 in the order given."""
    lines = [f"{index},{name},{std!r}" for index, (name, std) in enumerate(responses, start=1)]
    write_text(path, "\n".join(["layer,name,std", *lines]) + "\n")


def read_health(path: Path) -> list[HealthRow]:
    """Read health.csv.

    Raises:
        RecordError: a malformed line, with its number.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError) as error:
        raise RecordError(f"{path}: cannot be read as signal health: {error}") from error
    if not lines or lines[0] != ",".join(HEALTH_COLUMNS):
        raise RecordError(f"{path}: line 1 is not the header {','.join(HEALTH_COLUMNS)}")
    found = []
    for number, line in enumerate(lines[1:], start=2):
        try:
            iteration, layer, name, *numbers = line.split(",")
            found.append(HealthRow(int(iteration), int(layer), name, *map(float, numbers)))
        except (ValueError, TypeError) as error:
            raise RecordError(f"{path}: line {number} is malformed: {error}") from error
    return found


def write_health(path: Path, rows: Sequence[HealthRow]) -> None:
    """Write health.csv."""
    lines = [",".join(str(value) for value in asdict(row).values()) for row in rows]
    write_text(path, "\n".join([",".join(HEALTH_COLUMNS), *lines]) + "\n")


@dataclass(frozen=True)
class Source:
    """A results folder with the name that a report shows for it."""

    name: str
    path: Path


@dataclass(frozen=True)
class Damaged:
    """A folder that holds a record which cannot be read, and why."""

    source: str
    folder: str
    reason: str


#: Columns of `Records.runs`, before those of its curve's last row.
RUN_COLUMNS = (
    "source", "data", "preset", "network", "variant", "seed", "kind", "depth", "option", "status", "iteration",
    "iterations", "hash", "train_error", "train_loss", "test_error", "test_loss", "clean_train_error",
    "clean_train_loss", "precision", "threads", "device", "seconds", "commit", "folder", "record",
)  # fmt: skip
_KEYS = (
    "source",
    "data",
    "preset",
    "network",
    "variant",
    "seed",
    "kind",
    "depth",
    "option",
    "status",
    "folder",
)


@dataclass(frozen=True)
class Records:
    """All that lies in some results folders, as tidy tables.

    Attributes:
        runs: a row per run (`RUN_COLUMNS`). Errors are percent. train_error and train_loss are means over the last
            evaluation interval of training; test_error is of the final iterate, NaN before the run is complete.
            `record` is the whole run.json.
        curves: a row per row of each curve.csv: the columns that name the run, and `COLUMNS`.
        responses: a row per layer of each responses.csv: the columns that name the run, and layer, name, std.
        health: a row per layer and iteration of each health.csv: the columns that name the run, and `HEALTH_COLUMNS`.
        damaged: folders that were passed over.
    """

    runs: pd.DataFrame
    curves: pd.DataFrame
    responses: pd.DataFrame
    health: pd.DataFrame
    damaged: tuple[Damaged, ...]


def collect(sources: Sequence[Source]) -> Records:
    """Read every run below the sources' folders; a damaged one is listed as such and stops nothing."""
    runs: list[dict[str, Any]] = []
    tables: dict[str, list[pd.DataFrame]] = {name: [] for name in _TABLES}
    damaged: list[Damaged] = []
    for source in sources:
        for path in sorted(source.path.glob("**/run.json")):
            folder = path.parent.relative_to(source.path).as_posix()
            try:
                run, rows = _read_run(source.name, folder, path.parent)
            except UserError as error:
                damaged.append(Damaged(source.name, folder, str(error)))
                continue
            runs.append(run)
            named = {key: run[key] for key in _KEYS}
            for name, found in rows.items():
                if found:
                    # Of dataclasses pandas would copy each value deeply, which takes longer than reading them.
                    plain = [row if isinstance(row, tuple) else tuple(vars(row).values()) for row in found]
                    tables[name].append(pd.DataFrame(plain, columns=list(_TABLES[name])).assign(**named))
    return Records(
        runs=pd.DataFrame(runs, columns=list(RUN_COLUMNS)),
        **{name: _joined(pieces, _TABLES[name]) for name, pieces in tables.items()},
        damaged=tuple(damaged),
    )


#: The tables of `Records` that have many rows a run, and their columns besides those that name the run.
_TABLES = {"curves": COLUMNS, "responses": ("layer", "name", "std"), "health": HEALTH_COLUMNS}
#: Where those tables come from.
_FILES: dict[str, tuple[str, Callable[[Path], Sequence[Any]]]] = {
    "curves": ("curve.csv", read_curve),
    "responses": ("responses.csv", read_responses),
    "health": ("health.csv", read_health),
}


def _joined(pieces: list[pd.DataFrame], columns: Sequence[str]) -> pd.DataFrame:
    order = [*_KEYS, *columns]
    return pd.concat(pieces, ignore_index=True)[order] if pieces else pd.DataFrame(columns=order)


def _read_run(source: str, folder: str, path: Path) -> tuple[dict[str, Any], dict[str, Sequence[Any]]]:
    """The run's row, and its rows in each of `_TABLES`."""
    record = read_record(path / "run.json")
    run = Run.from_dict(record["spec"])
    name = names.parse(run.network)
    rows = {}
    for table, (file, read) in _FILES.items():
        rows[table] = read(path / file) if (path / file).exists() else []
    numerics, final = record.get("numerics") or {}, record.get("final") or {}
    row = {
        "source": source,
        "data": run.data,
        "preset": run.preset,
        "network": run.network,
        "variant": run.variant,
        "seed": run.seed,
        "kind": name.kind,
        "depth": name.depth,
        "option": name.option,
        "status": record["status"],
        "iteration": record["iteration"],
        "iterations": run.schedule.iterations,
        "hash": record.get("hash"),
        **{key: _number(final.get(key)) for key in FINAL},
        **{key: numerics.get(key) for key in ("precision", "threads", "device")},
        "seconds": _number(record.get("seconds")),
        "commit": (record.get("environment") or {}).get("commit"),
        "folder": folder,
        "record": record,
    }
    return row, rows


def _number(value: Any) -> float:
    return float(value) if isinstance(value, int | float) else math.nan


#: What run.json's "final" holds once a run is complete.
FINAL = ("train_error", "train_loss", "test_error", "test_loss", "clean_train_error", "clean_train_loss")
