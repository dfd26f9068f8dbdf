"""What the user sees while runs train: live bars on a terminal, plain lines elsewhere."""

from __future__ import annotations

import math
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta

from rich.console import Console
from rich.progress import BarColumn, TaskID, TaskProgressColumn, TextColumn
from rich.progress import Progress as Bars
from rich.table import Column
from rich.text import Text

from repro.errors import printable
from repro.launch.attempt import Outcome
from repro.launch.options import Options
from repro.launch.progress import Progress, progress
from repro.launch.stop import HANGUP, Stop
from repro.records import RunFolder
from repro.shell import OutputLostError
from repro.spec import Run

#: Where the output is no terminal, a run prints a line at most this often (seconds), and so many in all.
LINE_EVERY, LINES = 15.0, 50
#: Seconds between two looks at the files of runs.
LOOK_EVERY = 0.25


def duration(seconds: float) -> str:
    """As '12 s', '3 min 20 s', '5 h 10 min' or '2 d 3 h'."""
    if not math.isfinite(seconds):
        return "?"
    whole = timedelta(seconds=round(seconds))
    hours, rest = divmod(whole.seconds, 3600)
    minutes, secs = divmod(rest, 60)
    if whole.days:
        return f"{whole.days} d {hours} h"
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {secs} s" if minutes else f"{secs} s"


def label(run: Run) -> str:
    """A run's short name."""
    variant = f" ({run.variant})" if run.variant else ""
    return printable(f"{run.network}{variant} seed {run.seed}")


