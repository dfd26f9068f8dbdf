"""One run, from nothing or from its checkpoint to its end on disk."""

from __future__ import annotations

import datetime
import time
import traceback
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

from repro.data.augment import Prepared
from repro.data.dataset import Dataset
from repro.data.photographs.dataset import Photographs
from repro.environment import environment
from repro.errors import RecordError, UserError
from repro.launch.failure import out_of_memory, reason
from repro.launch.options import Options
from repro.launch.stop import Stop
from repro.launch.tensorboard import scalars
from repro.measure import course
from repro.measure.responses import NoResponsesError
from repro.models.source import source_hash
from repro.records import Record, Row, RunFolder, read_curve, write_responses
from repro.records.bits import MACHINE
from repro.spec import Run
from repro.train import checkpoint
from repro.train.begin import begin, capture_step
from repro.train.loop import DivergedError, Training, train
from repro.train.photographs import Shown
from repro.train.precision import Numerics, build_of_torch, device_name, resolve
from repro.train.ranks import ALONE, RankError, Ranks


@dataclass(frozen=True)
class Outcome:
    """How an attempt at a run ended.

    Attributes:
        status: that of its record, or "busy" where another process trains it, or "lost" where its own has gone.
        message: what there is to say besides.
    """

    run: Run
    status: str
    message: str = ""


def attempt(
    run: Run,
    options: Options,
    data: Dataset | Photographs,
    stop: Stop,
    ranks: Ranks = ALONE,
    between: Callable[[], None] = lambda: None,
) -> Outcome:
    """Carry a run to its end, or to `stop_at`, or until `stop`. What goes wrong is recorded, and in the outcome.

    Args:
        run, options, data: what to train, how, and on which images.
        stop: set by a signal, on whichever rank.
        ranks: all of which call this at the same time.
        between: is called after each iteration.

    Raises:
        RankError: something goes wrong on one of several ranks; the others cannot go on either.
    """
    one = _Attempt(run, options, data, stop, ranks)
    with one.claim:
        try:
            return one.carry_out(between)
        except Exception as error:
            outcome = one.failed(error)
            if ranks.count > 1:
                raise RankError(outcome.message) from error
            return outcome


