"""A claim on a run's folder: a file that names its holder, and whose time the holder renews as its heartbeat.

It is stale when that process has ended on this machine, or when another machine has not renewed it for `STALE` seconds.
A holder that was taken for dead, because it was suspended or cut off, finds its claim gone and must write nothing more.
"""

from __future__ import annotations

import os
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from repro.errors import RecordError

#: Seconds between heartbeats, and after which a holder on another machine counts as dead: NFS may show one after 60.
RENEW, STALE = 15.0, 180.0


class Hold:
    """A claim of this process."""

    def __init__(self, folder: Path) -> None:
        self.path, self.over = folder / "holder.lock", threading.Event()
        self.text = f"{machine()} {os.getpid()} {_born(os.getpid())} {uuid.uuid4().hex}\n"

    def check(self) -> None:
        """Raise RecordError where another process has taken the folder over."""
        if _read(self.path) != self.text:
            raise RecordError(f"{self.path.parent}: another process has taken this run over and carries it on")

    def take(self, now: float) -> bool:
        """Write the claim, unless there is one that is not stale by then."""
        former = _read(self.path)
        if former is not None and not _is_stale(self.path, now):
            return False
        try:
            with self.path.open("x" if former is None else "w") as file:  # of several machines, "x" lets one succeed
                file.write(self.text)
        except FileExistsError:
            return False
        except OSError:
            self.path.unlink(missing_ok=True)
            raise
        return _read(self.path) == self.text

    def renew(self) -> None:
        """Send heartbeats until the claim is over, or another's."""
        while not self.over.wait(RENEW) and _read(self.path) in (self.text, None):
            with suppress(OSError):  # the next one may succeed
                os.utime(self.path)


@contextmanager
def hold(folder: Path) -> Iterator[Hold | None]:
    """Hold a folder; gives None where another process holds it.

    Raises:
        OSError: it is not there or cannot be written to, or its file system has no locks.
    """
    ours, taken = Hold(folder), False
    with suppress(Timeout), FileLock(folder / "run.lock", timeout=5):  # on this machine one process at a time judges
        os.utime(folder / "run.lock")  # of this file the time is the server's, as that of other machines' claims is
        taken = ours.take((folder / "run.lock").stat().st_mtime)
    if not taken:
        yield None
        return
    threading.Thread(target=ours.renew, daemon=True).start()
    try:
        yield ours
    finally:
        ours.over.set()
        if _read(ours.path) == ours.text:
            with suppress(OSError):
                ours.path.unlink()


def is_held(folder: Path) -> bool:
    """Whether a process seems to hold a folder, by this machine's clock; nothing is written."""
    return _read(folder / "holder.lock") is not None and not _is_stale(folder / "holder.lock", time.time())


def _is_stale(path: Path, now: float) -> bool:
    whose, process, born, *_ = [*(_read(path) or "").split(), "", "", ""]
    if born and whose == machine() and _born(os.getpid()):
        return _born(int(process)) != born
    with suppress(OSError):
        return now - path.stat().st_mtime > STALE
    return False


def machine() -> str:
    """This machine since it was last started, and its set of process numbers, of which a container has its own."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot}-{Path('/proc/self/ns/pid').stat().st_ino}"
    except OSError:
        return f"{uuid.getnode():x}"


def _born(process: int) -> str:
    """When a process began, which tells it from a later one of its number; empty if it has ended, or without /proc."""
    try:
        state, *fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
        return "" if state in "ZX" else fields[18]
    except OSError:
        return ""


def _read(path: Path) -> str | None:
    with suppress(OSError):
        return path.read_bytes()[:200].decode(errors="replace")
    return None
