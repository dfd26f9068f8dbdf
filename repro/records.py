"""A run's folder on disk: write it so that nothing is ever half-written, read it back, list many.

    run.json        what was run, on what, where, and how it ended
    curve.csv       one row per `log_every` iterations, append-only
    responses.csv   standard deviation of each layer's responses (Figure 7)
    health.csv      variance forward and gradient norm backward of each layer, at some iterations
    SHA256SUMS      hashes of these, once the run is complete (see `repro.seal`)
    checkpoint.pt   weights and everything else that resuming needs; never committed

Nothing here imports torch.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from repro import names
from repro.disk import json_text, leftovers, read_text, replacing, write_json, write_text
from repro.errors import RecordError, UserError, counted
from repro.lock import Hold, hold
from repro.record_check import FORMAT, STATUSES, check, check_for_resuming
from repro.rows import (
    COLUMNS,
    HEALTH_COLUMNS,
    RESPONSE_COLUMNS,
    HealthRow,
    Row,
    format_row,
    read_curve,
    read_health,
    read_responses,
    without_seconds,
    write_health,
    write_responses,
)
from repro.seal import check as check_seal
from repro.seal import seal
from repro.spec import LARGEST, Run

__all__ = [
    "COLUMNS", "FINAL", "FORMAT", "HEALTH_COLUMNS", "RESPONSE_COLUMNS", "RUN_COLUMNS", "STATUSES", "Damaged",
    "HealthRow", "Records", "Row", "RunFolder", "Source", "collect", "format_row", "read_curve", "read_health",
    "read_record", "read_responses", "replacing", "write_health", "write_json", "write_responses", "write_text",
]  # fmt: skip

#: Larger than any record of ours, which take some kB; a file beyond it is refused unread.
LARGEST_RECORD = 10_000_000


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
        self._hold: Hold | None = None

    @contextmanager
    def claim(self) -> Iterator[bool]:
        """Hold this run against other processes; gives False at once where another one holds it (see `repro.lock`).

        Raises:
            OSError: the folder cannot be made, or not be written to.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        with hold(self.path) as self._hold:
            if self._hold:
                for path in leftovers(self.path):
                    path.unlink(missing_ok=True)
            try:
                yield self._hold is not None
            finally:
                self._hold = None

    def check(self) -> None:
        """Raise RecordError where this run was claimed, and another machine has taken it over since."""
        if self._hold:
            self._hold.check()

    def read(self) -> dict[str, Any] | None:
        """The record, or None where there is none yet.

        Raises:
            RecordError: it cannot be read, or is of another run than this folder's; which fields differ.
        """
        try:
            self.record_path.lstat()
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError:
            pass  # reading it says why
        record = read_record(self.record_path)
        recorded = Run.from_dict(record["spec"])
        if recorded != self.run:
            raise RecordError(
                f"{self.path} holds another run ({'; '.join(self.run.differences(recorded))}): "
                "give another --results folder, or move this one away"
            )
        try:
            check_for_resuming(record, recorded)
        except UserError as error:
            raise RecordError(f"{self.record_path}: {error}") from error
        return record

    def write(self, record: Mapping[str, Any]) -> None:
        """Write run.json, and seal the folder of a complete run."""
        self.check()
        text = json_text(self.whole(record))
        if record["status"] == "complete":
            seal(self.path, text)
        write_text(self.record_path, text)

    def whole(self, record: Mapping[str, Any]) -> dict[str, Any]:
        """A record with what each has: format, hash, spec."""
        return {"format": FORMAT, "hash": self.run.hash, "spec": self.run.to_dict(), **record}

    def append(self, row: Row) -> None:
        """Add a row to curve.csv, and the header before the first."""
        self.check()
        with self.curve_path.open("a", encoding="utf-8", newline="") as file:
            if file.tell() == 0:
                file.write(",".join(COLUMNS) + "\n")
            file.write(format_row(row) + "\n")
            file.flush()
            # A record that calls the run complete must not survive a loss of power that its curve does not.
            os.fsync(file.fileno())

    def add_health(self, rows: Sequence[HealthRow]) -> None:
        """Add the layers' health at one iteration to health.csv, in the place of any from that iteration on."""
        self.check()
        former = read_health(self.health_path) if self.health_path.exists() else []
        write_health(self.health_path, [*(row for row in former if row.iteration < rows[0].iteration), *rows])

    def tables(self) -> dict[str, str]:
        """The texts of the tables that training adds to, by file name, for a checkpoint to keep."""
        return {path.name: path.read_text(encoding="utf-8") for path in self._growing if path.exists()}

    def put_back(self, tables: Mapping[str, str]) -> list[str]:
        """Make those tables what they were at a checkpoint; gives the names of any that did not begin so any more."""
        self.check()
        changed = []
        for path in self._growing:
            text = tables.get(path.name)
            if text is None:
                path.unlink(missing_ok=True)
                continue
            if not path.is_file() or not path.read_bytes().startswith(text.encode()):
                changed.append(path.name)
            write_text(path, without_seconds(text))
        return changed

    def rewind(self, iteration: int) -> None:
        """Drop what those tables hold beyond an iteration: the rows that resuming there will write again.

        Raises:
            RecordError: rows up to that iteration are missing or malformed.
        """
        self.check()
        rows = read_curve(self.curve_path) if self.curve_path.exists() else []
        rows = [row for row in rows if row.iteration <= iteration]
        if len(rows) < iteration // self.run.log_every:
            raise RecordError(
                f"{self.curve_path}: lacks rows up to iteration {iteration}, where the checkpoint is: put them back, "
                "or remove the checkpoint to begin this run anew"
            )
        write_text(self.curve_path, "\n".join([",".join(COLUMNS), *map(format_row, rows)]) + "\n")
        if self.health_path.exists():
            write_health(self.health_path, [row for row in read_health(self.health_path) if row.iteration <= iteration])

    @property
    def _growing(self) -> tuple[Path, Path]:
        return self.curve_path, self.health_path


