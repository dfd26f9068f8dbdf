"""Disks that are full, and what was on them."""

import contextlib
import os

PAGE = os.sysconf("SC_PAGE_SIZE")


class Filler:
    """Takes up the room of a file system, but for some of it."""

    def __init__(self, place):
        self.path = place / "filler"

    def fill(self, leave=0):
        free = os.statvfs(self.path.parent)
        with contextlib.suppress(OSError), self.path.open("ab", buffering=0) as file:
            file.write(b"x" * max(0, free.f_bavail * free.f_frsize - leave))
            while not leave:
                file.write(b"x" * PAGE)

    def make_room(self):
        self.path.unlink()


def snapshot(results):
    """All files of the runs but locks, by path."""
    return {path: path.read_bytes() for path in results.rglob("*") if path.is_file() and path.suffix != ".lock"}
