"""Figure 7: standard deviations of the layers' responses, in the nets' order (top) and ranked (bottom)."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from repro import names, paper
from repro.figures.chart import Chart, Mark, Panel, Series, colour_of, log_axis, shown
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
#: What the paper does not say: how batch normalisation worked when it measured.
MODES = {"std": "evaluation mode", "std_training": "training mode"}
ABOUT_MODES = (
    "The paper does not say in which mode it measured. In evaluation mode batch normalisation uses its running "
    "statistics, and few images far from the others can carry most of a standard deviation; in training mode it uses "
    "each batch's own, which bounds them."
)
OVER_SEEDS = "Where a net has several seeds, a line is their mean."
LOGARITHMIC = "The axis is logarithmic; the paper's is linear."
#: The paper's axis is linear. Beyond this a linear one would press all lines but one onto its floor.
LINEAR_TO = 5.0


def figure(records: Records) -> tuple[pd.DataFrame, Figure]:
    """Its data and the figure, for the records of one source, data set and preset."""
    return drawn(chart(records))


def chart(records: Records, top: float | None = None) -> Chart:
    """Figure 7 of one source, data set and preset, in each mode measured; a line is the mean over a net's seeds.

    Args:
        records: of that source, data set and preset.
        top: at least how far the axes go.

    Raises:
        ValueError: the records are of several.
    """
    table = mean_responses(records)
    modes = [mode for mode in MODES if np.isfinite(table[mode]).any()]
    values = [*table[modes].to_numpy(dtype=float).ravel().tolist(), *(mark.y for mark in _marks(records, False))]
    limits, ticks = _axis([value for value in values if 0 < value < math.inf], top)
    panels = []
    for mode in modes or ["std"]:
        for order, x_label in (
            ("original order", "layer index (original)"),
            ("ranked", "layer index (sorted by magnitude)"),
        ):
            panels.append(
                Panel(
                    title=f"{order}, {MODES[mode]}",
                    x_label=x_label,
                    y_label="std",
                    x_limits=(0.0, (int(table["layer"].max()) if len(table) else 109) + 1.0),
                    y_limits=limits,
                    series=tuple(_lines(table, mode, order == "ranked", above=limits[0])),
                    y_ticks=ticks,
                    marks=_marks(records, order == "ranked"),
                    ends=False,
                    log=bool(ticks),
                )
            )
    said = (*NOTES, *([ABOUT_MODES] if len(modes) > 1 else []))
    said += (OVER_SEEDS,) if any(table[f"n_{mode}"].max() > 1 for mode in modes) else ()
    said += (LOGARITHMIC,) if ticks else ()
    said += ("Diamonds: read from the paper's figure.",) if panels[0].marks else ()
    return Chart("figure-7", TITLE, _finding(table), tuple(panels), said, stacked=True)


def _axis(values: Sequence[float], top: float | None) -> tuple[tuple[float, float], tuple[float, ...]]:
    """Limits for values above 0, and ticks where the axis is logarithmic."""
    highest = max([*values, (top or 0.0) / 1.08]) or 3.5
    if highest <= LINEAR_TO:
        return (0.0, 1.08 * highest), ()
    return log_axis(min([*values, highest]), top if top and top > LINEAR_TO else highest)


def _lines(table: pd.DataFrame, mode: str, ranked: bool, above: float) -> Iterator[Series]:
    """A line for each net; what a logarithmic axis cannot show is left out."""
    for network, rows in table[np.isfinite(table[mode])].groupby("network", sort=False):
        values = rows[mode].sort_values(ascending=False) if ranked else rows[mode]
        points = [(float(x), float(y)) for x, y in zip(rows["layer"], values, strict=True) if y >= above]
        if not points:
            continue
        yield Series(
            label=shown(str(network)),
            of=f"standard deviation of responses in {MODES[mode]}, {_said(int(rows[f'n_{mode}'].iloc[0]))}",
            column=mode,
            colour=colour_of(int(rows["depth"].iloc[0])),
            x=tuple(x for x, _ in points),
            y=tuple(y for _, y in points),
            dashed=rows["kind"].iloc[0] == "plain",
        )


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
    """Network, kind, depth, layer, and in each mode the mean over seeds and their number, in the order of the figure.

    The columns: network, kind, depth, layer, std, n_std, std_training, n_std_training.

    Raises:
        ValueError: the records are of several sources, data sets or presets.
    """
    require_one(records.responses, "source", "data", "preset")
    table = records.responses
    table = table[table["network"].isin(NETWORKS) & (table["variant"] == "") & np.isfinite(table["std"].astype(float))]
    order = pd.Categorical(table["network"], NETWORKS, ordered=True)
    grouped = table.assign(network=order, **{mode: table[mode].astype(float) for mode in MODES}).groupby(
        ["network", "kind", "depth", "layer"], observed=True, sort=True
    )
    wanted = {mode: (mode, "mean") for mode in MODES} | {f"n_{mode}": (mode, "count") for mode in MODES}
    means = grouped.agg(**wanted)
    return means.reset_index().astype({"network": str})


def _said(seeds: int) -> str:
    return f"mean of {seeds} seeds" if seeds > 1 else "one seed"


def _finding(table: pd.DataFrame) -> str:
    if not len(table):
        return "No responses were measured yet."
    said = []
    for mode, words in MODES.items():
        means = table.groupby("network", sort=False)[mode].mean().dropna()
        values = ", ".join(f"{shown(str(network))} {value:.2f}" for network, value in means.items())
        said += [f"in {words}: {values}"] if values else []
    return f"Mean over layers {'; '.join(said)}."
