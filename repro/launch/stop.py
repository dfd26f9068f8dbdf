"""Signals that stop training after a checkpoint: Ctrl-C, SIGTERM, and SIGHUP, which tells of a lost terminal."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

#: None on Windows.
HANGUP: int | None = getattr(signal, "SIGHUP", None)


class Stop:
    """Set by a signal: finish the iteration, write a checkpoint, end.

    Attributes:
        signal: the last that came.
    """

    def __init__(self) -> None:
        self.signal: int | None = None

    def __call__(self, number: int, frame: FrameType | None = None) -> None:
        """Take a signal."""
        self.signal = number

    @contextmanager
    def listening(self, hangup: bool = True) -> Iterator[None]:
        """Take SIGINT, SIGTERM and, with `hangup`, SIGHUP for as long as this lasts."""
        numbers = (signal.SIGINT, signal.SIGTERM, HANGUP if hangup else None)
        former = {number: signal.signal(number, self) for number in numbers if number}
        try:
            yield
        finally:
            for number, handler in former.items():
                signal.signal(number, handler)


@contextmanager
def of_the_parent() -> Iterator[None]:
    """Start processes here that Ctrl-C and the loss of a terminal do not reach, as their parent tells them to stop.

    A blocked signal stays blocked in what is started, from its first moment on.
    """
    if HANGUP is None:
        yield
        return
    former = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, HANGUP})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, former)
