"""Runs on a Ray cluster, one that exists or one that is started on this machine for them.

Each trains in a folder of its node. Its files come back after each checkpoint and at the end, so that nodes need not
share the results folder, and what a lost node leaves is what another one carries on from.
"""

from __future__ import annotations

import logging
import os
import signal
import socket
import tempfile
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import ray
from ray.exceptions import RayError

from repro.data.dataset import Dataset
from repro.errors import UserError
from repro.launch.attempt import Outcome, attempt
from repro.launch.failure import reason
from repro.launch.local import images
from repro.launch.options import Options
from repro.launch.stop import Stop, of_the_parent
from repro.records import RunFolder, replacing
from repro.records.seal import NAME as SEAL
from repro.spec import Run
from repro.train.precision import cores

#: The files of a run's folder, in the order in which they are written: rows before the checkpoint that they led to, and
#: the record last, so that a folder left half-way can be resumed.
NAMES = ("curve.csv", "health.csv", "responses.csv", "checkpoint.previous.pt", "checkpoint.pt", SEAL, "run.json")
Files = Mapping[str, bytes]


def take(folder: Path) -> Files:
    """The files of a run's folder that there are, by name."""
    return {name: (folder / name).read_bytes() for name in NAMES if (folder / name).exists()}


def put(folder: Path, files: Files) -> None:
    """Make a folder hold the files that `take` gave.

    Raises:
        OSError: a file cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for name in (name for name in NAMES if name in files):
        with replacing(folder / name) as temporary:
            temporary.write_bytes(files[name])
    for name in (name for name in NAMES if name not in files):
        (folder / name).unlink(missing_ok=True)


class Trainer:
    """Trains a run in a process of a node; one thread trains, another one answers."""

    def __init__(self, run: Run, options: Options, dataset: Dataset) -> None:
        if not options.gpus_per_run:
            os.environ["CUDA_VISIBLE_DEVICES"] = ""
        self.run, self.options, self.dataset, self.stopping = run, options, dataset, Stop()
        self.files: Files | None = None
        self.saved = 0

    def train(self, files: Files) -> tuple[Outcome, Files]:
        """Train from the files of the run's folder; gives how it ended and the files as they are then."""
        with tempfile.TemporaryDirectory(prefix="repro-") as scratch:
            folder = RunFolder(Path(scratch), self.run)
            put(folder.path, files)

            def keep_what_is_new() -> None:
                path = folder.checkpoint_path
                saved = path.stat().st_mtime_ns if path.exists() else 0
                if saved != self.saved:
                    self.saved, self.files = saved, take(folder.path)

            options = replace(self.options, results=Path(scratch))
            outcome = attempt(self.run, options, self.dataset, self.stopping, between=keep_what_is_new)
            message = outcome.message.replace(scratch, str(self.options.results))
            return replace(outcome, message=message), take(folder.path)

    def new_files(self) -> tuple[None, Files | None]:
        """No outcome, and the files as they were after the last checkpoint, where that is new."""
        files, self.files = self.files, None
        return None, files

    def stop(self) -> None:
        """Finish the iteration, write a checkpoint, end."""
        self.stopping(signal.SIGTERM)


@dataclass(eq=False)
class _Job:
    """A run's actor, whether the cluster has had room for it, and the thread here that follows it."""

    actor: Any
    begun: bool = False
    outcome: Future[Outcome] | None = None


class Cluster:
    """An actor for each run. Those that the cluster has no room for yet wait in Ray's queue."""

    every = 0.2

    def __init__(self, options: Options, dataset: Any, threads: ThreadPoolExecutor) -> None:
        self.options, self.dataset, self.threads = options, dataset, threads
        cpus = options.threads or options.default_threads
        self.hire = ray.remote(Trainer).options(
            num_cpus=cpus, num_gpus=options.gpus_per_run or 0, max_concurrency=2, max_restarts=0, max_task_retries=0
        )
        self.jobs: list[_Job] = []

    def start(self, run: Run) -> _Job:
        """Ask for an actor."""
        job = _Job(self.hire.remote(run, self.options, self.dataset))
        self.jobs.append(job)
        job.outcome = self.threads.submit(self._follow, run, job)
        return job

    def ask(self, job: _Job) -> Outcome | None:
        """How it ended."""
        return job.outcome.result() if job.outcome and job.outcome.done() else None

    def stop(self, job: _Job) -> None:
        """Have it write a checkpoint; one that has no room yet is not awaited."""
        job.actor.stop.remote() if job.begun else ray.kill(job.actor)

    def _follow(self, run: Run, job: _Job) -> Outcome:
        """Give an actor the run's files, and put them back after each checkpoint and at the end."""
        folder = RunFolder(self.options.results, run)
        try:
            with folder.claim() as ours:
                if not ours:
                    return Outcome(run, "busy")
                end = job.actor.train.remote(take(folder.path))
                outcome: Outcome | None = None
                while outcome is None:
                    ended, _ = ray.wait([end], timeout=1)
                    outcome, files = ray.get(end if ended else job.actor.new_files.remote())
                    job.begun = True
                    if files:
                        folder.check()
                        put(folder.path, files)
                return outcome
        except RayError as error:
            return Outcome(run, "lost", f"its worker was lost: {_last_line(error)}")
        except (OSError, UserError) as error:
            return Outcome(run, "failed", reason(error, folder.path))
        finally:
            ray.kill(job.actor)


@contextmanager
def launcher(options: Options, data: str) -> Iterator[Cluster]:
    """A cluster for as long as this lasts. Each run has as many CPUs of its node as it has threads, and its GPUs.

    Raises:
        UserError: no such cluster, no node with room for a run, or no room for the images.
    """
    device = options.device or ("cuda" if options.gpus_per_run else None)
    dataset = images(data, options)
    _connect(options.address)
    try:
        check_room(options.threads or options.default_threads or 1, options.gpus_per_run or 0.0)
        try:
            there = ray.put(dataset)
        except RayError as error:
            raise UserError(
                f"the Ray cluster has no room for the images of {data} ({type(error).__name__}): start it with a "
                "larger --object-store-memory"
            ) from error
        with ThreadPoolExecutor(options.jobs) as threads:
            cluster = Cluster(replace(options, device=device), there, threads)
            try:
                yield cluster
            finally:
                for job in cluster.jobs:
                    ray.kill(job.actor)
    finally:
        ray.shutdown()


def _connect(address: str | None) -> None:
    if address not in (None, "auto"):
        _check_answers(address)
    # Ray reports usage to its makers unless told not to.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    former = signal.getsignal(signal.SIGTERM)
    try:
        with of_the_parent():  # the loss of a terminal must leave Ray there to write checkpoints
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
        signal.signal(signal.SIGTERM, former)  # Ray puts its own in the place of ours


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
        raise UserError(
            f"no node of the Ray cluster has room for a run, of CPU: {cpus}, GPU: {gpus:g}: give fewer --threads or "
            "--gpus-per-run"
        )


def _last_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[-1].strip() if lines else repr(error)
