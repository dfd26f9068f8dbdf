"""Runs on a Ray cluster, one that exists or one that is started on this machine for them."""

from __future__ import annotations

import logging
import os
import signal
import socket
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import ray
from ray.exceptions import ActorUnavailableError, RayError

from repro.data import load
from repro.errors import UserError
from repro.launch.execute import HANGUP, Options, Outcome, Progress, Stop
from repro.launch.failure import reason
from repro.launch.local import ASK_AGAIN, Tell, longest_first, waiting
from repro.launch.transfer import put, take
from repro.launch.worker import Hello, Item, Worker
from repro.records import RunFolder
from repro.spec import Run
from repro.train.precision import cores

#: How often a run, or the start of workers, is tried again without any progress in between.
RETRIES = 3


def run_all(
    plan: Sequence[Run],
    options: Options,
    data: tuple[str, Path],
    jobs: int,
    tell: Tell,
    stop: Stop,
    *,
    address: str | None = None,
    gpus: float = 0.0,
) -> list[Outcome]:
    """Carry out a plan on a Ray cluster, as `repro.launch.local.run_all` does here.

    Each run has as many CPUs of its node as it has threads, and its GPUs. Where a node shares the results folder,
    runs train in it; from any other node their files come back after each checkpoint and at the end.

    Args:
        plan, options, data, tell, stop: as there. The images are read here and go to the nodes through Ray.
        jobs: how many runs side by side at most; the cluster may have room for fewer.
        address: of the cluster, or None to start one on this machine.
        gpus: of each run.

    Raises:
        DataError: the images cannot be read.
        UserError: no such cluster, no node with room for a run, or none that can start a worker.
    """
    options = replace(options, results=options.results.resolve())
    if gpus and not options.device:
        options = replace(options, device="cuda")
    options.results.mkdir(parents=True, exist_ok=True)
    dataset = load(*data)
    with _connected(address):
        cpus = options.threads or options.default_threads or 1
        check_room(cpus, gpus)
        # A worker that is lost is replaced here, where the run it had is known.
        hire = ray.remote(Worker).options(num_cpus=cpus, num_gpus=gpus, max_restarts=0, max_task_retries=0)
        images = ray.put(dataset)
        return _Crew(plan, options, jobs, tell, stop, lambda: hire.remote(options, images, gpus)).work()


@contextmanager
def _connected(address: str | None) -> Iterator[None]:
    if address not in (None, "auto"):
        _check_answers(address)
    # Ray reports usage to its makers unless told not to.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    former = {number: signal.getsignal(number) for number in (signal.SIGTERM, HANGUP) if number}
    try:
        if HANGUP:
            # The loss of a terminal reaches all that is started here: it must leave Ray there to write checkpoints.
            signal.signal(HANGUP, signal.SIG_IGN)
        ray.init(
            address=address or "local",
            num_cpus=None if address else cores(),
            include_dashboard=None if address else False,
            logging_level=logging.ERROR,
            log_to_driver=False,
        )
    except (ConnectionError, RuntimeError, ValueError) as error:
        where = f"the Ray cluster at {address}" if address else "a Ray cluster on this machine"
        # Where no token was given to a cluster that wants one, only the cause says so.
        raise UserError(f"cannot use {where}: {_last_line(error.__cause__ or error)}") from error
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)  # of SIGTERM, Ray puts its own in the place of ours
    try:
        yield
    finally:
        ray.shutdown()


def _check_answers(address: str) -> None:
    """Refuse an address where nothing listens: Ray itself would try it for minutes."""
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host, int(port)), timeout=10).close()
    except (OSError, ValueError) as error:
        raise UserError(f"no Ray cluster answers at {address}, give HOST:PORT of its head: {error}") from error


def check_room(cpus: int, gpus: float) -> None:
    """Refuse a run for which no node is large enough: it would wait for ever."""
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    if not any(node.get("CPU", 0) >= cpus and node.get("GPU", 0) >= gpus for node in nodes):
        most = max((node.get("CPU", 0), node.get("GPU", 0)) for node in nodes)
        raise UserError(
            f"no node of the Ray cluster has room for a run, of CPU: {cpus}, GPU: {gpus:g}; the largest has "
            f"CPU: {most[0]:g}, GPU: {most[1]:g}: give fewer --threads or --gpus-per-run"
        )


@dataclass(eq=False)
class _Hand:
    """A worker as it is known here: being started, idle, or at work on a run."""

    actor: Any
    #: The answer that is awaited from it.
    answer: Any
    host: str | None = None
    shared: bool = False
    run: Run | None = None
    #: How much of its news has been taken in.
    known: int = 0
    told_to_stop: bool = False
    #: Why the last files of its run could not be written here.
    problem: str = ""
    #: Of a run that trains apart: where its results belong, and what holds that against other processes.
    folder: RunFolder | None = None
    claim: ExitStack = field(default_factory=ExitStack)


