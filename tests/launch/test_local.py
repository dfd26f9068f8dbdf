"""Several processes, one results folder: no run twice, no file spoilt, no dead worker that takes others with it."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from mini import bits
from processes import wait_until

from repro.launch.local import Processes
from repro.launch.options import Options
from repro.launch.scheduler import Scheduler
from repro.lock import is_held
from repro.records import RunFolder
from repro.run import main
from repro.study import load as load_study

ROOT = Path(__file__).resolve().parents[2]


STUDY = """
title = "One run that diverges"
question = "Does the other go on?"
expected = "Yes."
paper = "none"
networks = ["plain-8"]
[settings]
schedule.iterations = 20
[[variants]]
schedule.lr = 1e30
[[variants]]
"""


def plan(*networks, iterations=60, seeds=(0,)):
    study = load_study("degradation")
    return study.runs("demo", only=networks, seeds=seeds, settings={"schedule.iterations": iterations})


def arguments(results, *networks, jobs=1, iterations=60, more=()):
    """Words of a command that trains these networks and tells no more than it must."""
    common = ["--precision", "fp32", "--threads", "1", "--checkpoint-every", "0.2", "--jobs", str(jobs)]
    settings = ["--set", f"schedule.iterations={iterations}"]
    return ["degradation", "--only", ",".join(networks), "--results", str(results), *common, *settings, *more]


def record(results, run):
    return json.loads((results / run.path / "run.json").read_text())


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_run_that_diverges_is_recorded_and_the_others_go_on(tmp_path, jobs):
    study = tmp_path / "study.toml"
    study.write_text(STUDY)
    words = ["--results", str(tmp_path), "--precision", "fp32", "--threads", "1", "--jobs", str(jobs)]
    assert main([str(study), *words]) == 1
    wild, tame = load_study(str(study)).runs("demo")
    assert record(tmp_path, tame)["status"] == "complete"
    assert record(tmp_path, wild)["status"] == "diverged"
    assert "the loss is" in record(tmp_path, wild)["error"]
    assert (tmp_path / wild.path / "curve.csv").exists()


def test_a_worker_that_is_killed_is_replaced_and_its_run_has_the_same_bits(tmp_path, capfd, monkeypatch):
    """In the company of one that is left alone. The killer looks where the scheduler does: at the records on disk."""
    victim, other = plan("resnet-20", "plain-20", iterations=80)
    folder, killed = RunFolder(tmp_path / "here", victim), []
    really = Scheduler._begin

    def begin(self, jobs):
        really(self, jobs)
        claim = folder.path / "holder.lock"
        if not killed and folder.checkpoint_path.exists() and claim.exists():
            killed.append(int(claim.read_text().split()[1]))
            os.kill(killed[0], signal.SIGKILL)

    monkeypatch.setattr(Scheduler, "_begin", begin)
    assert main(arguments(tmp_path / "here", "resnet-20", "plain-20", jobs=2, iterations=80)) == 0
    assert killed and killed[0] != os.getpid()
    monkeypatch.undo()
    assert "its process ended with signal 9" in capfd.readouterr().out
    assert main(arguments(tmp_path / "there", "resnet-20", "plain-20", iterations=80)) == 0
    first, second = record(tmp_path / "here", victim)["sessions"]
    assert first["from"] == 0 < second["from"]
    assert bits(tmp_path / "here") == bits(tmp_path / "there")
    assert len(record(tmp_path / "here", other)["sessions"]) == 1


def test_runs_go_to_the_card_that_has_the_fewest(tmp_path, monkeypatch):
    given = []

    class Process:
        def __init__(self, target, args, daemon):
            given.append(args[-1])

        def start(self):
            pass

    processes = Processes(Options(tmp_path), cards=3)
    monkeypatch.setattr(type(processes.context), "Process", Process)
    jobs = [processes.start(run) for run in plan("plain-20", seeds=range(4))]
    assert given == [0, 1, 2, 0]
    processes.jobs.remove(jobs[1])
    processes.start(jobs[1].run)
    assert given[-1] == 1
    assert Processes(Options(tmp_path)).cards == 0


def test_a_worker_whose_parent_is_gone_stops_with_a_checkpoint(tmp_path):
    """As one does that no one could tell: the record says that it was stopped, and it lets go of its claim."""
    words = arguments(tmp_path, "resnet-20", "plain-20", jobs=2, iterations=3000, more=["--checkpoint-every", "1000"])
    parent = subprocess.Popen([sys.executable, "-m", "repro.run", *words], cwd=ROOT, stdout=subprocess.DEVNULL)
    folders = [RunFolder(tmp_path, run) for run in plan("resnet-20", "plain-20", iterations=3000)]
    wait_until(lambda: all(folder.curve_path.exists() for folder in folders), parent)
    parent.kill()
    parent.wait()
    deadline = time.monotonic() + 600
    for folder in folders:
        while is_held(folder.path):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        assert folder.read().status == "stopped"
        assert folder.checkpoint_path.exists()


def test_a_folder_of_another_run_is_named_with_what_differs_and_left_alone(tmp_path, capsys):
    (run,) = plan("plain-20", iterations=20)
    folder = RunFolder(tmp_path, run)
    folder.path.mkdir(parents=True)
    spec = run.to_dict()
    spec["optimiser"]["momentum"] = 0.5
    folder.write({"status": "stopped", "iteration": 0, "spec": spec})
    before = folder.record_path.read_bytes()
    arguments = ["degradation", "--only", "plain-20", "--set", "schedule.iterations=20", "--results", str(tmp_path)]
    assert main(arguments) == 1
    assert "optimiser.momentum: 0.9 against 0.5" in capsys.readouterr().err
    assert folder.record_path.read_bytes() == before


def test_a_second_start_skips_what_is_complete_and_a_record_names_no_place(tmp_path, capsys):
    words = arguments(tmp_path, "plain-20", iterations=20)
    assert main(words) == 0
    (run,) = plan("plain-20", iterations=20)
    before = (tmp_path / run.path / "run.json").read_bytes()
    assert main(words) == 0
    assert "1 of 1 runs are complete already" in capsys.readouterr().out
    assert (tmp_path / run.path / "run.json").read_bytes() == before
    content = record(tmp_path, run)
    assert content["numerics"] == {"device": "cpu", "precision": "fp32", "threads": 1}
    assert (content["data"]["train_images"], content["data"]["test_images"]) == (1437, 360)
    assert len(content["data"]["fingerprint"]) == 64
    assert {"python", "torch", "torchvision", "numpy", "processor", "commit"} <= content["environment"].keys()
    assert str(tmp_path) not in json.dumps(content)
    assert str(ROOT) not in json.dumps(content)


def test_a_script_without_a_guard_ends_in_one_line(tmp_path):
    """Each worker imports the script, and would begin the study again."""
    words = ["degradation", "--only", "plain-20,resnet-20", "--jobs", "2", "--set", "schedule.iterations=10"]
    script = tmp_path / "mine.py"
    script.write_text(f"from repro.run import main\nraise SystemExit(main({words!r}))\n")
    ended = subprocess.run([sys.executable, script], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert ended.returncode == 2
    assert "__name__ == '__main__'" in ended.stderr and ended.stderr.count("\n") == 1
