"""Runs on a Ray cluster, one that exists or one that is started on this machine for them."""

from __future__ import annotations

import logging
import os
import signal
import socket
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import ray
from ray.exceptions import RayError

from repro.data.dataset import Dataset
from repro.errors import UserError
from repro.launch.attempt import Outcome, attempt
from repro.launch.failure import reason
from repro.launch.options import Options
from repro.launch.stop import HANGUP, Stop
from repro.launch.transfer import Files, put, take
from repro.records import RunFolder
from repro.spec import Run
from repro.train.precision import cores


class Trainer:
    """Trains a run in a process of a node; one thread trains, another one answers."""

    def __init__(self, run: Run, options: Options, images: Dataset) -> None:
        if not options.gpus_per_run:
            os.environ["CUDA_VISIBLE_DEVICES"] = ""
        self.run, self.options, self.images, self.stopping = run, options, images, Stop()
        self.files: Files | None = None
        self.saved = 0

    def has(self, token: str) -> bool:
        """Whether a file that the driver wrote into the results folder is in this node's."""
        return (self.options.results / token).exists()

    def train(self, files: Files | None) -> tuple[Outcome, Files | None]:
        """Train in the results folder, or, given the files of the run, in a folder of this node."""
        if files is None:
            return attempt(self.run, self.options, self.images, self.stopping), None
        with tempfile.TemporaryDirectory(prefix="repro-") as scratch:
            folder = RunFolder(Path(scratch), self.run)
            put(folder, files)

            def keep_what_is_new() -> None:
                path = folder.checkpoint_path
                saved = path.stat().st_mtime_ns if path.exists() else 0
                if saved != self.saved:
                    self.saved, self.files = saved, take(folder, previous=False)

            options = replace(self.options, results=Path(scratch))
            outcome = attempt(self.run, options, self.images, self.stopping, between=keep_what_is_new)
            message = outcome.message.replace(scratch, str(self.options.results))
            return replace(outcome, message=message), take(folder, previous=False)

    def new_files(self) -> Files | None:
        """The run's files as they were after the last checkpoint; None where there is no new one."""
        files, self.files = self.files, None
        return files

    def stop(self) -> None:
        """Finish the iteration, write a checkpoint, end."""
        self.stopping(signal.SIGTERM)


@dataclass(eq=False)
class _Job:
    run: Run
    folder: RunFolder
    actor: Any
    #: What is awaited of it: first whether it shares the results folder, then the outcome.
    answer: Any
    begun: bool = False
    apart: bool = False
    #: Of a run whose files come back here: those that are awaited, why the last could not be written, and the claim.
    files: Any = None
    problem: str = ""
    claim: ExitStack = field(default_factory=ExitStack)


class Cluster:
    """An actor for each run. Those that the cluster has no room for yet wait in Ray's queue."""

    every = 0.2

    def __init__(self, options: Options, images: Any, token: str) -> None:
        self.options, self.images, self.token = options, images, token
        cpus = options.threads or options.default_threads
        self.hire = ray.remote(Trainer).options(
            num_cpus=cpus, num_gpus=options.gpus_per_run or 0, max_concurrency=2, max_restarts=0, max_task_retries=0
        )

    def start(self, run: Run) -> _Job:
        """Ask for an actor."""
        actor = self.hire.remote(run, self.options, self.images)
        return _Job(run, RunFolder(self.options.results, run), actor, actor.has.remote(self.token))

    def ask(self, job: _Job) -> Outcome | None:
        """Take in files that have come, and the outcome if it has."""
        try:
            if job.files and _is_ready(job.files):
                self._put(job, ray.get(job.files))
                job.files = None
            if not _is_ready(job.answer):
                if job.apart and not job.files:
                    job.files = job.actor.new_files.remote()
                return None
            answer = ray.get(job.answer)
        except RayError as error:
            return self._end(job, Outcome(job.run, "lost", f"its worker was lost: {_last_line(error)}"))
        if not job.begun:
            return self._begin(job, shared=answer)
        outcome, files = answer
        self._put(job, files)
        return self._end(job, Outcome(job.run, "failed", job.problem) if job.problem else outcome)

    def stop(self, job: _Job) -> None:
        """Have it write a checkpoint; one that has not begun is not awaited."""
        job.actor.stop.remote() if job.begun else ray.kill(job.actor)

    def _begin(self, job: _Job, shared: bool) -> Outcome | None:
        files = None
        if not shared:
            try:
                if not job.claim.enter_context(job.folder.claim()):
                    return self._end(job, Outcome(job.run, "busy"))
                files = take(job.folder, previous=True)
            except OSError as error:
                return self._end(job, Outcome(job.run, "failed", reason(error, job.folder.path)))
        job.begun, job.apart, job.answer = True, not shared, job.actor.train.remote(files)
        return None

    def _put(self, job: _Job, files: Files | None) -> None:
        try:
            if files is not None:
                job.folder.check()
                put(job.folder, files)
                job.problem = ""
        except (OSError, UserError) as error:
            job.problem = reason(error, job.folder.path)

    def _end(self, job: _Job, outcome: Outcome) -> Outcome:
        job.claim.close()
        ray.kill(job.actor)
        return outcome


@contextmanager
def connected(options: Options, images: Dataset) -> Iterator[Cluster]:
    """A cluster for as long as this lasts.

    Each run has as many CPUs of its node as it has threads, and its GPUs. Where a node shares the results folder,
    runs train in it; from any other node their files come back after each checkpoint and at the end.

    Raises:
        UserError: no such cluster, or no node with room for a run.
    """
    device = options.device or ("cuda" if options.gpus_per_run else None)
    options = replace(options, results=options.results.resolve(), device=device)
    token = options.results / f".shared.{uuid.uuid4().hex}"
    _connect(options.address)
    try:
        check_room(options.threads or options.default_threads or 1, options.gpus_per_run or 0.0)
        token.parent.mkdir(parents=True, exist_ok=True)
        token.touch()
        yield Cluster(options, ray.put(images), token.name)
    finally:
        token.unlink(missing_ok=True)
        ray.shutdown()


def _connect(address: str | None) -> None:
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


def _is_ready(answer: Any) -> bool:
    return bool(ray.wait([answer], timeout=0)[0])


def _last_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[-1].strip() if lines else repr(error)