class _Crew:
    """Workers that each train one run at a time, and the queue they are fed from.

    There are as many as there are runs left, up to `jobs`; those the cluster has no room for yet are waiting in Ray's
    own queue, so that nodes that join are put to use. One that is lost is replaced, and its run tried again from its
    last checkpoint.
    """

    def __init__(
        self,
        plan: Sequence[Run],
        options: Options,
        jobs: int,
        tell: Tell,
        stop: Stop,
        hire: Callable[[], Any],
    ) -> None:
        self.queue = deque(longest_first(plan))
        self.later: deque[tuple[float, Run]] = deque()
        self.options, self.jobs, self.tell, self.stop, self.hire = options, jobs, tell, stop, hire
        self.hands: list[_Hand] = []
        self.stillborn = 0
        self.told_busy: set[Run] = set()
        self.began_at: dict[Run, int] = {}
        self.losses: dict[Run, tuple[int, int]] = {}
        self.outcomes: list[Outcome] = []

    def work(self) -> list[Outcome]:
        """Until every run has its outcome, or a signal came and all runs under way have ended."""
        try:
            self.feed()
            while self.hands:
                awaited = {hand.answer: hand for hand in self.hands}
                for answer in ray.wait(list(awaited), num_returns=len(awaited), timeout=0.2)[0]:
                    self.listen(awaited[answer])
                self.feed()
        finally:
            for hand in self.hands:
                hand.claim.close()
        return self.outcomes

    def listen(self, hand: _Hand) -> None:
        try:
            answer = ray.get(hand.answer)
        except ActorUnavailableError:
            time.sleep(0.2)  # out of reach for now; Ray decides whether it is lost
        except RayError as error:
            self.bury(hand, error)
            return
        else:
            if isinstance(answer, Hello):
                self.welcome(hand, answer)
            else:
                hand.known += len(answer)
                for item in answer:
                    self.take_in(hand, item)
        hand.answer = hand.actor.ask.remote(hand.known) if hand.host else hand.actor.hello.remote()

    def welcome(self, hand: _Hand, hello: Hello) -> None:
        hand.host, self.stillborn = hello.host, 0
        if hello.token is None:
            return
        token = self.options.results / hello.token
        hand.shared = token.exists()
        if hand.shared:
            token.unlink()
        else:
            hand.actor.forget.remote(hello.token)

    def take_in(self, hand: _Hand, item: Item) -> None:
        assert hand.run
        if isinstance(item, Progress):
            self.began_at[item.run] = item.began_at
            self.tell(item)
        elif isinstance(item, Outcome):
            hand.run = None
            hand.claim.close()
            if item.status == "busy":
                self.postpone(item.run)
            else:
                self.finish(Outcome(item.run, "failed", hand.problem) if hand.problem else item)
        else:
            assert hand.folder
            try:
                hand.folder.check()
                put(hand.folder, item)
                hand.problem = ""
            except (OSError, UserError) as error:
                hand.problem = str(error) if isinstance(error, UserError) else reason(error, hand.folder.path)

    def feed(self) -> None:
        """Give the idle something to do; hire and dismiss so that there is a worker per run that is left."""
        while self.later and self.later[0][0] <= time.monotonic():
            self.queue.append(self.later.popleft()[1])
        if self.stop.signal:
            self.queue.clear()
            self.later.clear()
        for hand in self.hands:
            if hand.run and self.stop.signal and not hand.told_to_stop:
                hand.told_to_stop = True
                hand.actor.stop.remote()
            elif hand.host and not hand.run and self.queue:
                self.give(hand, self.queue.popleft())
        at_work = sum(hand.run is not None for hand in self.hands)
        wanted = min(self.jobs, at_work + len(self.queue) + len(self.later))
        # Those that are still being started go first.
        spare = sorted((hand for hand in self.hands if not hand.run), key=lambda hand: hand.host is not None)
        for hand in spare[: max(0, len(self.hands) - wanted)]:
            self.dismiss(hand)
        while len(self.hands) < wanted:
            actor = self.hire()
            self.hands.append(_Hand(actor, actor.hello.remote()))

    def give(self, hand: _Hand, run: Run) -> None:
        files = None
        if not hand.shared:
            hand.folder = RunFolder(self.options.results, run)
            try:
                if not hand.claim.enter_context(hand.folder.claim()):
                    hand.claim.close()
                    self.postpone(run)
                    return
                files = take(hand.folder, previous=True)
            except OSError as error:
                hand.claim.close()
                self.finish(Outcome(run, "failed", reason(error, hand.folder.path)))
                return
        hand.run, hand.problem = run, ""
        hand.actor.begin.remote(run, files)

    def bury(self, hand: _Hand, error: RayError) -> None:
        run = hand.run
        self.dismiss(hand)
        if hand.host is None:
            self.stillborn += 1
            if self.stillborn > RETRIES and not any(other.host for other in self.hands):
                raise UserError(f"no node of the Ray cluster can start a worker: {_last_line(error)}")
        if run is None or self.stop.signal:
            return
        began_at = self.began_at.get(run, 0)
        before, times = self.losses.get(run, (began_at, 0))
        times = times + 1 if began_at <= before else 1
        self.losses[run] = began_at, times
        if times > RETRIES:
            reason = f"its worker was lost {times} times at the same checkpoint: {_last_line(error)}"
            self.finish(Outcome(run, "failed", reason))
            return
        note = f"its worker on {hand.host} was lost: tried again from its last checkpoint"
        self.tell(Progress(run, began_at, began_at, self.options.last(run), None, note))
        self.queue.appendleft(run)

    def dismiss(self, hand: _Hand) -> None:
        self.hands.remove(hand)
        hand.claim.close()
        ray.kill(hand.actor)

    def postpone(self, run: Run) -> None:
        if run not in self.told_busy:
            self.told_busy.add(run)
            self.tell(waiting(run, self.options))
        self.later.append((time.monotonic() + ASK_AGAIN, run))

    def finish(self, outcome: Outcome) -> None:
        self.outcomes.append(outcome)
        self.tell(outcome)


def _last_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[-1].strip() if lines else repr(error)
