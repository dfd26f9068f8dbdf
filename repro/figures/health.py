"""Signal and gradient of each layer (Section 4.1): the paper says that in its plain nets neither vanishes, and shows
no figure of it. This is ours.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from repro.figures import curves
from repro.figures.drawing import Drawing, about, axes_of, begin, finish, lines, log_axis
from repro.groups import require_one, shown, usual
from repro.records import Records

NETWORKS = ("plain-20", "plain-56", "resnet-20", "resnet-56")
TITLE = "Whether signals vanish, layer by layer"
NOTES = (
    "Gradient: Euclidean norm of the loss's gradient with respect to a layer's weights. Signal: variance of a "
    "convolution's output within its channels, before batch normalisation sets it. Both are of one batch, in training "
    "mode.",
    "Plain nets are dashed, ResNets solid.",
)
OVER_SEEDS = "Where there are several seeds, a value is their geometric mean."
MOMENTS = ("before the first iteration", "after the last iteration")
_QUANTITIES = {"gradient_norm": "gradient norm", "conv_variance": "signal variance"}


def draw(records: Records, scale: Records | None = None) -> Drawing | None:
    """Gradient and signal, before the first iteration and after the last; None where they were not measured.

    Args:
        records: of one source, data set and preset.
        scale: taken for the sake of the other figures' form; each panel here has the scale that its lines want.

    Raises:
        ValueError: the records are of several sources, data sets or presets.
    """
    table = strengths(records)
    if not len(table):
        return None
    drawing = begin("signal-health", TITLE, 2, 2, (5.0, 2.7))
    for number, (quantity, said) in enumerate(_QUANTITIES.items()):
        for later, moment in enumerate(MOMENTS):
            panel = 2 * number + later
            axis = drawing.axes[panel]
            rows = table[(table["measured"] == quantity) & (table["moment"] == moment)]
            # Before the lines: on a logarithmic axis seaborn takes the mean of logarithms.
            log_axis(axis, rows["y"])
            lines(drawing, panel, rows)
            axes_of(axis, [f"{said} {moment}"], "layer index", said)
            axis.set_xlim(0, float(table["x"].max()) + 1)
    drawing.finding = _finding(records.health)
    several = table.groupby(["network", "measured", "moment", "x"])["unit"].nunique().max() > 1
    drawing.notes = (*NOTES, *([OVER_SEEDS] if several else []))
    iterations = curves.last_iteration(usual(records.runs, NETWORKS))
    source = str(records.health["source"].iloc[0])
    return finish(drawing, about(curves.group_of(records), source, iterations), ("plain", "resnet"))


def strengths(records: Records) -> pd.DataFrame:
    """Rows to draw: network, label, quantity (its kind), measured, moment, unit (the run), x (layer), y.

    A value of 0 has no logarithm and is left out; no net of the paper's gives one.

    Raises:
        ValueError: the records are of several sources, data sets or presets.
    """
    require_one(records.health, "source", "data", "preset")
    table = _of(records.health)
    last = table["folder"].map(records.runs.set_index("folder")["iterations"])
    moments = table["iteration"].map({0: MOMENTS[0]}).where(table["iteration"] != last, MOMENTS[1])
    table = table.assign(
        label=table["network"].map(shown), quantity=table["kind"], moment=moments, unit=table["folder"],
        x=table["layer"], network=pd.Categorical(table["network"], NETWORKS, ordered=True),
    ).sort_values("network", kind="stable").astype({"network": str})  # fmt: skip
    keys = ["network", "label", "quantity", "moment", "unit", "x"]
    long = table[table["moment"].notna()].melt(keys, list(_QUANTITIES), "measured", "y")
    long = long.astype({"y": float})
    known: pd.DataFrame = long[(long["y"] > 0) & np.isfinite(long["y"])]
    return known.reset_index(drop=True)


def _of(health: pd.DataFrame) -> pd.DataFrame:
    mine = health["network"].isin(NETWORKS) & (health["variant"] == "") & (health["status"] == "complete")
    return health[mine]


def _finding(health: pd.DataFrame) -> str:
    """The weakest and the strongest layer at any look, also at those between the first and the last."""
    rows = _of(health)
    said = []
    for quantity, name in _QUANTITIES.items():
        values = rows.assign(value=rows[quantity].astype(float)).groupby("network")["value"]
        low, high = values.min(), values.max()
        ranges = ", ".join(f"{shown(net)} {_round(low[net])} to {_round(high[net])}" for net in NETWORKS if net in low)
        said.append(
            f"{name[:1].upper()}{name[1:]} of layers, from the least to the greatest in any run and look, "
            f"also in those not drawn: {ranges}."
        )
    return " ".join(said)


def _round(value: float) -> str:
    """Two digits, and no power of ten where a reader would have to count with it."""
    return f"{float(f'{value:.2g}'):,.0f}" if 100 <= abs(value) < 1e9 else f"{value:.2g}"
