"""Runs on this machine: one after another in this process, or several side by side in processes of their own."""

from __future__ import annotations

import multiprocessing as mp
import signal
import time
from collections import deque
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path

from repro import names
from repro.data import load
from repro.data.dataset import Dataset
from repro.errors import DataError, UserError
from repro.launch.execute import HANGUP, Options, Outcome, Progress, Stop, attempt
from repro.launch.failure import reason
from repro.launch.follow import follow
from repro.spec import Run
from repro.train.ranks import ALONE, Ranks

#: Seconds before asking again for a run that another process trains.
ASK_AGAIN = 2.0

Tell = Callable[[Progress | Outcome], None]


def run_all(
    plan: Sequence[Run],
    options: Options,
    data: tuple[str, Path],
    jobs: int,
    tell: Tell,
    stop: Stop,
    ranks: Ranks = ALONE,
) -> list[Outcome]:
    """Carry out a plan.

    Args:
        plan: the runs, in the order in which they are to be begun.
        options: how.
        data: name and folder of the data set.
        jobs: how many runs side by side. With more than one the longest are begun first.
        tell: is called with each Progress and each final Outcome.
        stop: set by a signal; runs under way then write a checkpoint and end.
        ranks: the processes that train each run together, all of which call this, with one job.

    Returns:
        The outcome of each run that was begun, or found to be complete.

    Raises:
        DataError: the images cannot be read.
        RankError: likewise on another rank, or that rank is gone.
    """
    if jobs <= 1:
        with ranks.agreeing():
            dataset = _load(data)
        with ranks.agreeing():
            _compare(dataset, ranks)
        return _one_by_one(plan, options, dataset, tell, stop, ranks)
    return _Workers(longest_first(plan), options, data, jobs, tell, stop).work()


def longest_first(plan: Sequence[Run]) -> list[Run]:
    """The order in which runs side by side end soonest: by cost, falling."""
    return sorted(plan, key=lambda run: -names.parse(run.network).depth * run.schedule.iterations)


def _load(data: tuple[str, Path]) -> Dataset:
    try:
        return load(*data)
    except (OSError, MemoryError) as error:
        raise DataError(f"data set {data[0]}: {reason(error, data[1])}") from error


def _compare(dataset: Dataset, ranks: Ranks) -> None:
    if ranks.lead(lambda: dataset.fingerprint) != dataset.fingerprint:
        raise DataError(f"data set {dataset.name}: has other images here than on rank 0: give all ranks the same")


def _one_by_one(
    plan: Sequence[Run], options: Options, data: Dataset, tell: Tell, stop: Stop, ranks: Ranks
) -> list[Outcome]:
    outcomes: list[Outcome] = []
    pending = deque(plan)
    busy: set[Run] = set()
    attend = attempt if ranks.leads else follow
    while pending and ranks.whole and not stop.heeded():
        run = pending.popleft()
        outcome = attend(run, options, data, tell, stop, ranks)
        if outcome.status == "busy":
            if run not in busy:
                tell(waiting(run, options))
            busy.add(run)
            pending.append(run)
            if busy.issuperset(pending):
                time.sleep(ASK_AGAIN)
            continue
        tell(outcome)
        outcomes.append(outcome)
    return outcomes


def waiting(run: Run, options: Options) -> Progress:
    """What is told of a run that another process has claimed."""
    return Progress(run, 0, 0, options.last(run), None, "another process is training it: waiting for it")


