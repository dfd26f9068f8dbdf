"""One run, from nothing or from its checkpoint to its end on disk."""

from __future__ import annotations

import datetime
import itertools
import math
import signal
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
import torch
from torch import nn

from repro.data.augment import Prepared, prepare
from repro.data.dataset import Dataset
from repro.environment import environment
from repro.errors import RecordError, UserError
from repro.launch.failure import is_foreseen, reason
from repro.launch.resume import came_far, changes, check_numerics, record_of_checkpoint, take_up
from repro.measure.health import signal_health
from repro.measure.responses import responses
from repro.models import build
from repro.models.norm import given_whole_batches
from repro.records import HealthRow, Row, RunFolder, read_curve, write_responses
from repro.spec import Run
from repro.train import checkpoint
from repro.train.evaluate import evaluate, mistakes
from repro.train.graph import capture, forget
from repro.train.loop import DivergedError, Training, batch_of, train
from repro.train.precision import Numerics, build_of_torch, device_name, resolve, settle
from repro.train.randomness import generator
from repro.train.ranks import ALONE, RankError, Ranks


@dataclass(frozen=True)
class Options:
    """How runs are to be carried out; nothing of it changes what they are.

    Attributes:
        results: the results folder.
        device, precision, threads: asked for, or None to take what the run began with, or else this machine's best.
        default_threads: where none are asked for and the run has not begun.
        stop_at: end each run after this iteration of its unchanged schedule, to be carried on later.
        stops: likewise for single networks, by name, where `stop_at` is None.
        checkpoint_every: seconds between checkpoints.
    """

    results: Path
    device: str | None = None
    precision: str | None = None
    threads: int | None = None
    default_threads: int | None = None
    stop_at: int | None = None
    stops: Mapping[str, int] = field(default_factory=dict)
    checkpoint_every: float = 60.0

    def last(self, run: Run) -> int:
        """The iteration after which a run ends here."""
        stop = self.stop_at or self.stops.get(run.network)
        return min(run.schedule.iterations, stop or run.schedule.iterations)


@dataclass(frozen=True)
class Progress:
    """Where a run is: after each row of its curve, and now and then between."""

    run: Run
    iteration: int
    began_at: int
    end: int
    row: Row | None
    note: str = ""


@dataclass(frozen=True)
class Outcome:
    """How an attempt at a run ended: a status of its record, or "busy" where another process trains it."""

    run: Run
    status: str
    message: str = ""


@dataclass(frozen=True)
class Begin:
    """What rank 0 tells the others of a run that they train together: how, and from where, as a packed training."""

    numerics: Numerics
    training: bytes


#: When the health of the signals is looked at, as shares of the schedule; the end of it among them.
CHECKUPS = (0, 0.01, 0.1, 0.5, 1)
#: Between rows, tell where a run is this often (seconds).
TELL_EVERY = 0.5
#: What tells that the terminal is lost; None on Windows.
HANGUP: int | None = getattr(signal, "SIGHUP", None)


class Stop:
    """Set by a signal, on whichever rank: finish the iteration, write a checkpoint, end."""

    def __init__(self, ranks: Ranks = ALONE) -> None:
        self.signal: int | None = None
        self.ranks = ranks

    def __call__(self, number: int, frame: FrameType | None = None) -> None:
        """Take a signal."""
        self.signal = number

    @property
    def hung_up(self) -> bool:
        """Whether it was the loss of the terminal."""
        return self.signal is not None and self.signal == HANGUP

    def heeded(self) -> bool:
        """Whether to stop here, alike on all ranks, which must ask at the same point."""
        if agreed := self.ranks.agree(self.signal or 0):
            self.signal = agreed
        return bool(agreed)

    @contextmanager
    def listening(self, hangup: bool = True) -> Iterator[Stop]:
        """Take SIGINT, SIGTERM and, with `hangup`, SIGHUP for as long as this lasts."""
        numbers = (signal.SIGINT, signal.SIGTERM, HANGUP if hangup else None)
        former = {number: signal.signal(number, self) for number in numbers if number}
        try:
            yield self
        finally:
            for number, handler in former.items():
                signal.signal(number, handler)


