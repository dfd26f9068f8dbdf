"""Figure 6: errors during training of plain nets (left), ResNets (middle), and of 110 and 1202 layers (right)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from repro import paper
from repro.ends import ERRORS, ends
from repro.figures import curves
from repro.figures.drawing import Drawing, begin, iterations_on, marks
from repro.groups import shown, usual
from repro.records import Records

PANELS = {
    "plain nets": ("plain-20", "plain-32", "plain-44", "plain-56", "plain-110"),
    "ResNets": ("resnet-20", "resnet-32", "resnet-44", "resnet-56", "resnet-110"),
    "110 and 1202 layers": ("resnet-110", "resnet-1202"),
}
#: What can be drawn: the whole figure, each of its panels alone, and what the report opens with.
VIEWS: dict[str, Mapping[str, Sequence[str]]] = {
    "figure-6": PANELS,
    **{f"figure-6-{title.replace(' ', '-').lower()}": {title: nets} for title, nets in PANELS.items()},
    "in-short": {"plain nets": ("plain-20", "plain-56"), "ResNets": ("resnet-20", "resnet-56")},
}
DEEPEST = "110 and 1202 layers"
PAPER_TOP: float = paper.constants()["cifar"]["plot_limit"]
NETWORKS = tuple(dict.fromkeys(network for networks in PANELS.values() for network in networks))
TITLE = "Errors during training of plain nets, ResNets, and ResNets of 110 and 1202 layers"
#: The right panel of the paper begins at 3.5 of 6.4 units.
ZOOM = 3.5 / 6.4
ZOOM_TICKS = (0, 1, 5, 10, 20)


def draw(records: Records, scale: Records | None = None, view: str = "figure-6") -> Drawing | None:
    """Figure 6 of one source, data set and preset, or a part of it; None where there is nothing to draw.

    Args:
        records: of that source, data set and preset.
        scale: what the axis of errors has to have room for: by default these records.
        view: a key of `VIEWS`.

    Raises:
        ValueError: the records are of several.
    """
    panels = VIEWS[view]
    networks_here = tuple(dict.fromkeys(network for networks in panels.values() for network in networks))
    found = ends(records, networks_here)
    rows = curves.points(records, networks_here, found)
    if not len(rows):
        return None
    top = curves.error_limit(ends(scale or records, networks_here if view == "in-short" else NETWORKS))
    titles = {"figure-6": f"Figure 6. {TITLE}", "in-short": "Errors during training, without and with shortcuts"}
    alone = f"Figure 6. Errors during training: {', '.join(panels)}"
    size = {1: (5.6, 4.0), 2: (4.2, 3.3), 3: (3.7, 3.4)}[len(panels)]
    drawing = begin(view, titles.get(view, alone), 1, len(panels), size)
    own = top
    for title, networks in panels.items():
        mine = found[found["network"].isin(networks)]
        own = _top_of_deepest(mine, rows, top) if title == DEEPEST else top
        _panel(drawing, title, records, rows[rows["network"].isin(networks)], mine, own)
    drawing.finding = _finding(found, panels)
    drawing.notes = (
        "Dashed lines are training errors, bold lines test errors.",
        *curves.notes(records, found, networks_here, top),
        *([f"The axis of errors of 110 and 1202 layers ends at {own:.0f} %."] if own != top else []),
        *_never_warm(usual(records.runs, networks_here)),
    )
    return curves.complete(drawing, records, networks_here, tuple(ERRORS))


def _panel(drawing: Drawing, title: str, records: Records, rows: pd.DataFrame, found: pd.DataFrame, top: float) -> None:
    views = VIEWS[drawing.name]
    networks, panel = views[title], list(views).index(title)
    last = curves.last_iteration(usual(records.runs, NETWORKS))
    zoomed = title == DEEPEST and len(found) and not found["note"].any()
    curves.draw_curves(drawing, panel, rows)
    marks(drawing, panel, curves.paper_marks(curves.group_of(records), networks, ERRORS, top))
    remarks = curves.not_displayed(rows, networks, top) if len(rows) else ("not run",)
    ticks = ZOOM_TICKS if zoomed and top == PAPER_TOP else ()
    curves.errors_on(drawing.axes[panel], [title, *remarks], top, "error (%)", ticks)
    iterations_on(drawing.axes[panel], ZOOM * last if zoomed else 0, last)


def _top_of_deepest(found: pd.DataFrame, rows: pd.DataFrame, top: float) -> float:
    """Where the right panel's axis ends, percent.

    The two deepest nets lie close together: beyond the paper's 20 % they have a scale of their own. A net whose
    training has only begun is shown at any error, as its beginning is all there is to see.
    """
    own = min(top, curves.error_limit(found)) if top > PAPER_TOP else top
    begun = found[(found["note"] != "") & (found["network"].map(rows.groupby("network")["y"].min()) > own)]
    errors = begun[list(ERRORS)].to_numpy(dtype=float).ravel()
    return max(own, curves.error_limit_of(errors)) if len(errors) else own


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


def _finding(found: pd.DataFrame, panels: Mapping[str, Sequence[str]]) -> str:
    nets: dict[Any, dict[Any, Any]] = {end["network"]: end for end in found.to_dict("records")}
    said = []
    for title, networks in panels.items():
        mine = [_end(nets[name]) for name in networks if name in nets]
        # ResNet-110 alone was told with the ResNets already.
        if mine and (title != DEEPEST or "resnet-1202" in nets or len(panels) == 1):
            said.append(f"{title}: {', '.join(mine)}")
    return f"Training / test error at the end of the curves, in percent. {'; '.join(said)}."


def _end(end: dict[Any, Any]) -> str:
    errors = [end[column] for column in ERRORS]
    said = " / ".join("none yet" if math.isnan(error) else f"{error:.1f}" for error in errors)
    note = f" ({end['note']})" if end["note"] else ""
    return f"{shown(end['network'])} {said}{note}"
