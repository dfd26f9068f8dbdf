"""Error curves for drawing: means over seeds, and how far the axes go."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd

from repro import names, paper
from repro.figures.chart import Mark, Series, colour_of, shown
from repro.figures.groups import ENDED, Group, require_one

#: Points on a curve, about: the paper's are 1,000 of 64,000 iterations apart.
POINTS = 64
#: A net deeper than this that ends above this error (percent) is left out of the choice of the axis, as plain-110 is of
#: the paper's Figure 6. Shallower ones are what the figures are about, however badly they end.
DEEPEST_SHOWN, OFF_THE_CHART = 56, paper.constants()["cifar"]["plain_110_error_above"]
ERRORS = {"train_error": "training error", "test_error": "test error"}


@dataclass(frozen=True)
class NetworkCurve:
    """The curves of one network's runs of one source, data set and preset, without variants.

    Attributes:
        seeds: of the runs behind the mean.
        mean: iteration, train_error, test_error: their mean.
        singles: the same for each run that has a curve, by the words for it.
        iterations: of the schedule.
        note: why the curve ends early, or "".
    """

    network: str
    depth: int
    seeds: tuple[int, ...]
    mean: pd.DataFrame
    singles: dict[str, pd.DataFrame]
    iterations: int
    note: str
    foreign: bool = False

    @property
    def said(self) -> str:
        """Whose curve it is, in words."""
        whose = f"mean of {len(self.seeds)} seeds" if len(self.seeds) > 1 else f"seed {self.seeds[0]}"
        return f"{whose}{', foreign' if self.foreign else ''}{f', {self.note}' if self.note else ''}"

    def end(self, column: str) -> float:
        """The last value of train_error or test_error, percent; NaN where there is none."""
        values = self.mean[column].dropna()
        return float(values.iloc[-1]) if len(values) else math.nan


def network_curves(runs: pd.DataFrame, curves: pd.DataFrame, networks: Iterable[str]) -> list[NetworkCurve]:
    """The curves of some networks, in their order; networks without a curve are left out.

    The mean is over the runs that ended; where none has, over those that came farthest.

    Args:
        runs, curves: as of `repro.records.Records`, of one source, data set and preset.

    Raises:
        ValueError: they are of several.
    """
    require_one(runs, "source", "data", "preset")
    require_one(curves, "source", "data", "preset")
    by_folder = {str(folder): rows for folder, rows in curves.groupby("folder")}
    plain = runs[(runs["variant"] == "") & runs["folder"].isin(by_folder.keys())]
    found = []
    for network in networks:
        mine = plain[plain["network"] == network].sort_values(["seed", "folder"])
        if not len(mine):
            continue
        tables = [
            _binned(by_folder[folder], drawn_width(run))
            for folder, run in zip(mine["folder"], _rows(mine), strict=True)
        ]
        ended = [index for index, status in enumerate(mine["status"]) if status in ENDED]
        note = ""
        if not ended:
            farthest = mine["iteration"].max()
            ended = [index for index, at in enumerate(mine["iteration"]) if at == farthest]
            note = _why_short(mine.iloc[ended[0]])
        found.append(
            NetworkCurve(
                network=network,
                depth=int(mine["depth"].iloc[0]),
                seeds=tuple(int(mine["seed"].iloc[index]) for index in ended),
                mean=pd.concat([tables[index] for index in ended]).groupby("iteration", as_index=False).mean(),
                singles={_single(run): table for run, table in zip(_rows(mine), tables, strict=True)},
                iterations=int(mine["iterations"].max()),
                note=note,
                foreign=bool((mine["status"] == "foreign").any()),
            )
        )
    return found


def _rows(runs: pd.DataFrame) -> list[pd.Series]:
    return [row for _, row in runs.iterrows()]


def drawn_width(run: pd.Series) -> int:
    """How many iterations a drawn point of a run's training error is the mean of."""
    every = int(run["run"].log_every)
    return max(1, round(int(run["iterations"]) / POINTS / every)) * every


