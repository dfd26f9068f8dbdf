"""Figure 7: standard deviations of the layers' responses, in the nets' order (top) and ranked (bottom)."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from repro.figures.chart import Chart, Panel, Series, colour_of, shown
from repro.figures.draw import drawn
from repro.figures.groups import require_one
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


def chart(records: Records) -> Chart:
    """Figure 7 of one source, data set and preset; a line is the mean over a net's seeds.

    Raises:
        ValueError: the records are of several.
    """
    table = mean_responses(records)
    layers = int(table["layer"].max()) if len(table) else 109
    top = 1.05 * float(table["std"].max()) if len(table) else 3.5
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
            )
        )
    return Chart("figure-7", TITLE, _finding(table), tuple(panels), NOTES, stacked=True)


def mean_responses(records: Records) -> pd.DataFrame:
    """Network, kind, depth, layer, std (mean over seeds) and seeds (their number), in the order of the figure.

    Raises:
        ValueError: the records are of several sources, data sets or presets.
    """
    require_one(records.responses, "source", "data", "preset")
    table = records.responses[records.responses["network"].isin(NETWORKS) & (records.responses["variant"] == "")]
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
