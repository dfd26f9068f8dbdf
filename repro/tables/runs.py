"""All runs of a group, complete or not, with their errors."""

from __future__ import annotations

import math
from collections.abc import Callable

import pandas as pd

from repro.tables.table import Cell, Link, Table

COLUMNS = ("run", "source", "status", "iterations", "training error", "test error", "clean training error", "time")


def table(runs: pd.DataFrame, title: str, address: Callable[[pd.Series], str]) -> Table:
    """A row per run, in the order given.

    Args:
        runs: rows of `Records.runs`.
        address: the page of a run, relative to the report.
    """
    rows: list[tuple[Cell, ...]] = []
    for _, run in runs.iterrows():
        rows.append(
            (
                (Link(name_of(run), address(run)),),
                str(run["source"]),
                str(run["status"]),
                f"{run['iteration']:,}"
                + ("" if run["iteration"] == run["iterations"] else f" of {run['iterations']:,}"),
                *(percent(run[key]) for key in ("train_error", "test_error", "clean_train_error")),
                duration(run["seconds"]),
            )
        )
    return Table(
        name="runs",
        title=title,
        frame=runs.drop(columns="record"),
        columns=COLUMNS,
        rows=tuple(rows),
        ids=tuple(address(run).partition("#")[2] for _, run in runs.iterrows()),
        numeric=frozenset(range(3, 8)),
        notes=(
            "Training error: mean over the last evaluation interval, in training mode on augmented crops. "
            "Clean: of the final network in evaluation mode on the training images as they are. All in percent.",
        ),
    )


def name_of(run: pd.Series) -> str:
    """A run in a few words: network, what departs from its preset, seed."""
    variant = f" ({run['variant']})" if run["variant"] else ""
    return f"{run['network']}{variant}, seed {run['seed']}"


def percent(value: float) -> str:
    """An error with two decimals, or nothing."""
    return f"{value:.2f}" if math.isfinite(value) else ""


def duration(seconds: float) -> str:
    """A time in the unit that suits it."""
    if not math.isfinite(seconds):
        return ""
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"
