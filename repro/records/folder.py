"""A run's folder on disk: written so that nothing is ever half there, and read back.

run.json        what was run, on what, where, and how it ended
curve.csv       one row per `log_every` iterations, append-only
responses.csv   standard deviation of each layer's responses (Figure 7)
health.csv      variance forward and gradient norm backward of each layer, at some iterations
SHA256SUMS      hashes of these, once the run is complete (see `repro.records.seal`)
checkpoint.pt   weights and everything else that resuming needs; never committed
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from repro.disk import json_text, leftovers, patiently, write_text
from repro.errors import RecordError, shown
from repro.lock import Hold, hold
from repro.records.record import FORMAT, Record, read_record
from repro.records.seal import seal
from repro.records.tables import (
    COLUMNS,
    HealthRow,
    Row,
    format_row,
    read_health,
    write_health,
)
from repro.spec import Run


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

    def read(self) -> Record | None:
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
        if record.spec != self.run:
            raise RecordError(
                f"{self.path} holds another run ({'; '.join(self.run.differences(record.spec))}): "
                "give another --results folder, or move this one away"
            )
        if record.hash not in (None, self.run.hash):
            raise RecordError(
                f"{self.record_path}: hash is {shown(record.hash)}, but its spec has {self.run.hash!r}: one of them "
                "was changed, undo that"
            )
        return record

    def write(self, record: Mapping[str, Any]) -> None:
        """Write run.json, given as JSON types, and seal the folder of a complete run."""
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
        path = self.curve_path
        with patiently(lambda: path.open("a", encoding="utf-8", newline=""), path) as file:
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
            write_text(path, text)
        return changed

    @property
    def _growing(self) -> tuple[Path, Path]:
        return self.curve_path, self.health_path
