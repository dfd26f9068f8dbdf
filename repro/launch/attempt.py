"""One run, from nothing or from its checkpoint to its end on disk."""

from __future__ import annotations

import datetime
import itertools
import math
import time
import traceback
from collections.abc import Callable
from contextlib import ExitStack, nullcontext
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import torch
from torch import nn

from repro.data.augment import Prepared, prepare
from repro.data.dataset import Dataset
from repro.environment import environment
from repro.errors import RecordError, UserError
from repro.launch.failure import is_foreseen, reason
from repro.launch.options import Options
from repro.launch.resume import changes, check_numerics, record_of_checkpoint, take_up
from repro.launch.stop import Stop
from repro.launch.tensorboard import scalars
from repro.measure.health import signal_health
from repro.measure.responses import NoResponsesError, responses
from repro.models import build
from repro.models.norm import given_whole_batches
from repro.models.source import source_hash
from repro.records import HealthRow, Record, Row, RunFolder, read_curve, write_responses
from repro.spec import Run
from repro.train import checkpoint
from repro.train.evaluate import evaluate, mistakes
from repro.train.graph import capture, forget
from repro.train.loop import DivergedError, Training, batch_of, train
from repro.train.precision import Numerics, build_of_torch, device_name, resolve, settle
from repro.train.randomness import generator
from repro.train.ranks import ALONE, RankError, Ranks

T = TypeVar("T")