def attempt(
    run: Run, options: Options, data: Dataset, tell: Callable[[Progress], None], stop: Stop, ranks: Ranks = ALONE
) -> Outcome:
    """Carry a run to its end, or to `stop_at`, or until `stop`; whatever happens is recorded and told, never raised.

    Of several ranks this is for the first; the others `repro.launch.follow.follow` it.
    """
    outcome = _attempt(run, options, data, tell, stop, ranks)
    ranks.say(lambda: outcome)
    return outcome


def _attempt(
    run: Run, options: Options, data: Dataset, tell: Callable[[Progress], None], stop: Stop, ranks: Ranks
) -> Outcome:
    folder = RunFolder(options.results, run)
    try:
        with folder.claim() as mine:
            if not mine:
                return Outcome(run, "busy", "another process is training it")
            try:
                return _execute(folder, options, data, tell, stop, ranks)
            except RankError as error:
                return _failed(folder, error)
            except UserError as error:
                return Outcome(run, "failed", str(error))
            except Exception as error:
                return _failed(folder, error)
    except Exception as error:  # of the claim
        return Outcome(run, "failed", reason(error, folder.path))


def _failed(folder: RunFolder, error: Exception) -> Outcome:
    """Record a failure, as far as that is possible."""
    message = reason(error, folder.path)
    trace = None if is_foreseen(error) else "".join(traceback.format_exception(error))
    try:
        record = folder.read()
        known = record.to_dict() if record else {"iteration": 0}
        folder.write({**known, "status": "failed", "error": message, "traceback": trace})
    except (OSError, UserError):
        return Outcome(folder.run, "failed", message)
    hint = f" (details in {folder.record_path})" if trace else ""
    return Outcome(folder.run, "failed", message + hint)


def _execute(
    folder: RunFolder,
    options: Options,
    dataset: Dataset,
    tell: Callable[[Progress], None],
    stop: Stop,
    ranks: Ranks,
) -> Outcome:
    run = folder.run
    record = folder.read()
    if record and record.status == "complete":
        return Outcome(run, "complete", "already complete")
    if record and record.status == "diverged":
        return Outcome(run, "diverged", f"diverged before: {record.error}")
    notes = []
    if record is None and (record := record_of_checkpoint(folder)):
        notes.append("run.json was gone and is written anew")
    recorded = record.numerics.to_dict() if record else None
    numerics = resolve(
        options.device, options.precision, options.threads, recorded, options.default_threads, ranks.count
    )
    device = settle(numerics)
    if record and record.data.fingerprint not in (None, dataset.fingerprint):
        raise RecordError(f"{folder.path}: was begun on other images than these: give the same ones to carry on")

    forget(numerics)
    data = prepare(dataset, run.images, device)
    training = Training.start(make_net(run, dataset, device), run, numerics)
    resumed = take_up(folder, training, notes)
    state = training.state
    if record and record.status == "stopped" and options.last(run) <= state.iteration < run.schedule.iterations:
        return Outcome(run, "stopped", f"already at iteration {state.iteration}")
    if record and state.iteration == 0 and came_far(record, folder):
        notes.append("its checkpoint is gone, or was not yet written: begins anew")
    if resumed is None:
        folder.put_back({})
    elif "tables" in resumed:
        check_numerics(numerics, resumed["record"], folder)
        notes += [f"{name} had been changed and is put back as it was" for name in folder.put_back(resumed["tables"])]
    else:  # checkpoints of the first versions held neither
        folder.rewind(state.iteration)

    if ranks.count == 1:
        training.forward, obstacle = capture(training.net.train(), batch_of(data, run, state.iteration)[0], numerics)
        notes += [f"not as a CUDA graph: {obstacle}"] if obstacle else []

    surroundings = {**environment(), "device": device_name(device), **build_of_torch(device)}
    session = {"began": _now(), "from": state.iteration, **changes(record, surroundings, notes)}
    written: dict[str, Any] = {
        **((record.model_extra if record else None) or {}),
        "status": "running",
        "iteration": state.iteration,
        "numerics": numerics.to_dict(),
        "data": _describe(dataset, data),
        "environment": surroundings,
        "sessions": [*(past.to_dict() for past in (record.sessions if record else ())), session],
    }
    folder.write(written)
    tell(Progress(run, state.iteration, state.iteration, options.last(run), None, "; ".join(notes)))
    ranks.say(lambda: Begin(numerics, checkpoint.packed(training)))
    with ranks.agreeing():
        pass  # the others may find no room for it

    def save() -> None:
        folder.check()
        keep = {"record": folder.whole(written), "tables": folder.tables()}
        checkpoint.save(folder.checkpoint_path, run.hash, training, keep)

    def close(status: str, **more: Any) -> None:
        written["sessions"][-1].update(ended=_now(), to=state.iteration, how=status)
        folder.write(
            {
                **written,
                "status": status,
                "iteration": state.iteration,
                "seconds": round(state.seconds, 3),
                "warm_up_ended": state.warm_until,
                **more,
            }
        )

    try:
        with ranks.in_step(DivergedError):
            ranks.arrange(training.net, run.model.norm_shares)
            finished = _train(folder, training, data, numerics, options, tell, stop, save, ranks)
    except DivergedError as error:
        close("diverged", error=str(error))
        return Outcome(run, "diverged", str(error))
    save()
    if not finished:
        close("stopped")
        return Outcome(run, "stopped", f"at iteration {state.iteration}")
    close(
        "complete",
        final=_final(training.net, folder, data, numerics),
        wrong_test_images=_bits(mistakes(training.net, data.batches("test"), numerics)),
        weights_sha256=checkpoint.weights_hash(training.net),
    )
    checkpoint.previous(folder.checkpoint_path).unlink(missing_ok=True)
    return Outcome(run, "complete")