class _Attempt:
    """What is known of a run while it trains. Every rank has one; rank 0 alone reads and writes the folder."""

    training: Training
    prepared: Prepared | Shown
    numerics: Numerics
    #: The record as it was found, and the hash of the network before ranks arrange it.
    found: Record | None
    source: str | None

    def __init__(self, run: Run, options: Options, dataset: Dataset | Photographs, stop: Stop, ranks: Ranks) -> None:
        self.run, self.options, self.dataset, self.stop, self.ranks = run, options, dataset, stop, ranks
        self.folder = RunFolder(options.results, run)
        self.claim, self.claimed = ExitStack(), False
        self.record: dict[str, Any] = {}
        self.notes: list[str] = list(dataset.notes) if isinstance(dataset, Photographs) else []
        self.log: Callable[[Row], None] = lambda row: None

    def carry_out(self, between: Callable[[], None]) -> Outcome:
        """Open the folder, train, close."""
        opened = self.ranks.broadcast(self.open)
        if isinstance(opened, Outcome):
            return opened
        if self.ranks.rank:
            self.numerics, packed, curve = opened
            self.training, self.prepared = begin(self.run, self.dataset, self.numerics, self.options.workers)
            checkpoint.unpack(packed, self.training)
            self.training.curve = curve
        elif self.options.log:
            self.log = self.claim.enter_context(scalars(self.folder.path, self.training.state.iteration))
        self.ranks.arrange(self.training.net, self.run.model.norm_shares)
        if note := capture_step(self.training, self.prepared, self.run, self.numerics, self.ranks):
            self.notes.append(note)
        self.ranks.broadcast(self._begin_record)
        try:
            self.train(between)
        except DivergedError as error:
            diverged = str(error)
            return self.ranks.broadcast(lambda: self.close("diverged", diverged, error=diverged))
        whole = self.training.state.iteration >= self.run.schedule.iterations
        return self.ranks.broadcast(self.complete if whole else self.leave)

    def open(self) -> Outcome | tuple[Numerics, bytes, list[Row]]:
        """Claim the folder and take up where the run stands; gives what other ranks need."""
        run, folder, options = self.run, self.folder, self.options
        self.claimed = self.claim.enter_context(folder.claim())
        if not self.claimed:
            return Outcome(run, "busy")
        record = folder.read()
        if record and record.status == "complete":
            return Outcome(run, "complete", "already complete")
        if record and record.status == "diverged":
            why = f"diverged before: {record.error} (remove {folder.path} to train it anew)"
            return Outcome(run, "diverged", why)
        if record is None and (kept := checkpoint.kept(folder.checkpoint_path, run.hash)):
            record = Record.of(kept["record"])
            self.notes.append("run.json was gone and is written anew")
        recorded = record.numerics.to_dict() if record else None
        asked = options.device, options.precision, options.threads
        self.numerics = resolve(*asked, recorded, options.default_threads, self.ranks.count)
        if record and record.data.fingerprint not in (None, self.dataset.fingerprint):
            raise RecordError(f"{folder.path}: was begun on other images than these: give the same ones to carry on")
        self.training, self.prepared = begin(run, self.dataset, self.numerics, options.workers)
        kept, notes = checkpoint.resume(folder.checkpoint_path, run.hash, self.training)
        self.notes += notes
        at = self.training.state.iteration
        if record and record.status == "stopped" and options.last(run) <= at < run.schedule.iterations:
            return Outcome(run, "stopped", f"already at iteration {at}")
        if record and at == 0 and (record.iteration or folder.curve_path.exists()):
            self.notes.append("its checkpoint is gone, or was not yet written: begins anew")
        changed = folder.put_back(kept["tables"] if kept else {})
        self.notes += [f"{name} had been changed and is put back as it was" for name in changed]
        if folder.curve_path.exists():
            self.training.curve = read_curve(folder.curve_path)
        self.found, self.source = record, source_hash(self.training.net)
        packed = checkpoint.packed(self.training) if self.ranks.count > 1 else b""
        return self.numerics, packed, self.training.curve

    def _begin_record(self) -> None:
        found, source = self.found, self.source
        at, device, data = self.training.state.iteration, self.prepared.device, self.prepared
        surroundings = {**environment(), "device": device_name(device), **build_of_torch(device)}
        if found and found.network_sha256 not in (None, source):
            self.notes.append("the code of its network has changed since the session before")
        if found and (found.data.model_extra or {}).get("statistics") not in (None, data.described().get("statistics")):
            self.notes.append("its crops have other statistics than in the session before, as another Pillow may make")
        session: dict[str, Any] = {"began": _now(), "from": at, **self._changes(found, surroundings)}
        if self.notes:  # the folder's own path is nobody else's concern
            session["notes"] = [note.replace(f"{self.folder.path}/", "") for note in self.notes]
        self.record = {
            **((found.model_extra if found else None) or {}),
            "status": "running",
            "iteration": at,
            "numerics": self.numerics.to_dict(),
            "data": {
                "name": self.dataset.name,
                "source": self.dataset.source,
                "fingerprint": self.dataset.fingerprint,
                "train_images": len(data.images),
                "test_images": len(data.test_images),
                **data.described(),
            },
            "environment": surroundings,
            "network_sha256": source,
            "sessions": [*(past.to_dict() for past in (found.sessions if found else ())), session],
        }
        self.folder.write(self.record)

    def _changes(self, found: Record | None, now: Mapping[str, Any]) -> dict[str, str]:
        """What of the machine decides bits and is another than in the session before, as it is now."""
        before = found.environment.to_dict() if found else {}
        others = {key: str(now[key]) for key in MACHINE if before.get(key) not in (None, now.get(key))}
        if others:
            said = ", ".join(f"{key} {before[key]} to {value}" for key, value in others.items())
            self.notes.append(f"its machine has changed ({said}), and the bits may: both are recorded")
        return others

    def train(self, between: Callable[[], None]) -> None:
        """Train to the end of the schedule, to `stop_at` or until stopped."""
        run, state, ranks = self.run, self.training.state, self.ranks
        checkups = {round(share * run.schedule.iterations) for share in course.CHECKUPS}
        if state.iteration == 0:
            self._check_up()
        saved = time.monotonic()
        if self._is_to_end():
            return
        for row in train(self.training, self.prepared, run, self.numerics, ranks):
            if row is not None:
                if ranks.rank == 0:
                    self.folder.append(row)
                    self.log(row)
                continue
            if state.iteration in checkups:
                self._check_up()
            between()
            if self._is_to_end():
                return
            if time.monotonic() - saved >= self.options.checkpoint_every:
                self._save()
                saved = time.monotonic()

    def _is_to_end(self) -> bool:
        if self.training.state.iteration >= self.options.last(self.run):
            return True
        if number := self.ranks.largest(self.stop.signal or 0):
            self.stop(number)
        return bool(number)

    def _check_up(self) -> None:
        if self.ranks.rank == 0:
            rows = course.health(self.training, self.prepared, self.run, self.numerics)
            if rows:  # a network of no 3x3 layers has none
                self.folder.add_health(rows)

    def _save(self) -> None:
        if self.ranks.rank == 0:
            self.folder.check()
            keep = {"record": self.folder.whole(self.record), "tables": self.folder.tables()}
            checkpoint.save(self.folder.checkpoint_path, self.run.hash, self.training, keep)

    def leave(self) -> Outcome:
        """End before the end of the schedule."""
        self._save()
        return self.close("stopped", f"at iteration {self.training.state.iteration}")

    def complete(self) -> Outcome:
        """Measure the trained network."""
        self._save()
        net, folder, data, numerics = self.training.net, self.folder, self.prepared, self.numerics
        final = course.final(net, read_curve(folder.curve_path), data, self.run, numerics)
        without = ""
        try:
            write_responses(folder.responses_path, course.final_responses(net, data, numerics))
        except NoResponsesError as error:
            without = str(error)
            self.record["sessions"][-1].setdefault("notes", []).append(without)
        outcome = self.close(
            "complete",
            without,
            final=final,
            wrong_test_images=course.wrong_test_images(net, data, numerics),
            weights_sha256=checkpoint.weights_hash(net),
        )
        checkpoint.previous(folder.checkpoint_path).unlink(missing_ok=True)
        return outcome

    def close(self, status: str, message: str = "", **more: Any) -> Outcome:
        """Write into the record how the attempt ended."""
        state = self.training.state
        self.record["sessions"][-1].update(ended=_now(), to=state.iteration, how=status)
        progress = {"status": status, "iteration": state.iteration, "seconds": round(state.seconds, 3)}
        self.folder.write({**self.record, **progress, "warm_up_ended": state.warm_until, **more})
        return Outcome(self.run, status, message)

    def failed(self, error: Exception) -> Outcome:
        """Record a failure, as far as that is possible; one that the user can put right leaves the record alone."""
        message = reason(error, self.folder.path)
        if not self.claimed or (isinstance(error, UserError) and not isinstance(error, RankError)):
            return Outcome(self.run, "failed", message)
        foreseen = isinstance(error, OSError | UserError) or out_of_memory(error)
        trace = None if foreseen else "".join(traceback.format_exception(error))
        try:
            record = self.folder.read()
            known = record.to_dict() if record else {"iteration": 0}
            self.folder.write({**known, "status": "failed", "error": message, "traceback": trace})
        except (OSError, UserError):
            return Outcome(self.run, "failed", message)
        hint = f" (details in {self.folder.record_path})" if trace else ""
        return Outcome(self.run, "failed", message + hint)


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