#: When the health of the signals is looked at, as shares of the schedule; the end of it among them.
CHECKUPS = (0, 0.01, 0.1, 0.5, 1)


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
    data: Dataset,
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
        RankError: training fails on one of several ranks; the others cannot go on either.
    """
    one = _Attempt(run, options, data, stop, ranks)
    with ExitStack() as claim:
        try:
            return one.carry_out(claim, between)
        except Exception as error:
            outcome = one.failed(error)
            if ranks.count > 1:
                ranks.fail(error)
                raise RankError(outcome.message) from error
            return outcome


class _Attempt:
    """What is known of a run while it trains. Every rank has one; rank 0 alone reads and writes the folder."""

    training: Training
    prepared: Prepared
    numerics: Numerics

    def __init__(self, run: Run, options: Options, dataset: Dataset, stop: Stop, ranks: Ranks) -> None:
        self.run, self.options, self.dataset, self.stop, self.ranks = run, options, dataset, stop, ranks
        self.folder = RunFolder(options.results, run)
        self.found: Record | None = None
        self.record: dict[str, Any] = {}
        self.notes: list[str] = []
        self.claimed = False
        self.log: Callable[[Row], None] = lambda row: None

    def carry_out(self, claim: ExitStack, between: Callable[[], None]) -> Outcome:
        """Open, restore, record, train, close."""
        opened = self._on_rank_0(lambda: self.open(claim))
        if isinstance(opened, Outcome):
            return opened
        self.build(opened)
        restored = self._on_rank_0(self.restore)
        if isinstance(restored, Outcome):
            return restored
        if self.ranks.rank:
            checkpoint.unpack(restored, self.training)
        elif self.options.log:
            self.log = claim.enter_context(scalars(self.folder.path, self.training.state.iteration))
        try:
            self.train(between)
        except DivergedError as error:
            diverged = str(error)
            return self._on_rank_0(lambda: self.close("diverged", diverged, error=diverged))
        whole = self.training.state.iteration >= self.run.schedule.iterations
        return self._on_rank_0(self.complete if whole else self.leave)

    def _on_rank_0(self, act: Callable[[], T]) -> T | Outcome:
        """What `act` gives there, on all ranks; the outcome where it fails."""

        def act_or_fail() -> T | Outcome:
            try:
                return act()
            except Exception as error:
                return self.failed(error)

        return self.ranks.broadcast(act_or_fail)

    def open(self, claim: ExitStack) -> Outcome | Numerics:
        """Claim the folder, read the record, and settle how to compute."""
        self.claimed = claim.enter_context(self.folder.claim())
        if not self.claimed:
            return Outcome(self.run, "busy")
        record = self.folder.read()
        if record and record.status == "complete":
            return Outcome(self.run, "complete", "already complete")
        if record and record.status == "diverged":
            return Outcome(self.run, "diverged", f"diverged before: {record.error}")
        if record is None and (record := record_of_checkpoint(self.folder)):
            self.notes.append("run.json was gone and is written anew")
        self.found, options = record, self.options
        recorded = record.numerics.to_dict() if record else None
        asked = options.device, options.precision, options.threads
        numerics = resolve(*asked, recorded, options.default_threads, self.ranks.count)
        if record and record.data.fingerprint not in (None, self.dataset.fingerprint):
            path = self.folder.path
            raise RecordError(f"{path}: was begun on other images than these: give the same ones to carry on")
        return numerics

    def build(self, numerics: Numerics) -> None:
        """Put images and network on the device."""
        self.numerics, device = numerics, settle(numerics)
        forget(numerics)
        self.prepared = prepare(self.dataset, self.run.images, device)
        self.training = Training.start(make_net(self.run, self.dataset, device), self.run, numerics)

    def restore(self) -> Outcome | bytes:
        """Take up the checkpoint and write the record; gives what other ranks need to be where this one is."""
        run, record, folder, notes = self.run, self.found, self.folder, self.notes
        resumed = take_up(folder, self.training, notes)
        at = self.training.state.iteration
        if record and record.status == "stopped" and self.options.last(run) <= at < run.schedule.iterations:
            return Outcome(run, "stopped", f"already at iteration {at}")
        if record and at == 0 and (record.iteration or folder.curve_path.exists()):
            notes.append("its checkpoint is gone, or was not yet written: begins anew")
        if resumed is None:
            folder.put_back({})
        elif "tables" in resumed:
            check_numerics(self.numerics, resumed["record"], folder)
            changed = folder.put_back(resumed["tables"])
            notes += [f"{name} had been changed and is put back as it was" for name in changed]
        else:  # checkpoints of the first versions held neither
            folder.rewind(at)
        if self.ranks.count == 1:
            example, _ = batch_of(self.prepared, run, at)
            self.training.forward, obstacle = capture(self.training.net.train(), example, self.numerics)
            notes += [f"not as a CUDA graph: {obstacle}"] if obstacle else []
        self._begin_record()
        return checkpoint.packed(self.training) if self.ranks.count > 1 else b""

    def _begin_record(self) -> None:
        found, at = self.found, self.training.state.iteration
        device = self.prepared.images.device
        surroundings = {**environment(), "device": device_name(device), **build_of_torch(device)}
        source = source_hash(self.training.net)
        if found and found.network_sha256 not in (None, source):
            self.notes.append("the code of its network has changed since the session before")
        session = {"began": _now(), "from": at, **changes(found, surroundings, self.notes)}
        if self.notes:  # the folder's own path is nobody else's concern
            session["notes"] = [note.replace(f"{self.folder.path}/", "") for note in self.notes]
        self.record = {
            **((found.model_extra if found else None) or {}),
            "status": "running",
            "iteration": at,
            "numerics": self.numerics.to_dict(),
            "data": _describe(self.dataset, self.prepared),
            "environment": surroundings,
            "network_sha256": source,
            "sessions": [*(past.to_dict() for past in (found.sessions if found else ())), session],
        }
        self.folder.write(self.record)

    def train(self, between: Callable[[], None]) -> None:
        """Train to the end of the schedule, to `stop_at` or until stopped."""
        run, state, ranks = self.run, self.training.state, self.ranks
        ranks.arrange(self.training.net, run.model.norm_shares)
        checkups = {round(share * run.schedule.iterations) for share in CHECKUPS}
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
            check_up(self.folder, self.training, self.prepared, self.numerics)

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
        net = self.training.net
        without = measure_responses(self.folder, net, self.prepared, self.numerics)
        if without:
            self.record["sessions"][-1].setdefault("notes", []).append(without)
        outcome = self.close(
            "complete",
            without,
            final=_final(net, self.folder, self.prepared, self.numerics),
            wrong_test_images=_bits(mistakes(net, self.prepared.batches("test"), self.numerics)),
            weights_sha256=checkpoint.weights_hash(net),
        )
        checkpoint.previous(self.folder.checkpoint_path).unlink(missing_ok=True)
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
        trace = None if is_foreseen(error) else "".join(traceback.format_exception(error))
        try:
            record = self.folder.read()
            known = record.to_dict() if record else {"iteration": 0}
            self.folder.write({**known, "status": "failed", "error": message, "traceback": trace})
        except (OSError, UserError):
            return Outcome(self.run, "failed", message)
        hint = f" (details in {self.folder.record_path})" if trace else ""
        return Outcome(self.run, "failed", message + hint)


def check_up(folder: RunFolder, training: Training, data: Prepared, numerics: Numerics) -> None:
    """Record signal and gradient of each layer on the batch that the next iteration will train on."""
    run, iteration = folder.run, training.state.iteration
    x, y = batch_of(data, run, iteration)
    # Without the loss scaling of training, small gradients would vanish in fp16.
    autocast = nullcontext() if numerics.precision == "fp16" else numerics.autocast()
    with autocast, given_whole_batches(training.net):
        signals = signal_health(training.net, x, y)
    if signals:
        folder.add_health([HealthRow(iteration, **vars(signal)) for signal in signals])


def measure_responses(folder: RunFolder, net: nn.Module, data: Prepared, numerics: Numerics) -> str:
    """Record the responses to the test images (Figure 7); gives a word where the network has none."""
    try:
        with numerics.autocast():
            write_responses(folder.responses_path, responses(net, (x for x, _ in data.batches("test"))))
    except NoResponsesError as error:
        return str(error)
    return ""


def make_net(run: Run, dataset: Dataset, device: torch.device) -> nn.Module:
    """The run's network as it begins: initialised by its seed, on the device."""
    net = build(
        run.network,
        channels=dataset.channels,
        classes=len(dataset.classes),
        family="cifar",
        initialisation=run.model.initialisation,
        subsample=run.model.subsample,
        block=run.model.block,
        norm_shares=run.model.norm_shares,
        generator=generator("init", run.seed),
    )
    return net.to(device)


