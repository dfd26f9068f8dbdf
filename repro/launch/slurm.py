"""Runs as the tasks of a Slurm array job, submitted by submitit."""

from __future__ import annotations

import contextlib
import io
import math
import re
import shutil
import signal
import subprocess
import threading
import time
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import FrameType
from typing import Any

from submitit.core.job_environment import JobEnvironment
from submitit.core.utils import DelayedSubmission, UncompletedJobError
from submitit.slurm.slurm import SlurmExecutor, SlurmJob

from repro.errors import RecordError, UserError, unknown
from repro.launch import local
from repro.launch.execute import Options, Outcome, Progress, Stop
from repro.launch.failure import reason
from repro.records import RunFolder, read_curve
from repro.spec import Run

#: Seconds between looks at the files of runs, and between questions to Slurm, whose controller serves many.
LOOK, ASK = 1.0, 15.0
#: Seconds between looks of a job at what was signalled to it.
POLL = 0.1
#: Minutes of a job, unless asked for otherwise. One that runs out of time is queued again and carries on.
TIME = 60
#: Seconds for Slurm to end a job after saying so.
GRACE = 900.0
#: How often a run whose job is lost is submitted again without any progress in between.
RETRIES = 3
#: States of a job that will do nothing more.
ENDED = {
    *("BOOT_FAIL", "CANCELLED", "COMPLETED", "DEADLINE", "FAILED"),
    *("NODE_FAIL", "OUT_OF_MEMORY", "PREEMPTED", "REVOKED", "TIMEOUT"),
}
#: In the place of a state, where Slurm has forgotten a job.
FORGOTTEN = "gone"
#: How often a job may run out of time. Each time it has come further, so this only has to be many.
MOST_TIMEOUTS = 10_000


