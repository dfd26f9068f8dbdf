"""Figure 7: standard deviations of the layers' responses, in the nets' order (left) and ranked (right).

The paper has the two below one another; side by side they fit a slide.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from repro import paper
from repro.figures import curves
from repro.figures.drawing import Drawing, about, axes_of, begin, diamond, finish, lines, log_axis, marks
from repro.groups import Group, require_one, shown, usual
from repro.records import Records

NETWORKS = ("plain-20", "plain-56", "resnet-20", "resnet-56", "resnet-110")
TITLE = "Standard deviations of layer responses"
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


def draw(records: Records, scale: Records | None = None) -> Drawing | None:
    """Figure 7 of one source, data set and preset, in each mode measured; a line is the mean over a net's seeds.

    Args:
        records: of that source, data set and preset.
        scale: what the axes have to have room for: by default these records.

    Raises:
        ValueError: the records are of several.
    """
    table = mean_responses(records)
    modes = [mode for mode in MODES if np.isfinite(table[mode]).any()]
    if not modes:
        return None
    group = curves.group_of(records)
    values = _measured(scale or records)
    read = _marks(group)
    highest = max([*values, *read["y"], 0.0]) or 3.5
    log = highest > LINEAR_TO
    drawing = begin("figure-7", f"Figure 7. {TITLE}", len(modes), 2, (5.0, 2.7))
    for number, mode in enumerate(modes):
        for ranked in (False, True):
            panel = 2 * number + ranked
            axis = drawing.axes[panel]
            if log:
                log_axis(axis, values[values > 0])
            rows = _rows(table, mode, ranked)
            lines(drawing, panel, rows[rows["y"] > 0] if log else rows)
            # The first layer is the largest, so that it is of rank 1 as well.
            marks(drawing, panel, read[read["x"] == 1] if ranked else read)
            order = "ranked" if ranked else "original order"
            x_label = "layer index (sorted by magnitude)" if ranked else "layer index (original)"
            axes_of(axis, [f"{order}, {MODES[mode]}"], x_label, "std")
            axis.set_xlim(0, int(table["layer"].max()) + 1)
            if not log:
                axis.set_ylim(0, 1.08 * highest)
    drawing.finding = _finding(table)
    drawing.notes = (
        *NOTES,
        *([ABOUT_MODES] if len(modes) > 1 else []),
        *([OVER_SEEDS] if any(table[f"n_{mode}"].max() > 1 for mode in modes) else []),
        *([LOGARITHMIC] if log else []),
        *(["Diamonds: read from the paper's figure."] if len(read) else []),
    )
    iterations = curves.last_iteration(usual(records.runs, NETWORKS))
    said = about(group, str(records.responses["source"].iloc[0]), iterations)
    key = {"paper, plain": diamond(hollow=True), "paper, ResNet": diamond(hollow=False)} if len(read) else None
    return finish(drawing, said, ("plain", "resnet"), key)


def _measured(records: Records) -> np.ndarray:
    """All means that are drawn of these records, of whatever source."""
    means = [_means(mine) for _, mine in records.responses.groupby("source", sort=False)]
    values = np.concatenate([table[list(MODES)].to_numpy(dtype=float).ravel() for table in means] or [np.array([])])
    return np.asarray(values[np.isfinite(values)])


def mean_responses(records: Records) -> pd.DataFrame:
    """Network, kind, depth, layer, and in each mode the mean over seeds and their number, in the order of the figure.

    The columns: network, kind, depth, layer, std, n_std, std_training, n_std_training.

    Raises:
        ValueError: the records are of several sources, data sets or presets.
    """
    require_one(records.responses, "source", "data", "preset")
    return _means(records.responses)


def _means(table: pd.DataFrame) -> pd.DataFrame:
    table = table[table["network"].isin(NETWORKS) & (table["variant"] == "") & np.isfinite(table["std"].astype(float))]
    order = pd.Categorical(table["network"], NETWORKS, ordered=True)
    grouped = table.assign(network=order, **{mode: table[mode].astype(float) for mode in MODES}).groupby(
        ["network", "kind", "depth", "layer"], observed=True, sort=True
    )
    wanted = {mode: (mode, "mean") for mode in MODES} | {f"n_{mode}": (mode, "count") for mode in MODES}
    return grouped.agg(**wanted).reset_index().astype({"network": str})


def _rows(table: pd.DataFrame, mode: str, ranked: bool) -> pd.DataFrame:
    """The means of a mode as rows to draw; ranked, each net's largest comes first."""
    table = table[np.isfinite(table[mode])]
    if ranked:
        rank = table.groupby("network")[mode].rank(method="first", ascending=False)
        table = table.assign(layer=rank)
    label = table["network"].map(shown)
    return table.assign(label=label, quantity=table["kind"], unit="mean", x=table["layer"], y=table[mode])


def _marks(group: Group) -> pd.DataFrame:
    """The paper's readings of single layers, where its data and schedule are this group's."""
    read = paper.responses()
    found = read[read["layer"].notna() & group.comparable]
    return pd.DataFrame(
        {
            "label": found["network"].map(shown),
            "network": found["network"],
            "said": "the paper's standard deviation",
            "hollow": found["network"].str.startswith("plain"),
            "x": found["layer"],
            "y": found["value"],
        }
    )


def _finding(table: pd.DataFrame) -> str:
    said = []
    for mode, words in MODES.items():
        means = table.groupby("network", sort=False)[mode].mean().dropna()
        values = ", ".join(f"{shown(str(network))} {value:.2f}" for network, value in means.items())
        said += [f"in {words}: {values}"] if values else []
    return f"Mean over layers {'; '.join(said)}."
