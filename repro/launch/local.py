"""Runs on this machine: one after another in this process, or several side by side in a process each."""

from __future__ import annotations

import math
import multiprocessing as mp
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from repro.data import load
from repro.data.dataset import Dataset
from repro.data.photographs.dataset import Photographs
from repro.errors import DataError, UserError
from repro.launch.attempt import Outcome, attempt
from repro.launch.failure import reason
from repro.launch.options import Options
from repro.launch.stop import Stop, of_the_parent
from repro.shell import UNGUARDED
from repro.spec import Run
from repro.train.precision import cards, check_gpu
from repro.train.ranks import Ranks

#: Imported once for all workers: torch takes seconds, and imports its compiler when it is told to be deterministic.
_PRELOADED = ["repro.launch.local", "torch._inductor.config", "repro.data.digits", "sklearn.datasets"]


def images(name: str, options: Options) -> Dataset | Photographs:
    """Load a data set.

    Raises:
        DataError: the images cannot be read.
    """
    try:
        return load(name, options.data_dir)
    except (OSError, MemoryError) as error:
        raise DataError(f"data set {name}: {reason(error, options.data_dir or Path())}") from error


class Here:
    """This very process, with the other ranks if there are several: one run at a time, ended when `start` returns."""

    every = 0.05

    def __init__(self, options: Options, stop: Stop, ranks: Ranks, between: Callable[[], None]) -> None:
        self.options, self.stopping, self.ranks, self.between = options, stop, ranks, between
        self._images: Dataset | Photographs | None = None

    def start(self, run: Run) -> Outcome:
        """Attempt a run."""
        self.ranks.broadcast(lambda: run)
        return self._attempt(run)

    def ask(self, job: Outcome) -> Outcome:
        """How it ended."""
        return job

    def stop(self, job: Outcome) -> None:
        """Nothing is left to stop."""

    def follow(self) -> None:
        """On ranks other than 0: attempt the runs that rank 0 starts, until it has no more."""
        while run := self.ranks.broadcast(lambda: None):
            self._attempt(run)

    def _attempt(self, run: Run) -> Outcome:
        if self._images is None:
            self._images = found = images(run.data, self.options)
            if self.ranks.broadcast(lambda: found.fingerprint) != found.fingerprint:
                raise DataError(f"data set {run.data}: has other images here than on rank 0: give all ranks the same")
        return attempt(run, self.options, self._images, self.stopping, self.ranks, self.between)


@dataclass(frozen=True)
class _Job:
    run: Run
    process: BaseProcess
    answer: Connection
    word: Connection
    card: int | None


class Processes:
    """A process for each run, on the CUDA device that has the fewest."""

    every = 0.1

    def __init__(self, options: Options, cards: list[int]) -> None:
        self.options, self.cards = options, cards
        self.jobs: list[_Job] = []
        # A child of a process that has used no threads and no device starts at once, and shares what that has imported.
        self.context: Any = mp.get_context("forkserver" if sys.platform == "linux" else "spawn")
        if sys.platform == "linux":
            self.context.set_forkserver_preload(_PRELOADED)

    def start(self, run: Run) -> _Job:
        """Start a process."""
        at_work = [job.card for job in self.jobs]
        card = min(self.cards, key=at_work.count, default=None)
        ours, theirs = self.context.Pipe(duplex=False)
        heard, word = self.context.Pipe(duplex=False)
        # Daemons may have no processes of their own.
        daemon = not self.options.workers
        process = self.context.Process(target=_work, args=(theirs, heard, run, self.options, card), daemon=daemon)
        if sys.platform != "win32":
            resource_tracker.ensure_running()  # which lets signals through again
        with of_the_parent():
            process.start()
        theirs.close()
        heard.close()
        self.jobs.append(_Job(run, process, ours, word, card))
        return self.jobs[-1]

    def ask(self, job: _Job) -> Outcome | None:
        """Its answer, if it has one or is gone."""
        if not job.answer.poll():
            return None
        try:
            answer: Outcome | UserError | None = job.answer.recv()
        except (EOFError, OSError):
            answer = None
        job.process.join()
        self.jobs.remove(job)
        if isinstance(answer, UserError):
            raise answer
        return answer or self._gone(job)

    def _gone(self, job: _Job) -> Outcome:
        code = job.process.exitcode or 0
        if code == UNGUARDED:
            raise UserError(
                "a script that trains runs side by side is imported by each of its workers: put what starts them "
                "below if __name__ == '__main__':, or give --jobs 1"
            )
        killed = code == -getattr(signal, "SIGKILL", math.inf)  # which Windows lacks
        why = ", as the system does where memory runs out" if killed else ""
        how = f"signal {-code}" if code < 0 else f"status {code}"
        return Outcome(job.run, "lost", f"its process ended with {how}{why}")

    def stop(self, job: _Job) -> None:
        """Send word: a signal would end it at once on Windows."""
        with suppress(OSError):  # it may be gone
            job.word.send("stop")


@contextmanager
def launcher(options: Options, data: str) -> Iterator[Processes]:
    """Processes on this machine, of which none is left behind."""
    processes = Processes(options, cards() if options.device in (None, "cuda") else [])
    try:
        yield processes
    finally:
        for job in processes.jobs:
            processes.stop(job)
        for job in processes.jobs:
            job.process.join()


def _work(answer: Connection, word: Connection, run: Run, options: Options, card: int | None) -> None:
    stop = Stop()
    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # on Windows Ctrl-C reaches this process too

    def listen() -> None:
        wait([word])  # for a word, or for its other end to be gone with the parent
        stop(signal.SIGTERM)

    threading.Thread(target=listen, daemon=True).start()
    try:
        if card is not None:
            check_gpu(card)
        outcome: Outcome | UserError = attempt(run, options, images(run.data, options), stop)
    except UserError as error:
        outcome = error
    with suppress(OSError):  # the parent may be gone
        answer.send(outcome)
