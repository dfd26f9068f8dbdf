"""Figure 7: standard deviations of the layers' responses, in the nets' order (top) and ranked (bottom)."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from repro import names, paper
from repro.figures.chart import Chart, Mark, Panel, Series, colour_of, shown
from repro.figures.draw import drawn
from repro.figures.groups import Group, require_one
from repro.records import Records

NETWORKS = ("plain-20", "plain-56", "resnet-20", "resnet-56", "resnet-110")
TITLE = "Standard deviations of layer responses on CIFAR-10"
NOTES = (
    "A response is the output of a 3×3 layer after batch normalisation and before the ReLU or the addition; "
    "the first layer is included.",
    "Plain nets are dashed, ResNets solid.",
)


def figure(records: Records) -> tuple[pd.DataFrame, Figure]:
    """Its data and the figure, for the records of one source, data set and preset."""
    return drawn(chart(records))


def chart(records: Records, top: float | None = None) -> Chart:
    """Figure 7 of one source, data set and preset; a line is the mean over a net's seeds.

    Args:
        records: of that source, data set and preset.
        top: where the axis ends; by default where these lines want it.

    Raises:
        ValueError: the records are of several.
    """
    table = mean_responses(records)
    layers = int(table["layer"].max()) if len(table) else 109
    highest = [float(table["std"].max()) if len(table) else 3.5, *(mark.y for mark in _marks(records, False))]
    top = top or 1.08 * max(highest)
    panels = []
    for title, x_label in (
        ("original order", "layer index (original)"),
        ("ranked", "layer index (sorted by magnitude)"),
    ):
        lines = []
        for network, rows in table.groupby("network", sort=False):
            values = rows["std"].sort_values(ascending=False) if title == "ranked" else rows["std"]
            lines.append(
                Series(
                    label=shown(str(network)),
                    of=f"standard deviation of responses, {_said(int(rows['seeds'].iloc[0]))}",
                    column="std",
                    colour=colour_of(int(rows["depth"].iloc[0])),
                    x=tuple(float(layer) for layer in rows["layer"]),
                    y=tuple(float(value) for value in values),
                    dashed=rows["kind"].iloc[0] == "plain",
                )
            )
        panels.append(
            Panel(
                title=title,
                x_label=x_label,
                y_label="std",
                x_limits=(0.0, layers + 1.0),
                y_limits=(0.0, top),
                series=tuple(lines),
                marks=_marks(records, title == "ranked"),
                ends=False,
            )
        )
    said = (*NOTES, "Diamonds: read from the paper's figure.") if panels[0].marks else NOTES
    return Chart("figure-7", TITLE, _finding(table), tuple(panels), said, stacked=True)


def _marks(records: Records, ranked: bool) -> tuple[Mark, ...]:
    """The paper's readings of single layers; the first layer is the largest, so that it is of rank 1 as well."""
    table = records.responses
    if not len(table) or not Group(str(table["data"].iloc[0]), str(table["preset"].iloc[0])).comparable:
        return ()
    read = paper.responses()
    rows = read[read["layer"].notna() & ((read["layer"] == 1) | (not ranked))]
    return tuple(
        Mark(
            label=shown(row["network"]),
            of=f"the paper's layer {row['layer']:.0f}, read from Figure 7",
            colour=colour_of(names.parse(row["network"], "cifar").depth),
            x=float(row["layer"]),
            y=float(row["value"]),
            filled=not row["network"].startswith("plain"),
        )
        for _, row in rows.iterrows()
    )


def mean_responses(records: Records) -> pd.DataFrame:
    """Network, kind, depth, layer, std (mean over seeds) and seeds (their number), in the order of the figure.

    Raises:
        ValueError: the records are of several sources, data sets or presets.
    """
    require_one(records.responses, "source", "data", "preset")
    table = records.responses
    table = table[table["network"].isin(NETWORKS) & (table["variant"] == "") & np.isfinite(table["std"].astype(float))]
    order = pd.Categorical(table["network"], NETWORKS, ordered=True)
    grouped = table.assign(network=order).groupby(["network", "kind", "depth", "layer"], observed=True, sort=True)
    return grouped["std"].agg(std="mean", seeds="size").reset_index().astype({"network": str})


def _said(seeds: int) -> str:
    return f"mean of {seeds} seeds" if seeds > 1 else "one seed"


def _finding(table: pd.DataFrame) -> str:
    means = table.groupby("network", sort=False)["std"].mean()
    if not len(means):
        return "No responses were measured yet."
    said = ", ".join(f"{shown(str(network))} {value:.2f}" for network, value in means.items())
    return f"Mean over layers: {said}."
