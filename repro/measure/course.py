"""What is measured of a run on its course: the health of its signals at some iterations, and its results at the end."""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import nullcontext

import numpy as np
from torch import nn

from repro.data.augment import Prepared
from repro.measure.health import signal_health
from repro.measure.responses import responses
from repro.models.norm import given_whole_batches
from repro.records import HealthRow, Row
from repro.spec import Run
from repro.train.evaluate import evaluate, mistakes
from repro.train.loop import Training, batch_of
from repro.train.photographs import Shown
from repro.train.precision import Numerics

#: When the health of the signals is looked at, as shares of the schedule; the end of it among them.
CHECKUPS = (0, 0.01, 0.1, 0.5, 1)


def health(training: Training, data: Prepared | Shown, run: Run, numerics: Numerics) -> list[HealthRow]:
    """Signal and gradient of each layer on the batch that the next iteration will train on."""
    iteration = training.state.iteration
    x, y = batch_of(data, run, iteration)
    # Without the loss scaling of training, small gradients would vanish in fp16.
    autocast = nullcontext() if numerics.precision == "fp16" else numerics.autocast()
    with autocast, given_whole_batches(training.net):
        return [HealthRow(iteration, **vars(signal)) for signal in signal_health(training.net, x, y)]


def final(
    net: nn.Module, curve: Sequence[Row], data: Prepared | Shown, run: Run, numerics: Numerics
) -> dict[str, float]:
    """The results of a trained network. Training error is the mean over the last evaluation interval, as on a curve
    whose points are that far apart; the clean one is of the training images as they are, in evaluation mode.
    """
    starts = [0, *(row.iteration for row in curve)]
    first = run.schedule.iterations - run.evaluate_every
    last = [(row, row.iteration - start) for start, row in zip(starts, curve, strict=False) if row.iteration > first]
    iterations = sum(weight for _, weight in last)
    clean_loss, clean_error = evaluate(net, data.batches("train"), numerics)
    return {
        "train_error": math.fsum(row.train_error * weight for row, weight in last) / iterations,
        "train_loss": math.fsum(row.train_loss * weight for row, weight in last) / iterations,
        "test_error": curve[-1].test_error,
        "test_loss": curve[-1].test_loss,
        "clean_train_error": clean_error,
        "clean_train_loss": clean_loss,
    }


def final_responses(net: nn.Module, data: Prepared | Shown, numerics: Numerics) -> list[tuple[str, float]]:
    """The responses of a trained network to the test images (Figure 7)."""
    with numerics.autocast():
        return responses(net, (x for x, _ in data.batches("test")))


def wrong_test_images(net: nn.Module, data: Prepared | Shown, numerics: Numerics) -> str:
    """Which test images a network gets wrong, a bit for each, in hex: the first image is the highest bit of the first
    digit.
    """
    return bytes(np.packbits(mistakes(net, data.batches("test"), numerics).numpy())).hex()