def read_record(path: Path) -> dict[str, Any]:
    """Read a run.json of any run.

    Raises:
        RecordError: unreadable, no JSON, or not a record of a format known here.
    """
    text = read_text(path, "record", LARGEST_RECORD)
    try:
        record: dict[str, Any] = json.loads(text, parse_constant=_no_number)
        check(record)
    except UserError as error:
        raise RecordError(f"{path}: {error}") from error
    except (ValueError, RecursionError) as error:
        raise RecordError(f"{path}: cannot be read as a record: {error}") from error
    return record


def _no_number(text: str) -> float:
    raise ValueError(f"{text} is no number of JSON")


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
            evaluation interval of training; test_error is of the final iterate, NaN before the run is complete. Those
            of a foreign run are the last values of its file.
            `record` is the whole run.json.
        curves: a row per row of each curve.csv: the columns that name the run, and `COLUMNS`.
        responses: a row per layer of each responses.csv: the columns that name the run, and layer, name, std,
            and std_training, which is the same in training mode: of health.csv, after the last iteration (NaN where it
            was not looked at).
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
        paths, unread = _record_paths(source.path)
        for error in unread:
            folder = _name_of(Path(error.filename), source)
            damaged.append(Damaged(source.name, folder, str(RecordError(f"{error.filename}: {error.strerror}"))))
        for path in paths:
            folder = _name_of(path.parent, source)
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


def _record_paths(folder: Path) -> tuple[list[Path], list[OSError]]:
    """Each run.json below a folder, and why some folders cannot be read. That one is gone meanwhile is no news."""
    unread: list[OSError] = []
    places = os.walk(folder, onerror=unread.append)
    found = sorted(Path(place) / "run.json" for place, inside, files in places if "run.json" in (*inside, *files))
    return found, [error for error in unread if not isinstance(error, FileNotFoundError)]


def _name_of(folder: Path, source: Source) -> str:
    # A name that is no text would spoil whatever prints it.
    return os.fsencode(folder.relative_to(source.path).as_posix()).decode(errors="replace")


#: The tables of `Records` that have many rows a run, and their columns besides those that name the run.
_TABLES = {"curves": COLUMNS, "responses": (*RESPONSE_COLUMNS, "std_training"), "health": HEALTH_COLUMNS}
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
    if record["status"] == "complete":
        check_seal(path)
    run = Run.from_dict(record["spec"])
    name = names.parse(run.network)
    rows = {}
    for table, (file, read) in _FILES.items():
        rows[table] = read(path / file) if (path / file).exists() else []
    if rows["responses"] and len(rows["responses"]) != name.depth - 1:
        # The mean over a part of the layers is not that over all.
        layers = counted(len(rows["responses"]), "layer")
        raise RecordError(f"{path / 'responses.csv'}: has {layers}, but {run.network} has {name.depth - 1}")
    rows["responses"] = _in_both_modes(rows["responses"], rows["health"], run.schedule.iterations)
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
        # While a run trains, its record says where that began.
        "iteration": max([record["iteration"], *(row.iteration for row in rows["curves"][-1:])]),
        "iterations": run.schedule.iterations,
        "hash": _text(record.get("hash")),
        **{key: _number(final.get(key)) for key in FINAL},
        **{key: _text(numerics.get(key)) for key in ("precision", "device")},
        "threads": numerics.get("threads") if isinstance(numerics.get("threads"), int) else None,
        "seconds": _number(record.get("seconds")),
        "commit": _text((record.get("environment") or {}).get("commit")),
        "folder": folder,
        "record": record,
    }
    return row, rows


def _in_both_modes(
    responses: Sequence[tuple[int, str, float]], health: Sequence[HealthRow], last: int
) -> list[tuple[int, str, float, float]]:
    """Each layer's response in evaluation mode, and in training mode as seen in the look after the last iteration."""
    looked = {row.layer: row.activation_variance for row in health if row.iteration == last}
    variances = [looked.get(layer, math.nan) for layer, _, _ in responses]
    return [
        (*row, math.sqrt(variance) if variance >= 0 else math.nan)
        for row, variance in zip(responses, variances, strict=True)
    ]


def _number(value: Any) -> float:
    return float(value) if isinstance(value, float) or (type(value) is int and value <= LARGEST) else math.nan


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None


#: What run.json's "final" holds once a run is complete.
FINAL = ("train_error", "train_loss", "test_error", "test_loss", "clean_train_error", "clean_train_loss")
