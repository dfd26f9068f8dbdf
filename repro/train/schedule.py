"""The learning rate as a pure function of the iteration (arXiv:1512.03385, Section 4.2)."""

from __future__ import annotations

from repro.spec import Run, Schedule


def learning_rate(schedule: Schedule, iteration: int, warm_until: int | None) -> float:
    """The learning rate of the iteration with this index, from 0.

    Args:
        schedule: the run's schedule. The paper's: 0.1 for iterations 0-31,999, 0.01 to 47,999, 0.001 to 63,999.
        iteration: index of the iteration, from 0.
        warm_until: index of the first iteration after the warm-up, or None while it lasts. 0 where there is none.

    A warm-up counts towards the iterations ("the rest of the learning schedule is as done previously"), and never
    raises the rate above the schedule's.
    """
    drops = sum(iteration >= round(fraction * schedule.iterations) for fraction in schedule.milestones)
    rate = schedule.lr * schedule.factor**drops
    warming = warm_until is None or iteration < warm_until
    return min(rate, schedule.warm_up_lr) if warming else rate


def warms_up(run: Run) -> bool:
    """Whether a run begins at the warm-up rate: by default networks of Section 4.2 do from 110 layers on."""
    if run.schedule.warm_up == "auto":
        return run.family == "cifar" and run.parsed.depth >= 110
    return run.schedule.warm_up == "on"
