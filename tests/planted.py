"""Synthetic run folders, written through the project's own records: well-formed, plausible, and known in advance."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from repro.records import COLUMNS as CURVE_COLUMNS
from repro.records import (
    HealthRow,
    Row,
    RunFolder,
    format_row,
    write_health,
    write_json,
    write_responses,
    write_text,
)
from repro.spec import Run
from repro.study import Study, family_of

#: Training and test images of each data set.
IMAGES = {
    "cifar10": (50_000, 10_000),
    "cifar10-jpeg": (50_000, 10_000),
    "digits": (1437, 360),
    "imagenet": (1_281_167, 50_000),
    "imagenette": (9_469, 3_925),
}

#: What somebody may write into a record.
HOSTILE = "<img src=x onerror=alert(1)><script>alert(2)</script>"

BEGAN = "2026-01-01T00:00:00+00:00"

#: The paper's own end points at 64,000 iterations: training error, test error (percent). Plain nets and training
#: errors are readings of its Figure 6, residual test errors its Table 6; of plain-110 it only says "higher than 60%".
PAPER = {
    "plain-20": (1.4, 9.7),
    "plain-32": (1.2, 10.1),
    "plain-44": (3.2, 11.5),
    "plain-56": (5.9, 13.3),
    "plain-110": (75.0, 75.0),
    "resnet-20": (0.65, 8.75),
    "resnet-32": (0.25, 7.51),
    "resnet-44": (0.15, 7.17),
    "resnet-56": (0.1, 6.97),
    "resnet-110": (0.1, 6.61),
    "resnet-1202": (0.05, 7.93),
}
#: Five test errors of resnet-110 whose best, mean and standard deviation are Table 6's 6.43 (6.61 ± 0.16).
RESNET_110 = (6.43, 6.54, 6.56, 6.66, 6.86)
#: Mean standard deviation of the responses, read from Figure 7.
RESPONSES = {"plain-20": 1.8, "plain-56": 1.5, "resnet-20": 1.6, "resnet-56": 1.15, "resnet-110": 1.0}


def run_of(
    network: str,
    *,
    preset: str = "short",
    data: str = "cifar10",
    seed: int = 0,
    settings: Mapping[str, Any] | None = None,
) -> Run:
    """The run as a study of this network alone would plan it, its variant named by its settings."""
    study = Study("planted", "planted", "", "", networks=(network,), family=family_of(preset))
    (run,) = study.runs(preset, seeds=[seed], settings=settings, data=data)
    return run


def plant(
    results: Path,
    network: str,
    *,
    preset: str = "short",
    data: str = "cifar10",
    seed: int = 0,
    train_end: float = 2.0,
    test_end: float = 10.0,
    status: str = "complete",
    iteration: int | None = None,
    responses: Sequence[float] | float | None = None,
    responses_training: float | None = None,
    health: tuple[float, float] | None = None,
    settings: Mapping[str, Any] | None = None,
    warm_up_ended: int | None = None,
    coarse: int = 1,
    extra: Mapping[str, Any] | None = None,
) -> Path:
    """Write the folder of one run and give it.

    Args:
        results: the results folder.
        train_end: training error (percent) over the last evaluation interval of a finished run.
        test_end: test error (percent) of the final iterate.
        status: of run.json; "complete" and "foreign" runs have final values, "diverged" ones rise to chance at their
            end, all others are cut off at `iteration`.
        iteration: how far the run came; by default all of its schedule if complete or foreign, and else half.
        responses: a standard deviation per layer (6n + 1 of them), or their mean.
        responses_training: how many times that they are in training mode, by the last look of health.csv (by default 1,
            where there is one).
        health: of the second layer, its gradient norm and the variance of its output, halfway; all others, and at any
            other time, are 1.
        settings: what departs from the preset, as in `--set`; names the variant.
        warm_up_ended: iteration at which training error was first seen below 80 %; by default as in the curve.
        coarse: write only every so many-th row of the run's cadence (a divisor of evaluations per run keeps the test
            errors).
        extra: further keys of run.json, or other values in place of these.
    """
    run = run_of(network, preset=preset, data=data, seed=seed, settings=settings)
    total = run.schedule.iterations
    finished = status in ("complete", "foreign")
    reached = iteration if iteration is not None else total if finished else total // 2
    train_images, test_images = IMAGES[data]
    folder = RunFolder(results, run)
    folder.path.mkdir(parents=True, exist_ok=True)
    curve = _curve(run, reached, train_end, test_end, train_images, coarse, status == "diverged")
    write_text(folder.curve_path, "\n".join([",".join(CURVE_COLUMNS), *map(format_row, curve)]) + "\n")
    final = {
        "train_error": train_end,
        "train_loss": _loss(train_end),
        "test_error": test_end,
        "test_loss": _loss(test_end),
        "clean_train_error": 0.8 * train_end,
        "clean_train_loss": _loss(0.8 * train_end),
    }
    seconds = 0.1 * reached
    if warm_up_ended is None:
        warm_up_ended = next((row.iteration for row in curve if row.train_error < 80), None)
    how = {"diverged": {"error": f"the loss is nan at iteration {reached}"}}.get(status, {})
    record = {
        "status": status,
        "iteration": reached,
        "seconds": seconds,
        "numerics": {"device": "cpu", "precision": "bf16", "threads": 2},
        "data": {
            "name": data,
            "fingerprint": hashlib.sha256(data.encode()).hexdigest()[:16],
            "train_images": train_images - run.images.held_out,
            "test_images": test_images if run.images.evaluate_on == "test" else run.images.held_out,
            "source": "planted",
        },
        "environment": {"python": "3.12.0", "torch": "2.6.0", "processor": "planted", "commit": "0" * 40},
        "warm_up_ended": warm_up_ended,
        "final": final if finished else None,
        "sessions": [{"began": BEGAN, "from": 0, "ended": BEGAN, "to": reached, "how": status}],
        **how,
        **(extra or {}),
    }
    write_json(folder.record_path, folder.whole(record))  # not sealed: tests go on to change what is planted
    if responses is not None:
        write_responses(folder.responses_path, _layers(run, responses))
    if health is not None or responses_training is not None:
        stds = [(responses_training or 1.0) * std for _, std in _layers(run, responses or 1.0)]
        write_health(folder.health_path, _health(run, reached, stds, *(health or (1.0, 1.0))))
    return folder.path


def _curve(
    run: Run, reached: int, train_end: float, test_end: float, images: int, coarse: int, diverged: bool
) -> list[Row]:
    """Errors fall from chance in three steps, one per learning rate; a lower end is lower all along, but for noise."""
    total = run.schedule.iterations
    rng = np.random.default_rng(int(hashlib.sha256(str(run.path).encode()).hexdigest()[:8], 16))
    at = np.arange(run.log_every * coarse, reached + 1, run.log_every * coarse)
    train = train_end + (90.0 - train_end) * _fall(at / total) + 0.02 * train_end * rng.standard_normal(len(at))
    last = at > total - run.evaluate_every
    if last.any():
        train[last] += train_end - train[last].mean()
    test = test_end + (90.0 - test_end) * _fall(at / total)
    test[at == total] = test_end
    if diverged and len(at):
        train[-1] = test[-1] = 90.0
    train, test = np.clip(train, 0.0, 100.0), np.clip(test, 0.0, 100.0)
    rows = []
    for k, iteration in enumerate(at.tolist()):
        lr = run.schedule.lr * run.schedule.factor ** sum(iteration > m * total for m in run.schedule.milestones)
        due = iteration % run.evaluate_every == 0
        rows.append(
            Row(
                iteration=iteration,
                epoch=iteration * run.optimiser.batch_size / images,
                lr=lr,
                train_loss=math.nan if diverged and k == len(at) - 1 else _loss(float(train[k])),
                train_error=float(train[k]),
                test_loss=_loss(float(test[k])) if due else math.nan,
                test_error=float(test[k]) if due else math.nan,
            )
        )
    return rows


def _fall(x: np.ndarray) -> np.ndarray:
    """From 1 at the start to 0 at the end, with a step down at each drop of the learning rate."""
    level = np.select([x <= 0.5, x <= 0.75], [0.12, 0.02], 0.0)
    return level + (1.0 - level) * np.exp(-x / 0.03)


def _loss(error: float) -> float:
    return 0.01 + 0.025 * error


def _layers(run: Run, responses: Sequence[float] | float) -> list[tuple[str, float]]:
    """Of Table 1's networks those with a 3x3 layer at the beginning, as all presets have them."""
    name = run.parsed
    inside = (2,) if name.bottleneck else (1, 2)
    layers = [] if run.family == "imagenet" and run.model.stem == "7x7" else ["conv1"]
    layers += [f"layer{s}.{b}.conv{c}" for s, n in enumerate(name.stages, start=1) for b in range(n) for c in inside]
    if isinstance(responses, int | float):
        shape = np.linspace(1.5, 0.5, len(layers))
        responses = (responses * shape / shape.mean()).tolist()
    assert len(responses) == len(layers), f"{run.network} has {len(layers)} responses"
    return list(zip(layers, responses, strict=True))


