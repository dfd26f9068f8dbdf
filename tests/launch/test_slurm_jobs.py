"""What a job of Slurm does when told to end, and what is said of jobs that leave nothing behind; without a Slurm."""

import re
import signal
import subprocess
from types import SimpleNamespace

import pytest

from repro.errors import UserError
from repro.launch.options import Options
from repro.spec import Run, override

pytest.importorskip("submitit", reason="submitit is not installed: pip install -e '.[slurm]'")

from repro.launch import slurm as launcher

pytestmark = pytest.mark.cluster


@pytest.fixture
def run():
    return Run("plain-8", data="digits", preset="demo")


@pytest.fixture
def job(tmp_path):
    options = Options(results=tmp_path / "results", device="cpu", precision="fp32", default_threads=1)
    former = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR2)}
    yield launcher.Training(options)
    for number, handler in former.items():
        signal.signal(number, handler)


def test_images_that_are_missing_are_an_outcome(job, run, tmp_path):
    elsewhere = launcher.Training(Options(job.options.results, data_dir=tmp_path / "missing"))
    outcome = elsewhere(override(run, {"data": "cifar10"}))
    assert outcome.status == "failed"
    assert str(tmp_path / "missing") in outcome.message


def test_settings_of_slurm_are_those_that_submitit_knows(tmp_path):
    with pytest.raises(UserError, match="unknown setting of --slurm 'partitoin': did you mean 'partition'"):
        launcher.launcher(Options(tmp_path, slurm={"partitoin": "gpu"}), "digits")


def test_settings_of_several_lines_or_words_are_texts_or_lists(tmp_path, monkeypatch):
    monkeypatch.setattr(launcher.shutil, "which", lambda program: program)
    monkeypatch.setattr(launcher.SlurmExecutor, "affinity", lambda *_: 2)
    asked = {"setup": "module load cuda", "srun_args": "--mpi=none -v", "additional_parameters": {"nice": 100}}
    slurm = launcher.Slurm(Options(tmp_path, slurm=asked, default_threads=3))
    script = slurm.executor._make_submission_file_text("true", "1").splitlines()
    assert {"module load cuda", "#SBATCH --nice=100", "#SBATCH --requeue", "#SBATCH --cpus-per-task=3"} <= {*script}
    assert any("srun" in line and "--cpus-per-task=3 --mpi=none -v" in line for line in script)
    for name, value, needed in (
        ("setup", 5, "a text, or a list of texts, is needed"),
        ("srun_args", [1], "a text, or a list of texts, is needed"),
        ("additional_parameters", "x", "a table such as {nice=100} is needed"),
    ):
        with pytest.raises(UserError, match=f"--slurm {name}={re.escape(str(value))}: {needed}"):
            launcher.Slurm(Options(tmp_path, slurm={name: value}, default_threads=1))


def test_a_results_folder_that_cannot_be_made_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr(launcher.shutil, "which", lambda program: program)
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="Not a directory: give another --results folder"):
        launcher.launcher(Options(tmp_path / "file" / "results"), "digits")


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
