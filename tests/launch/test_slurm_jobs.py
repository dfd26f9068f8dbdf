"""What a job of Slurm does when told to end, and what is said of jobs that leave nothing behind; without a Slurm."""

import os
import signal
import subprocess
import threading
import time
from types import SimpleNamespace

import pytest

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
def job(tmp_path, monkeypatch):
    monkeypatch.setattr(launcher, "POLL", 0.01)
    options = Options(results=tmp_path / "results", device="cpu", precision="fp32", default_threads=1)
    former = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR2)}
    yield launcher.Training(options)
    for number, handler in former.items():
        signal.signal(number, handler)


def stopped(folder):
    return folder.record_path.exists() and folder.read().status == "stopped"


def send(folder, *numbers, first=None):
    """In a thread: signals to this process once the run has rows, or what `first` says."""

    def work():
        wait_for(first or folder.curve_path.exists)
        for number in numbers:
            os.kill(os.getpid(), number)

    thread = threading.Thread(target=work)
    thread.start()
    return thread


def wait_for(condition):
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_after_sigterm_it_leaves_a_checkpoint_and_waits_for_its_end_or_a_ctrl_c(job, run):
    folder = RunFolder(job.options.results, run)
    senders = [send(folder, signal.SIGTERM), send(folder, signal.SIGINT, first=lambda: stopped(folder))]
    assert job(run).status == "stopped"
    assert [sender.join() for sender in senders] == [None, None]
    assert stopped(folder) and folder.checkpoint_path.exists()


def test_an_end_that_does_not_come_is_no_result(job, run, monkeypatch):
    monkeypatch.setattr(launcher, "GRACE", 0.5)
    sender = send(RunFolder(job.options.results, run), signal.SIGTERM)
    with pytest.raises(TimeoutError, match=r"not ended 0\.5 seconds after Slurm said"):
        job(run)
    sender.join()


@pytest.fixture
def queue(job, run, tmp_path):
    """Has submitit's own handler take SIGUSR2 for that job and this queue in the place of Slurm's: what is asked of it
    are the remaining timeouts, and it answers with the errors that are put into `errors`.
    """
    asked, errors = [], []

    def requeue(countdown):
        asked.append(countdown)
        if errors:
            raise errors.pop()

    delayed = DelayedSubmission(job, run)
    delayed.set_timeout(60, 3)
    paths = SimpleNamespace(submitted_pickle=tmp_path / "pickle")
    handler = SignalHandler(SimpleNamespace(global_rank=0, _requeue=requeue), paths, delayed)
    signal.signal(signal.SIGUSR2, handler.checkpoint_and_try_requeue)
    yield SimpleNamespace(asked=asked, errors=errors, handler=handler, pickle=paths.submitted_pickle)


#: What Slurm sends to a job that has to make room, at once.
PREEMPTION = (signal.SIGCONT, signal.SIGTERM, signal.SIGUSR2)


@pytest.mark.parametrize("before", [False, True])
def test_preempted_while_it_trains_or_when_it_has_stopped_it_is_queued_again(job, run, queue, before):
    folder = RunFolder(job.options.results, run)
    senders = [send(folder, signal.SIGTERM)] if before else []
    senders.append(send(folder, *PREEMPTION, first=(lambda: stopped(folder)) if before else None))
    with pytest.raises(SystemExit):
        job(run)
    assert all(sender.join() is None for sender in senders)
    assert queue.asked == [3]
    assert stopped(folder) and folder.read().iteration > 0
    again = DelayedSubmission.load(queue.pickle)
    assert (again.function, again.args) == (job, (run,))


def test_preempted_before_it_trains_it_is_queued_again_at_once(queue):
    with pytest.raises(SystemExit):
        queue.handler.checkpoint_and_try_requeue(signal.SIGUSR2)
    assert queue.asked == [3]
    assert queue.pickle.exists()


def test_where_slurm_does_not_answer_it_is_asked_again(job, run, queue, capsys):
    queue.errors += [subprocess.CalledProcessError(1, ["scontrol"]), subprocess.TimeoutExpired(["scontrol"], 60)]
    sender = send(RunFolder(job.options.results, run), *PREEMPTION)
    with pytest.raises(SystemExit):
        job(run)
    sender.join()
    assert queue.asked == [3, 3, 3]
    assert capsys.readouterr().out.count("cannot be queued again, and tries once more") == 2


def test_images_that_are_missing_are_an_outcome(job, run, tmp_path):
    elsewhere = launcher.Training(Options(job.options.results, data_dir=tmp_path / "missing"))
    outcome = elsewhere(override(run, {"data": "cifar10"}))
    assert outcome.status == "failed"
    assert str(tmp_path / "missing") in outcome.message


@pytest.fixture
def watched(job, run, tmp_path, monkeypatch):
    """What comes of a job that leaves nothing behind, by answers of squeue, one for each question; and the calls."""
    monkeypatch.setattr(launcher, "ASK", 0.0)
    monkeypatch.setattr(launcher, "check", lambda settings: None)
    monkeypatch.setattr(launcher.shutil, "which", lambda program: program)
    monkeypatch.setattr(launcher, "SlurmExecutor", lambda *_, **__: SimpleNamespace(update_parameters=lambda **_: None))
    slurm = launcher.Slurm(job.options)
    slurm.every = 0.0
    paths = SimpleNamespace(**{name: tmp_path / name for name in ("stdout", "stderr", "result_pickle")})
    slurm.executor.submit = lambda function, run: SimpleNamespace(job_id="7", paths=paths)
    calls = []

    def watch(*answers, stop_after=99):
        left = list(answers)

        def call(*command):
            calls.append(command)
            output = left.pop(0) if command[0] == "squeue" else ""
            return subprocess.CompletedProcess(command, int("error" in output), output, output)

        monkeypatch.setattr(launcher, "_call", call)
        started = slurm.start(run)
        for number in range(len(answers)):
            if number == stop_after:
                slurm.stop(started)
            if outcome := slurm.ask(started):
                assert not left
                return outcome
        return None

    return watch, calls


RUNNING, GONE = "7 RUNNING\n", "slurm_load_jobs error: Invalid job id specified"
SILENCE = "slurm_load_jobs error: Unable to contact slurm controller"


def test_a_job_is_lost_when_it_is_over_in_two_answers_without_a_result(watched, run):
    watch, _ = watched
    assert watch("7 PENDING\n", RUNNING, "7 NODE_FAIL\n") is None
    outcome = watch(RUNNING, "7 NODE_FAIL\n", RUNNING, SILENCE, "7 OUT_OF_MEMORY\n", "7 OUT_OF_MEMORY\n")
    assert outcome.status == "lost"
    assert "its Slurm job 7 ended as out_of_memory without a result: see " in outcome.message


@pytest.mark.parametrize(("answer", "word"), [(GONE, "gone"), ("7 CANCELLED\n", "cancelled")])
def test_a_run_whose_job_someone_cancelled_fails(watched, answer, word):
    watch, _ = watched
    outcome = watch(RUNNING, SILENCE, answer, answer)
    assert outcome.status == "failed"
    assert f"its Slurm job 7 is {word}" in outcome.message


def test_once_stopped_a_job_is_called_off_and_not_missed(watched, run):
    watch, calls = watched
    assert watch("7 PENDING\n", RUNNING, "7 CANCELLED\n", stop_after=1) == Outcome(run, "lost")
    called = [call for call in calls if call[0] == "scancel"]
    assert called == [("scancel", "--state=PENDING", "7"), ("scancel", "--state=RUNNING", "--signal=2", "7")]
