"""Holds a folder against other processes, on this machine and on those that share its file system.

Two things together, neither of which goes by process numbers. The operating system's lock ends with the process that
holds it, however that ends, but some shared file systems keep it to one machine. So the holder also leaves a note in
the folder and renews it as long as it lives: a note of another machine counts until it has stayed as it is for `STALE`
seconds of the observer's own clock. A holder that was taken for dead and was not, because it was suspended or cut off,
finds another's note where its own was, and must write nothing more. So whoever followed another machine leaves a note
also in the end, which holds nobody off.
"""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from repro.errors import RecordError

#: Seconds between renewals. File systems on a network may show a change only after a minute.
RENEW = 15.0
#: Seconds without a renewal after which a holder on another machine counts as dead.
STALE = 150.0
#: Seconds for another machine's note to show up, where both find the same holder dead.
SETTLE = 5.0

#: The note of one that followed another machine and has ended.
RELEASED = b"released\n"

#: What the note of a folder was when this process first saw it so, and when that was.
_seen: dict[Path, tuple[bytes, float]] = {}


class Hold:
    """A folder that is ours, for as long as `check` says so."""

    def __init__(self, folder: Path) -> None:
        self.note = folder / "holder.lock"
        self.machine, self.token = machine(), uuid.uuid4().hex.encode()
        self._renewals = 0
        self._followed = False
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._keep_renewing, daemon=True)

    def check(self) -> None:
        """Raise RecordError where another machine has taken the folder over."""
        if self._is_lost():
            raise RecordError(f"{self.note.parent}: another machine has taken this run over and carries it on")

    def _is_lost(self) -> bool:
        note = _read(self.note)
        return bool(note) and self.token not in (note or b"")

    def _take(self) -> bool:
        """Put our note into the folder, unless that of a living holder on another machine is there."""
        note = _read(self.note)
        if note is None:
            try:
                self._write("xb")  # of several machines, one succeeds
            except FileExistsError:
                return False
            return True
        if note.startswith(self.machine):
            self._write("wb")  # its holder has let go of this machine's lock, and so is no more
            return True
        if note == RELEASED:
            return self._follow()
        known, since = _seen.get(self.note, (None, 0.0))
        if known != note:
            _seen[self.note] = (note, time.monotonic())
            return False
        if time.monotonic() - since < STALE:
            return False
        return self._follow()

    def _follow(self) -> bool:
        self._followed = True
        self._write("wb")
        time.sleep(SETTLE)
        return not self._is_lost()

    def _write(self, mode: str) -> None:
        try:
            with self.note.open(mode) as file:
                # Always as long, so that renewing it needs no room on a full disk.
                file.write(b"%s %s %012d\n" % (self.machine, self.token, self._renewals))
        except FileExistsError:
            raise
        except OSError:
            if mode != "rb+":
                self.note.unlink(missing_ok=True)
            raise

    def _keep_renewing(self) -> None:
        while not self._over.wait(RENEW) and not self._is_lost():
            self._renewals += 1
            with suppress(OSError):  # to be tried again
                self._write("rb+" if self.note.exists() else "xb")

    def _end(self) -> None:
        self._over.set()
        self._thread.join()
        if not self._is_lost():
            with suppress(OSError):
                if self._followed:
                    self.note.write_bytes(RELEASED)
                else:
                    self.note.unlink()


@contextmanager
def hold(folder: Path) -> Iterator[Hold | None]:
    """Hold a folder; gives None at once where another process holds it.

    Raises:
        OSError: it is not there or cannot be written to, or its file system has no locks.
    """
    lock = FileLock(folder / "run.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        yield None
        return
    try:
        ours = Hold(folder)
        if not ours._take():
            yield None
            return
        ours._thread.start()
        try:
            yield ours
        finally:
            ours._end()
    finally:
        lock.release()


def _read(path: Path) -> bytes | None:
    try:
        return path.read_bytes()[:200]
    except OSError:
        return None


def machine() -> bytes:
    """This machine since it was last started, without its name."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_bytes().strip()
    except OSError:
        return f"{uuid.getnode():x}".encode()
