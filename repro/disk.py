"""Files, so written that none is ever half there, and so read that any mistake in one is told in a line."""

from __future__ import annotations

import codecs
import json
import math
import os
import stat
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from repro.errors import RecordError

#: Larger than any table of a run (1,000 rows of a curve take 100 kB); a file beyond it is refused unread.
LARGEST_FILE = 200_000_000
#: There, a file that another program has open can be neither replaced nor, often, written.
WINDOWS = os.name == "nt"
#: How often, and how many seconds apart, what such a program prevents is tried again.
TRIES, BETWEEN = 20, 0.25

#: How files begin that are often given for others: what they are, and what to do, if that is the same for all.
_FORMS = {
    b"\x1f\x8b": ("packed by gzip", "unpack it: gunzip FILE"),
    b"BZh": ("packed by bzip2", "unpack it: bunzip2 FILE"),
    b"\xfd7zXZ": ("packed by xz", "unpack it: unxz FILE"),
    b"\x89HDF": ("an HDF5 file, as Keras writes", ""),
    b"version https://git-lfs": ("a pointer of Git LFS", "`git lfs pull` fetches the file itself"),
    b"<": ("a page of a website", "download the file itself"),
    **{bytes([0x80, protocol]): ("a pickle, which is not executed here", "") for protocol in range(2, 6)},
    # An object follows, its number, and the length and text of its version.
    b"\4\0\0\0\1\0\0\0\3\0\0\0V 1": (
        "a file of Lua's Torch; the networks that fb.resnet.torch published are not the paper's, without batch "
        "normalisation in their projections (its issue 49)",
        "take torchvision's weights",
    ),
    b"PK\3\4": ("a zip archive, as NumPy's .npz and Excel's .xlsx are", ""),
}

T = TypeVar("T")


def form_of(begins: bytes) -> tuple[str, str]:
    """What a file seems to be by its first bytes, and what to do, if not the usual; empty where it is not known."""
    return next((said for start, said in _FORMS.items() if begins.startswith(start)), ("", ""))


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a temporary name beside `path`; on success flush it to disk and put it in the place of `path`."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        yield temporary
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        patiently(lambda: temporary.replace(path), path)
    finally:
        temporary.unlink(missing_ok=True)


def patiently(act: Callable[[], T], path: Path) -> T:
    """Do something to a file; on Windows for some seconds more while another program, such as Excel, holds it open.

    Raises:
        RecordError: it still does.
    """
    for _ in range(TRIES if WINDOWS else 0):
        try:
            return act()
        except PermissionError:
            time.sleep(BETWEEN)
    try:
        return act()
    except PermissionError as error:
        if not WINDOWS:
            raise
        raise RecordError(
            f"{path}: another program has it open, or it may not be written: close it there, then start again"
        ) from error


def leftovers(folder: Path) -> list[Path]:
    """Temporary files of `replacing` whose process ended before it could remove them, if no other is at work there."""
    return [path for path in folder.glob(".*.tmp") if path.is_file()]


def write_text(path: Path, text: str) -> None:
    """Write a whole file or nothing, with the same bytes on each system."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")


def write_json(path: Path, value: Mapping[str, Any]) -> None:
    """Write a whole JSON file or nothing."""
    write_text(path, json_text(value))


def json_text(value: Mapping[str, Any]) -> str:
    """A JSON file's text; NaN and infinity, which JSON lacks, become null."""
    return json.dumps(_finite(value), indent=1, allow_nan=False) + "\n"


def _finite(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, Mapping):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return value


def read_text(path: Path, what: str, largest: int = LARGEST_FILE) -> str:
    """Read a text file of ordinary size.

    Raises:
        RecordError: it is missing, unreadable, too large, no file (but a pipe, say) or no text; `what` says as what.
    """
    try:
        found = path.stat()
        if not stat.S_ISREG(found.st_mode):
            raise RecordError(f"{path}: is no file, and so no {what}")
        if found.st_size > largest:
            raise RecordError(f"{path}: larger than {largest:,} bytes, no {what}")
        with path.open("rb") as file:
            begins = file.read(64)
        # With its mark, as Excel writes "Unicode text".
        is_utf_16 = begins.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
        form, cure = form_of(begins)
        if form or (b"\0" in begins and not is_utf_16):
            raise RecordError(f"{path}: is {form or 'no text'}, no {what}: {cure or 'save what it holds as CSV'}")
        return path.read_text(encoding="utf-16" if is_utf_16 else "utf-8")
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        if isinstance(error, UnicodeDecodeError):
            reason = f"its byte {error.start + 1:,} is no text in {error.encoding}: save it as UTF-8"
        raise RecordError(f"{path}: cannot be read as a {what}: {reason}") from error
