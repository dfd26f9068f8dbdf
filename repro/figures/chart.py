"""A figure as plain values: panels, lines, marks. It is drawn by `repro.figures.draw` and by `repro.site.svg`."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import pandas as pd

#: The paper's colour of each depth (Figures 1 and 6), a shade darker where it would vanish on white paper.
COLOURS = {
    "olive": "#8c8a00",
    "cyan": "#00949e",
    "green": "#1d8a1d",
    "red": "#d81e1e",
    "black": "#000000",
    "magenta": "#b300b3",
    "blue": "#2456c8",
    "grey": "#6a6a6a",
}
_OF_DEPTH = {20: "olive", 32: "cyan", 44: "green", 56: "red", 110: "black", 1202: "magenta"}


def colour_of(depth: int) -> str:
    """The name of a depth's colour; depths that the paper does not draw are blue."""
    return _OF_DEPTH.get(depth, "blue")


def shown(network: str) -> str:
    """A network's name as the paper prints it: ResNet-56."""
    return network.replace("resnet-", "ResNet-")


@dataclass(frozen=True)
class Series:
    """A line.

    Attributes:
        label: as in the legend; lines with one label are switched on and off together.
        of: what it shows, in words: "training error, mean of 3 seeds".
        column: the measured quantity, as a column is named: "train_error".
        colour: a key of `COLOURS`.
        dashed, width: "thin" lines are single seeds behind their mean, "bold" ones test errors.
        legend: whether the legend names this line; one of each label does.
    """

    label: str
    of: str
    column: str
    colour: str
    x: tuple[float, ...]
    y: tuple[float, ...]
    dashed: bool = False
    width: Literal["thin", "normal", "bold"] = "normal"
    legend: bool = True


@dataclass(frozen=True)
class Mark:
    """A value of the paper's own, drawn as a diamond, filled or hollow: as the figure says."""

    label: str
    of: str
    colour: str
    x: float
    y: float
    filled: bool = True


@dataclass(frozen=True)
class Panel:
    """One pair of axes. x values are divided by `x_unit` where they are labelled; `ends`: lines are named
    there; `log`: y is on a logarithmic axis, whose limits and ticks `log_axis` gives.
    """

    title: str
    x_label: str
    y_label: str
    x_limits: tuple[float, float]
    y_limits: tuple[float, float]
    series: tuple[Series, ...]
    y_ticks: tuple[float, ...] = ()
    x_unit: float = 1.0
    marks: tuple[Mark, ...] = ()
    remarks: tuple[str, ...] = ()
    ends: bool = True
    log: bool = False


def log_axis(low: float, high: float) -> tuple[tuple[float, float], tuple[float, ...]]:
    """Limits and ticks of a logarithmic axis for values from `low` to `high`, both above 0.

    Both are powers of ten, or over two decades or less also 2 and 5 times these; there are twelve ticks at most.
    """
    first, last = (min(max(math.log10(value), -300.0), 300.0) for value in (low, high))
    factors = (1, 2, 5) if last - first <= 2 else (1,)
    # A hair's breadth of room, so that a limit that is a tick itself stays one.
    powers = range(math.floor(first + 1e-9), math.ceil(last - 1e-9) + 2)
    marks = [(power + math.log10(factor), factor * 10.0**power) for power in powers for factor in factors]
    bottom = max(index for index, (at, _) in enumerate(marks) if at <= first + 1e-9)
    top = max(next(index for index, (at, _) in enumerate(marks) if at >= last - 1e-9), bottom + 1)
    ticks = [tick for _, tick in marks[bottom : top + 1]]
    return (ticks[0], ticks[-1]), tuple(ticks[:: -(-len(ticks) // 12)])


_RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def log_text(tick: float) -> str:
    """A tick of a logarithmic axis: as a power of ten where its zeros would have to be counted."""
    if 1e-3 <= tick < 1e4:
        return f"{tick:g}"
    power = math.floor(math.log10(tick) + 1e-9)
    factor = round(tick / 10.0**power)
    return f"{'' if factor == 1 else f'{factor}·'}10{str(power).translate(_RAISED)}"


@dataclass(frozen=True)
class Chart:
    """A figure.

    Attributes:
        name: of its files, such as "figure-1".
        title: as a heading.
        finding: what the figure shows, in a sentence with numbers: its text alternative.
        notes: how it was drawn, each a sentence.
        stacked: panels stand below one another, as in Figure 7, and not side by side.
    """

    name: str
    title: str
    finding: str
    panels: tuple[Panel, ...]
    notes: tuple[str, ...] = ()
    stacked: bool = False

    @property
    def empty(self) -> bool:
        """Whether there is nothing of ours to draw."""
        return not any(panel.series for panel in self.panels)

    def data(self) -> pd.DataFrame:
        """A row per drawn point: panel, label, of, quantity, x, y. The paper's marks are among them."""
        rows = [
            (panel.title, series.label, series.of, series.column, x, y)
            for panel in self.panels
            for series in panel.series
            for x, y in zip(series.x, series.y, strict=True)
        ]
        rows += [
            (panel.title, mark.label, mark.of, "paper", mark.x, mark.y) for panel in self.panels for mark in panel.marks
        ]
        return pd.DataFrame(rows, columns=["panel", "label", "of", "quantity", "x", "y"])
