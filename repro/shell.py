"""What the commands owe their shell: a mistake in one line, an exit status, and words in any encoding."""

from __future__ import annotations

import argparse
import errno
import io
import multiprocessing
import os
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NoReturn, TextIO, cast

from repro.errors import UserError

#: As of a program that SIGPIPE ends.
NO_READER = 141
#: Of a worker process that imports a script which would start the study anew in it.
UNGUARDED = 64


class OutputLostError(UserError):
    """What a command has to say cannot be written: its reader is gone (`| head`), or the disk it goes to is full."""

    def __init__(self, error: OSError) -> None:
        super().__init__(f"its output cannot be written: {error.strerror or error}")
        self.error, self.no_reader = error, isinstance(error, BrokenPipeError)
        self.status = NO_READER if self.no_reader else 1

    def __reduce__(self) -> tuple[type[OutputLostError], tuple[OSError]]:
        # Rank 0 sends it to the others.
        return OutputLostError, (self.error,)


class Parser(argparse.ArgumentParser):
    """Tells bad usage as any other mistake, in one line."""

    def error(self, message: str) -> NoReturn:
        """Raise UserError."""
        raise UserError(f"{message} (--help lists the options)")


def whole(least: int, most: int = 999_999_999_999) -> Callable[[str], int]:
    """Reads a whole number in these bounds, as a type for argparse."""

    def read(text: str) -> int:
        if not re.fullmatch("[0-9]{1,12}", text) or not least <= int(text) <= most:
            raise argparse.ArgumentTypeError(f"{text!r}: a whole number from {least:,} to {most:,} is needed")
        return int(text)

    return read


def command(name: str, act: Callable[[], int]) -> int:
    """Carry out a command and give its exit status; what a user did or found wrong is one line that begins with `name`.

    With the reader of its output gone it ends without a word, as programs do.
    """
    if getattr(multiprocessing.current_process(), "_inheriting", False):
        # In a worker, before it has its work. Its server would turn another way to end into status 1.
        os._exit(UNGUARDED)
    with _streams():
        try:
            try:
                return act()
            finally:
                if sys.stdout:
                    sys.stdout.flush()
        except OutputLostError as error:
            _tell(name, "" if error.no_reader else str(error))
            return error.status
        except UserError as error:
            _tell(name, str(error))
            return error.status
        except KeyboardInterrupt:
            _tell(name, "stopped")
            return 130


def _tell(name: str, line: str) -> None:
    with suppress(OutputLostError):
        if line:
            print(f"{name}: {line}", file=sys.stderr)


class _Stream:
    """A stream whose failures are `OutputLostError`, so that none passes for one of the disk with the results.

    After one it is mute. So it is, without a failure, once its terminal has been closed: SIGHUP tells whoever is to end
    of that.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream, self._lost, self._terminal = stream, False, stream.isatty()

    def write(self, text: str) -> int:
        if not self._lost:
            with self._watched():
                self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        if not self._lost:
            with self._watched():
                self._stream.flush()

    @contextmanager
    def _watched(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            self._lost = True
            # What is left in the buffer would fail again, with a traceback, when Python ends.
            with suppress(OSError, ValueError), Path(os.devnull).open("wb") as nothing:
                os.dup2(nothing.fileno(), self._stream.fileno())
            if not (self._terminal and error.errno == errno.EIO):
                raise OutputLostError(error) from error

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


@contextmanager
def _streams() -> Iterator[None]:
    """Watch both channels, and show what their encoding lacks, or what is no text, by its number."""
    former = sys.stdout, sys.stderr
    texts = [(stream, stream.errors) for stream in former if isinstance(stream, io.TextIOWrapper)]
    for stream, _ in texts:
        stream.reconfigure(errors="backslashreplace")
    # Either is None where the shell closed it.
    sys.stdout, sys.stderr = (cast(TextIO, stream and _Stream(stream)) for stream in former)
    try:
        yield
    finally:
        sys.stdout, sys.stderr = former
        for stream, errors in texts:
            if not stream.closed:
                with suppress(OSError):
                    stream.reconfigure(errors=errors)
