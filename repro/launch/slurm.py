"""Runs as jobs of Slurm, submitted by submitit."""

from __future__ import annotations

import contextlib
import io
import re
import shlex
import shutil
import signal
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from submitit.core.job_environment import JobEnvironment
from submitit.core.utils import DelayedSubmission, UncompletedJobError
from submitit.slurm.slurm import SlurmExecutor, SlurmJob

from repro.errors import RecordError, UserError, unknown
from repro.launch.attempt import Outcome, attempt
from repro.launch.failure import reason
from repro.launch.local import images
from repro.launch.options import Options
from repro.launch.stop import Stop
from repro.spec import Run

#: Seconds between questions to Slurm, whose controller serves many.
ASK = 15.0
#: Minutes of a job, unless asked for otherwise. One that runs out of time is queued again and carries on.
TIME = 60
#: How often a job may run out of time. Each time it has come further, so this only has to be many.
MOST_TIMEOUTS = 10_000
#: Settings that submitit takes as lists of texts.
_OF_LINES = ("setup", "teardown", "srun_args")


@dataclass(frozen=True)
class Training:
    """What a job does."""

    options: Options

    def __call__(self, run: Run) -> Outcome:
        """Train a run to its end, or until SIGINT, which the command sends.

        Raises:
            SystemExit: Slurm needs the room, or the job is out of time: it is queued again.
        """
        number = JobEnvironment._usr_sig()
        queue_again = signal.getsignal(number)  # submitit's handler; it ends this process, so first the checkpoint
        stop = Stop()
        for each in (signal.SIGINT, number):
            signal.signal(each, stop)
        try:
            outcome = attempt(run, self.options, images(run.data, self.options), stop)
        except UserError as error:
            return Outcome(run, "failed", str(error))
        if outcome.status == "stopped" and stop.signal == number:
            queue_again(number, None)  # type: ignore[operator,misc]
        return outcome

    def checkpoint(self, run: Run) -> DelayedSubmission:
        """Called by submitit for what to do once the job is queued again."""
        return DelayedSubmission(self, run)


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
            RecordError: the results folder cannot be made.
        """
        if not isinstance(options.slurm.get("time", TIME), int):
            raise UserError(f"--slurm time={options.slurm['time']}: a whole number of minutes is needed")
        known = SlurmExecutor._valid_parameters()
        for name in options.slurm.keys() - known:
            raise unknown("setting of --slurm", name, sorted(known))
        if not shutil.which("sbatch"):
            raise UserError("Slurm's commands are not on this machine: start this where sbatch is")
        gpus, threads = int(options.gpus_per_run or 0), options.threads or options.default_threads
        cpus = options.slurm.get("cpus_per_task", threads)
        data_dir, results = (options.data_dir or Path()).resolve(), options.results.resolve()
        device = options.device or ("cuda" if gpus else None)
        self.training = Training(replace(options, results=results, data_dir=data_dir, device=device))
        try:
            results.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise RecordError(reason(error, results)) from error
        self.executor = SlurmExecutor(results / ".slurm", max_num_timeout=MOST_TIMEOUTS)
        asked = {name: _lines(name, value) if name in _OF_LINES else value for name, value in options.slurm.items()}
        more = asked.get("additional_parameters", {})
        if not isinstance(more, Mapping):
            raise UserError(f"--slurm additional_parameters={more}: a table such as {{nice=100}} is needed")
        self.executor.update_parameters(
            **{
                "job_name": "repro",
                "time": TIME,
                "cpus_per_task": cpus,
                **({"gpus_per_node": gpus} if gpus else {}),
                **asked,
                # Since Slurm 22.05 steps do not take over what sbatch was given.
                "srun_args": [f"--cpus-per-task={cpus}", *asked.get("srun_args", ())],
                # Some clusters queue no job again that does not say that it may be.
                "additional_parameters": {"requeue": True, **more},
            }
        )
        #: By id of each job that is not known to have ended: in how many answers of Slurm in a row it was missing.
        self.missing: dict[str, int] = {}
        self.stopping = False
        self.asked = 0.0

    def start(self, run: Run) -> tuple[Run, SlurmJob]:
        """Submit a job."""
        try:
            with contextlib.redirect_stderr(io.StringIO()):  # submitit repeats there what the error says
                job = self.executor.submit(self.training, run)
        except (OSError, RuntimeError) as error:
            said = list(dict.fromkeys(re.findall(r"error: (.*)", str(error)))) or [str(error)]
            raise UserError(f"Slurm did not take the job: {'; '.join(said)}") from error
        self.missing[job.job_id] = 0
        return run, job

    def ask(self, job: tuple[Run, SlurmJob]) -> Outcome | None:
        """Its result, or what became of a job that has none."""
        run, submitted = job
        name = submitted.job_id
        self._update()
        outcome = None
        if submitted.paths.result_pickle.exists():
            with contextlib.suppress(UncompletedJobError):
                outcome = submitted.result()
        elif self.missing[name] < 2:  # so soon a result may not show up
            return None
        del self.missing[name]
        return outcome or Outcome(
            run, "lost", f"its Slurm job {name} ended without a result: see {submitted.paths.stderr}"
        )

    def stop(self, job: tuple[Run, SlurmJob]) -> None:
        """Cancel it if it waits, else have it write a checkpoint and end."""
        self.stopping, name = True, job[1].job_id
        _call("scancel", "--state=PENDING", name)
        _call("scancel", "--state=RUNNING", f"--signal={signal.SIGINT.value}", name)

    def _update(self) -> None:
        """Ask Slurm which jobs have not ended, if that was long ago."""
        if time.monotonic() < self.asked + (self.every if self.stopping else ASK):
            return
        self.asked = time.monotonic()
        answer = _call("squeue", "--noheader", "--format=%i", f"--jobs={','.join(sorted(self.missing))}")
        if answer and (not answer.returncode or "Invalid job id" in answer.stderr):
            found = answer.stdout.split()
            self.missing = {name: 0 if name in found else times + 1 for name, times in self.missing.items()}


def _lines(name: str, value: Any) -> list[str]:
    """A setting of lines, or of words, from a text or a list of texts."""
    lines = value if not isinstance(value, str) else shlex.split(value) if name == "srun_args" else [value]
    if not isinstance(lines, list) or not all(isinstance(line, str) for line in lines):
        raise UserError(f"--slurm {name}={value}: a text, or a list of texts, is needed")
    return lines


def _call(*command: str) -> subprocess.CompletedProcess[str] | None:
    """Call one of Slurm's commands; None where it cannot be had, which may pass."""
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=60)
    except (OSError, subprocess.TimeoutExpired):
        return None


def launcher(options: Options, data: str) -> contextlib.AbstractContextManager[Slurm]:
    """Slurm as it is found here; its jobs need no one to end them."""
    return contextlib.nullcontext(Slurm(options))
