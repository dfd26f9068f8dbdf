"""What a job of Slurm does when told to end, and what is said of jobs that leave nothing behind; without a Slurm."""

import math
import os
import signal
import subprocess
import threading
import time
from types import SimpleNamespace

import pytest
from mini import write_study

from repro import study as studies
from repro.launch.execute import Options, Outcome, Progress, Stop
from repro.records import Row, RunFolder

pytest.importorskip("submitit", reason="submitit is not installed: pip install -e '.[slurm]'")
from submitit.core.job_environment import SignalHandler
from submitit.core.utils import DelayedSubmission

from repro.launch import slurm as launcher

pytestmark = pytest.mark.cluster


@pytest.fixture
def run(tmp_path):
    return studies.load(str(write_study(tmp_path, iterations=5000, seeds="0"))).runs("demo", only=["plain-8"])[0]


@pytest.fixture
def job(tmp_path):
    options = Options(results=tmp_path / "results", device="cpu", precision="fp32", default_threads=1)
    former = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR2)}
    yield launcher.Job(options, ("digits", tmp_path))
    for number, handler in former.items():
        signal.signal(number, handler)


def send(folder, *numbers):
    """In a thread: signals to this process once the run has rows, each after what the one before led to."""

    def work():
        wait_for(folder.curve_path.exists)
        for number in numbers:
            os.kill(os.getpid(), number)
            wait_for(lambda: folder.read()["status"] == "stopped")
            time.sleep(0.5)

    thread = threading.Thread(target=work)
    thread.start()
    return thread


def wait_for(condition):
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_after_sigterm_it_leaves_a_checkpoint_and_waits_for_its_end(job, run):
    folder = RunFolder(job.options.results, run)
    began = time.monotonic()
    sender = send(folder, signal.SIGTERM, signal.SIGINT)
    outcome = job(run)
    sender.join()
    assert outcome.status == "stopped"
    assert folder.read()["status"] == "stopped"
    assert folder.checkpoint_path.exists()
    assert time.monotonic() - began > 0.5


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


def preempt(folder, send=os.kill, first=lambda folder: wait_for(folder.curve_path.exists)):
    """In a thread: what Slurm sends to a job that has to make room, at once."""

    def work():
        first(folder)
        target = threading.get_ident() if send is signal.pthread_kill else os.getpid()
        for number in (signal.SIGCONT, signal.SIGTERM, signal.SIGUSR2):
            send(target, number)

    thread = threading.Thread(target=work)
    thread.start()
    return thread


@pytest.mark.parametrize("send", [os.kill, signal.pthread_kill])
def test_preempted_it_is_queued_again_whichever_thread_the_signals_are_handed_to(job, run, queue, send):
    folder = RunFolder(job.options.results, run)
    sender = preempt(folder, send)
    with pytest.raises(SystemExit):
        job(run)
    sender.join()
    assert queue.asked == [3]
    assert folder.read()["status"] == "stopped"
    assert 0 < folder.read()["iteration"] < run.schedule.iterations
    # What runs then begins anew and knows of no signal.
    again = DelayedSubmission.load(queue.pickle)
    assert again.args == (run,)
    assert (again.function.options, again.function.data) == (job.options, job.data)
    assert again.function.stop.signal is None


def test_preempted_between_its_checkpoint_and_its_end_it_is_queued_again(job, run, queue):
    folder = RunFolder(job.options.results, run)
    former = send(folder, signal.SIGTERM)
    later = preempt(folder, first=lambda folder: wait_for(lambda: folder.record_path.exists() and stopped(folder)))
    with pytest.raises(SystemExit):
        job(run)
    former.join()
    later.join()
    assert queue.asked == [3]


def stopped(folder):
    return folder.read()["status"] == "stopped"


def test_preempted_before_it_trains_it_is_queued_again_at_once(job, run, queue):
    with pytest.raises(SystemExit):
        queue.handler.checkpoint_and_try_requeue(signal.SIGUSR2)
    assert queue.asked == [3]
    assert queue.pickle.exists()


def test_where_slurm_does_not_answer_it_is_asked_again(job, run, queue, capsys):
    queue.errors += [subprocess.CalledProcessError(1, ["scontrol"]), subprocess.TimeoutExpired(["scontrol"], 60)]
    sender = preempt(RunFolder(job.options.results, run))
    with pytest.raises(SystemExit):
        job(run)
    sender.join()
    assert queue.asked == [3, 3, 3]
    assert capsys.readouterr().out.count("cannot be queued again, and tries once more") == 2


def test_the_other_tasks_of_a_job_leave_that_to_the_first(job, run, queue, monkeypatch):
    monkeypatch.setattr(launcher, "GRACE", 0.5)
    queue.handler.env.global_rank = 1
    sender = preempt(RunFolder(job.options.results, run))
    with pytest.raises(TimeoutError):
        job(run)
    sender.join()
    assert queue.asked == []


class Jobs:
    """In the place of submitit's executor: takes jobs that leave nothing behind."""

    def __init__(self, folder):
        self.folder = folder

    def map_array(self, function, runs):
        names = ("stdout", "stderr", "result_pickle")
        paths = SimpleNamespace(**{name: self.folder / name for name in names})
        return [SimpleNamespace(job_id=f"7_{index}", paths=paths) for index in range(len(runs))]


