"""All that lies in some results folders, as tidy tables."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from repro.errors import RecordError, UserError, counted
from repro.records.record import Final, Record, read_record
from repro.records.seal import check as check_seal
from repro.records.tables import (
    COLUMNS,
    HEALTH_COLUMNS,
    RESPONSE_COLUMNS,
    HealthRow,
    Response,
    read_curve,
    read_health,
    read_responses,
)
from repro.spec import Run

if TYPE_CHECKING:  # it takes a second, and not all that reads a record collects many
    import pandas as pd

#: What run.json's "final" holds once a run is complete.
FINAL = tuple(Final.model_fields)
#: Columns that name a run, in each table of `Records`.
_NAMES = ("source", "data", "preset", "network", "variant", "seed", "kind", "depth", "option", "status", "folder")
#: Columns of `Records.runs`. Those after `folder` are in no printed table.
RUN_COLUMNS = (
    *_NAMES[:-1], "iteration", "iterations", "hash", *FINAL, "precision", "threads", "device", "seconds", "commit",
    "folder", "run", "ranks", "warm_up_ended", "error", "train_images", "test_images", "fingerprint", "hardware",
    "processor", "torch", "python", "changed",
)  # fmt: skip
#: The types of those with numbers; all others are text, but for `run` and `changed`. "Int64" may be missing.
_TYPES = {
    **dict.fromkeys(("seed", "depth", "iteration", "iterations", "ranks"), "int64"),
    **dict.fromkeys(("threads", "warm_up_ended", "train_images", "test_images"), "Int64"),
    **dict.fromkeys((*FINAL, "seconds"), "float64"),
}
#: The tables of `Records` that have many rows a run: columns besides those that name the run, the file that they come
#: from, and its reader.
_TABLES: dict[str, tuple[tuple[str, ...], str, Callable[[Path], Sequence[Any]]]] = {
    "curves": (COLUMNS, "curve.csv", read_curve),
    "responses": ((*RESPONSE_COLUMNS, "std_training"), "responses.csv", read_responses),
    "health": (HEALTH_COLUMNS, "health.csv", read_health),
}


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


@dataclass(frozen=True)
class Records:
    """All that lies in some results folders, as tidy tables.

    Attributes:
        runs: a row per run (`RUN_COLUMNS`). Errors are percent. train_error and train_loss are means over the last
            evaluation interval of training; test_error is of the final iterate, NaN before the run is complete. Those
            of a foreign run are the last values of its file. warm_up_ended is 0 without a warm-up, and missing where it
            has not ended. `run` is the `repro.spec.Run`.
        curves: a row per row of each curve.csv: the columns that name the run, and `COLUMNS`.
        responses: a row per layer of each responses.csv: the columns that name the run, and layer, name, std,
            and std_training, which is the same in training mode: of health.csv, after the last iteration (NaN where it
            was not looked at).
        health: a row per row of each health.csv: the columns that name the run, and `HEALTH_COLUMNS`.
        damaged: folders that were passed over.
        records: the whole run.json by source and folder.
    """

    runs: pd.DataFrame
    curves: pd.DataFrame
    responses: pd.DataFrame
    health: pd.DataFrame
    damaged: tuple[Damaged, ...]
    records: Mapping[tuple[str, str], Record]

    def record(self, source: str, folder: str) -> Record:
        """The record of one of the runs."""
        return self.records[source, folder]


def collect(sources: Sequence[Source]) -> Records:
    """Read every run below the sources' folders; a damaged one is listed as such and stops nothing."""
    import pandas as pd

    runs: list[dict[str, Any]] = []
    tables: dict[str, list[pd.DataFrame]] = {name: [] for name in _TABLES}
    records: dict[tuple[str, str], Record] = {}
    damaged: list[Damaged] = []
    for source in sources:
        paths, unread = _record_paths(source.path)
        for error in unread:
            folder = _name_of(Path(error.filename), source)
            damaged.append(Damaged(source.name, folder, str(RecordError(f"{error.filename}: {error.strerror}"))))
        for path in paths:
            folder = _name_of(path.parent, source)
            try:
                record, rows = _read_run(path.parent)
            except UserError as error:
                damaged.append(Damaged(source.name, folder, str(error)))
                continue
            # While a run trains, its record says where that began.
            reached = max([record.iteration, *(row.iteration for row in rows["curves"][-1:])])
            run = {"source": source.name, "folder": folder, **_columns(record), "iteration": reached}
            runs.append(run)
            records[source.name, folder] = record
            named = {key: run[key] for key in _NAMES}
            for name, found in rows.items():
                if found:
                    tables[name].append(pd.DataFrame(found, columns=list(_TABLES[name][0])).assign(**named))
    return Records(
        runs=pd.DataFrame(runs, columns=list(RUN_COLUMNS)).astype(_TYPES),
        **{name: _joined(pieces, _TABLES[name][0]) for name, pieces in tables.items()},
        damaged=tuple(damaged),
        records=records,
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


def _joined(pieces: list[pd.DataFrame], columns: Sequence[str]) -> pd.DataFrame:
    import pandas as pd

    order = [*_NAMES, *columns]
    return pd.concat(pieces, ignore_index=True)[order] if pieces else pd.DataFrame(columns=order)


def _read_run(path: Path) -> tuple[Record, dict[str, Sequence[Any]]]:
    """The record in a run's folder, and its rows in each of `_TABLES`."""
    record = read_record(path / "run.json")
    if record.status == "complete":
        check_seal(path)
    rows = {name: read(path / file) if (path / file).exists() else [] for name, (_, file, read) in _TABLES.items()}
    run, layers = record.spec, _responses(record.spec)
    if rows["responses"] and len(rows["responses"]) != layers:
        # The mean over a part of the layers is not that over all.
        found = counted(len(rows["responses"]), "layer")
        raise RecordError(f"{path / 'responses.csv'}: has {found}, but {run.network} has {layers}")
    rows["responses"] = _in_both_modes(rows["responses"], rows["health"], run.schedule.iterations)
    return record, rows


def _responses(run: Run) -> int:
    """How many responses its network has: its 3x3 layers, projections apart."""
    name = run.parsed
    if name.family == "cifar":
        return name.depth - 1
    return sum(name.stages) * (1 if name.bottleneck else 2) + (run.model.stem == "3x3")


def _columns(record: Record) -> dict[str, Any]:
    """What a record says for the columns of `Records.runs`."""
    run, numerics, data, made = record.spec, record.numerics, record.data, record.environment
    name = run.parsed
    return {
        **{key: getattr(run, key) for key in ("data", "preset", "network", "variant", "seed")},
        **{key: getattr(name, key) for key in ("kind", "depth", "option")},
        **{key: getattr(record, key) for key in ("status", "hash", "seconds", "warm_up_ended", "error")},
        **{key: getattr(record.final, key) for key in FINAL},
        **{key: getattr(numerics, key) for key in ("precision", "threads", "device", "ranks")},
        **{key: getattr(data, key) for key in ("train_images", "test_images", "fingerprint")},
        **{key: getattr(made, key) for key in ("processor", "torch", "python", "commit", "changed")},
        "hardware": made.device,
        "iterations": run.schedule.iterations,
        "run": run,
    }


def _in_both_modes(
    responses: Sequence[Response], health: Sequence[HealthRow], last: int
) -> list[tuple[int, str, float, float]]:
    """Each layer's response in evaluation mode, and in training mode as seen in the look after the last iteration."""
    looked = {row.layer: row.activation_variance for row in health if row.iteration == last}
    return [(*row, math.sqrt(looked.get(row.layer, math.nan))) for row in responses]
