"""Files of a run damaged between two starts: what can be put right is, with a word; the rest is told and left alone."""

import json
import random
import shutil
from pathlib import Path

import commands
import pytest
import torch
from runs import assert_same_bits, folder_of, plain

from repro.data import load as load_data
from repro.run import main
from repro.train import checkpoint
from repro.train.begin import begin
from repro.train.precision import Numerics


@pytest.fixture(scope="module")
def halfway(study, tmp_path_factory):
    """Both runs stopped at iteration 13, with the checkpoints of iterations 13 and 7."""
    results = tmp_path_factory.mktemp("halfway")
    for stop in ("7", "13"):
        assert main([*commands.arguments(study, results), "--checkpoint-every", "1000", "--stop-at", stop]) == 0
    return results


@pytest.fixture
def place(halfway, study, tmp_path):
    """A copy of it, and the folder of the residual run there."""
    shutil.copytree(halfway, tmp_path / "results")
    return folder_of(study, tmp_path / "results", "resnet-8")


@pytest.fixture
def go_on(study, tmp_path, undisturbed, capsys):
    """Start again: the residual run completes with the right bits, and this is what was said."""

    def start(told):
        capsys.readouterr()
        assert main(commands.arguments(study, tmp_path / "results", "--only", "resnet-8")) == 0
        out, err = capsys.readouterr()
        assert told in out
        assert "Traceback" not in out + err
        assert not err
        assert_same_bits(tmp_path / "results", undisturbed, "resnet-8")
        return out

    return start


@pytest.fixture
def refused(study, tmp_path, capsys, place):
    """Start again: this run fails with one line and not a byte of it changed, the other one completes."""

    def start(told):
        before = contents(place.path)
        capsys.readouterr()
        assert main(commands.arguments(study, tmp_path / "results")) == 1
        out, err = capsys.readouterr()
        assert "Traceback" not in out + err
        lines = [line for line in (out + err).splitlines() if told in line]
        assert len(lines) == 1, out + err
        assert str(place.path) in lines[0] or lines[0].startswith("[2/2] resnet-8 ")
        assert contents(place.path) == before
        other = folder_of(study, tmp_path / "results", "plain-8")
        assert commands.record(other)["status"] == "complete"
        return lines[0]

    return start


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file() and path.suffix != ".lock"}


# Checkpoints

FLIP = random.Random(13)


def halve(path):
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])


def flip(path, where):
    content = bytearray(path.read_bytes())
    content[round(where * (len(content) - 1))] ^= 0x10
    path.write_bytes(content)


def of_another_network(path):
    shutil.copy(path.parents[2] / path.parents[1].name.replace("resnet", "plain") / "seed-0" / path.name, path)


def edited(**changes):
    def edit(path):
        content = torch.load(path, weights_only=True)
        for key, value in changes.items():
            content[key] = content[key] | value if key == "state" else value
        torch.save(content, path)

    return edit


def a_folder(path):
    path.unlink()
    path.mkdir()


DAMAGES = {
    "empty": lambda path: path.write_bytes(b""),
    "half": halve,
    "a bit in the weights": lambda path: flip(path, 0.5),
    "folder": a_folder,
    "of another network": of_another_network,
    "a list": lambda path: torch.save([1, 2], path),
    "no weights": edited(model={}),
    "an iteration that is none": edited(state={"iteration": "3"}),
    "a record that is none": edited(kept={"record": 5, "tables": {}}),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES.keys())
def test_the_checkpoint_before_takes_the_place_of_a_damaged_one(damage, place, go_on):
    damage(place.checkpoint_path)
    out = go_on("carries on from iteration 7 of the checkpoint before")
    assert f"{place.checkpoint_path.name}: " in out
    assert (place.path / "checkpoint.damaged.pt").exists()


def test_a_damaged_checkpoint_never_pushes_out_the_good_one(place, study, tmp_path):
    """Killed after the first save that follows, there are two good ones again."""
    flip(place.checkpoint_path, 0.5)
    assert main([*commands.arguments(study, tmp_path / "results"), "--checkpoint-every", "0", "--stop-at", "8"]) == 0
    both = place.checkpoint_path, checkpoint.previous(place.checkpoint_path)
    assert [checkpoint.read(path)["state"]["iteration"] for path in both] in ([8, 8], [8, 7])


def test_bits_flipped_anywhere_are_noticed_or_change_nothing(place):
    """Most of a checkpoint is under a checksum; the rest says where its parts are."""
    run, digits = place.run, load_data("digits")
    content = place.checkpoint_path.read_bytes()
    checkpoint.previous(place.checkpoint_path).unlink()

    def resumed():
        training, _ = begin(run, digits, Numerics("cpu", "fp32", 1))
        found = checkpoint.resume(place.checkpoint_path, run.hash, training)
        return plain([found, training.net.state_dict(), training.optimiser.state_dict(), vars(training.state)])

    expected, noticed = resumed(), 0
    for _ in range(30):
        damaged = bytearray(content)
        damaged[FLIP.randrange(len(content))] ^= 1 << FLIP.randrange(8)
        place.checkpoint_path.write_bytes(damaged)
        try:
            assert resumed() == expected
        except checkpoint.RecordError:
            noticed += 1
    assert noticed > 25


