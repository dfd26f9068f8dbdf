"""One holder of a run at a time, here and on machines that share the folder; none of them for ever."""

import errno
import multiprocessing as mp
import os
import signal
import time

import pytest

from repro import lock
from repro.errors import RecordError
from repro.lock import hold
from repro.records import HealthRow, Row, RunFolder
from repro.spec import Run


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(lock, "RENEW", 0.05)
    monkeypatch.setattr(lock, "STALE", 1.0)
    monkeypatch.setattr(lock, "SETTLE", 0.2)
    monkeypatch.setattr(lock, "_seen", {})


@pytest.fixture
def elsewhere(tmp_path, monkeypatch):
    """Become another machine on whose side of the shared folder the locks of this one do not show."""

    def become(name=b"another"):
        monkeypatch.setattr(lock, "machine", lambda: name)
        (tmp_path / "run.lock").unlink(missing_ok=True)

    return become


def test_one_holds_and_the_others_are_told_at_once(tmp_path):
    with hold(tmp_path) as first:
        assert first
        first.check()
        with hold(tmp_path) as second:
            assert second is None
        first.check()
    assert not (tmp_path / "holder.lock").exists()
    with hold(tmp_path) as third:
        assert third


def test_a_failure_inside_gives_it_back(tmp_path):
    with pytest.raises(ZeroDivisionError), hold(tmp_path):
        raise ZeroDivisionError
    with hold(tmp_path) as again:
        assert again


def _hold_and_wait(folder, told):
    with hold(folder) as mine:
        told.put(mine is not None)
        time.sleep(60)


def test_a_holder_that_was_killed_holds_no_more(tmp_path):
    context = mp.get_context("spawn")
    told = context.Queue()
    process = context.Process(target=_hold_and_wait, args=(tmp_path, told))
    process.start()
    assert told.get(timeout=60)
    with hold(tmp_path) as mine:
        assert mine is None
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    assert (tmp_path / "holder.lock").exists()
    with hold(tmp_path) as mine:
        assert mine, "the note is of this machine, whose lock is free"


def test_a_living_holder_on_another_machine_is_left_alone(tmp_path, elsewhere, monkeypatch):
    monkeypatch.setattr(lock, "STALE", 3.0)
    with hold(tmp_path) as first:
        elsewhere()
        deadline = time.monotonic() + 1.2 * lock.STALE
        while time.monotonic() < deadline:
            with hold(tmp_path) as second:
                assert second is None
            time.sleep(0.05)
        first.check()


def test_a_dead_holder_on_another_machine_is_followed_once_its_note_no_longer_changes(tmp_path, elsewhere):
    (tmp_path / "holder.lock").write_bytes(b"another machine's note, 000000000007\n")
    began = time.monotonic()
    with hold(tmp_path) as mine:
        assert mine is None
    while True:
        with hold(tmp_path) as mine:
            if mine:
                break
        time.sleep(0.02)
    assert time.monotonic() - began >= lock.STALE + lock.SETTLE


def test_a_note_that_was_renewed_in_between_counts_anew(tmp_path):
    note = tmp_path / "holder.lock"
    for renewal in range(3):
        note.write_bytes(b"another %012d\n" % renewal)
        with hold(tmp_path) as mine:
            assert mine is None
        time.sleep(0.6 * lock.STALE)


def test_of_two_machines_that_follow_a_dead_one_the_later_note_wins(tmp_path, monkeypatch):
    note = tmp_path / "holder.lock"
    note.write_bytes(b"dead\n")
    with hold(tmp_path) as mine:
        assert mine is None
    time.sleep(1.2 * lock.STALE)
    monkeypatch.setattr(lock.time, "sleep", lambda seconds: note.write_bytes(b"third machine's\n"))
    with hold(tmp_path) as mine:
        assert mine is None
    assert note.read_bytes() == b"third machine's\n"


def test_of_two_machines_that_begin_at_once_one_succeeds(tmp_path, monkeypatch):
    """The other one's note appears between our look and our attempt to put ours."""
    note = tmp_path / "holder.lock"
    really = lock._read

    def late(path):
        found = really(path)
        note.write_bytes(b"another machine's\n")
        return found

    monkeypatch.setattr(lock, "_read", late)
    with hold(tmp_path) as mine:
        assert mine is None
    assert note.read_bytes() == b"another machine's\n"


def test_who_was_taken_for_dead_and_was_not_writes_nothing_more(tmp_path):
    folder = RunFolder(tmp_path, Run("plain-20"))
    with folder.claim() as mine:
        assert mine
        folder.write({"status": "running", "iteration": 0})
        before = folder.record_path.read_bytes()
        note = folder.path / "holder.lock"
        renewed = note.read_bytes()
        while note.read_bytes() == renewed:
            pass  # just renewed, it is not again for RENEW seconds
        note.write_bytes(b"another machine's\n")
        for write in (
            lambda: folder.write({"status": "running", "iteration": 5}),
            lambda: folder.append(Row(100, *[1.0] * 6)),
            lambda: folder.add_health([HealthRow(0, 1, "conv1", 1.0, 1.0, 1.0)]),
            lambda: folder.put_back({}),
            lambda: folder.rewind(0),
            folder.check,
        ):
            with pytest.raises(RecordError, match="another machine has taken this run over"):
                write()
        time.sleep(5 * lock.RENEW)
    assert folder.record_path.read_bytes() == before
    assert (folder.path / "holder.lock").read_bytes() == b"another machine's\n"
    assert sorted(path.name for path in folder.path.iterdir()) == ["holder.lock", "run.json", "run.lock"]


def test_who_wakes_after_the_run_was_followed_and_finished_writes_nothing_more(tmp_path, elsewhere, monkeypatch):
    monkeypatch.setattr(lock, "RENEW", 3600.0)  # asleep: its note stays as it is
    with hold(tmp_path) as asleep:
        elsewhere()
        followed = False
        while not followed:
            with hold(tmp_path) as other:
                followed = other is not None
            time.sleep(0.02)
        with pytest.raises(RecordError, match="another machine has taken this run over"):
            asleep.check()
    elsewhere(b"a third")
    with hold(tmp_path) as third:
        assert third, "whom nobody holds off"


def test_the_note_is_renewed_at_its_length_and_made_anew_where_someone_removed_it(tmp_path):
    note = tmp_path / "holder.lock"
    with hold(tmp_path) as mine:
        notes = set()
        deadline = time.monotonic() + 20
        while len(notes) < 3:
            assert time.monotonic() < deadline
            notes.add(note.read_bytes())
        assert len({len(text) for text in notes}) == 1
        note.unlink()
        mine.check()
        while not note.exists():
            assert time.monotonic() < deadline
        mine.check()
    assert not note.exists()


def test_a_disk_without_room_for_the_note_leaves_none_that_would_block(tmp_path, monkeypatch):
    really = type(tmp_path).open

    def refuse(content):
        raise OSError(errno.ENOSPC, "No space left on device")

    def open_full(path, mode="r", **options):
        file = really(path, mode, **options)
        if path.name == "holder.lock":
            file.write = refuse
        return file

    monkeypatch.setattr(type(tmp_path), "open", open_full)
    with pytest.raises(OSError, match="No space left"), hold(tmp_path):
        pass
    monkeypatch.undo()
    with hold(tmp_path) as mine:
        assert mine


def test_the_machine_is_told_apart_from_others_but_not_named():
    assert lock.machine() == lock.machine()
    assert len(lock.machine()) >= 8
    assert os.uname().nodename.encode() not in lock.machine()
