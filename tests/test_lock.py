"""One holder of a run at a time, here and on machines that share the folder; none of them for ever."""

import os
import subprocess
import sys
import threading

import pytest

from repro import lock
from repro.errors import RecordError
from repro.lock import hold, is_held
from repro.records import HealthRow, Row, RunFolder
from repro.spec import Run


@pytest.fixture
def claim(tmp_path):
    return tmp_path / "holder.lock"


@pytest.fixture
def elsewhere(monkeypatch):
    """Become another machine."""
    return lambda name="another": monkeypatch.setattr(lock, "machine", lambda: name)


def age(path, seconds):
    """Have the last heartbeat be so long ago."""
    then = path.stat().st_mtime - seconds
    os.utime(path, (then, then))


def is_taken(folder):
    with hold(folder) as mine:
        return mine is None


def test_one_holds_and_the_others_are_told_and_a_failure_inside_gives_it_back(tmp_path, claim):
    with pytest.raises(ZeroDivisionError), hold(tmp_path) as first:
        first.check()
        assert is_held(tmp_path) and is_taken(tmp_path)
        first.check()
        raise ZeroDivisionError
    assert not claim.exists() and not is_held(tmp_path)
    assert not is_taken(tmp_path)


def test_of_many_threads_that_find_a_dead_holder_one_succeeds(tmp_path, claim):
    claim.write_text(f"{lock.machine()} {os.getpid()} 1 a-process-of-this-number-that-began-at-another-time\n")
    assert not is_held(tmp_path)
    found, done = [], threading.Barrier(8)

    def work():
        with hold(tmp_path) as mine:
            found.append(mine is not None)
            done.wait(60)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(found) == [False] * 7 + [True]


def test_a_holder_that_was_killed_holds_no_more_even_before_its_parent_knows(tmp_path, claim):
    code = (
        "import sys, pathlib, repro.lock as l; c = l.hold(pathlib.Path(sys.argv[1])); c.__enter__(); print(flush=True)"
    )
    words = [sys.executable, "-c", f"{code}; sys.stdin.read()", str(tmp_path)]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        process.stdout.readline()
        assert is_held(tmp_path) and is_taken(tmp_path)
        process.kill()
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)  # it has ended, and is left as it is
        assert claim.exists() and not is_held(tmp_path)
        assert not is_taken(tmp_path)


def test_a_holder_on_another_machine_counts_by_its_heartbeat(tmp_path, claim, elsewhere):
    with hold(tmp_path) as first:
        elsewhere()
        assert is_held(tmp_path) and is_taken(tmp_path)
        age(claim, lock.STALE - 30)
        assert is_held(tmp_path) and is_taken(tmp_path)
        age(claim, 60)
        assert not is_held(tmp_path)
        with hold(tmp_path) as second:
            assert second
            with pytest.raises(RecordError, match="another process has taken this run over"):
                first.check()
        with pytest.raises(RecordError, match="another process has taken this run over"):
            first.check()  # also once that one has ended
    assert not claim.exists()


@pytest.mark.parametrize("text", ["", "half", "\x00\xff"])
def test_a_claim_that_cannot_be_read_holds_until_it_is_old(tmp_path, claim, text):
    claim.write_text(text)
    assert is_taken(tmp_path)
    age(claim, lock.STALE + 1)
    assert not is_taken(tmp_path)


def test_of_two_machines_that_begin_at_once_one_succeeds(tmp_path, claim, monkeypatch):
    """The other one's claim appears between our look and our attempt to write ours."""
    really, looks = lock._read, []

    def late(path):
        found = really(path)
        if not looks:
            looks.append(path)
            claim.write_text("another machine's\n")
        return found

    monkeypatch.setattr(lock, "_read", late)
    assert is_taken(tmp_path)
    assert claim.read_text() == "another machine's\n"


def test_the_heart_beats_as_long_as_the_claim_is_ours(tmp_path, claim, monkeypatch):
    monkeypatch.setattr(lock, "RENEW", 0.01)
    beats, really = threading.Semaphore(0), os.utime

    def beat(path, *times):
        really(path, *times)
        if path == claim:
            beats.release()

    monkeypatch.setattr(os, "utime", beat)
    with hold(tmp_path):
        assert all(beats.acquire(timeout=60) for _ in range(3))
        with monkeypatch.context() as patch:
            patch.setattr(lock, "_read", lambda path: None)  # as a server of files that is away for a moment
            while beats.acquire(blocking=False):
                pass
            assert all(beats.acquire(timeout=60) for _ in range(3))
        (renewer,) = [thread for thread in threading.enumerate() if "renew" in thread.name]
        claim.write_text("another machine's\n")
        renewer.join(60)
        assert not renewer.is_alive()
    assert claim.read_text() == "another machine's\n"


def test_who_was_taken_for_dead_and_was_not_writes_nothing_more(tmp_path):
    folder = RunFolder(tmp_path, Run("plain-20"))
    with folder.claim() as mine:
        assert mine
        folder.write({"status": "running", "iteration": 0})
        before = folder.record_path.read_bytes()
        (folder.path / "holder.lock").write_text("another machine's\n")
        for write in (
            lambda: folder.write({"status": "running", "iteration": 5}),
            lambda: folder.append(Row(100, *[1.0] * 6)),
            lambda: folder.add_health([HealthRow(0, 1, "conv1", 1.0, 1.0, 1.0)]),
            lambda: folder.put_back({}),
            folder.check,
        ):
            with pytest.raises(RecordError, match="another process has taken this run over"):
                write()
    assert folder.record_path.read_bytes() == before
    assert sorted(path.name for path in folder.path.iterdir()) == ["holder.lock", "run.json", "run.lock"]
