"""Figure 1: training error (left) and test error (right) of a 20-layer and a 56-layer plain net."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from repro import paper
from repro.figures.chart import Chart, Panel
from repro.figures.curves import (
    ERRORS,
    NetworkCurve,
    error_limit,
    error_ticks,
    iteration_axis,
    network_curves,
    not_displayed,
    notes,
    paper_marks,
    series_of,
)
from repro.figures.draw import drawn
from repro.records import Records

NETWORKS = ("plain-20", "plain-56")
TITLE = "Training error and test error of plain nets of 20 and 56 layers"


def figure(records: Records) -> tuple[pd.DataFrame, Figure]:
    """Its data and the figure, for the records of one source, data set and preset."""
    return drawn(chart(records))


def chart(records: Records, top: float | None = None) -> Chart:
    """Figure 1 of one source, data set and preset.

    Args:
        records: of that source, data set and preset.
        top: where the axis of errors ends, percent; by default where these curves want it.

    Raises:
        ValueError: the records are of several.
    """
    curves = network_curves(records.runs, records.curves, NETWORKS)
    runs = records.runs[records.runs["network"].isin(NETWORKS) & (records.runs["variant"] == "")]
    iterations = int(runs["iterations"].max()) if len(runs) else paper.constants()["cifar"]["iterations"]
    unit, x_label = iteration_axis(iterations)
    top = top or error_limit(curves)
    panels = [
        Panel(
            title=ERRORS[column],
            x_label=x_label,
            y_label=f"{ERRORS[column]} (%)",
            x_limits=(0.0, iterations),
            y_limits=(0.0, top),
            y_ticks=error_ticks(top),
            x_unit=unit,
            series=tuple(line for curve in curves for line in series_of(curve, column, bold=bold)),
            marks=paper_marks(runs, NETWORKS, [column], top),
            remarks=not_displayed(curves, top),
        )
        for column, bold in (("train_error", False), ("test_error", True))
    ]
    return Chart("figure-1", TITLE, _finding(curves), tuple(panels), notes(runs, curves, top, bool(panels[0].marks)))


def _finding(curves: list[NetworkCurve]) -> str:
    found = {curve.network: curve for curve in curves}
    if set(found) != set(NETWORKS):
        missing = " and ".join(name for name in NETWORKS if name not in found)
        return f"No curve of {missing} yet."
    shallow, deep = found["plain-20"], found["plain-56"]
    ends = "; ".join(
        f"{said}: plain-20 {shallow.end(column):.1f} %, plain-56 {deep.end(column):.1f} %"
        for column, said in ERRORS.items()
    )
    if shallow.note or deep.note:
        return f"Where the curves end so far, {ends}. Not all runs are complete."
    worse = [said for column, said in ERRORS.items() if deep.end(column) > shallow.end(column)]
    verdict = {
        2: "the deeper plain net ends with higher training and test error, as in the paper",
        1: f"the deeper plain net ends with higher {' '.join(worse)}, but not with the other one higher",
        0: "the deeper plain net does not end with higher errors, unlike in the paper",
    }[len(worse)]
    return f"At the end, {ends}: {verdict}."
