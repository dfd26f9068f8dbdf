"""Figure 6: errors during training of plain nets (left), ResNets (middle), and of 110 and 1202 layers (right)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import pandas as pd
from matplotlib.figure import Figure

from repro import paper
from repro.figures.chart import Chart, Mark, Panel, shown
from repro.figures.curves import (
    ERRORS,
    NetworkCurve,
    error_limit,
    error_limit_of,
    error_ticks,
    hidden,
    iteration_axis,
    network_curves,
    not_displayed,
    notes,
    paper_marks,
    series_of,
)
from repro.figures.draw import drawn
from repro.records import Records

PANELS = {
    "plain nets": ("plain-20", "plain-32", "plain-44", "plain-56", "plain-110"),
    "ResNets": ("resnet-20", "resnet-32", "resnet-44", "resnet-56", "resnet-110"),
    "110 and 1202 layers": ("resnet-110", "resnet-1202"),
}
DEEPEST = "110 and 1202 layers"
PAPER_TOP: float = paper.constants()["cifar"]["plot_limit"]
NETWORKS = tuple(dict.fromkeys(network for networks in PANELS.values() for network in networks))
TITLE = "Training on CIFAR-10: plain nets, ResNets, and ResNets of 110 and 1202 layers"
#: The right panel of the paper begins at 3.5 of 6.4 units.
ZOOM = 3.5 / 6.4
ZOOM_TICKS = {20.0: (0, 1, 5, 10, 20)}


def figure(records: Records) -> tuple[pd.DataFrame, Figure]:
    """Its data and the figure, for the records of one source, data set and preset."""
    return drawn(chart(records))


def chart(records: Records, top: float | None = None) -> Chart:
    """Figure 6 of one source, data set and preset. Dashed lines are training errors, bold ones test errors.

    Args:
        records: of that source, data set and preset.
        top: where the axis of errors ends, percent; by default where these curves want it.

    Raises:
        ValueError: the records are of several.
    """
    curves = {curve.network: curve for curve in network_curves(records.runs, records.curves, NETWORKS)}
    runs = records.runs[records.runs["network"].isin(NETWORKS) & (records.runs["variant"] == "")]
    iterations = int(runs["iterations"].max()) if len(runs) else paper.constants()["cifar"]["iterations"]
    top = top or error_limit(list(curves.values()))
    panels = []
    for title, networks in PANELS.items():
        mine = [curves[name] for name in networks if name in curves]
        own = _top_of_deepest(mine, top) if title == DEEPEST else top
        marks = paper_marks(runs, networks, ("train_error", "test_error"), own)
        panels.append(_panel(title, mine, iterations, own, marks))
    said = (
        "Dashed lines are training errors, bold lines test errors.",
        *notes(runs, list(curves.values()), top, bool(panels[0].marks)),
        *([f"The axis of errors of the right panel ends at {own:.0f} %."] if panels[-1].series and own != top else []),
        *_never_warm(runs),
    )
    return Chart("figure-6", TITLE, _finding(curves), tuple(panels), said)


def _never_warm(runs: pd.DataFrame) -> list[str]:
    """The nets whose warm-up never ended, which were never trained at the schedule's own learning rate."""
    said = []
    for network, mine in runs[runs["status"] == "complete"].groupby("network", sort=False):
        # A run without warm-up has 0 there.
        cold = mine[mine["warm_up_ended"].isna()]
        if len(cold):
            schedule = cold["run"].iloc[0].schedule
            of = "" if len(cold) == len(mine) else f" in {len(cold)} of {len(mine)} runs"
            said.append(
                f"{shown(str(network))}: its training error never fell below {schedule.warm_up_until:g} %{of}, so "
                f"that the warm-up at a learning rate of {schedule.warm_up_lr:g} never ended."
            )
    return said


def _top_of_deepest(curves: Sequence[NetworkCurve], top: float) -> float:
    """Where the right panel's axis ends, percent.

    The two deepest nets lie close together: beyond the paper's 20 % they have a scale of their own. A net whose
    training has only begun is shown at any error, as its beginning is all there is to see.
    """
    own = min(top, error_limit(curves)) if top > PAPER_TOP else top
    begun = [curve.end(column) for curve in curves if curve.note and hidden(curve, own) for column in ERRORS]
    return max(own, error_limit_of(begun)) if begun else own


def _panel(title: str, curves: Sequence[NetworkCurve], iterations: int, top: float, marks: tuple[Mark, ...]) -> Panel:
    zoomed = title == DEEPEST and curves and not any(curve.note for curve in curves)
    unit, x_label = iteration_axis(iterations)
    lines = []
    for curve in curves:
        lines += series_of(curve, "train_error", dashed=True, legend=False)
        lines += series_of(curve, "test_error", bold=True)
    named = {line.label for line in lines if line.legend}
    return Panel(
        title=title,
        x_label=x_label,
        y_label="error (%)",
        x_limits=(ZOOM * iterations if zoomed else 0.0, iterations),
        y_limits=(0.0, top),
        y_ticks=ZOOM_TICKS.get(top, error_ticks(top)) if zoomed else error_ticks(top),
        x_unit=unit,
        # A run that was not evaluated yet has no test error to stand in the legend.
        series=tuple(
            replace(line, legend=line.legend or (line.label not in named and line.width != "thin")) for line in lines
        ),
        marks=marks,
        remarks=not_displayed(curves, top) if curves else ("not run",),
    )


def _finding(curves: dict[str, NetworkCurve]) -> str:
    if not curves:
        return "Nothing was run yet."
    said = []
    for title, networks in PANELS.items():
        ends = [_end(curves[name]) for name in networks if name in curves]
        if (ends and title != DEEPEST) or "resnet-1202" in curves:
            said.append(f"{title}: {', '.join(ends)}")
    return f"Training / test error at the end of the curves, in percent. {'; '.join(said)}."


def _end(curve: NetworkCurve) -> str:
    """Where a curve ends, in words: training and test error."""
    errors = [curve.end(column) for column in ERRORS]
    said = " / ".join("none yet" if math.isnan(error) else f"{error:.1f}" for error in errors)
    return f"{shown(curve.network)} {said}{f' ({curve.note})' if curve.note else ''}"
