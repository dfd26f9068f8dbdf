"""The report's folder: written whole or not at all, and never over anything that is not a report of ours."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from repro.errors import UserError
from repro.records import write_json

#: Marks a folder as ours, and lists what was written, so that a later report removes that and nothing else.
MARKER = ".resnet-repro-report.json"
FORMAT = 1


class OutputError(UserError):
    """The folder for the report cannot be used."""

    status = 1


@contextmanager
def replaced(out: Path) -> Iterator[Path]:
    """Give an empty folder to write a report into, and on success put it in the place of `out`.

    Files in `out` that no report wrote are kept. After a crash in the middle the old report is still there, or is
    put back by the next start.

    Raises:
        OutputError: `out` holds something else than a report, another process writes it, or the disk refuses.
    """
    try:
        out = Path(os.path.realpath(out))
        if not out.name:
            raise OutputError(f"{out} is no folder for a report: give another one as --out")
        new, old = out.with_name(f".{out.name}.new"), out.with_name(f".{out.name}.old")
        out.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(out.with_name(f".{out.name}.lock")).acquire(timeout=0):
            _settle(out, new, old)
            _refuse_others(out)
            new.mkdir()
            try:
                yield new
                files = sorted(path.relative_to(new).as_posix() for path in new.rglob("*") if path.is_file())
                write_json(new / MARKER, {"format": FORMAT, "files": files})
                if out.exists():
                    _copy_others(out, new)
                    out.rename(old)
                new.rename(out)
            finally:
                _settle(out, new, old)
    except Timeout:
        raise OutputError(f"{out}: another process is writing this report, wait for it or give another --out") from None
    except OSError as error:
        raise OutputError(f"{out}: the report cannot be written: {error.strerror or error}") from error


def _settle(out: Path, new: Path, old: Path) -> None:
    """After a replacement, done or cut off: the old report back if no new one came, and nothing left beside it."""
    if old.exists() and not out.exists():
        old.rename(out)
    for folder in (new, old):
        shutil.rmtree(folder, ignore_errors=True)


def _refuse_others(out: Path) -> None:
    if out.exists() and not out.is_dir():
        raise OutputError(f"{out} is a file: give a folder as --out")
    if not out.exists() or (out / MARKER).is_file():
        return
    # Files such as .gitkeep are no reason to refuse.
    others = [path.name for path in out.iterdir() if not path.name.startswith(".")]
    if others:
        raise OutputError(f"{out} is no report of ours but holds {min(others)}: give another folder as --out")


def _copy_others(out: Path, new: Path) -> None:
    """Copy what no report wrote; beside a new file of the same name."""
    written = {MARKER, *_written(out)}
    for path in out.rglob("*"):
        name = path.relative_to(out).as_posix()
        if name not in written and (path.is_symlink() or not path.is_dir()):
            target = new / (f"{name}~" if (new / name).exists() else name)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(path, target, follow_symlinks=False)


def _written(folder: Path) -> list[str]:
    try:
        return [str(name) for name in json.loads((folder / MARKER).read_text(encoding="utf-8"))["files"]]
    except (OSError, ValueError, KeyError, TypeError):
        return []
