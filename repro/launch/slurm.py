"""Runs as jobs of Slurm, submitted by submitit."""

from __future__ import annotations

import contextlib
import io
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from submitit.core.job_environment import JobEnvironment
from submitit.core.utils import DelayedSubmission, UncompletedJobError
from submitit.slurm.slurm import SlurmExecutor, SlurmJob

from repro.errors import UserError, unknown
from repro.launch.attempt import Outcome, attempt
from repro.launch.local import images
from repro.launch.options import Options
from repro.launch.stop import Stop
from repro.spec import Run

#: Seconds between questions to Slurm, whose controller serves many, and between looks at what was signalled to a job.
ASK, POLL = 15.0, 0.1
#: Minutes of a job, unless asked for otherwise. One that runs out of time is queued again and carries on.
TIME = 60
#: Seconds for Slurm to end a job after saying so.
GRACE = 900.0
#: How often a job may run out of time. Each time it has come further, so this only has to be many.
MOST_TIMEOUTS = 10_000
#: States of a job that will do nothing more; the last is in the place of one that Slurm has forgotten.
ENDED = {
    *("BOOT_FAIL", "CANCELLED", "COMPLETED", "DEADLINE", "FAILED", "NODE_FAIL"),
    *("OUT_OF_MEMORY", "PREEMPTED", "REVOKED", "TIMEOUT", "gone"),
}


def check(settings: Mapping[str, Any]) -> None:
    """Raise UserError for a setting that submitit does not know, or a time that is no number of minutes."""
    known = SlurmExecutor._valid_parameters()
    for name in settings:
        if name not in known:
            raise unknown("setting of --slurm", name, sorted(known))
    if "time" in settings and not isinstance(settings["time"], int):
        raise UserError(f"--slurm time={settings['time']}: a whole number of minutes is needed")


@dataclass(frozen=True)
class Training:
    """What a job does. Handlers of signals only note what came; what follows from that is done between iterations."""

    options: Options

    def __call__(self, run: Run) -> Outcome:
        """Train a run to its end, or until stopped by SIGINT, which the command sends.

        Raises:
            SystemExit: the job is queued again.
            TimeoutError: Slurm said that it would end this job, and did not.
        """
        number = JobEnvironment._usr_sig()
        queue_again = signal.getsignal(number)  # submitit's handler, called below and not whenever the signal comes
        stop = Stop()
        for each in (signal.SIGINT, signal.SIGTERM, number):
            signal.signal(each, stop)
        try:
            outcome = attempt(run, self.options, images(run.data, self.options), stop)
        except UserError as error:
            return Outcome(run, "failed", str(error))
        # SIGTERM precedes the end of a job that Slurm may queue again; one that ends by itself would not be.
        deadline = time.monotonic() + GRACE
        while outcome.status == "stopped" and stop.signals & {signal.SIGTERM, number}:
            if number in stop.signals:
                _queue_again(queue_again, number)
            elif signal.SIGINT in stop.signals:
                break
            if time.monotonic() > deadline:
                raise TimeoutError(f"not ended {GRACE:g} seconds after Slurm said that it would be")
            time.sleep(POLL)
        return outcome

    def checkpoint(self, run: Run) -> DelayedSubmission:
        """Called by submitit for what to do once the job is queued again."""
        return DelayedSubmission(self, run)


def _queue_again(act: Any, number: int) -> None:
    """Have submitit queue this job again, which ends this process, unless Slurm does not answer."""
    try:
        act(number, None)
    except (OSError, subprocess.SubprocessError) as error:
        print(f"cannot be queued again, and tries once more: {error}", flush=True)