class _Workers:
    """Processes that each train one run at a time, and the queue they are fed from.

    A worker that dies takes only its run with it: that run is reported as failed, and another worker takes its place.
    """

    def __init__(
        self, plan: Sequence[Run], options: Options, data: tuple[str, Path], jobs: int, tell: Tell, stop: Stop
    ) -> None:
        self.queue = deque(plan)
        self.later: deque[tuple[float, Run]] = deque()
        self.options, self.data, self.tell, self.stop = options, data, tell, stop
        self.jobs = min(jobs, len(plan))
        self.workers: dict[Connection, BaseProcess] = {}
        self.at_work: dict[Connection, Run] = {}
        self.told_busy: set[Run] = set()
        self.outcomes: list[Outcome] = []

    def work(self) -> list[Outcome]:
        """Until every run has its outcome, or a signal came and all workers have ended."""
        try:
            for _ in range(self.jobs):
                self.hire()
            while self.workers:
                for connection in wait(list(self.workers), timeout=0.2):
                    assert isinstance(connection, Connection)
                    self.listen(connection)
                self.feed()
        finally:
            for process in self.workers.values():
                process.terminate()
            for process in self.workers.values():
                process.join()
        return self.outcomes

    def hire(self) -> None:
        context = mp.get_context("spawn")
        ours, theirs = context.Pipe()
        process = context.Process(target=_worker, args=(theirs, self.options, self.data), daemon=True)
        process.start()
        theirs.close()
        self.workers[ours] = process

    def listen(self, connection: Connection) -> None:
        try:
            message = connection.recv()
        except (EOFError, ConnectionError):
            self.bury(connection)
            return
        if isinstance(message, UserError):
            raise message
        if isinstance(message, Progress):
            self.tell(message)
            return
        del self.at_work[connection]
        if message.status != "busy":
            self.finish(message)
            return
        if message.run not in self.told_busy:
            self.told_busy.add(message.run)
            self.tell(waiting(message.run, self.options))
        self.later.append((time.monotonic() + ASK_AGAIN, message.run))

    def feed(self) -> None:
        """Give the idle something to do, or send them home where nothing is left or a signal came."""
        while self.later and self.later[0][0] <= time.monotonic():
            self.queue.append(self.later.popleft()[1])
        for connection in list(self.workers):
            if connection in self.at_work:
                if self.stop.signal and self.workers[connection].is_alive():
                    self.workers[connection].terminate()  # it writes a checkpoint and ends
                continue
            try:
                if self.queue and not self.stop.signal:
                    self.at_work[connection] = self.queue.popleft()
                    connection.send(self.at_work[connection])
                elif self.stop.signal or not (self.later or self.at_work):
                    connection.send(None)
                    self.workers.pop(connection).join()
            except ConnectionError:
                self.bury(connection)

    def bury(self, connection: Connection) -> None:
        process = self.workers.pop(connection)
        process.join()
        run = self.at_work.pop(connection, None)
        if run and not self.stop.signal:
            code = process.exitcode or 0
            how = f"signal {-code}" if code < 0 else f"status {code}"
            why = ", as the system does where memory runs out" if code == -signal.SIGKILL else ""
            self.finish(Outcome(run, "failed", f"its process ended with {how}{why}; start again to carry on"))
        if self.queue and not self.stop.signal:
            self.hire()

    def finish(self, outcome: Outcome) -> None:
        self.outcomes.append(outcome)
        self.tell(outcome)


def _worker(connection: Connection, options: Options, data: tuple[str, Path]) -> None:
    """Train the runs that come down the pipe, until None comes or the other end is gone."""
    # Ctrl-C and the loss of a terminal reach every process of it: the one who gave the work decides, and sends SIGTERM.
    for number in filter(None, (signal.SIGINT, HANGUP)):
        signal.signal(number, signal.SIG_IGN)
    stop = Stop()
    signal.signal(signal.SIGTERM, stop)

    def tell(item: Progress | Outcome | UserError) -> None:
        try:
            connection.send(item)
        except ConnectionError:
            stop(signal.SIGTERM)

    try:
        dataset = _load(data)
    except UserError as error:
        tell(error)
        return
    while not stop.signal:
        if not connection.poll(0.5):
            continue
        try:
            run = connection.recv()
        except (EOFError, ConnectionError):
            return
        if run is None:
            return
        tell(attempt(run, options, dataset, tell, stop))
