"""Runs `python -m repro.run` on a tiny study, in processes that begin at once.

They are forked from one that has imported all that the command needs, so that twenty of them take seconds.
"""

from __future__ import annotations

import json
import multiprocessing as mp
import os
import signal
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from runs import words

from repro.records import RunFolder
from repro.run import main

_context = mp.get_context("forkserver")
# torch imports its compiler when it is told to be deterministic.
_context.set_forkserver_preload(["repro.launch.start", "repro.data.digits", "sklearn.datasets", "torch._inductor"])


def arguments(study: str, results: Path, *more: object, jobs: int = 1) -> list[str]:
    """Words of a command that trains that study, with many checkpoints."""
    return words(study, results, "--checkpoint-every", 0.05, *more, jobs=jobs)


class Command:
    """A command in a process of its own."""

    def __init__(self, words: list[str], log: Path, before: Callable[[], None] | None = None) -> None:
        self.log = log
        self.process = _context.Process(target=_run, args=(words, log, before))
        self.process.start()

    @property
    def text(self) -> str:
        """What it has said so far, on both channels."""
        return self.log.read_text() if self.log.exists() else ""

    def send(self, number: int) -> None:
        assert self.process.pid
        with suppress(ProcessLookupError):
            os.kill(self.process.pid, number)

    def has_ended(self) -> bool:
        return self.process.exitcode is not None

    def wait(self, timeout: float = 600) -> int:
        """Its exit status; below 0 the signal that ended it."""
        self.process.join(timeout)
        assert self.process.exitcode is not None, f"still running after {timeout} s: {self.text}"
        return self.process.exitcode

    def wait_for(self, happened: Callable[[], bool], timeout: float = 600) -> None:
        deadline = time.monotonic() + timeout
        while not happened():
            assert not self.has_ended() or happened(), f"ended too early: {self.text}"
            assert time.monotonic() < deadline, self.text
            time.sleep(0.005)


def _run(words: list[str], log: Path, before: Callable[[], None] | None) -> None:
    output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(output, 1)
    os.dup2(output, 2)
    sys.stdout = os.fdopen(1, "w", buffering=1)
    sys.stderr = os.fdopen(2, "w", buffering=1)
    # As from a shell, also where the tests themselves run under nohup, or where a launcher's test began the process
    # that this one is forked from: its workers are started with the signals of their parent blocked.
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    if before:
        before()
    status = main(words)
    os._exit(status)  # a Ctrl-C after its end is none of the command's


def record(folder: RunFolder) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(folder.record_path.read_text())
    return content


def at(folder: RunFolder) -> int:
    """The iteration of the newest checkpoint."""
    content = torch.load(folder.checkpoint_path, weights_only=True)
    return int(content["state"]["iteration"])
