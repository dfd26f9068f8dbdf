"""What went wrong with a run, in one line that says what to do."""

from __future__ import annotations

import errno
from pathlib import Path

import torch

from repro.errors import UserError

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_CLOSED = (errno.EROFS, errno.EACCES, errno.EPERM, errno.ENOTDIR, errno.EEXIST, errno.ENOLCK)


def reason(error: Exception, place: Path) -> str:
    """Say what an error of a run means, whose folder is `place`."""
    if isinstance(error, UserError):
        return str(error)
    first = (str(error).strip().splitlines() or [""])[0]
    if out_of_memory(error):
        return f"out of memory ({first or 'no more to be had'}): close other programs or give fewer --jobs, start again"
    if isinstance(error, OSError):
        # Of two names the second is what was to be replaced; the first may be a temporary one.
        named = error.filename2 or error.filename or place
        named = place if str(named).endswith(".tmp") else named
        advice = ": make room, then start again to carry on" if error.errno in _FULL else ""
        advice = ": give another --results folder" if error.errno in _CLOSED else advice
        return f"{named}: {error.strerror or error}{advice}"
    return f"{type(error).__name__}: {first}"


def out_of_memory(error: Exception) -> bool:
    """Whether this says that memory ran out; on the CPU torch says so in a RuntimeError."""
    words = ("allocate memory", "not enough memory", "out of memory", "bad_alloc")
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or (
        isinstance(error, RuntimeError) and any(word in str(error) for word in words)
    )