class Display:
    """Shows runs by their records on disk, and how they ended.

    Once its output can no longer be shown, the runs stop with a checkpoint, as by a signal. A terminal that is lost is
    as good as a SIGHUP, which a command in the background is not sent; with `stays` it stops nothing.
    """

    def __init__(self, console: Console, options: Options, total: int, stop: Stop, stays: bool = False) -> None:
        self.console, self.options, self.total, self.stop, self.stays = console, options, total, stop, stays
        self.lost: OutputLostError | None = None
        self.done = 0
        self.live = console.is_terminal
        self.shown: dict[Run, _Shown] = {}
        self.bars = Bars(
            # On a narrow terminal the name is what gives way, not the numbers.
            TextColumn("{task.description}", markup=False, table_column=Column(ratio=1, no_wrap=True, min_width=12)),
            BarColumn(bar_width=10),
            TaskProgressColumn(),
            TextColumn("{task.fields[state]}", markup=False, table_column=Column(no_wrap=True, min_width=42)),
            console=console,
            # A thread of rich's own could tell nobody that the terminal is gone.
            auto_refresh=False,
            expand=True,
        )
        self.whole = self.bars.add_task("all runs", total=total, state="", visible=total > 1)
        self.looked = -math.inf

    @contextmanager
    def showing(self) -> Iterator[Display]:
        """Show bars for as long as this lasts, where there is a terminal."""
        if self.live:
            self.bars.start()
        try:
            yield self
        finally:
            with suppress(OutputLostError):  # whoever trains has been told, or has ended
                self.bars.stop()

    def begin(self, run: Run) -> None:
        """Show this run from now on: not what is on disk of it already, but what is new."""
        folder = RunFolder(self.options.results, run)
        before = progress(folder)
        task = self.bars.add_task(label(run), total=self.options.last(run), state="")
        self.shown[run] = _Shown(folder, task, before.sessions if before else 0)

    def note(self, run: Run, text: str) -> None:
        """Say something of a run."""
        self._print(f"{label(run)}: {printable(text)}")
        if run in self.shown:
            self.bars.remove_task(self.shown.pop(run).task)

    def finish(self, outcome: Outcome) -> None:
        """Say how a run ended."""
        self.done += 1
        run, test = outcome.run, None
        if run in self.shown:
            self._look(run, self.shown[run])
            test = self.shown[run].test_error
            self.bars.remove_task(self.shown.pop(run).task)
        errors = f", test error {test:.2f} %" if test is not None and outcome.status == "complete" else ""
        message = f": {printable(outcome.message)}" if outcome.message else ""
        style = "" if outcome.status in ("complete", "stopped") else "bold red"
        self._print(f"[{self.done}/{self.total}] {label(run)}: {outcome.status}{errors}{message}", style)

    def look(self) -> None:
        """Show what is new of the runs under way; looks at the disk at most every `LOOK_EVERY` seconds."""
        if time.monotonic() < self.looked + LOOK_EVERY:
            return
        self.looked = time.monotonic()
        for run, shown in self.shown.items():
            self._look(run, shown)
        if self.live:
            # Runs that stand in a queue have a bar, and no row yet.
            begun = [task for task in self.bars.tasks if task.id != self.whole]
            training = sum(shown.training for shown in self.shown.values())
            state = f"{self.done} ended, {training} training, {self.total - self.done - training} waiting"
            parts = sum(task.percentage / 100 for task in begun)
            self.bars.update(self.whole, completed=self.done + parts, state=state)
            with self._guarded():
                self.bars.refresh()

    def _look(self, run: Run, shown: _Shown) -> None:
        found = progress(shown.folder) if shown.has_changed() else None
        if found is None or found.sessions <= shown.sessions:
            return
        if found.sessions > shown.session:
            shown.session, shown.since, shown.first = found.sessions, time.monotonic(), found.began_at
            if found.notes:
                self._print(f"{label(run)}: {printable('; '.join(found.notes))}")
        if found.row is None:
            return
        shown.test_error = found.test_error
        at, last = found.row.iteration, self.options.last(run)
        now, done = time.monotonic(), at - shown.first
        left = (now - shown.since) / done * (last - at) if at < last else 0.0
        pause = max(LINE_EVERY, (now - shown.since + left) / LINES)
        if self.live:
            self.bars.update(shown.task, completed=at, state=_state(found, left, brief=True))
        elif at > shown.told and (now >= shown.printed + pause or at >= last):
            shown.printed, shown.told = now, at
            self._print(f"{label(run)}: {at:,}/{last:,} {_state(found, left)}")
        shown.training = True

    def _print(self, text: str, style: str = "") -> None:
        with self._guarded():
            self.console.print(Text(text, style=style), soft_wrap=True)

    @contextmanager
    def _guarded(self) -> Iterator[None]:
        try:
            yield
        except OutputLostError as error:
            hung_up = error.input_output and self.live
            if hung_up and self.stays:
                return
            self.lost = error
            if not self.stop.signal:
                self.stop((hung_up and HANGUP) or signal.SIGTERM)


@dataclass
class _Shown:
    """A run under way, as it was shown last: of which session, begun when and at which iteration."""

    folder: RunFolder
    task: TaskID
    sessions: int
    session: int = 0
    training: bool = False
    first: int = 0
    since: float = 0.0
    printed: float = -math.inf
    told: int = 0
    test_error: float | None = None
    stamps: tuple[int, ...] = ()

    def has_changed(self) -> bool:
        """Whether the files have, since this was asked last."""
        paths = (self.folder.record_path, self.folder.curve_path)
        former, self.stamps = self.stamps, tuple(path.stat().st_mtime_ns if path.exists() else 0 for path in paths)
        return self.stamps != former


def _state(found: Progress, left: float, brief: bool = False) -> str:
    digits = 1 if brief else 2
    parts = []
    if found.row:
        parts += [f"loss {found.row.train_loss:.{digits + 1}f}", f"train {found.row.train_error:.{digits}f} %"]
    if found.test_error is not None:
        parts.append(f"test {found.test_error:.{digits}f} %")
    if left > 0:
        parts.append(str(timedelta(seconds=round(left))) if brief else f"{duration(left)} left")
    return ", ".join(parts)
