"""A disk that is full or may not be written to: nothing is lost, a line says so, and the command carries on later."""

import errno
import os
import resource
import sys
from pathlib import Path

import commands
import pytest
from commands import Command
from disks import PAGE, Filler, snapshot
from runs import assert_same_bits, folder_of

from repro.run import main
from repro.train import checkpoint


def assert_told(text, runs=2):
    assert text.count("No space left on device: make room, then start again to carry on") == runs
    assert "Traceback" not in text


def test_full_when_the_record_or_the_checkpoint_is_written(small_disk, study, undisturbed, capsys):
    results, filler = small_disk / "results", Filler(small_disk)
    for begun in (False, True):
        if begun:
            assert main([*commands.arguments(study, results), "--stop-at", "8"]) == 0
        before = snapshot(results)
        filler.fill()
        capsys.readouterr()
        assert main(commands.arguments(study, results)) == 1
        assert_told(capsys.readouterr().out)
        assert snapshot(results) == before
        filler.make_room()
    folder = folder_of(study, results, "resnet-8")
    before = folder.checkpoint_path.read_bytes()
    # Room for a record and some rows, but not for the weights.
    filler.fill(leave=40 * PAGE)
    assert len(before) > 40 * PAGE
    assert main([*commands.arguments(study, results), "--checkpoint-every", "0"]) == 1
    assert_told(capsys.readouterr().out)
    assert folder.checkpoint_path.read_bytes() == before
    record = commands.record(folder)
    assert record["status"] == "failed" and "No space left" in record["error"] and record["traceback"] is None
    assert not list(folder.path.glob(".*.tmp"))
    filler.make_room()
    assert main(commands.arguments(study, results)) == 0
    assert_same_bits(results, undisturbed)


def _no_large_files():
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, resource.RLIM_INFINITY))


def test_a_limit_to_the_size_of_files(study, undisturbed, tmp_path):
    """As root or not, on any file system: the checkpoint is refused half-way through by the system."""
    results = tmp_path / "results"
    assert main([*commands.arguments(study, results), "--stop-at", "8"]) == 0
    folder = folder_of(study, results, "plain-8")
    before = folder.checkpoint_path.read_bytes()
    command = Command(commands.arguments(study, results), tmp_path / "log", _no_large_files)
    assert command.wait() == 1
    assert command.text.count("File too large: make room, then start again to carry on") == 2
    assert "Traceback" not in command.text
    assert folder.checkpoint_path.read_bytes() == before
    assert commands.record(folder)["status"] == "failed"
    assert main(commands.arguments(study, results)) == 0
    assert_same_bits(results, undisturbed)


STEPS = [(os, "fsync"), (Path, "replace"), (Path, "write_bytes"), (Path, "open")]


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_a_disk_that_fails_at_any_step_of_saving_leaves_a_good_checkpoint(study, undisturbed, tmp_path, monkeypatch):
    words = [*commands.arguments(study, tmp_path, "--only", "plain-8"), "--checkpoint-every", "0"]
    assert main([*words, "--stop-at", "3"]) == 0
    folder = folder_of(study, tmp_path, "plain-8")
    newest = folder.checkpoint_path
    came_to = commands.at(folder)
    for owner, name in STEPS:
        for which in (1, 2):
            calls = fail_on_call(monkeypatch, owner, name, which, newest.name)
            assert main(words) == 1
            monkeypatch.undo()
            assert len(calls) >= which
            found = [path for path in (newest, checkpoint.previous(newest)) if path.exists()]
            reached = max(checkpoint.read(path)["state"]["iteration"] for path in found)
            assert reached >= came_to, (name, which)
            came_to = reached
    assert main(commands.arguments(study, tmp_path)) == 0
    assert_same_bits(tmp_path, undisturbed)


def fail_on_call(monkeypatch, owner, name, which, about):
    """Let the n-th call that has to do with this file, or its temporary one, fail as a broken disk does."""
    really, calls = getattr(owner, name), []

    def broken(first, *more, **options):
        path = Path(f"/proc/self/fd/{first}").readlink() if isinstance(first, int) else first
        if path.name.removeprefix(".").startswith(about):
            calls.append(path)
            if len(calls) == which:
                raise OSError(errno.EIO, "Input/output error")
        return really(first, *more, **options)

    monkeypatch.setattr(owner, name, broken)
    return calls


def test_a_results_folder_that_may_not_be_written_to(study, undisturbed, tmp_path, read_only, capsys):
    results = tmp_path / "results"
    assert main([*commands.arguments(study, results), "--stop-at", "8"]) == 0
    before = snapshot(results)
    read_only(results)
    capsys.readouterr()
    assert main(commands.arguments(study, results)) == 1
    out = capsys.readouterr().out
    assert "Traceback" not in out and out.count(": give another --results folder") == 2
    assert "Read-only file system" in out or "Permission denied" in out
    assert snapshot(results) == before
    read_only.undo()
    assert main(commands.arguments(study, results)) == 0
    assert_same_bits(results, undisturbed)


def test_what_is_complete_is_shown_from_a_folder_that_may_not_be_written_to(study, undisturbed, read_only, capsys):
    read_only(undisturbed)
    assert main(commands.arguments(study, undisturbed)) == 0
    assert "2 of 2 runs are complete already" in capsys.readouterr().out
