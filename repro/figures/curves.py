"""Error curves for drawing: tidy rows of points, and how far the axes go."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np
import pandas as pd

from repro import paper
from repro.ends import ERRORS
from repro.figures.drawing import Drawing, line, lines
from repro.groups import group_of, shown, usual
from repro.records import Records

#: Points on a curve, about: the paper's are 1,000 of 64,000 iterations apart.
POINTS = 64
#: A net deeper than this that ends above this error (percent) is left out of the choice of the axis, as plain-110 is of
#: the paper's Figure 6. Shallower ones are what the figures are about, however badly they end.
DEEPEST_SHOWN, OFF_THE_CHART = 56, paper.constants()["cifar"]["plain_110_error_above"]


def points(records: Records, networks: tuple[str, ...], found: pd.DataFrame) -> pd.DataFrame:
    """The curves of some networks of one source, as rows to draw; without variants.

    Args:
        found: what `repro.ends.ends` gives for them.

    Returns:
        network, label, quantity (train_error, test_error), unit (the run's folder), counts (whether it is in the mean),
        x, y. Training errors are means over each so many iterations, test errors the last within them.
    """
    runs = {str(run["folder"]): run for _, run in usual(records.runs, networks).iterrows()}
    pieces = []
    for end in found.to_dict("records"):
        mine = [folder for folder, run in runs.items() if run["network"] == end["network"]]
        for folder, curve in records.curves[records.curves["folder"].isin(mine)].groupby("folder"):
            table = _binned(curve, drawn_width(runs[str(folder)]))
            label = shown(end["network"]) + (" (incomplete)" if end["note"] else "")
            names = {"network": end["network"], "label": label, "unit": folder, "counts": folder in end["folders"]}
            pieces.append(table.assign(**names))
    columns = ["network", "label", "unit", "counts", "iteration"]
    table = pd.concat(pieces) if pieces else pd.DataFrame(columns=[*columns, *ERRORS])
    long = table.melt(id_vars=columns, value_vars=list(ERRORS), var_name="quantity", value_name="y")
    return long[np.isfinite(long["y"].astype(float))].rename(columns={"iteration": "x"}).reset_index(drop=True)


def drawn_width(run: pd.Series) -> int:
    """How many iterations a drawn point of a run's training error is the mean of."""
    every = int(run["run"].log_every)
    return max(1, round(int(run["iterations"]) / POINTS / every)) * every


def _binned(rows: pd.DataFrame, width: int) -> pd.DataFrame:
    steps = (-(-rows["iteration"].astype(int) // width) * width).clip(upper=int(rows["iteration"].max()))
    grouped = rows.assign(iteration=steps).groupby("iteration")
    return grouped.agg(train_error=("train_error", "mean"), test_error=("test_error", "last")).reset_index()


def draw(drawing: Drawing, panel: int, rows: pd.DataFrame) -> None:
    """Draw such rows: each network's mean, and where it has several seeds each of them thinly."""
    several = rows.groupby("network")["unit"].transform("nunique") > 1
    for _, mine in rows[several].groupby(["label", "quantity", "unit"], sort=False):
        line(drawing, panel, mine.iloc[0], mine[["x", "y"]].to_numpy(dtype=float), single=True)
    lines(drawing, panel, rows[rows["counts"].astype(bool)])


def error_limit(found: pd.DataFrame) -> float:
    """The top of an axis of errors, percent: the least round one with a quarter of room above every end point.

    Nets of more than 56 layers that end above 60 % do not count, as in the paper's Figure 6; 20 % is the paper's own.
    """
    counts = found[(found["depth"] <= DEEPEST_SHOWN) | (found[list(ERRORS)].max(axis=1) <= OFF_THE_CHART)]
    deep = found.drop(counts.index)[list(ERRORS)].to_numpy(dtype=float)
    return error_limit_of([*counts[list(ERRORS)].to_numpy(dtype=float).ravel(), *deep[deep <= OFF_THE_CHART]])


def error_limit_of(errors: Iterable[float]) -> float:
    """The least round top of an axis with a quarter of room above all of these errors (percent; NaN is none)."""
    need = max([1.25 * end for end in errors if math.isfinite(end)], default=paper.constants()["cifar"]["plot_limit"])
    return next((top for top in (5.0, 10.0, 20.0, 30.0, 40.0, 60.0, 80.0) if top >= need), 100.0)


def last_iteration(runs: pd.DataFrame) -> int:
    """Where the axis of iterations ends: with the longest schedule of these runs."""
    return int(runs["iterations"].max()) if len(runs) else int(paper.constants()["cifar"]["iterations"])


def seeds(labels: Iterable[str], counts: Iterable[int]) -> str:
    """How many seeds the line of each label is the mean of, as one more line of a title; nothing where all have one."""
    of = pd.Series(list(labels)).groupby(list(counts), sort=False).agg(", ".join).to_dict()
    single = of.pop(1, "")
    if len(of) == 1 and not single:
        return f"\neach line is the mean of {next(iter(of))} seeds"
    told = [f"mean of {count} seeds: {those}" for count, those in of.items()]
    return "\n" + " · ".join([*told, *(["others: one seed"] if single else [])]) if of else ""


def notes(records: Records, found: pd.DataFrame, networks: tuple[str, ...], top: float) -> list[str]:
    """How curves of errors were drawn."""
    as_there = top == 20 and paper.readings(6)["network"].isin(networks).any()
    said = [f"The axis of errors ends at {top:.0f} %{', as in the paper' if as_there else ', chosen from the data'}."]
    runs = usual(records.runs, networks)
    widths = {drawn_width(run) for _, run in runs.iterrows()}
    # Of other programs' curves nobody knows here what was taken when.
    if len(widths) == 1 and not (runs["status"] == "foreign").any():
        said.append(
            f"A point of training error is the mean over {widths.pop():,} iterations of training, on augmented crops."
        )
    group = group_of(records.runs)
    if group.comparable:
        said.append("Diamonds: where the paper's curves end, hollow for training and filled for test error.")
    elif group.data != "imagenet":  # of that the paper's have a figure of their own
        said.append("The paper's own values are not marked: other data or another schedule.")
    return said + [f"{shown(end['network'])}: {end['note']}." for end in found.to_dict("records") if end["note"]]
