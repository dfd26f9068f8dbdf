"""What the user sees while runs train: live bars on a terminal, plain lines elsewhere."""

from __future__ import annotations

import math
import signal
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

from rich.console import Console
from rich.progress import BarColumn, Task, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bars
from rich.table import Column
from rich.text import Text

from repro.errors import UserError, printable
from repro.launch.attempt import Outcome
from repro.launch.options import Options
from repro.launch.stop import Stop
from repro.records import Row, RunFolder, read_curve
from repro.records.record import Session
from repro.shell import OutputLostError
from repro.spec import Run

#: Where the output is no terminal, a run prints a line at most this often (seconds), and so many in all.
LINE_EVERY, LINES = 15.0, 50
#: Seconds between two looks at the files of runs.
LOOK_EVERY = 1.0
#: Seconds of the longest time that Python tells.
_LONGEST = 86_400 * 999_999_999


def duration(seconds: float) -> str:
    """As rich tells it: '0:03:20', or '2 days, 3:00:00'."""
    return str(timedelta(seconds=round(min(seconds, _LONGEST))))


def progress(folder: RunFolder) -> tuple[tuple[Session, ...], list[Row]]:
    """How far a run is, by its record on disk, whichever machine writes that: when it was begun or resumed, and its
    curve; nothing where there is none, or it cannot be read.
    """
    try:
        record = folder.read()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of a row that is being written
            rows = read_curve(folder.curve_path) if folder.curve_path.exists() else []
    except (OSError, UserError):
        return (), []
    return record.sessions if record else (), rows


def label(run: Run) -> str:
    """A run's short name."""
    variant = f" ({run.variant})" if run.variant else ""
    return printable(f"{run.network}{variant} seed {run.seed}")


class Display:
    """Shows runs by their records on disk, and how they ended.

    Once its output can no longer be shown, which is then kept as `lost`, the runs stop with a checkpoint.
    """

    def __init__(self, console: Console, options: Options, total: int, stop: Stop) -> None:
        self.console, self.options, self.total, self.stop = console, options, total, stop
        self.lost: OutputLostError | None = None
        self.done = 0
        self.shown: dict[Run, _Shown] = {}
        self.bars = Bars(
            # On a narrow terminal the name is what gives way, not the numbers.
            TextColumn("{task.description}", markup=False, table_column=Column(ratio=1, no_wrap=True, min_width=12)),
            BarColumn(bar_width=10),
            TaskProgressColumn(),
            TextColumn("{task.fields[state]}", markup=False, table_column=Column(no_wrap=True, min_width=32)),
            TimeRemainingColumn(),
            console=console,
            # A thread of rich's own could tell nobody that the terminal is gone.
            auto_refresh=False,
            # Rows of a curve may be minutes apart.
            speed_estimate_period=math.inf,
            expand=True,
        )
        self.whole = self.bars.add_task("all runs", total=total, state="", visible=total > 1)
        self.looked = -math.inf

    def begin(self, run: Run) -> None:
        """Show this run from now on: not what is on disk of it already, but what is new."""
        folder = RunFolder(self.options.results, run)
        number = self.bars.add_task(label(run), total=self.options.last(run), state="")
        task = next(task for task in self.bars.tasks if task.id == number)
        self.shown[run] = _Shown(folder, task, sessions=len(progress(folder)[0]))

    def note(self, run: Run, text: str) -> None:
        """Say something of a run that does not train now."""
        self._print(f"{label(run)}: {printable(text)}")
        if run in self.shown:
            self.bars.remove_task(self.shown.pop(run).task.id)

    def finish(self, outcome: Outcome) -> None:
        """Say how a run ended."""
        self.done += 1
        run, test = outcome.run, ""
        if run in self.shown:
            shown = self.shown.pop(run)
            self._look(run, shown)
            self.bars.remove_task(shown.task.id)
            test = _tested(progress(shown.folder)[1], "test error") if outcome.status == "complete" else ""
        message = f": {printable(outcome.message)}" if outcome.message else ""
        style = "" if outcome.status in ("complete", "stopped") else "bold red"
        self._print(f"[{self.done}/{self.total}] {label(run)}: {outcome.status}{test}{message}", style)

    def look(self) -> None:
        """Show what is new of the runs under way; looks at the disk at most every `LOOK_EVERY` seconds."""
        if time.monotonic() < self.looked + LOOK_EVERY:
            return
        self.looked = time.monotonic()
        for run, shown in self.shown.items():
            self._look(run, shown)
        parts = sum(shown.task.percentage / 100 for shown in self.shown.values())
        self.bars.update(self.whole, completed=self.done + parts, state=f"{self.done} of {self.total} ended")
        with self._guarded():
            self.bars.refresh()

    def _look(self, run: Run, shown: _Shown) -> None:
        sessions, rows = progress(shown.folder)
        if len(sessions) > shown.sessions:
            shown.sessions, shown.training = len(sessions), True
            if sessions[-1].notes:
                self._print(f"{label(run)}: {printable('; '.join(sessions[-1].notes))}")
        if not shown.training or not rows or rows[-1].iteration <= sessions[-1].start:
            return
        at, last, now = rows[-1].iteration, self.options.last(run), time.monotonic()
        state = f"loss {rows[-1].train_loss:.3f}, train {rows[-1].train_error:.2f} %{_tested(rows, 'test')}"
        self.bars.update(shown.task.id, completed=at)
        if run.images.crop and shown.task.speed:
            state += f", {shown.task.speed * run.optimiser.batch_size:,.0f} images/s"
        self.bars.update(shown.task.id, state=state)
        far = now >= shown.printed + LINE_EVERY and at >= shown.told + (last - sessions[-1].start) / LINES
        if not self.console.is_terminal and at > shown.told and (far or at >= last):
            shown.printed, shown.told = now, at
            left = f", {duration(shown.task.time_remaining)} left" if shown.task.time_remaining else ""
            self._print(f"{label(run)}: {at:,}/{last:,} {state}{left}")

    def _print(self, text: str, style: str = "") -> None:
        with self._guarded():
            self.console.print(Text(text, style=style), soft_wrap=True)

    @contextmanager
    def _guarded(self) -> Iterator[None]:
        try:
            yield
        except OutputLostError as error:
            self.lost = error
            if not self.stop.signal:
                self.stop(signal.SIGTERM)


@dataclass
class _Shown:
    """A run under way, as it was shown last: how many sessions its record had, and whether the last one is new."""

    folder: RunFolder
    task: Task
    sessions: int
    training: bool = False
    printed: float = -math.inf
    told: float = -math.inf


def _tested(rows: list[Row], word: str) -> str:
    errors = [row.test_error for row in rows if not math.isnan(row.test_error)]
    return f", {word} {errors[-1]:.2f} %" if errors else ""
