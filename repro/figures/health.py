"""Signal and gradient of each layer (Section 4.1): the paper says that in its plain nets neither vanishes, and shows
no figure of it. This is ours.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from repro.figures.chart import Chart, Panel, Series, colour_of, log_axis, shown
from repro.figures.draw import drawn
from repro.figures.groups import require_one
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


def figure(records: Records) -> tuple[pd.DataFrame, Figure]:
    """Its data and the figure, for the records of one source, data set and preset."""
    return drawn(chart(records))


def chart(records: Records, top: float | None = None) -> Chart:
    """Gradient and signal, before the first iteration and after the last; a line is the mean over a net's seeds.

    Args:
        records: of one source, data set and preset.
        top: taken for the sake of the other figures' form; each panel here has the scale that its lines want.

    Raises:
        ValueError: the records are of several sources, data sets or presets.
    """
    table = strengths(records)
    panels = []
    for quantity, said in _QUANTITIES.items():
        for moment in MOMENTS:
            rows = table[(table["quantity"] == quantity) & (table["moment"] == moment)]
            panels.append(_panel(rows, quantity, f"{said} {moment}"))
    notes = (*NOTES, *([OVER_SEEDS] if len(table) and table["seeds"].max() > 1 else []))
    return Chart("signal-health", TITLE, _finding(records.health), tuple(panels), notes, stacked=True)


def strengths(records: Records) -> pd.DataFrame:
    """Network, kind, depth, quantity, moment, layer, value (geometric mean over seeds) and seeds (their number).

    A value of 0 has no logarithm and is left out; no net of the paper's gives one.

    Raises:
        ValueError: the records are of several sources, data sets or presets.
    """
    require_one(records.health, "source", "data", "preset")
    table = records.health
    table = table[table["network"].isin(NETWORKS) & (table["variant"] == "") & (table["status"] == "complete")]
    ends = records.runs.set_index("folder")["iterations"]
    pieces = []
    for quantity in _QUANTITIES:
        rows = table[(table[quantity].astype(float) > 0) & np.isfinite(table[quantity].astype(float))]
        first = rows[rows["iteration"] == 0].assign(moment=MOMENTS[0])
        last = rows[rows["iteration"] == rows["folder"].map(ends)].assign(moment=MOMENTS[1])
        for found in (first, last):
            pieces.append(found.assign(quantity=quantity, value=np.log(found[quantity].astype(float))))
    rows = pd.concat(pieces)
    rows = rows.assign(network=pd.Categorical(rows["network"], NETWORKS, ordered=True))
    keys = ["network", "kind", "depth", "quantity", "moment", "layer"]
    grouped = rows.groupby(keys, observed=True, sort=True)["value"].agg(value="mean", seeds="size").reset_index()
    return grouped.assign(value=np.exp(grouped["value"].astype(float))).astype({"network": str})


def _panel(rows: pd.DataFrame, quantity: str, title: str) -> Panel:
    low, high = (float(rows["value"].min()), float(rows["value"].max())) if len(rows) else (0.001, 10.0)
    limits, ticks = log_axis(low, high)
    lines = tuple(
        Series(
            label=shown(str(network)),
            of=title,
            column=quantity,
            colour=colour_of(int(of["depth"].iloc[0])),
            x=tuple(float(layer) for layer in of["layer"]),
            y=tuple(float(value) for value in of["value"]),
            dashed=of["kind"].iloc[0] == "plain",
        )
        for network, of in rows.groupby("network", sort=False)
    )
    return Panel(
        title=title,
        x_label="layer index",
        y_label=_QUANTITIES[quantity],
        x_limits=(0.0, float(rows["layer"].max()) + 1.0 if len(rows) else 56.0),
        y_limits=limits,
        series=lines,
        y_ticks=ticks,
        ends=False,
        log=True,
    )


def _finding(health: pd.DataFrame) -> str:
    """The weakest and the strongest layer at any look, also at those between the first and the last."""
    rows = health[health["network"].isin(NETWORKS) & (health["variant"] == "") & (health["status"] == "complete")]
    if not len(rows):
        return "The health of the signals was not measured yet."
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
