"""The learning rate as a pure function of the iteration and the curve so far (arXiv:1512.03385, Section 4.2)."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean

from repro.records import Row
from repro.spec import Run, Schedule


def learning_rate(schedule: Schedule, iteration: int, warm_until: int | None, plateaus: int = 0) -> float:
    """The learning rate of the iteration with this index, from 0.

    Args:
        schedule: the run's schedule. The paper's: 0.1 for iterations 0-31,999, 0.01 to 47,999, 0.001 to 63,999.
        iteration: index of the iteration, from 0.
        warm_until: index of the first iteration after the warm-up, or None while it lasts. 0 where there is none.
        plateaus: what `plateaus_of` gives for the rows before, where the rate falls by these.

    A warm-up counts towards the iterations ("the rest of the learning schedule is as done previously"), and never
    raises the rate above the schedule's.
    """
    drops = sum(iteration >= round(fraction * schedule.iterations) for fraction in schedule.milestones)
    if schedule.plateau:
        drops = min(plateaus, len(schedule.milestones))
    rate = schedule.lr * schedule.factor**drops
    warming = warm_until is None or iteration < warm_until
    return min(rate, schedule.warm_up_lr) if warming else rate


def plateaus_of(schedule: Schedule, rows: Sequence[Row], warm_until: int | None) -> int:
    """How often the training error has plateaued by the last of these rows of a curve, after a warm-up.

    The rows say at which rates they were, and so how often it had before: nothing else is kept of it.
    """
    after = [row for row in rows if warm_until is not None and row.iteration > warm_until]
    if not schedule.plateau or not after:
        return 0
    epochs, points = schedule.plateau
    before, end = len({row.lr for row in after}) - 1, after[-1].epoch
    steady = [row for row in after if row.lr == after[-1].lr]
    begin = rows[-len(steady) - 1].epoch if len(rows) > len(steady) else 0.0
    if end - begin < 2 * epochs:
        return before
    late = fmean(row.train_error for row in steady if row.epoch > end - epochs)
    early = fmean(row.train_error for row in steady if end - 2 * epochs < row.epoch <= end - epochs)
    return before + (late > early - points)


def warms_up(run: Run) -> bool:
    """Whether a run begins at the warm-up rate: by default networks of Section 4.2 do from 110 layers on."""
    if run.schedule.warm_up == "auto":
        return run.family == "cifar" and run.parsed.depth >= 110
    return run.schedule.warm_up == "on"
