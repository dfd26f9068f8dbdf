"""What layers do: Figure 7, standard deviations of responses, and the signals and gradients of Section 4.1."""

from __future__ import annotations

import numpy as np
import pandas as pd

from repro import paper
from repro.figures import curves
from repro.figures.drawing import LOOKS, Drawing, about, axes_of, begin, finish, layers_on, lines, log_axis, marks
from repro.groups import Group, group_of, shown, usual
from repro.records import Records

NETWORKS = ("plain-20", "plain-56", "resnet-20", "resnet-56", "resnet-110")
#: The paper has no figure of signals: this is ours, of fewer nets.
OF_SIGNALS = NETWORKS[:-1]
RESPONSES_TITLE = "Standard deviations of layer responses"
SIGNALS_TITLE = "Whether signals vanish, layer by layer"
#: What the paper does not say: how batch normalisation worked when it measured.
MODES = {"std": "evaluation mode", "std_training": "training mode"}
#: The paper's axis is linear. Beyond this a linear one would press all lines but one onto its floor.
LINEAR_TO = 5.0
MOMENTS = ("before the first iteration", "after the last iteration")
_SIGNALS = {"gradient_norm": "gradient norm", "conv_variance": "signal variance"}


def draw_responses(records: Records, scale: Records | None = None) -> Drawing | None:
    """Figure 7 of one source, data set and preset, in each mode measured; a line is the mean over a net's seeds.

    The paper has its panels below one another; side by side they fit a slide. Arguments as of `errors.draw`.
    """
    group, table = group_of(records.runs), _means(records)
    modes = [mode for mode in MODES if np.isfinite(table[mode]).any()]
    if not modes:
        return None
    scaled = usual((scale or records).responses, NETWORKS)
    read = _read(group, scaled)
    values = np.array([*scaled[list(MODES)].to_numpy(dtype=float).ravel(), *read["value"]])
    values = values[np.isfinite(values)]
    highest = max([*values, 0.0]) or 3.5
    log = highest > LINEAR_TO
    drawing = begin("figure-7", f"Figure 7. {RESPONSES_TITLE}", len(modes), 2, (5.0, 2.7))
    for panel, axis in enumerate(drawing.axes):
        mode, ranked = modes[panel // 2], panel % 2 == 1
        if log:
            log_axis(axis, values[values > 0])
        rows = _rows(table, mode, ranked)
        lines(drawing, panel, rows[rows["y"] > 0] if log else rows)
        known = read[read["network"].isin(rows["network"])]
        # The first layer is the largest, so that it is of rank 1 as well.
        marks(drawing, panel, known[known["x"] == 1] if ranked else known)
        x_label = "layer index (sorted by magnitude)" if ranked else "layer index (original)"
        title = f"{'ranked' if ranked else 'original order'}, {LOOKS[mode].said}"
        axes_of(axis, [title], x_label, "standard deviation\nof responses")
        layers_on(axis, int(table["layer"].max()))
        if not log:
            axis.set_ylim(0, 1.08 * highest)
    drawing.finding = _mean_responses(table)
    marked = any("paper" in part.said for part in drawing.parts)
    drawing.notes = (
        "A response is the output of a 3×3 layer after batch normalisation and before the ReLU or the addition; "
        "the first layer is included.",
        "The paper does not say in which mode it measured. In evaluation mode batch normalisation uses its running "
        "statistics, and few images far from the others can carry most of a standard deviation; in training mode it "
        "uses each batch's own, which bounds them.",
        *(["The axis is logarithmic; the paper's is linear."] if log else []),
        *(["Diamonds: read from the paper's figure."] if marked else []),
    )
    return _finish(drawing, records, usual(records.responses, NETWORKS), marked)


def _finish(drawing: Drawing, records: Records, of: pd.DataFrame, marked: bool = False) -> Drawing:
    """Add title and key; `of` are the rows that were drawn."""
    runs = usual(records.runs, NETWORKS)
    said = about(group_of(runs), str(runs["source"].iloc[0]), curves.last_iteration(runs))
    counts = of.groupby(of["network"].map(shown))["folder"].nunique()[list(drawing.palette)]
    said += curves.seeds(counts.index, counts)
    return finish(drawing, said, (), {"paper, plain": True, "paper, ResNet": False} if marked else None)


def _means(records: Records) -> pd.DataFrame:
    """Network, kind, layer, and in each mode the mean over seeds, in the figure's order."""
    table = usual(records.responses, NETWORKS)
    order = pd.Categorical(table["network"], NETWORKS, ordered=True)
    grouped = table.assign(network=order, **{mode: table[mode].astype(float) for mode in MODES}).groupby(
        ["network", "kind", "layer"], observed=True, sort=True
    )
    return grouped[list(MODES)].mean().reset_index().astype({"network": str})


def _rows(table: pd.DataFrame, mode: str, ranked: bool) -> pd.DataFrame:
    """The means of a mode as rows to draw; ranked, each net's largest comes first."""
    table = table[np.isfinite(table[mode])]
    if ranked:
        table = table.assign(layer=table.groupby("network")[mode].rank(method="first", ascending=False))
    label = table["network"].map(shown)
    return table.assign(label=label, quantity=table["kind"], unit="mean", x=table["layer"], y=table[mode])


def _read(group: Group, of: pd.DataFrame) -> pd.DataFrame:
    """The paper's readings of single layers of these networks, where its data and schedule are this group's."""
    read = paper.responses()
    found = read[read["layer"].notna() & read["network"].isin(of["network"]) & group.comparable]
    hollow = found["network"].str.startswith("plain")
    return found.assign(x=found["layer"], said="the paper's standard deviation", hollow=hollow)


def _mean_responses(table: pd.DataFrame) -> str:
    said = []
    for mode, words in MODES.items():
        means = table.groupby("network", sort=False)[mode].mean().dropna()
        values = ", ".join(f"{shown(str(network))} {value:.2f}" for network, value in means.items())
        said += [f"in {words}: {values}"] if values else []
    return f"Mean over layers {'; '.join(said)}."


def draw_signals(records: Records, scale: Records | None = None) -> Drawing | None:
    """Gradient and signal, before the first iteration and after the last; None where they were not measured.

    The paper says that in its plain nets neither vanishes, and shows no figure of it. This is ours. Arguments as of
    `errors.draw`; but each panel here has the scale that its lines want.
    """
    group_of(records.runs)
    health = usual(records.health, OF_SIGNALS).query("status == 'complete'")
    table = _strengths(health, records.runs)
    if not len(table):
        return None
    drawing = begin("signal-health", SIGNALS_TITLE, 2, 2, (5.0, 2.7))
    for panel, axis in enumerate(drawing.axes):
        (quantity, said), moment = list(_SIGNALS.items())[panel // 2], MOMENTS[panel % 2]
        rows = table[(table["measured"] == quantity) & (table["moment"] == moment)]
        # Before the lines: on a logarithmic axis seaborn takes the mean of logarithms.
        log_axis(axis, rows["y"])
        lines(drawing, panel, rows)
        axes_of(axis, [f"{said} {moment}"], "layer index", said)
        layers_on(axis, float(table["x"].max()))
    drawing.finding = _weakest_and_strongest(health)
    drawing.notes = (
        "Gradient: Euclidean norm of the loss's gradient with respect to a layer's weights. Signal: variance of a "
        "convolution's output within its channels, before batch normalisation sets it. Both are of one batch, in "
        "training mode.",
        "Where there are several seeds, a value is their geometric mean.",
    )
    return _finish(drawing, records, health)


def _strengths(health: pd.DataFrame, runs: pd.DataFrame) -> pd.DataFrame:
    """Rows to draw; a value of 0 has no logarithm and is left out; no net of the paper's gives one."""
    last = health["folder"].map(runs.set_index("folder")["iterations"])
    moments = health["iteration"].map({0: MOMENTS[0]}).where(health["iteration"] != last, MOMENTS[1])
    table = health.assign(
        label=health["network"].map(shown), quantity=health["kind"], moment=moments, unit=health["folder"],
        x=health["layer"], network=pd.Categorical(health["network"], NETWORKS, ordered=True),
    ).sort_values("network", kind="stable").astype({"network": str})  # fmt: skip
    keys = ["network", "label", "quantity", "moment", "unit", "x"]
    long = table[table["moment"].notna()].melt(keys, list(_SIGNALS), "measured", "y").astype({"y": float})
    known: pd.DataFrame = long[(long["y"] > 0) & np.isfinite(long["y"])]
    return known.reset_index(drop=True)


def _weakest_and_strongest(health: pd.DataFrame) -> str:
    """Of the layers at any look, also at those between the first and the last."""
    said = []
    for quantity, name in _SIGNALS.items():
        values = health[quantity].astype(float).groupby(health["network"]).agg(["min", "max"])
        of = values.reindex(NETWORKS).dropna(how="all").map(_round)
        ranges = ", ".join(f"{shown(str(net))} {low} to {high}" for net, low, high in of.itertuples())
        said.append(
            f"{name.capitalize()} of layers, from the least to the greatest in any run and look, "
            f"also in those not drawn: {ranges}."
        )
    return " ".join(said)


def _round(value: float) -> str:
    """Two digits, and no power of ten where a reader would have to count with it."""
    return f"{float(f'{value:.2g}'):,.0f}" if 100 <= abs(value) < 1e9 else f"{value:.2g}"
