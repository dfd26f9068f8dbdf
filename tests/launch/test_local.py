"""Several processes, one results folder: no run twice, no file spoilt, no dead worker that takes others with it."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from repro.launch.execute import Options, Outcome, Progress, Stop
from repro.launch.local import run_all
from repro.records import RunFolder
from repro.run import main
from repro.study import load as load_study

ROOT = Path(__file__).resolve().parents[2]


def plan(*networks, iterations=60, seeds=(0,)):
    study = load_study("degradation")
    return study.runs("demo", only=networks, seeds=seeds, settings={"schedule.iterations": iterations})


def options(results):
    return Options(results=results, precision="fp32", default_threads=1, checkpoint_every=0.2)


def record(results, run):
    return json.loads((results / run.path / "run.json").read_text())


def test_two_commands_on_one_folder_train_each_run_once(tmp_path):
    command = [
        *(sys.executable, "-m", "repro.run", "degradation", "--only", "plain-20,resnet-20", "--jobs", "1"),
        *("--threads", "1", "--set", "schedule.iterations=40", "--results", str(tmp_path)),
    ]
    processes = [subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    outputs = [process.communicate(timeout=600)[0] for process in processes]
    assert [process.returncode for process in processes] == [0, 0]
    for run in plan("plain-20", "resnet-20", iterations=40):
        assert len(record(tmp_path, run)["sessions"]) == 1
        assert record(tmp_path, run)["status"] == "complete"
        assert len((tmp_path / run.path / "curve.csv").read_text().splitlines()) == 1 + 4
        assert all(run.network in output for output in outputs)


def test_a_claimed_run_is_waited_for_and_not_touched(tmp_path):
    (run,) = plan("plain-20", iterations=20)
    told, stop = [], Stop()

    def tell(item):
        told.append(item)
        if isinstance(item, Progress) and "another process" in item.note:
            stop(signal.SIGTERM)

    with RunFolder(tmp_path, run).claim() as mine:
        assert mine
        assert run_all([run], options(tmp_path), ("digits", tmp_path), 1, tell, stop) == []
    assert "another process is training it" in told[0].note
    assert not (tmp_path / run.path / "run.json").exists()


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_run_that_diverges_is_recorded_and_the_others_go_on(tmp_path, jobs):
    good = plan("resnet-20", iterations=20)
    bad = load_study("degradation").runs("demo", only=["plain-20"], settings={"schedule.lr": 1e30})
    outcomes = run_all([*bad, *good], options(tmp_path), ("digits", tmp_path), jobs, lambda item: None, Stop())
    assert {outcome.run.network: outcome.status for outcome in outcomes} == {
        "plain-20": "diverged",
        "resnet-20": "complete",
    }
    assert record(tmp_path, bad[0])["status"] == "diverged"
    assert "the loss is" in record(tmp_path, bad[0])["error"]
    assert (tmp_path / bad[0].path / "curve.csv").exists()


def test_a_worker_that_is_killed_fails_its_run_alone_and_a_second_start_completes_it(tmp_path):
    runs = plan("plain-20", iterations=400) + plan("resnet-20", iterations=30, seeds=(0, 1))
    victim = runs[0]
    killed = []

    def tell(item):
        if isinstance(item, Progress) and item.run == victim and item.iteration > 20 and not killed:
            for child in Path("/proc").glob("[0-9]*/stat"):
                fields = child.read_text().rsplit(")", 1)[1].split()
                if int(fields[1]) == os.getpid() and _trains(child.parent, tmp_path / victim.path):
                    killed.append(int(child.parent.name))
                    os.kill(killed[0], signal.SIGKILL)

    outcomes = run_all(runs, options(tmp_path), ("digits", tmp_path), 2, tell, Stop())
    assert killed
    found = {outcome.run: outcome for outcome in outcomes}
    assert found[victim].status == "failed"
    assert "signal 9" in found[victim].message
    assert all(found[run].status == "complete" for run in runs[1:])
    assert record(tmp_path, victim)["status"] == "running"
    again = run_all([victim], options(tmp_path), ("digits", tmp_path), 1, lambda item: None, Stop())
    assert [(outcome.run, outcome.status) for outcome in again] == [(victim, "complete")]
    assert len(record(tmp_path, victim)["sessions"]) == 2


def _trains(process, folder):
    """Whether this process has the lock of that run open."""
    try:
        return any(link.readlink() == folder / "run.lock" for link in (process / "fd").iterdir())
    except OSError:
        return False


def test_a_second_start_skips_what_is_complete(tmp_path, capsys):
    arguments = ["degradation", "--only", "plain-20", "--set", "schedule.iterations=20", "--results", str(tmp_path)]
    assert main(arguments) == 0
    (run,) = plan("plain-20", iterations=20)
    before = (tmp_path / run.path / "run.json").read_bytes()
    assert main(arguments) == 0
    assert "1 of 1 runs are complete already" in capsys.readouterr().out
    assert (tmp_path / run.path / "run.json").read_bytes() == before


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


def test_an_outcome_names_what_another_machine_would_need_to_know(tmp_path):
    (run,) = plan("plain-20", iterations=20)
    assert run_all([run], options(tmp_path), ("digits", tmp_path), 1, lambda item: None, Stop()) == [
        Outcome(run, "complete")
    ]
    content = record(tmp_path, run)
    assert content["numerics"] == {"device": "cpu", "precision": "fp32", "threads": 1}
    assert content["data"]["train_images"] == 1437
    assert content["data"]["test_images"] == 360
    assert len(content["data"]["fingerprint"]) == 64
    assert {"python", "torch", "torchvision", "numpy", "processor", "commit"} <= content["environment"].keys()
    assert str(tmp_path) not in json.dumps(content)
    assert str(ROOT) not in json.dumps(content)