class Slurm:
    """A job for each run.

    The results folder and the images must be on a file system that the nodes share. A job that is preempted or runs
    out of time writes a checkpoint, is queued again and carries on. So do jobs whose command has gone.
    """

    every = 1.0

    def __init__(self, options: Options) -> None:
        """Prepare jobs.

        Raises:
            UserError: no Slurm here, or a setting that it does not have.
        """
        check(options.slurm)
        if not shutil.which("sbatch"):
            raise UserError("Slurm's commands are not on this machine: start this where sbatch is")
        gpus, threads = int(options.gpus_per_run or 0), options.threads or options.default_threads
        cpus = options.slurm.get("cpus_per_task", threads)
        data_dir = (options.data_dir or Path()).resolve()
        device = options.device or ("cuda" if gpus else None)
        self.training = Training(replace(options, results=options.results.resolve(), data_dir=data_dir, device=device))
        folder = self.training.options.results
        folder.mkdir(parents=True, exist_ok=True)
        self.executor = SlurmExecutor(folder / ".slurm", max_num_timeout=MOST_TIMEOUTS)
        self.executor.update_parameters(
            **{
                "job_name": "repro",
                "time": TIME,
                "cpus_per_task": cpus,
                # Since Slurm 22.05 steps do not take over what sbatch was given.
                "srun_args": [f"--cpus-per-task={cpus}"],
                # Some clusters queue no job again that does not say that it may be.
                "additional_parameters": {"requeue": True},
                **({"gpus_per_node": gpus} if gpus else {}),
                **options.slurm,
            }
        )
        #: By id of each job that is not known to have ended: in how many answers of Slurm in a row it was over.
        self.over: dict[str, int] = {}
        self.states: dict[str, str] = {}
        self.stopped: set[str] = set()
        self.asked = 0.0

    def start(self, run: Run) -> tuple[Run, SlurmJob]:
        """Submit a job."""
        try:
            with contextlib.redirect_stderr(io.StringIO()):  # submitit repeats there what the error says
                job = self.executor.submit(self.training, run)
        except (OSError, RuntimeError) as error:
            said = list(dict.fromkeys(re.findall(r"error: (.*)", str(error)))) or [str(error)]
            raise UserError(f"Slurm did not take the job: {'; '.join(said)}") from error
        self.over[job.job_id] = 0
        return run, job

    def ask(self, job: tuple[Run, SlurmJob]) -> Outcome | None:
        """Its result, or what became of a job that has none."""
        run, submitted = job
        name, log = submitted.job_id, submitted.paths.stderr
        self._update()
        state = self.states.get(name, "PENDING").lower()
        if submitted.paths.result_pickle.exists():
            try:
                outcome: Outcome = submitted.result()
            except UncompletedJobError:
                outcome = Outcome(run, "failed", f"its Slurm job {name} failed: see {log}")
        elif self.over[name] and name in self.stopped:
            outcome = Outcome(run, "lost")
        elif self.over[name] < 2:  # so soon a result may not show up
            return None
        elif state in ("cancelled", "gone"):  # someone cancelled it, or may have
            outcome = Outcome(run, "failed", f"its Slurm job {name} is {state}: see {log}; start again to carry on")
        else:
            outcome = Outcome(run, "lost", f"its Slurm job {name} ended as {state} without a result: see {log}")
        del self.over[name]
        return outcome

    def stop(self, job: tuple[Run, SlurmJob]) -> None:
        """Cancel it if it waits, else have it write a checkpoint and end."""
        name = job[1].job_id
        self.stopped.add(name)
        _call("scancel", "--state=PENDING", name)
        _call("scancel", "--state=RUNNING", f"--signal={signal.SIGINT.value}", name)

    def _update(self) -> None:
        """Ask Slurm for the states of all jobs, if that was long ago."""
        if time.monotonic() < self.asked + (self.every if self.stopped else ASK):
            return
        self.asked = time.monotonic()
        found = _queue(self.over)
        if found is not None:
            self.states = {name: found.get(name, "gone") for name in self.over}
            self.over = {name: (times + 1) * (self.states[name] in ENDED) for name, times in self.over.items()}


def _queue(jobs: Iterable[str]) -> dict[str, str] | None:
    """The states of jobs that Slurm still knows, ended ones for some minutes; None where it does not answer."""
    answer = _call("squeue", "--noheader", "--states=all", "--format=%i %T", f"--jobs={','.join(sorted(jobs))}")
    if answer is None or (answer.returncode and "Invalid job id" not in answer.stderr):
        return None
    return dict(line.split(maxsplit=1) for line in answer.stdout.splitlines())


def _call(*command: str) -> subprocess.CompletedProcess[str] | None:
    """Call one of Slurm's commands; None where it cannot be had, which may pass."""
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=60)
    except (OSError, subprocess.TimeoutExpired):
        return None
