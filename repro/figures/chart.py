"""A figure as plain values: panels, lines, marks. It is drawn by `repro.figures.draw` and by `repro.site.svg`."""

from __future__ import annotations

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
    """A value of the paper's own, drawn as a diamond: `filled` for test errors, hollow for training errors."""

    label: str
    of: str
    colour: str
    x: float
    y: float
    filled: bool = True


@dataclass(frozen=True)
class Panel:
    """One pair of axes. x values are divided by `x_unit` where they are labelled; `ends`: lines are named
    there.
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
