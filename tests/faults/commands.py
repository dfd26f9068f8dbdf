"""Runs `python -m repro.run` on a tiny study, in processes that begin at once, and tells whether two results are equal.

The processes are forked from one that has imported all that the command needs, so that twenty of them take seconds.
"""

from __future__ import annotations

import csv
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

from repro.records import RunFolder
from repro.run import main
from repro.spec import Run
from repro.study import load

STUDY = """
title = "Tiny"
question = "Does it survive?"
expected = "Yes."
paper = "none"
networks = ["plain-8", "resnet-8"]
[settings]
schedule.iterations = {iterations}
log_every = 5
evaluate_every = 10
"""

_context = mp.get_context("forkserver")
# torch imports its compiler when it is told to be deterministic.
_context.set_forkserver_preload(["repro.launch.start", "repro.data.digits", "sklearn.datasets", "torch._inductor"])


def study(folder: Path, iterations: int = 30) -> str:
    """Write the experiment file of a plain and a residual net of 8 layers; gives its path."""
    path = folder / f"tiny-{iterations}.toml"
    path.write_text(STUDY.format(iterations=iterations))
    return str(path)


def arguments(study: str, results: Path, *more: str, jobs: int = 1) -> list[str]:
    """Words of a command that trains that study, at a precision that every machine has.

    --stop-at, though behind the end, spares the advice with which a whole demo closes.
    """
    common = [
        "--threads",
        "1",
        "--jobs",
        str(jobs),
        "--precision",
        "fp32",
        "--checkpoint-every",
        "0.05",
        "--stop-at",
        "100000",
    ]
    return [study, "--results", str(results), *common, *more]


def runs(study: str, network: str | None = None) -> list[Run]:
    return load(study).runs("demo", only=[network] if network else None)


def folder(study: str, results: Path, network: str) -> RunFolder:
    (run,) = runs(study, network)
    return RunFolder(results, run)


class Command:
    """A command in a process of its own."""

    def __init__(
        self,
        words: list[str],
        log: Path,
        before: Callable[[], None] | None = None,
        main: Callable[[list[str]], int] = main,
    ) -> None:
        self.log = log
        self.process = _context.Process(target=_run, args=(words, log, before, main))
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


def _run(words: list[str], log: Path, before: Callable[[], None] | None, main: Callable[[list[str]], int]) -> None:
    output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(output, 1)
    os.dup2(output, 2)
    sys.stdout = os.fdopen(1, "w", buffering=1)
    sys.stderr = os.fdopen(2, "w", buffering=1)
    # As from a shell, also where the tests themselves run under nohup.
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    if before:
        before()
    status = main(words)
    os._exit(status)  # a Ctrl-C after its end is none of the command's


def record(folder: RunFolder) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(folder.record_path.read_text())
    return content


def curve(folder: RunFolder) -> list[dict[str, str]]:
    """The curve without its seconds, which are a clock's."""
    with folder.curve_path.open() as file:
        return [{key: value for key, value in row.items() if key != "seconds"} for row in csv.DictReader(file)]


def at(folder: RunFolder) -> int:
    """The iteration of the newest checkpoint."""
    content = torch.load(folder.checkpoint_path, weights_only=True)
    return int(content["state"]["iteration"])


def weights(folder: RunFolder) -> Any:
    content = torch.load(folder.checkpoint_path, weights_only=True)
    del content["kept"], content["state"]["seconds"]
    return content


def same(a: Any, b: Any) -> bool:
    """Equal to the bit, through dicts, lists and tensors."""
    if isinstance(a, torch.Tensor):
        return a.dtype == b.dtype and torch.equal(a, b)
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(map(same, a, b))
    return bool(a == b)


def assert_same_bits(study: str, one: Path, other: Path, network: str | None = None) -> None:
    """The runs of a study complete in both results folders, with equal results, curves, tables and weights."""
    for run in runs(study, network):
        a, b = RunFolder(one, run), RunFolder(other, run)
        assert record(a)["status"] == record(b)["status"] == "complete"
        for key in ("spec", "hash", "final", "iteration", "numerics", "data", "warm_up_ended"):
            assert record(a)[key] == record(b)[key], key
        assert curve(a) == curve(b)
        assert a.responses_path.read_bytes() == b.responses_path.read_bytes()
        assert a.health_path.read_bytes() == b.health_path.read_bytes()
        assert same(weights(a), weights(b))
        assert not list(a.path.glob(".*.tmp"))
        assert not (a.path / "holder.lock").exists()