def _final(net: nn.Module, folder: RunFolder, data: Prepared, numerics: Numerics) -> dict[str, float]:
    """The results of a trained network. Training error is the mean over the last evaluation interval, as on a curve
    whose points are that far apart; the clean one is of the training images as they are, in evaluation mode.
    """
    run = folder.run
    rows = read_curve(folder.curve_path)
    last = [row for row in rows if row.iteration > run.schedule.iterations - run.evaluate_every]
    weights = [row.iteration - before.iteration for before, row in itertools.pairwise(rows)]
    weights = ([rows[0].iteration, *weights])[-len(last) :]
    clean_loss, clean_error = evaluate(net, data.batches("train"), numerics)
    return {
        "train_error": _mean([row.train_error for row in last], weights),
        "train_loss": _mean([row.train_loss for row in last], weights),
        "test_error": rows[-1].test_error,
        "test_loss": rows[-1].test_loss,
        "clean_train_error": clean_error,
        "clean_train_loss": clean_loss,
    }


def _bits(flags: torch.Tensor) -> str:
    """A bit for each image, in hex: the first image is the highest bit of the first digit."""
    return bytes(np.packbits(flags.numpy())).hex()


def _mean(values: list[float], weights: list[int]) -> float:
    return math.fsum(v * w for v, w in zip(values, weights, strict=True)) / sum(weights)


def _describe(dataset: Dataset, data: Prepared) -> dict[str, Any]:
    return {
        "name": dataset.name,
        "source": dataset.source,
        "fingerprint": dataset.fingerprint,
        "train_images": len(data.images),
        "test_images": len(data.test_images),
        "shape": list(data.images.shape[1:]),
        "pad": data.pad,
        "flip": data.flip,
    }


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