def _binned(rows: pd.DataFrame, width: int) -> pd.DataFrame:
    """Training errors averaged over each `width` iterations; the last test error within them."""
    ends = (-(-rows["iteration"].astype(int) // width) * width).clip(upper=int(rows["iteration"].max()))
    grouped = rows.assign(iteration=ends).groupby("iteration")
    return pd.DataFrame(
        {"train_error": grouped["train_error"].mean(), "test_error": grouped["test_error"].last()}
    ).reset_index()


def _single(run: pd.Series) -> str:
    return f"seed {run['seed']}" if run["status"] in ENDED else f"seed {run['seed']}, {_why_short(run)}"


def _why_short(run: pd.Series) -> str:
    said = {"diverged": "diverged", "failed": "failed", "running": "so far"}.get(run["status"], "stopped")
    return f"incomplete: {said} at iteration {run['iteration']:,} of {run['iterations']:,}"


def series_of(
    curve: NetworkCurve, column: str, *, dashed: bool = False, bold: bool = False, legend: bool = True
) -> list[Series]:
    """The line of a network's train_error or test_error, and a thin one for each of its seeds if they are several."""

    def line(table: pd.DataFrame, whose: str, width: Literal["thin", "normal", "bold"]) -> Series:
        points = table[np.isfinite(table[column])]
        return Series(
            label=shown(curve.network) + (" (incomplete)" if curve.note else ""),
            of=f"{ERRORS[column]}, {whose}",
            column=column,
            colour=colour_of(curve.depth),
            x=tuple(float(x) for x in points["iteration"]),
            y=tuple(float(y) for y in points[column]),
            dashed=dashed,
            width=width,
            legend=legend and width != "thin",
        )

    lines = [line(table, said, "thin") for said, table in curve.singles.items() if len(curve.singles) > 1]
    lines.append(line(curve.mean, curve.said, "bold" if bold else "normal"))
    return [item for item in lines if item.x]


def paper_marks(runs: pd.DataFrame, networks: Iterable[str], columns: Iterable[str], top: float) -> tuple[Mark, ...]:
    """The paper's end points of some networks that lie on the plot; none unless `runs` are of its data and schedule."""
    if not len(runs) or not Group(str(runs["data"].iloc[0]), str(runs["preset"].iloc[0])).comparable:
        return ()
    read = paper.readings(6)
    marks = []
    for network in networks:
        for column in columns:
            shown_here = (
                (read["network"] == network) & (read["quantity"] == column) & (read["value"].astype(float) <= top)
            )
            for _, item in read[shown_here].iterrows():
                marks.append(
                    Mark(
                        label=shown(network),
                        of=f"the paper's {ERRORS[column]} at iteration {item['iteration']:,.0f}, read from Figure 6",
                        colour=colour_of(names.parse(network, "cifar").depth),
                        x=float(item["iteration"]),
                        y=float(item["value"]),
                        filled=column == "test_error",
                    )
                )
    return tuple(marks)


def error_limit(curves: Sequence[NetworkCurve]) -> float:
    """The top of an axis of errors, percent: the least round one with a quarter of room above every end point.

    Nets of more than 56 layers that end above 60 % do not count, as in the paper's Figure 6; 20 % is the paper's own.
    """
    ends = [(curve.depth, curve.end(column)) for curve in curves for column in ERRORS]
    return error_limit_of(end for depth, end in ends if depth <= DEEPEST_SHOWN or end <= OFF_THE_CHART)


def error_limit_of(ends: Iterable[float]) -> float:
    """The least round top of an axis with a quarter of room above all of these errors (percent; NaN is none)."""
    need = max([1.25 * end for end in ends if not math.isnan(end)], default=paper.constants()["cifar"]["plot_limit"])
    return next((top for top in (5.0, 10.0, 20.0, 30.0, 40.0, 60.0, 80.0) if top >= need), 100.0)


def error_ticks(top: float) -> tuple[float, ...]:
    """Ticks for an axis of errors up to `top`; the paper's own for 20 %."""
    return {
        5.0: (0, 1, 2, 3, 4, 5),
        10.0: (0, 2, 4, 6, 8, 10),
        20.0: (0, 5, 10, 20),
        30.0: (0, 5, 10, 20, 30),
        40.0: (0, 10, 20, 30, 40),
        60.0: (0, 20, 40, 60),
        80.0: (0, 20, 40, 60, 80),
    }.get(top, (0, 20, 40, 60, 80, 100))


def not_displayed(curves: Sequence[NetworkCurve], top: float) -> tuple[str, ...]:
    """The networks that never come below the top of the axis, in the words of the paper's caption."""
    return tuple(
        f"{shown(curve.network)} is higher than {top:.0f} % and not displayed" for curve in curves if hidden(curve, top)
    )


def hidden(curve: NetworkCurve, top: float) -> bool:
    """Whether a curve never comes below the top of the axis."""
    return not (curve.mean[list(ERRORS)] <= top).any(axis=None)


def iteration_axis(iterations: int) -> tuple[float, str]:
    """The unit of an axis of iterations and its label: the paper's 1e4 where they are that many."""
    if iterations >= 20_000:
        return 1e4, "iter. (1e4)"
    return (1e3, "iter. (1e3)") if iterations >= 4_000 else (1.0, "iterations")


def notes(runs: pd.DataFrame, curves: Sequence[NetworkCurve], top: float, marked: bool) -> tuple[str, ...]:
    """How curves of errors were drawn."""
    said = [f"The axis of errors ends at {top:.0f} %{', as in the paper' if top == 20 else ', chosen from the data'}."]
    widths = {drawn_width(run) for _, run in runs.iterrows()}
    if len(widths) == 1:
        said.append(
            f"A point of training error is the mean over {widths.pop():,} iterations of training, on augmented crops."
        )
    if any(len(curve.seeds) > 1 for curve in curves):
        said.append("Where there are several seeds, the line is their mean and thin lines are the single seeds.")
    if marked:
        said.append("Diamonds: where the paper's curves end, hollow for training and filled for test error.")
    said += [f"{shown(curve.network)}: {curve.note}." for curve in curves if curve.note]
    return tuple(said)
