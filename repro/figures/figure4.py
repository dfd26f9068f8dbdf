"""Figure 4: validation error on ImageNet of plain nets (left) and ResNets (right); the paper's readings alone."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from repro import names, paper
from repro.figures.chart import Chart, Mark, Panel, shown
from repro.figures.draw import drawn

TITLE = "Training on ImageNet: plain nets and ResNets of 18 and 34 layers"
PANELS = {"plain nets": ("plain-18", "plain-34"), "ResNets": ("resnet-18", "resnet-34")}
#: The paper's colours of 18 and 34 layers.
_COLOURS = {18: "cyan", 34: "red"}


def figure() -> tuple[pd.DataFrame, Figure]:
    """Its data and the figure."""
    return drawn(chart())


def chart() -> Chart:
    """What was read off the paper's curves; nothing here trains on ImageNet."""
    read = paper.readings(4)
    panels = []
    for title, networks in PANELS.items():
        rows = read[read["network"].isin(networks)]
        marks = tuple(
            Mark(
                label=shown(row["network"]),
                of=f"the paper's validation error at iteration {row['iteration']:,.0f}",
                colour=_COLOURS[names.parse(row["network"], "imagenet").depth],
                x=float(row["iteration"]),
                y=float(row["value"]),
            )
            for _, row in rows.iterrows()
        )
        panels.append(
            Panel(
                title=title,
                x_label="iter. (1e4)",
                y_label="validation error (%)",
                x_limits=(0.0, 600_000.0),
                y_limits=(20.0, 60.0),
                y_ticks=(20, 30, 40, 50, 60),
                x_unit=1e4,
                series=(),
                marks=marks,
            )
        )
    return Chart(
        "figure-4",
        TITLE,
        _finding(read),
        tuple(panels),
        ("Diamonds: errors on center crops, read from the paper's figure to 0.1.",),
    )


def _finding(read: pd.DataFrame) -> str:
    last = read[read["iteration"] == read["iteration"].max()].set_index("network")["value"]
    ends = ", ".join(f"{shown(str(name))} {value:.1f} %" for name, value in last.items())
    return (
        f"In the paper, near the end of training: {ends}. The deeper plain net is the worse of its two, the deeper "
        "ResNet the better."
    )
