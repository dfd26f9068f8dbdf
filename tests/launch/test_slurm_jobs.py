"""What a job of Slurm does when told to end, and what is said of jobs that leave nothing behind; without a Slurm."""

import os
import signal
import subprocess
import threading
import time
from types import SimpleNamespace

import pytest

from repro.errors import UserError
from repro.launch.attempt import Outcome
from repro.launch.options import Options
from repro.records import RunFolder
from repro.spec import Run, override

pytest.importorskip("submitit", reason="submitit is not installed: pip install -e '.[slurm]'")
from submitit.core.job_environment import SignalHandler
from submitit.core.utils import DelayedSubmission

from repro.launch import slurm as launcher

pytestmark = pytest.mark.cluster


@pytest.fixture
def run():
    """One that goes on for as long as nothing stops it."""
    settings = {"schedule.iterations": 10**6, "optimiser.batch_size": 64, "log_every": 10, "evaluate_every": 10**6}
    return override(Run("plain-8", data="digits", preset="demo"), settings)


@pytest.fixture
def job(tmp_path):
    options = Options(results=tmp_path / "results", device="cpu", precision="fp32", default_threads=1)
    former = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR2)}
    yield launcher.Training(options)
    for number, handler in former.items():
        signal.signal(number, handler)


@pytest.fixture
def send(job, run):
    """In a thread: signals to this process once the run has rows."""
    folder, threads = RunFolder(job.options.results, run), []

    def act(*numbers):
        def work():
            deadline = time.monotonic() + 60
            while not folder.curve_path.exists():
                assert time.monotonic() < deadline
                time.sleep(0.02)
            for number in numbers:
                os.kill(os.getpid(), number)

        threads.append(threading.Thread(target=work))
        threads[-1].start()
        return folder

    yield act
    for thread in threads:
        thread.join()


@pytest.fixture
def queue(job, run, tmp_path):
    """Has submitit's own handlers take signals for that job, and this queue in the place of Slurm's: what is asked of
    it are the remaining timeouts.
    """
    asked = []
    delayed = DelayedSubmission(job, run)
    delayed.set_timeout(60, 3)
    paths = SimpleNamespace(submitted_pickle=tmp_path / "pickle")
    handler = SignalHandler(SimpleNamespace(global_rank=0, _requeue=asked.append), paths, delayed)
    signal.signal(signal.SIGTERM, handler.bypass)
    signal.signal(signal.SIGUSR2, handler.checkpoint_and_try_requeue)
    return SimpleNamespace(asked=asked, handler=handler, pickle=paths.submitted_pickle)


def test_preempted_it_writes_a_checkpoint_and_is_queued_again(job, run, queue, send):
    """By what Slurm sends to a job that has to make room, at once."""
    folder = send(signal.SIGCONT, signal.SIGTERM, signal.SIGUSR2)
    with pytest.raises(SystemExit):
        job(run)
    assert queue.asked == [3]
    assert folder.read().status == "stopped" and folder.read().iteration > 0
    assert folder.checkpoint_path.exists()
    again = DelayedSubmission.load(queue.pickle)
    assert (again.function, again.args) == (job, (run,))


def test_told_to_stop_by_the_command_it_writes_a_checkpoint_and_ends(job, run, queue, send):
    folder = send(signal.SIGINT)
    assert job(run).status == "stopped"
    assert folder.checkpoint_path.exists() and not queue.asked


def test_images_that_are_missing_are_an_outcome(job, run, tmp_path):
    elsewhere = launcher.Training(Options(job.options.results, data_dir=tmp_path / "missing"))
    outcome = elsewhere(override(run, {"data": "cifar10"}))
    assert outcome.status == "failed"
    assert str(tmp_path / "missing") in outcome.message


def test_settings_of_slurm_are_those_that_submitit_knows(job, tmp_path):
    for settings, words in (
        ({"partitoin": "gpu"}, "unknown setting of --slurm 'partitoin': did you mean 'partition'"),
        ({"time": "1-00"}, "time=1-00: a whole number of minutes is needed"),
    ):
        with pytest.raises(UserError, match=words):
            launcher.launcher(Options(tmp_path, slurm=settings), "digits")


@pytest.fixture
def watched(job, run, tmp_path, monkeypatch):
    """What comes of a job that leaves nothing behind, by answers of squeue, one for each question; and the calls."""
    monkeypatch.setattr(launcher, "ASK", 0.0)
    monkeypatch.setattr(launcher.shutil, "which", lambda program: program)
    monkeypatch.setattr(launcher.SlurmExecutor, "affinity", lambda *_: 2)
    slurm = launcher.Slurm(job.options)
    slurm.every = 0.0
    paths = SimpleNamespace(**{name: tmp_path / name for name in ("stdout", "stderr", "result_pickle")})
    submitted = SimpleNamespace(job_id="7", paths=paths)
    slurm.executor = SimpleNamespace(submit=lambda function, run: submitted)
    calls = []

    def watch(*answers, stop=False):
        left = list(answers)

        def call(*command):
            calls.append(command)
            output = left.pop(0) if command[0] == "squeue" else ""
            return subprocess.CompletedProcess(command, int("error" in output), output, output)

        monkeypatch.setattr(launcher, "_call", call)
        started = slurm.start(run)
        if stop:
            slurm.stop(started)
        for _ in answers:
            if outcome := slurm.ask(started):
                assert not left
                return outcome
        return None

    return watch, calls, submitted


THERE, GONE = "7\n", "slurm_load_jobs error: Invalid job id specified"
SILENCE = "slurm_load_jobs error: Unable to contact slurm controller"


def test_a_job_is_lost_when_it_is_missing_in_two_answers_and_left_no_result(watched, run):
    watch, calls, _ = watched
    assert watch(THERE, THERE, GONE) is None
    outcome = watch(THERE, "", THERE, SILENCE, "", GONE)
    assert outcome.status == "lost"
    assert "its Slurm job 7 ended without a result: see " in outcome.message
    assert not [call for call in calls if call[0] == "scancel"]
    assert watch("", "", stop=True).status == "lost"
    called = [call for call in calls if call[0] == "scancel"]
    assert called == [("scancel", "--state=PENDING", "7"), ("scancel", "--state=RUNNING", "--signal=2", "7")]


def test_a_result_is_the_outcome_and_a_job_that_failed_is_lost(watched, run):
    def fail():
        raise launcher.UncompletedJobError("its node is on fire")

    watch, _, submitted = watched
    submitted.paths.result_pickle.touch()
    submitted.result = lambda: Outcome(run, "complete")
    assert watch(THERE) == Outcome(run, "complete")
    submitted.result = fail
    assert watch(THERE).status == "lost"
