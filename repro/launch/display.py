"""What the user sees while runs train: live bars on a terminal, plain lines elsewhere."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta

from rich.console import Console
from rich.progress import BarColumn, TaskID, TaskProgressColumn, TextColumn
from rich.progress import Progress as Bars
from rich.table import Column
from rich.text import Text

from repro.errors import printable
from repro.launch.execute import Outcome, Progress
from repro.records import Row
from repro.shell import OutputLostError
from repro.spec import Run

#: Where the output is no terminal, a run prints a line at most this often (seconds).
LINE_EVERY = 15.0
#: On a terminal the bars are drawn anew at most this often (seconds).
REDRAW_EVERY = 0.25


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
    """Takes what launchers tell and shows it."""

    def __init__(self, console: Console, total: int) -> None:
        self.console, self.total = console, total
        self.done = 0
        self.live = console.is_terminal
        self.tasks: dict[Run, TaskID] = {}
        self.rows: dict[Run, Row] = {}
        self.tests: dict[Run, float] = {}
        self.began: dict[Run, tuple[float, int]] = {}
        self.printed: dict[Run, float] = {}
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
        self.drawn = -math.inf
        self.whole = self.bars.add_task("all runs", total=total, state="", visible=total > 1)

    @contextmanager
    def showing(self) -> Iterator[Display]:
        """Show bars for as long as this lasts, where there is a terminal."""
        if not self.live:
            yield self
            return
        self.bars.start()
        try:
            yield self
        finally:
            with suppress(OutputLostError):  # whoever trains has been told, or has ended
                self.bars.stop()

    def __call__(self, item: Progress | Outcome) -> None:
        """Show one item."""
        if isinstance(item, Outcome):
            self._finish(item)
        else:
            self._advance(item)
        self._count()
        if self.live and time.monotonic() >= self.drawn + REDRAW_EVERY:
            self.bars.refresh()
            self.drawn = time.monotonic()

    def _finish(self, outcome: Outcome) -> None:
        self.done += 1
        if outcome.run in self.tasks:
            self.bars.remove_task(self.tasks.pop(outcome.run))
        test = self.tests.get(outcome.run)
        errors = f", test error {test:.2f} %" if test is not None and outcome.status == "complete" else ""
        message = f": {printable(outcome.message)}" if outcome.message else ""
        style = "" if outcome.status in ("complete", "stopped") else "bold red"
        text = f"[{self.done}/{self.total}] {label(outcome.run)}: {outcome.status}{errors}{message}"
        self.console.print(Text(text, style=style), soft_wrap=True)

    def _advance(self, item: Progress) -> None:
        run, now = item.run, time.monotonic()
        if item.row:
            self.rows[run] = item.row
            if not math.isnan(item.row.test_error):
                self.tests[run] = item.row.test_error
        if item.note:
            self.console.print(Text(f"{label(run)}: {printable(item.note)}"), soft_wrap=True)
        since, first = self.began.get(run, (now, item.iteration))
        if item.note or item.iteration <= first:  # it was waiting until now, or begins from a checkpoint
            since, first = self.began[run] = now, item.iteration
        done = item.iteration - first
        left = (now - since) / done * (item.end - item.iteration) if done > 0 else math.nan
        if self.live:
            if run not in self.tasks:
                self.tasks[run] = self.bars.add_task(label(run), total=item.end, state="")
            self.bars.update(self.tasks[run], completed=item.iteration, state=self._state(run, left, brief=True))
        elif item.row and (now - self.printed.get(run, -math.inf) >= LINE_EVERY or item.iteration >= item.end):
            self.printed[run] = now
            text = f"{label(run)}: {item.iteration:,}/{item.end:,} {self._state(run, left)}"
            self.console.print(Text(text), soft_wrap=True)

    def _count(self) -> None:
        """Show how far the study as a whole is; runs that stand in a queue have a bar, and no row yet."""
        begun = [task for task in self.bars.tasks if task.id != self.whole]
        parts = sum(task.percentage / 100 for task in begun)
        training = sum(run in self.rows for run in self.tasks)
        waiting = self.total - self.done - training
        self.bars.update(
            self.whole, completed=self.done + parts, state=f"{self.done} ended, {training} training, {waiting} waiting"
        )

    def _state(self, run: Run, left: float, brief: bool = False) -> str:
        row, test = self.rows.get(run), self.tests.get(run)
        digits = 1 if brief else 2
        parts = []
        if row:
            parts += [f"loss {row.train_loss:.{digits + 1}f}", f"train {row.train_error:.{digits}f} %"]
        if test is not None:
            parts.append(f"test {test:.{digits}f} %")
        if math.isfinite(left) and left > 0:
            parts.append(str(timedelta(seconds=round(left))) if brief else f"{duration(left)} left")
        return ", ".join(parts)