def check(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings of jobs that submitit knows.

    Raises:
        UserError: any other, of which the nearest name is given; or a time that is no number of minutes.
    """
    known = SlurmExecutor._valid_parameters()
    for name in settings:
        if name not in known:
            raise unknown("setting of --slurm", name, sorted(known))
    if "time" in settings and not isinstance(settings["time"], int):
        raise UserError(f"--slurm time={settings['time']}: a whole number of minutes is needed")
    return dict(settings)


def submit_all(
    plan: Sequence[Run],
    options: Options,
    data: tuple[str, Path],
    jobs: int,
    tell: local.Tell,
    stop: Stop,
    *,
    settings: Mapping[str, Any],
    gpus: int = 0,
) -> list[Outcome]:
    """Carry out a plan as an array job, as `repro.launch.local.run_all` does here, and wait for its end.

    The results folder and the images must be on a file system that the nodes share. A job that is preempted or runs
    out of time writes a checkpoint, is queued again and carries on. So do jobs whose submitter has gone. A run whose
    job is lost otherwise is submitted again.

    Args:
        plan, options, data, tell, stop: as there. Once stopped, waiting jobs are cancelled and others write a
            checkpoint and end.
        jobs: how many runs side by side at most.
        settings: of each job, by submitit's names for sbatch's options.
        gpus: of each run.

    Raises:
        UserError: no Slurm here, or one that refuses the job.
    """
    if not shutil.which("sbatch"):
        raise UserError("Slurm's commands are not on this machine: start this where sbatch is")
    options = replace(options, results=options.results.resolve(), device=options.device or ("cuda" if gpus else None))
    options.results.mkdir(parents=True, exist_ok=True)
    threads = options.threads or options.default_threads or 1
    executor = SlurmExecutor(options.results / ".slurm", max_num_timeout=MOST_TIMEOUTS)
    executor.update_parameters(
        **{
            "job_name": "repro",
            "time": TIME,
            "cpus_per_task": threads,
            # Since Slurm 22.05 steps do not take over what sbatch was given.
            "srun_args": [f"--cpus-per-task={threads}"],
            "array_parallelism": jobs,
            # Some clusters queue no job again that does not say that it may be.
            "additional_parameters": {"requeue": True},
            **({"gpus_per_node": gpus} if gpus else {}),
            **settings,
        }
    )
    job = Job(options, (data[0], data[1].resolve()))
    return _Watch(executor, job, local.longest_first(plan), tell, stop).until_the_end()


@dataclass
class Job:
    """What a task of the array does: it trains a run, and takes what Slurm signals in the meantime.

    The main thread never waits for a lock. Python's handlers run in it alone, but the system may hand a signal to any
    thread, and one that another thread took would not be heard before that lock is free. And handlers only note what
    came: one that joined the training thread could interrupt a join of that thread, and wait for ever.
    """

    options: Options
    data: tuple[str, Path]
    stop: Stop = field(default_factory=Stop)
    #: Whether Slurm has sent the signal at which submitit has a job queued again.
    ending: bool = False
    #: Whether a run is under way here.
    training: bool = False

    def __call__(self, run: Run) -> Outcome:
        """Train a run to its end, or until stopped by SIGINT, which the submitter sends.

        Raises:
            SystemExit: the job is queued again.
            TimeoutError: Slurm said that it would end this job, and did not.
        """
        number = JobEnvironment._usr_sig()
        queue_again = signal.getsignal(number)  # submitit's handler, called below and not whenever the signal comes
        signal.signal(signal.SIGINT, self.stop)
        signal.signal(signal.SIGTERM, self.stop)
        signal.signal(number, self.note)
        outcomes: list[Outcome] = []
        self.training = True
        # In a thread of its own, so that a signal does not interrupt it in the midst of an iteration.
        threading.Thread(target=self._train, args=(run, outcomes)).start()
        deadline = math.inf
        while not outcomes or self._awaits_its_end(outcomes[0]):
            if outcomes:
                deadline = min(deadline, time.monotonic() + GRACE)
            if self.ending and callable(queue_again) and _done(queue_again, number):
                queue_again = None  # of a job with several tasks that is for the first one
            if time.monotonic() > deadline:
                raise TimeoutError(f"not ended {GRACE:g} seconds after Slurm said that it would be")
            time.sleep(POLL)
        return outcomes[0]

    def note(self, number: int, frame: FrameType | None = None) -> None:
        """Take the signal at which submitit has a job queued again."""
        self.ending = True
        self.stop(number)

    def checkpoint(self, run: Run) -> DelayedSubmission:
        """Called by submitit where the job will be ended soon and then be queued again."""
        self.stop(signal.SIGUSR2)
        while self.training:
            time.sleep(POLL)
        return DelayedSubmission(Job(self.options, self.data), run)

    def _awaits_its_end(self, outcome: Outcome) -> bool:
        # SIGTERM precedes the end of a job that Slurm may queue again; one that ends by itself would not be.
        return outcome.status == "stopped" and (self.ending or self.stop.signal == signal.SIGTERM)

    def _train(self, run: Run, outcomes: list[Outcome]) -> None:
        found = [Outcome(run, "stopped")]
        try:
            found = local.run_all([run], self.options, self.data, 1, _log, self.stop) or found
        except UserError as error:  # of the images
            found = [Outcome(run, "failed", str(error))]
        except Exception as error:
            found = [Outcome(run, "failed", reason(error, self.options.results))]
            raise
        finally:
            outcomes += found
            self.training = False


def _done(queue_again: Callable[[int, FrameType | None], Any], number: int) -> bool:
    """Have submitit queue this job again, which ends this process; False where Slurm does not answer."""
    try:
        queue_again(number, None)
    except (OSError, subprocess.SubprocessError) as error:
        print(f"cannot be queued again, and tries once more: {error}", flush=True)
        time.sleep(LOOK)
        return False
    return True


def _log(item: Progress | Outcome) -> None:
    """Into the job's own log; the submitter sees what is in the run's folder."""
    text = f"{item.status} {item.message}" if isinstance(item, Outcome) else item.note
    if text:
        print(text, flush=True)


class _Watch:
    """Jobs from their submission to their end, as the runs' files and Slurm's queue show it."""

    def __init__(self, executor: SlurmExecutor, job: Job, plan: Sequence[Run], tell: local.Tell, stop: Stop) -> None:
        self.executor, self.job, self.tell, self.stop = executor, job, tell, stop
        self.later = list(plan)
        self.told_busy: set[Run] = set()
        self.jobs: dict[Run, SlurmJob] = {}
        self.states: dict[Run, str] = {}
        #: The last iteration told of each run.
        self.told: dict[Run, int] = {}
        #: How far each run was when its job was lost, and how often that has been so.
        self.losses: dict[Run, tuple[int, int]] = {}
        self.outcomes: list[Outcome] = []

    def until_the_end(self) -> list[Outcome]:
        """Until every run has its outcome, or a signal came and all jobs have ended."""
        due, stopping = time.monotonic(), False
        while self.jobs or self.later:
            for run in list(self.jobs):
                self.look(run)
            if time.monotonic() >= due or (self.stop.signal and not stopping):
                if self.stop.signal:
                    stopping = True
                    self.later.clear()
                    self.call_off()
                self.submit()
                self.ask()
                due = time.monotonic() + (LOOK if stopping else ASK)
            time.sleep(LOOK)
        return self.outcomes

    def submit(self) -> None:
        """Submit what no other process has claimed: its job would only wait for that one, and use up a node."""
        free = [run for run in self.later if self.is_free(run)]
        self.later = [run for run in self.later if run not in free]
        if not free:
            return
        try:
            with contextlib.redirect_stderr(io.StringIO()):  # submitit repeats there what the error says
                jobs = self.executor.map_array(self.job, free)
        except (OSError, RuntimeError) as error:
            said = list(dict.fromkeys(re.findall(r"error: (.*)", str(error)))) or [str(error)]
            raise UserError(f"Slurm did not take the job: {'; '.join(said)}") from error
        for run, job in zip(free, jobs, strict=True):
            self.jobs[run] = job
            self.note(run, f"waits in Slurm's queue as job {job.job_id}, whose log is {job.paths.stdout}")

    def is_free(self, run: Run) -> bool:
        with RunFolder(self.job.options.results, run).claim() as free:
            if not free and run not in self.told_busy:
                self.told_busy.add(run)
                self.tell(local.waiting(run, self.job.options))
            return free

    def look(self, run: Run) -> None:
        """Tell of the rows that are new, and of the outcome if it is there."""
        curve = RunFolder(self.job.options.results, run).curve_path
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of a row that is being written
                rows = read_curve(curve) if curve.exists() else []
        except RecordError:
            rows = []
        last = self.job.options.last(run)
        for row in rows:
            if row.iteration > self.told.get(run, 0):
                self.told[run] = row.iteration
                self.tell(Progress(run, row.iteration, 0, last, row))
        job = self.jobs[run]
        if not job.paths.result_pickle.exists():
            return
        try:
            self.finish(job.result())
        except UncompletedJobError:
            self.finish(Outcome(run, "failed", f"its Slurm job {job.job_id} failed: see {job.paths.stderr}"))

    def ask(self) -> None:
        """Find jobs that are queued again, and those that ended without a result."""
        found = _queue(self.jobs.values())
        if found is None:
            return
        for run, job in list(self.jobs.items()):
            before, now = self.states.get(run, "PENDING"), found.get(job.job_id, FORGOTTEN)
            self.states[run] = now
            if before != "PENDING" and now == "PENDING":
                self.note(run, "its job was queued again, to carry on from its checkpoint")
            if not _is_over(now) or job.paths.result_pickle.exists():
                continue
            if self.stop.signal:
                del self.jobs[run]
            elif _is_over(before):  # for long enough that a result would have shown up
                self.lose(run, job, now)

    def lose(self, run: Run, job: SlurmJob, state: str) -> None:
        """Submit a run again whose job was lost: not where someone cancelled it, or may have."""
        if state in ("CANCELLED", FORGOTTEN):
            how = "was cancelled" if state == "CANCELLED" else "is gone"
            message = f"its Slurm job {job.job_id} {how}: see {job.paths.stderr}; start again to carry on"
            self.finish(Outcome(run, "failed", message))
            return
        at = self.told.get(run, 0)
        before, times = self.losses.get(run, (at, 0))
        times = times + 1 if at <= before else 1
        self.losses[run] = at, times
        how = f"job {job.job_id} ended as {state.lower()} without a result: see {job.paths.stderr}"
        if times > RETRIES:
            self.finish(Outcome(run, "failed", f"its job was lost {times} times at the same iteration, Slurm's {how}"))
            return
        self.note(run, f"its Slurm {how}; submitted again, to carry on from its last checkpoint")
        del self.jobs[run], self.states[run]
        self.later.append(run)

    def call_off(self) -> None:
        """Cancel jobs that wait, and have those that train write a checkpoint and end."""
        ids = sorted({job.job_id.partition("_")[0] for job in self.jobs.values()})
        if ids:
            _call("scancel", "--state=PENDING", *ids)
            _call("scancel", "--state=RUNNING", f"--signal={signal.SIGINT.value}", *ids)

    def note(self, run: Run, text: str) -> None:
        at = self.told.get(run, 0)
        self.tell(Progress(run, at, at, self.job.options.last(run), None, text))

    def finish(self, outcome: Outcome) -> None:
        del self.jobs[outcome.run]
        self.outcomes.append(outcome)
        self.tell(outcome)


def _queue(jobs: Iterable[SlurmJob]) -> dict[str, str] | None:
    """The states of jobs that Slurm still knows, ended ones for some minutes; None where it does not answer."""
    ids = sorted({job.job_id.partition("_")[0] for job in jobs})
    if not ids:
        return {}
    answer = _call("squeue", "--noheader", "--array", "--states=all", "--format=%i %T", f"--jobs={','.join(ids)}")
    if answer is None or (answer.returncode and "Invalid job id" not in answer.stderr):
        return None
    return dict(line.split(maxsplit=1) for line in answer.stdout.splitlines())


def _is_over(state: str) -> bool:
    return state == FORGOTTEN or state in ENDED


def _call(*command: str) -> subprocess.CompletedProcess[str] | None:
    """Call one of Slurm's commands; None where it cannot be had, which may pass."""
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=60)
    except (OSError, subprocess.TimeoutExpired):
        return None