@pytest.fixture
def watched(job, run, tmp_path, monkeypatch):
    """Watches that job with these answers of squeue, one after another; and all that is told and called."""
    monkeypatch.setattr(launcher, "LOOK", 0.0)
    monkeypatch.setattr(launcher, "ASK", 0.0)
    told, called, stop = [], [], Stop()

    def watch(answers=()):
        left = iter(answers)

        def call(*command):
            called.append(command)
            if command[0] == "squeue":
                code, output = next(left)
                return subprocess.CompletedProcess(command, code, output, output)
            return subprocess.CompletedProcess(command, 0, "", "")

        monkeypatch.setattr(launcher, "_call", call)
        return launcher._Watch(Jobs(tmp_path), job, [run], told.append, stop).until_the_end()

    return watch, told, called, stop


GONE = (1, "slurm_load_jobs error: Invalid job id specified")


def test_a_job_that_is_gone_without_a_result_fails_its_run(watched, run):
    watch, told, called, _ = watched
    silence = (1, "slurm_load_jobs error: Unable to contact slurm controller")
    (outcome,) = watch([(0, "7_0 RUNNING\n"), GONE, silence, (0, "7_0 RUNNING\n"), GONE, GONE])
    assert outcome.status == "failed"
    assert "its Slurm job 7_0 is gone" in outcome.message
    assert told[-1] == outcome
    assert all(command[0] == "squeue" for command in called)


def states(*names):
    """Answers of squeue, each state twice: once is not enough to call a job lost. Ids are those of one job of many."""
    return [(0, f"7_0 {name}\n") for name in names for _ in range(2)]


def test_a_run_whose_job_is_lost_is_submitted_again_as_long_as_it_gets_further(watched, job, run):
    watch, told, _, _ = watched
    folder = RunFolder(job.options.results, run)

    def answers():
        for rows in (1, 2, 3, 4, 5):  # each job has come further than the one before
            folder.rewind(0)
            for number in range(1, rows + 1):
                folder.append(Row(10 * number, 0.0, 0.1, 1.5, 40.0, math.nan, math.nan))
            yield from states("RUNNING", "NODE_FAIL")
        yield from states(*["OUT_OF_MEMORY"] * 3)

    (outcome,) = watch(answers())
    assert outcome.status == "failed"
    assert "its job was lost 4 times at the same iteration, Slurm's job 7_0 ended as out_of_memory" in outcome.message
    notes = [item.note for item in told if isinstance(item, Progress) and "submitted again" in item.note]
    assert len(notes) == 5 + 2
    assert notes[0].startswith("its Slurm job 7_0 ended as node_fail without a result")
    assert [item.row.iteration for item in told if isinstance(item, Progress) and item.row] == [10, 20, 30, 40, 50]


def test_a_run_whose_job_someone_cancelled_is_not_submitted_again(watched):
    watch, _, _, _ = watched
    (outcome,) = watch(states("RUNNING", "CANCELLED"))
    assert outcome.status == "failed"
    assert "its Slurm job 7_0 was cancelled" in outcome.message


def test_a_job_that_is_queued_again_is_told(watched, run):
    watch, told, _, _ = watched
    watch([(0, "7_0 PENDING\n"), (0, "7_0 RUNNING\n"), (0, "7_0 PENDING\n"), GONE, GONE])
    notes = [item.note for item in told if isinstance(item, Progress)]
    assert notes[0].startswith("waits in Slurm's queue as job 7_0, whose log is ")
    assert notes[1:] == ["its job was queued again, to carry on from its checkpoint"]


def test_once_stopped_jobs_are_called_off_until_none_is_left(watched):
    watch, told, called, stop = watched

    def answers():
        yield 0, "7_0 PENDING\n"
        stop(signal.SIGINT)
        yield 0, "7_0 RUNNING\n"
        yield 0, "7_0 COMPLETING\n"
        yield GONE

    assert watch(answers()) == []
    assert [item for item in told if isinstance(item, Outcome)] == []
    names = [command[0] for command in called]
    assert names == ["squeue", "squeue", "scancel", "scancel", "squeue", "scancel", "scancel", "squeue"]
    assert called[2] == ("scancel", "--state=PENDING", "7")
    assert called[3] == ("scancel", "--state=RUNNING", "--signal=2", "7")


def test_a_run_that_another_process_has_claimed_is_not_submitted(watched, job, run, monkeypatch):
    watch, told, called, stop = watched
    with RunFolder(job.options.results, run).claim():
        monkeypatch.setattr(launcher.time, "sleep", lambda seconds: stop(signal.SIGINT))
        assert watch() == []
    assert [item.note for item in told] == ["another process is training it: waiting for it"]
    assert called == []


def test_a_failure_on_the_way_is_an_outcome(job, run, tmp_path):
    broken = launcher.Job(job.options, ("cifar10", tmp_path / "missing"))
    outcome = broken(run)
    assert isinstance(outcome, Outcome)
    assert outcome.status == "failed"
    assert str(tmp_path / "missing") in outcome.message