def _health(run: Run, reached: int, stds: Sequence[float], gradient: float, variance: float) -> list[HealthRow]:
    rows = []
    for iteration in (1, reached // 2, reached):
        for layer, ((name, _), std) in enumerate(zip(_layers(run, 1.0), stds, strict=True), start=1):
            weak = layer == 2 and iteration == reached // 2
            active = std**2 if iteration == reached else 1.0
            rows.append(HealthRow(iteration, layer, name, active, gradient if weak else 1.0, variance if weak else 1.0))
    return rows


def plant_paper_like(results: Path) -> Path:
    """Plant every CIFAR-10 network of the paper with the paper's own numbers, resnet-110 five times.

    Curves are a tenth as dense as real ones, so that this takes well under a second.
    """
    for network, (train_end, test_end) in PAPER.items():
        tests = RESNET_110 if network == "resnet-110" else (test_end,)
        for seed, error in enumerate(tests):
            # Training errors and responses of one network differ a little from seed to seed, as they do.
            luck = 1 + 0.02 * (seed - (len(tests) - 1) / 2)
            response = RESPONSES.get(network)
            plant(
                results,
                network,
                preset="paper",
                seed=seed,
                train_end=train_end * luck,
                test_end=error,
                responses=response and response * luck,
                health=(0.5, 0.5),
                warm_up_ended=400 if network in ("plain-110", "resnet-110", "resnet-1202") else None,
                coarse=10,
            )
    return results
