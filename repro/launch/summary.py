"""What a study's command closes with: its results, and what they show."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from tabulate import tabulate

from repro.errors import RecordError
from repro.records import RunFolder
from repro.spec import Run


def results_table(plan: Sequence[Run], results: Path) -> str:
    """A line per run of a plan, from the records on disk."""
    rows = []
    for run in plan:
        folder = RunFolder(results, run)
        try:
            record, status = folder.read(), "not begun"
        except RecordError as error:
            record, status = None, f"damaged: {error}"
        rows.append(
            {
                "network": run.network,
                **({"variant": run.variant} if any(other.variant for other in plan) else {}),
                "seed": run.seed,
                "training error %": _percent(record.final.train_error if record else None),
                "test error %": _percent(record.final.test_error if record else None),
                "iterations": f"{record.iteration if record else 0:,} of {run.schedule.iterations:,}",
                "status": record.status if record else status,
            }
        )
    return tabulate(rows, headers="keys", disable_numparse=True, colalign=_align(rows))


def _align(rows: list[dict[str, object]]) -> list[str]:
    right = ("seed", "training error %", "test error %", "iterations")
    return ["right" if key in right else "left" for key in rows[0]] if rows else []


def _percent(value: float | None) -> str:
    return "-" if value is None or not math.isfinite(value) else f"{value:.2f}"


def finding(plan: Sequence[Run], results: Path) -> str | None:
    """One sentence on degradation and its cure, by the first seed whose nets of 20 and 56 layers are complete."""
    by_seed: dict[int, dict[str, float]] = {}
    for run in plan:
        try:
            record = RunFolder(results, run).read()
        except RecordError:
            continue
        if record and record.final.train_error is not None and record.status == "complete" and not run.variant:
            by_seed.setdefault(run.seed, {})[run.network] = record.final.train_error
    needed = {"plain-20", "plain-56", "resnet-20", "resnet-56"}
    errors = next((errors for errors in by_seed.values() if needed <= errors.keys()), None)
    if errors is None:
        return None
    plain, residual = errors["plain-56"] - errors["plain-20"], errors["resnet-56"] - errors["resnet-20"]
    return (
        f"36 more layers change the training error of the plain net by {plain:+.2f} points "
        f"({errors['plain-20']:.2f} % to {errors['plain-56']:.2f} %), that of the residual net by {residual:+.2f} "
        f"({errors['resnet-20']:.2f} % to {errors['resnet-56']:.2f} %)."
    )
