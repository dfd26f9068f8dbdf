"""One run at a time in a thread, for a process that is started, asked and stopped from another machine."""

from __future__ import annotations

import os
import signal
import socket
import tempfile
import threading
import uuid
from dataclasses import dataclass, replace
from pathlib import Path

from repro.data.dataset import Dataset
from repro.launch.execute import Options, Outcome, Progress, Stop, attempt
from repro.launch.transfer import Files, put, take
from repro.records import RunFolder
from repro.spec import Run

#: An answer is given after this many seconds at the latest, with or without news.
PATIENCE = 1.0

#: What a worker has to tell; of a run that trains apart also its files.
Item = Progress | Files | Outcome


@dataclass(frozen=True)
class Hello:
    """What a worker says first.

    Attributes:
        host: the name of its machine.
        token: the name of an empty file that it wrote into the results folder, or None where it could not. Whether
            the other side finds it there tells whether the two share that folder.
    """

    host: str
    token: str | None


class Worker:
    """Trains the runs it is given, one at a time, and keeps its news until the other side has them."""

    def __init__(self, options: Options, data: Dataset, gpus: float = 0.0) -> None:
        """Get ready; `options.results` is the other side's folder, `gpus` what this worker may use of them."""
        if not gpus:
            os.environ["CUDA_VISIBLE_DEVICES"] = ""
        self.options, self.data = options, data
        self.news: list[Item] = []
        self.forgotten = 0
        self.changed = threading.Condition()
        self.stopping = Stop()

    def hello(self) -> Hello:
        """Who this is, and whether it can write where the results belong."""
        token = f".shared.{uuid.uuid4().hex}"
        try:
            (self.options.results / token).touch(exist_ok=False)
        except OSError:
            return Hello(socket.gethostname(), None)
        return Hello(socket.gethostname(), token)

    def forget(self, token: str) -> None:
        """Remove the token of `hello`."""
        (self.options.results / token).unlink(missing_ok=True)

    def begin(self, run: Run, files: Files | None) -> None:
        """Start training a run.

        Args:
            run: which.
            files: None where the results folder is shared. Else what there is of the run: it trains in a folder of
                this machine, and its files are among the news after each checkpoint and at the end.
        """
        threading.Thread(target=self._train, args=(run, files), daemon=True).start()

    def ask(self, known: int) -> list[Item]:
        """The news but for the `known` first ones, which are forgotten; waits a moment where there is none."""
        with self.changed:
            del self.news[: known - self.forgotten]
            self.forgotten = known
            self.changed.wait_for(lambda: self.news, PATIENCE)
            return list(self.news)

    def stop(self) -> None:
        """Finish the iteration, write a checkpoint, end."""
        self.stopping(signal.SIGTERM)

    def _train(self, run: Run, files: Files | None) -> None:
        try:
            if files is None:
                self._tell(attempt(run, self.options, self.data, self._tell, self.stopping))
            else:
                self._train_apart(run, files)
        except Exception as error:  # the other side waits for an outcome, whatever happens here
            self._tell(Outcome(run, "failed", f"{type(error).__name__} on {socket.gethostname()}: {error}"))

    def _train_apart(self, run: Run, files: Files) -> None:
        with tempfile.TemporaryDirectory(prefix="repro-") as scratch:
            folder = RunFolder(Path(scratch), run)
            put(folder, files)
            sent = _stamp(folder.checkpoint_path)

            def in_words(text: str) -> str:
                return text.replace(scratch, str(self.options.results))

            def tell(progress: Progress) -> None:
                nonlocal sent
                # This is called by the thread that writes the files, so none of them is half-written now.
                if (now := _stamp(folder.checkpoint_path)) != sent:
                    self._tell(take(folder, previous=False))
                    sent = now
                self._tell(replace(progress, note=in_words(progress.note)))

            options = replace(self.options, results=Path(scratch))
            outcome = attempt(run, options, self.data, tell, self.stopping)
            self._tell(take(folder, previous=False))
            self._tell(replace(outcome, message=in_words(outcome.message)))

    def _tell(self, item: Item) -> None:
        with self.changed:
            self.news.append(item)
            self.changed.notify_all()


def _stamp(path: Path) -> tuple[int, int] | None:
    """Differs after a file was replaced."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_ino, found.st_mtime_ns