def test_without_any_checkpoint_the_run_begins_anew_and_says_so(place, go_on):
    place.checkpoint_path.unlink()
    checkpoint.previous(place.checkpoint_path).unlink()
    go_on("its checkpoint is gone, or was not yet written: begins anew")
    assert [session["from"] for session in commands.record(place)["sessions"]] == [0, 7, 0]


def test_a_gpu_without_room_for_a_checkpoint_says_nothing_against_it(place, study, tmp_path, monkeypatch, capsys):
    before = contents(place.path)
    for owner, name in ((torch, "load"), (torch.nn.Module, "load_state_dict")):
        with monkeypatch.context() as patch:
            error = torch.OutOfMemoryError("CUDA out of memory")
            patch.setattr(owner, name, lambda *_, error=error, **__: (_ for _ in ()).throw(error))
            assert main(commands.arguments(study, tmp_path / "results", "--only", "resnet-8")) == 1
        assert "failed: out of memory (CUDA out of memory)" in capsys.readouterr().out
        assert {**contents(place.path), "run.json": None} == {**before, "run.json": None}


def test_killed_between_the_two_steps_of_saving(place, go_on):
    place.checkpoint_path.replace(checkpoint.previous(place.checkpoint_path))
    (place.path / ".checkpoint.pt.99999.tmp").write_bytes(b"half")
    go_on("carries on from iteration 13")


def test_two_damaged_checkpoints_are_told_and_kept(place, refused, go_on):
    flip(place.checkpoint_path, 0.5)
    halve(checkpoint.previous(place.checkpoint_path))
    line = refused("remove the file to begin this run anew")
    assert "is damaged" in line
    assert "cannot be read as a checkpoint" in line
    place.checkpoint_path.unlink()
    checkpoint.previous(place.checkpoint_path).unlink()
    go_on("begins anew")


@pytest.mark.parametrize("legacy", [False, True])
def test_a_checkpoint_from_a_stranger_executes_nothing(legacy, place, go_on, tmp_path):
    trap = tmp_path / "executed"

    class Trap:
        def __reduce__(self):
            return Path.touch, (trap,)

    content = torch.load(place.checkpoint_path, weights_only=True)
    content["kept"]["record"]["environment"] = Trap()
    torch.save(content, place.checkpoint_path, _use_new_zipfile_serialization=not legacy)
    go_on("of the checkpoint before")
    assert not trap.exists()


# Tables


def without_a_row(path):
    header, _, *rest = path.read_text().splitlines()
    path.write_text("\n".join([header, *rest]) + "\n")


CHANGES = {
    "deleted": Path.unlink,
    "torn": lambda path: path.write_bytes(path.read_bytes()[:-9]),
    "a row": without_a_row,
    "no text": lambda path: path.write_bytes(b"\xff\xfe\x00"),
}


@pytest.mark.parametrize("table", ["curve.csv", "health.csv"])
@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
def test_a_table_that_was_changed_is_put_back(change, table, place, go_on):
    change(place.path / table)
    go_on(f"carries on from iteration 13; {table} had been changed and is put back as it was")


# Records


def edit(place, **changes):
    record = json.loads(place.record_path.read_text())
    for key, value in changes.items():
        record[key] = record[key] | value if isinstance(value, dict) and isinstance(record.get(key), dict) else value
    place.record_path.write_text(json.dumps(record))


def test_a_record_that_was_deleted_is_written_anew(place, go_on):
    sessions = commands.record(place)["sessions"]
    place.record_path.unlink()
    go_on("run.json was gone and is written anew; carries on from iteration 13")
    found = commands.record(place)["sessions"]
    assert [session["began"] for session in found[:-1]] == [session["began"] for session in sessions]


@pytest.mark.parametrize(
    "damage",
    [b"", b"\xff", b'{"format": 1}'],
    ids=["empty", "no text", "bare"],
)
def test_a_damaged_record_is_told_and_left_alone_and_the_other_runs_go_on(damage, place, refused, go_on):
    place.record_path.write_bytes(damage)
    refused("run.json: ")
    place.record_path.unlink()
    go_on("run.json was gone and is written anew; carries on from iteration 13")


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"spec": {"seed": 5}}, "holds another run (seed: 0 against 5): give another --results folder, or move"),
        ({"numerics": {"threads": 2}}, "the run began with threads 2, not 1: leave --threads out"),
        ({"data": {"fingerprint": "0" * 64}}, "was begun on other images than these"),
        ({"format": 99}, "has format 99, this version reads format 1"),
    ],
    ids=range(4),
)
def test_an_edited_record_is_told_and_left_alone(changes, told, place, refused):
    edit(place, **changes)
    refused(told)


def test_a_hostile_message_in_a_record_is_shown_as_text(undisturbed, study, tmp_path, capsys):
    shutil.copytree(undisturbed, tmp_path / "results")
    place = folder_of(study, tmp_path / "results", "plain-8")
    edit(place, status="diverged", error="\x1b[2J\x1b]0;owned\x07 [bold]no[/bold]\nsecond line <script>")
    assert main(commands.arguments(study, tmp_path / "results")) == 1
    out = capsys.readouterr().out
    assert "\x1b" not in out and "\x07" not in out
    assert r"diverged before: \x1b[2J\x1b]0;owned\x07 [bold]no[/bold]\nsecond line <script>" in out
