"""Figure 1: training error (left) and test error (right) of a 20-layer and a 56-layer plain net."""

from __future__ import annotations

import pandas as pd

from repro.ends import ERRORS, ends
from repro.figures import curves
from repro.figures.drawing import Drawing, begin, iterations_on, marks
from repro.groups import usual
from repro.records import Records

NETWORKS = ("plain-20", "plain-56")
TITLE = "Training error and test error of plain nets of 20 and 56 layers"


def draw(records: Records, scale: Records | None = None) -> Drawing | None:
    """Figure 1 of one source, data set and preset; None where there is nothing to draw.

    Args:
        records: of that source, data set and preset.
        scale: what the axis of errors has to have room for: by default these records.

    Raises:
        ValueError: the records are of several.
    """
    found = ends(records, NETWORKS)
    rows = curves.points(records, NETWORKS, found)
    if not len(rows):
        return None
    top = curves.error_limit(ends(scale or records, NETWORKS))
    drawing = begin("figure-1", f"Figure 1. {TITLE}", 1, 2, (4.2, 3.2))
    for panel, (column, said) in enumerate(ERRORS.items()):
        axis = drawing.axes[panel]
        mine = rows[rows["quantity"] == column]
        curves.draw_curves(drawing, panel, mine)
        marks(drawing, panel, curves.paper_marks(curves.group_of(records), NETWORKS, [column], top))
        curves.errors_on(axis, [said, *curves.not_displayed(mine, NETWORKS, top)], top, f"{said} (%)")
        iterations_on(axis, 0, curves.last_iteration(usual(records.runs, NETWORKS)))
    drawing.finding = _finding(found)
    drawing.notes = curves.notes(records, found, NETWORKS, top)
    return curves.complete(drawing, records, NETWORKS, tuple(ERRORS))


def _finding(found: pd.DataFrame) -> str:
    nets = {end["network"]: end for end in found.to_dict("records")}
    if set(nets) != set(NETWORKS):
        missing = " and ".join(name for name in NETWORKS if name not in nets)
        return f"No curve of {missing} yet."
    shallow, deep = nets["plain-20"], nets["plain-56"]
    said = "; ".join(
        f"{words}: plain-20 {shallow[column]:.1f} %, plain-56 {deep[column]:.1f} %" for column, words in ERRORS.items()
    )
    if shallow["note"] or deep["note"]:
        return f"Where the curves end so far, {said}. Not all runs are complete."
    worse = [words for column, words in ERRORS.items() if deep[column] > shallow[column]]
    verdict = {
        2: "the deeper plain net ends with higher training and test error, as in the paper",
        1: f"the deeper plain net ends with higher {' '.join(worse)}, but not with the other one higher",
        0: "the deeper plain net does not end with higher errors, unlike in the paper",
    }[len(worse)]
    return f"At the end, {said}: {verdict}."
