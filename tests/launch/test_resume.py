"""Stopped at any instant and started again, a run has the same bits as one that was left alone."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from repro.launch import attempt
from repro.records import read_health
from repro.run import main

ROOT = Path(__file__).resolve().parents[2]
STUDY = ["degradation", "--only", "resnet-20", "--threads", "1", "--jobs", "1", "--set", "schedule.iterations=120"]
FOLDER = Path("digits/demo/resnet-20+schedule.iterations=120/seed-0")


def curve(results):
    """The curve without its seconds, which are a clock's."""
    with (results / FOLDER / "curve.csv").open() as file:
        return [{k: v for k, v in row.items() if k != "seconds"} for row in csv.DictReader(file)]


def weights(results):
    content = torch.load(results / FOLDER / "checkpoint.pt", weights_only=True)
    del content["kept"]  # record and curve, which hold times of day
    return content


def same(a, b):
    """Equal to the bit, through dicts, lists and tensors; the clock's seconds aside."""
    if isinstance(a, torch.Tensor):
        return torch.equal(a, b)
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[k], b[k]) for k in a if k != "seconds")
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(map(same, a, b))
    return a == b


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    results = tmp_path_factory.mktemp("undisturbed")
    assert main([*STUDY, "--results", str(results)]) == 0
    return results


def test_killed_and_resumed_the_record_has_the_same_bits(undisturbed, tmp_path):
    command = [sys.executable, "-m", "repro.run", *STUDY, "--results", str(tmp_path), "--checkpoint-every", "0.2"]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    checkpoint, seen = tmp_path / FOLDER / "checkpoint.pt", tmp_path / FOLDER / "curve.csv"
    deadline = time.monotonic() + 120
    while not (checkpoint.exists() and seen.exists() and len(seen.read_text().splitlines()) > 4):
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    both = (
        checkpoint,
        checkpoint.with_name("checkpoint.previous.pt"),
    )  # killed while it saves, the one before is there
    at = torch.load(next(filter(Path.exists, both)), weights_only=True)["state"]["iteration"]
    assert 0 < at < 120
    assert main([*STUDY, "--results", str(tmp_path)]) == 0
    assert curve(tmp_path) == curve(undisturbed)
    assert same(weights(tmp_path), weights(undisturbed))
    assert (tmp_path / FOLDER / "responses.csv").read_bytes() == (undisturbed / FOLDER / "responses.csv").read_bytes()


def test_stopped_at_iterations_that_are_no_rows_and_carried_on(undisturbed, tmp_path):
    for stop in (7, 50, 93):
        assert main([*STUDY, "--results", str(tmp_path), "--stop-at", str(stop)]) == 0
        assert weights(tmp_path)["state"]["iteration"] == stop
    assert main([*STUDY, "--results", str(tmp_path)]) == 0
    assert curve(tmp_path) == curve(undisturbed)
    assert same(weights(tmp_path), weights(undisturbed))


def test_sigterm_writes_a_checkpoint_and_ends_with_143(undisturbed, tmp_path):
    command = [sys.executable, "-m", "repro.run", *STUDY, "--results", str(tmp_path)]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    seen = tmp_path / FOLDER / "curve.csv"
    deadline = time.monotonic() + 120
    while not seen.exists():
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.terminate()
    output, _ = process.communicate(timeout=600)
    assert process.returncode == 143
    assert "the same command carries on" in output
    assert 0 < weights(tmp_path)["state"]["iteration"] < 120
    assert main([*STUDY, "--results", str(tmp_path)]) == 0
    assert curve(tmp_path) == curve(undisturbed)


def test_side_by_side_gives_the_same_bits(undisturbed, tmp_path):
    arguments = [*STUDY, "--results", str(tmp_path), "--jobs", "2", "--seeds", "0,1"]
    assert main(arguments) == 0
    assert curve(tmp_path) == curve(undisturbed)
    assert same(weights(tmp_path), weights(undisturbed))


def test_a_damaged_checkpoint_gives_way_to_the_one_before(undisturbed, tmp_path, capsys):
    for stop in (30, 60):
        assert main([*STUDY, "--results", str(tmp_path), "--stop-at", str(stop)]) == 0
    checkpoint = tmp_path / FOLDER / "checkpoint.pt"
    content = bytearray(checkpoint.read_bytes())
    content[len(content) // 2] ^= 1
    checkpoint.write_bytes(content)
    assert main([*STUDY, "--results", str(tmp_path)]) == 0
    output = capsys.readouterr().out
    assert "is damaged" in output
    assert "carries on from iteration 30 of the checkpoint before" in output
    assert curve(tmp_path) == curve(undisturbed)
    assert same(weights(tmp_path), weights(undisturbed))


def test_a_checkpoint_that_would_execute_something_executes_nothing(tmp_path, capsys):
    assert main([*STUDY, "--results", str(tmp_path), "--stop-at", "10"]) == 0
    trap = tmp_path / "executed"

    class Trap:
        def __reduce__(self):
            return Path.touch, (trap,)

    torch.save({"model": Trap()}, tmp_path / FOLDER / "checkpoint.pt")
    assert main([*STUDY, "--results", str(tmp_path)]) == 1
    assert not trap.exists()
    output = capsys.readouterr().out
    assert "is not read: it holds " in output
    assert "weights_only" not in output


def test_the_health_of_the_signals_is_looked_at_five_times_and_the_same_after_a_stop(undisturbed, tmp_path):
    rows = read_health(undisturbed / FOLDER / "health.csv")
    assert [row.iteration for row in rows[::19]] == [0, 1, 12, 60, 120]
    assert len(rows) == 5 * 19
    for stop in (1, 12, 40):
        assert main([*STUDY, "--results", str(tmp_path), "--stop-at", str(stop)]) == 0
    assert main([*STUDY, "--results", str(tmp_path)]) == 0
    assert read_health(tmp_path / FOLDER / "health.csv") == rows


def test_another_torch_or_device_than_it_began_with_is_told_and_kept_in_the_record(tmp_path, monkeypatch, capsys):
    def go_on(stop, torch_version, device, driver="580.65.06"):
        monkeypatch.setattr(attempt, "build_of_torch", lambda _: {"driver": driver})
        monkeypatch.setattr(attempt, "environment", lambda: {"python": "3.12", "torch": torch_version})
        monkeypatch.setattr(attempt, "device_name", lambda _: device)
        capsys.readouterr()
        assert main([*STUDY, "--results", str(tmp_path), "--stop-at", str(stop)]) == 0
        record = json.loads((tmp_path / FOLDER / "run.json").read_text())
        said = [(session.get("torch"), session.get("device")) for session in record["sessions"]]
        return " ".join(capsys.readouterr().out.split()), said

    assert go_on(2, "2.14.1", "H100")[1] == [(None, None)]
    said, sessions = go_on(4, "2.14.1", "H100")
    assert "changed" not in said and sessions == [(None, None)] * 2
    said, sessions = go_on(6, "2.15.0", "A100")
    assert "its machine has changed (device H100 to A100, torch 2.14.1 to 2.15.0), and the bits may" in said
    assert sessions == [(None, None)] * 2 + [("2.15.0", "A100")]
    said, _ = go_on(8, "2.15.0", "A100", driver="590.44.01")
    assert "its machine has changed (driver 580.65.06 to 590.44.01), and the bits may" in said