def _train(
    folder: RunFolder,
    training: Training,
    data: Prepared,
    numerics: Numerics,
    options: Options,
    tell: Callable[[Progress], None],
    stop: Stop,
    save: Callable[[], None],
    ranks: Ranks,
) -> bool:
    """Train to the end of the schedule (True), to `stop_at` or until stopped (False)."""
    run, state = folder.run, training.state
    began_at = state.iteration
    last = options.last(run)
    saved = told = time.monotonic()
    checkups = {round(share * run.schedule.iterations) for share in CHECKUPS}
    if state.iteration == 0:
        _check_up(folder, training, data, numerics)
    if state.iteration >= last or stop.heeded():
        return state.iteration >= run.schedule.iterations
    for row in train(training, data, run, numerics, ranks):
        if row is not None:
            folder.append(row)
            tell(Progress(run, state.iteration, began_at, last, row))
            continue
        if state.iteration in checkups:
            _check_up(folder, training, data, numerics)
        now = time.monotonic()
        if now - told >= TELL_EVERY:
            tell(Progress(run, state.iteration, began_at, last, None))
            told = now
        if state.iteration >= last or stop.heeded():
            break
        if now - saved >= options.checkpoint_every:
            save()
            saved = time.monotonic()
    return state.iteration >= run.schedule.iterations


def _check_up(folder: RunFolder, training: Training, data: Prepared, numerics: Numerics) -> None:
    """Record signal and gradient of each layer on the batch that the next iteration will train on."""
    run, iteration = folder.run, training.state.iteration
    x, y = batch_of(data, run, iteration)
    # Without the loss scaling of training, small gradients would vanish in fp16.
    autocast = nullcontext() if numerics.precision == "fp16" else numerics.autocast()
    with autocast, given_whole_batches(training.net):
        signals = signal_health(training.net, x, y)
    folder.add_health([HealthRow(iteration, **vars(signal)) for signal in signals])


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
    with numerics.autocast():
        write_responses(folder.responses_path, responses(net, (x for x, _ in data.batches("test"))))
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
