"""A run's files put where they belong: whole, in an order that can be interrupted, and nowhere else."""

import json

import pytest

from repro.launch import transfer
from repro.launch.transfer import put, take
from repro.records import RunFolder
from repro.spec import Run

RUN = Run(network="resnet-8")
BEFORE = "checkpoint.previous.pt"


def folder_at(path, iteration, status="running", **more):
    folder = RunFolder(path, RUN)
    folder.path.mkdir(parents=True, exist_ok=True)
    for name in ("curve.csv", "health.csv", "checkpoint.pt"):
        (folder.path / name).write_text(f"{name} at {iteration}")
    folder.write({"status": status, "iteration": iteration, **more})
    return folder


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.path.iterdir()}


def test_what_is_taken_here_and_put_there_is_the_same(tmp_path):
    here, there = folder_at(tmp_path / "here", 10), RunFolder(tmp_path / "there", RUN)
    put(there, take(here, previous=True))
    assert contents(there) == contents(here)


def test_the_checkpoint_before_is_taken_only_where_asked_for(tmp_path):
    folder = folder_at(tmp_path, 10)
    (folder.path / BEFORE).write_bytes(b"older")
    (folder.path / "run.lock").touch()
    assert take(folder, previous=True) == {**take(folder, previous=False), BEFORE: b"older"}
    assert take(folder, previous=False).keys() == {"curve.csv", "health.csv", "checkpoint.pt", "run.json"}


def test_a_newer_checkpoint_keeps_the_one_before_until_the_run_is_complete(tmp_path):
    there = RunFolder(tmp_path / "there", RUN)
    for iteration in (10, 20, 20):
        put(there, take(folder_at(tmp_path / "here", iteration), previous=False))
    assert (there.path / BEFORE).read_text() == "checkpoint.pt at 10"
    assert there.checkpoint_path.read_text() == "checkpoint.pt at 20"
    whole = folder_at(tmp_path / "here", RUN.schedule.iterations, "complete", final={"train_error": 1.0})
    put(there, take(whole, previous=False))
    assert contents(there) == contents(whole)


def test_names_of_other_files_are_passed_over(tmp_path):
    there = RunFolder(tmp_path / "there", RUN)
    put(there, {"../../escaped": b"1", "other.txt": b"2", "curve.csv": b"3"})
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [there.curve_path]


@pytest.mark.parametrize("fails", ["curve.csv", "health.csv", "checkpoint.pt", "run.json"])
def test_interrupted_anywhere_rows_are_never_behind_the_checkpoint_nor_it_behind_the_record(
    tmp_path, monkeypatch, fails
):
    there = folder_at(tmp_path / "there", 10)
    real = transfer.replacing

    def failing(path):
        if path.name == fails:
            raise OSError(28, "No space left on device")
        return real(path)

    monkeypatch.setattr(transfer, "replacing", failing)
    with pytest.raises(OSError, match="No space"):
        put(there, take(folder_at(tmp_path / "here", 20), previous=False))
    at = {name: int(text.split()[-1]) for name, text in contents(there).items() if not name.endswith("json")}
    record = json.loads(there.record_path.read_text())["iteration"]
    assert at["curve.csv"] >= at["checkpoint.pt"] >= record == 10
    assert at["health.csv"] >= at["checkpoint.pt"]
