"""Which run trains when: the queue, runs that another process trains, lost runs, and stopping."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any, Protocol

from repro.launch.attempt import Outcome
from repro.launch.display import Display, progress
from repro.launch.options import Options
from repro.launch.stop import Stop
from repro.lock import is_held
from repro.records import RunFolder
from repro.spec import Run

#: Seconds before asking again for a run that another process trains.
ASK_AGAIN = 2.0
#: How often a lost run is tried again from the same checkpoint.
RETRIES = 3


class Launcher(Protocol):
    """Where runs train."""

    #: Seconds between two questions to it.
    every: float

    def start(self, run: Run) -> Any:
        """Start a run; gives what the other two verbs need to know of it."""

    def ask(self, job: Any) -> Outcome | None:
        """How a run ended, or None while it trains; raises UserError where no run can train here."""

    def stop(self, job: Any) -> None:
        """Have a run write a checkpoint and end, or not begin; `ask` tells when that is done."""


def longest_first(plan: Sequence[Run]) -> list[Run]:
    """The order in which runs side by side end soonest: by cost, falling."""
    return sorted(plan, key=lambda run: -run.parsed.depth * run.schedule.iterations)


class Scheduler:
    """Carries out a plan in one place, and shows what the records on disk say of it."""

    def __init__(self, launcher: Launcher, options: Options, display: Display, stop: Stop) -> None:
        self.launcher, self.options, self.display, self.stop = launcher, options, display, stop
        self.queue: list[Run] = []
        self.at_work: dict[Run, Any] = {}
        self.stopped = False
        #: When to ask again for runs that another process trains.
        self.busy_until: dict[Run, float] = {}
        #: Where the last lost attempt at a run began, and how many in a row began there.
        self.losses: dict[Run, tuple[int, int]] = {}
        self.outcomes: list[Outcome] = []

    def carry_out(self, plan: Sequence[Run], jobs: int) -> list[Outcome]:
        """Carry out a plan in its order, so many runs at a time.

        Returns:
            The outcome of each run that was begun, or found to be complete.

        Raises:
            UserError: as `Launcher.ask`.
        """
        self.queue = list(plan)
        while True:
            if self.stop.signal:
                self.queue.clear()
                for job in () if self.stopped else self.at_work.values():
                    self.launcher.stop(job)
                self.stopped = True
            self._begin(jobs)
            for run, job in list(self.at_work.items()):
                if outcome := self.launcher.ask(job):
                    del self.at_work[run]
                    self._end(outcome)
            self.display.look()
            if not self.queue and not self.at_work:
                return self.outcomes
            time.sleep(self.launcher.every)

    def _begin(self, jobs: int) -> None:
        for run in list(self.queue):
            if len(self.at_work) >= jobs:
                return
            if time.monotonic() < self.busy_until.get(run, 0.0):
                continue
            if is_held(self.options.results / run.path):
                self._wait_for(run)
                continue
            self.busy_until.pop(run, None)
            self.queue.remove(run)
            self.display.begin(run)
            self.at_work[run] = self.launcher.start(run)

    def _end(self, outcome: Outcome) -> None:
        run = outcome.run
        if outcome.status == "busy":
            self.queue.append(run)
            self._wait_for(run)
        elif outcome.status != "lost":
            self.outcomes.append(outcome)
            self.display.finish(outcome)
        elif not self.stop.signal:
            self._retry(run, outcome.message)

    def _wait_for(self, run: Run) -> None:
        if run not in self.busy_until:
            self.display.note(run, "another process is training it: waiting for it")
        self.busy_until[run] = time.monotonic() + ASK_AGAIN

    def _retry(self, run: Run, how: str) -> None:
        sessions, _ = progress(RunFolder(self.options.results, run))
        at = sessions[-1].start if sessions else 0
        before, times = self.losses.get(run, (-1, 0))
        self.losses[run] = at, times = at, times + 1 if at <= before else 1
        if times > RETRIES:
            self._end(Outcome(run, "failed", f"lost {times} times at the same checkpoint: {how}"))
        else:
            self.display.note(run, f"{how}; tried again from its last checkpoint")
            self.queue.insert(0, run)
