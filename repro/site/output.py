"""The report's folder: written whole or not at all, and never over anything that is not a report of ours."""

from __future__ import annotations

import json
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
#: What others write into the folder of the committed report, before or after it.
OTHERS = ("speed.md", "PROTOCOL.md")


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
    out = _resolved(out)
    new, old = out.with_name(f".{out.name}.new"), out.with_name(f".{out.name}.old")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(out.with_name(f".{out.name}.lock"))
        with lock.acquire(timeout=0):
            _recover(out, old)
            _refuse_others(out)
            shutil.rmtree(new, ignore_errors=True)
            new.mkdir()
            try:
                yield new
                files = sorted(path.relative_to(new).as_posix() for path in new.rglob("*") if path.is_file())
                write_json(new / MARKER, {"format": FORMAT, "files": files})
                if out.exists():
                    out.rename(old)
                new.rename(out)
                _recover(out, old)
            finally:
                shutil.rmtree(new, ignore_errors=True)
    except Timeout:
        raise OutputError(f"{out}: another process is writing this report, wait for it or give another --out") from None
    except OSError as error:
        raise OutputError(f"{out}: the report cannot be written: {error.strerror or error}") from error


def _resolved(out: Path) -> Path:
    try:
        resolved = out.resolve()
    except (OSError, RuntimeError) as error:  # symbolic links in a circle; a working folder that is gone
        reason = getattr(error, "strerror", None) or error
        raise OutputError(f"{out}: the report cannot be written: {reason}") from error
    if not resolved.name:
        raise OutputError(f"{out} is no folder for a report: give another one as --out")
    return resolved


def _recover(out: Path, old: Path) -> None:
    """Finish a replacement: back to the old report if no new one came, else over with what no report wrote."""
    gone = out.with_name(f".{out.name}.gone")
    shutil.rmtree(gone, ignore_errors=True)
    if not old.exists():
        return
    if not out.exists():
        old.rename(out)
        return
    written = {MARKER, *_written(old)}
    _carry(old, out, old, written)
    # Killed while it is removed, what is left of it has no marker, and would pass for files of others.
    old.rename(gone)
    shutil.rmtree(gone)


def _carry(folder: Path, out: Path, old: Path, written: set[str]) -> None:
    for path in sorted(folder.iterdir()):
        name = path.relative_to(old).as_posix()
        target = out / name
        if name in written:
            continue
        if path.is_dir() and not path.is_symlink() and any(item.startswith(f"{name}/") for item in written):
            _carry(path, out, old, written)
        else:
            target.parent.mkdir(parents=True, exist_ok=True)
            path.rename(target if not target.exists() else target.with_name(f"{target.name}~"))


def _written(folder: Path) -> list[str]:
    try:
        return [str(name) for name in json.loads((folder / MARKER).read_text(encoding="utf-8"))["files"]]
    except (OSError, ValueError, KeyError, TypeError):
        return []


def _refuse_others(out: Path) -> None:
    if out.exists() and not out.is_dir():
        raise OutputError(f"{out} is a file: give a folder as --out")
    if not out.exists() or (out / MARKER).is_file():
        return
    # Reports below it are no reason to refuse; nor are the committed pages that others write, nor files such as
    # .gitkeep.
    others = [
        path
        for path in out.iterdir()
        if path.name not in OTHERS and not path.name.startswith(".") and not (path / MARKER).is_file()
    ]
    if others:
        raise OutputError(
            f"{out} is no report of ours but holds {min(path.name for path in others)}: give another folder as --out"
        )
