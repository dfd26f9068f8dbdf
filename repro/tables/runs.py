"""All runs, complete or not, with their errors."""

from __future__ import annotations

import math
from collections.abc import Callable

import pandas as pd

from repro.groups import name_of
from repro.tables.table import Links, PageLink, Table, made

COLUMNS = (
    "run", "data", "preset", "source", "status", "iterations", "training (%)", "test (%)", "clean (%)", "precision",
    "time",
)  # fmt: skip


def table(runs: pd.DataFrame, address: Callable[[pd.Series], str]) -> Table:
    """A row per run, in the order given.

    Args:
        runs: rows of `Records.runs`.
        address: the page of a run, relative to the report.
    """
    rows: list[list[str | Links]] = []
    for _, run in runs.iterrows():
        whole = "" if run["iteration"] == run["iterations"] else f" of {run['iterations']:,}"
        rows.append(
            [
                Links([PageLink(name_of(run), address(run))]),
                *(str(run[key]) for key in ("data", "preset", "source", "status")),
                f"{run['iteration']:,}{whole}",
                *(percent(run[key]) for key in ("train_error", "test_error", "clean_train_error")),
                run["precision"] if isinstance(run["precision"], str) else "",  # None, or NaN, of foreign runs
                duration(run["seconds"]),
            ]
        )
    return made(
        "runs",
        "All runs",
        COLUMNS,
        rows,
        words=("data", "preset", "source", "status", "precision"),
        notes=[
            "Training error: mean over the last evaluation interval, in training mode on augmented "
            "crops; of another program's curves, like their test error, the last value. Clean: of the final network in "
            "evaluation mode on the training images as they are. "
            "Time in training: hours, minutes, seconds."
        ],
    )


def percent(value: float) -> str:
    """An error with two decimals, or nothing."""
    return f"{value:.2f}" if math.isfinite(value) else ""


def duration(seconds: float) -> str:
    """A time as hours:minutes:seconds, or nothing."""
    if not math.isfinite(seconds):
        return ""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02}:{rest:02}"
