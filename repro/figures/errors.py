"""Errors during training: Figures 1 and 6 of the paper, the panels of Figure 6, and what a report opens with."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
from matplotlib.axes import Axes

from repro import paper
from repro.ends import ERRORS, ends
from repro.figures import curves
from repro.figures.drawing import Drawing, about, axes_of, begin, finish, iterations_on, marks
from repro.groups import group_of, shown, usual
from repro.records import Records

Panels = Mapping[str, tuple[str, ...]]


@dataclass(frozen=True)
class View:
    """A figure of error curves.

    Attributes:
        panels: the networks of each, by its title.
        size: of a panel, inches.
        number: of the paper's figure that it is of.
        apart: whether the two panels are of training and of test error; otherwise each has both.
        scale: networks for which the axes have to have room; by default its own.
    """

    title: str
    panels: Panels
    size: tuple[float, float]
    number: str = ""
    apart: bool = False
    scale: tuple[str, ...] = ()

    @property
    def networks(self) -> tuple[str, ...]:
        """All that it draws."""
        return tuple(dict.fromkeys(network for networks in self.panels.values() for network in networks))


_TWO = ("plain-20", "plain-56")
_FIGURE_1 = View(
    "Training error and test error of plain nets of 20 and 56 layers",
    dict.fromkeys(ERRORS.values(), _TWO), (4.2, 3.2), "Figure 1", apart=True,
)  # fmt: skip
_FIGURE_6 = View(
    "Errors during training of plain nets, ResNets, and ResNets of 110 and 1202 layers",
    {
        "plain nets": ("plain-20", "plain-32", "plain-44", "plain-56", "plain-110"),
        "ResNets": ("resnet-20", "resnet-32", "resnet-44", "resnet-56", "resnet-110"),
        "110 and 1202 layers": ("resnet-110", "resnet-1202"),
    },
    (3.7, 3.4), "Figure 6",
)  # fmt: skip
#: What can be drawn, by the name of its files.
VIEWS = {
    "figure-1": _FIGURE_1,
    "figure-6": _FIGURE_6,
    **{
        f"figure-6-{title.replace(' ', '-').lower()}": View(
            f"Errors during training: {title}", {title: networks}, (5.6, 4.0), "Figure 6", scale=_FIGURE_6.networks
        )
        for title, networks in _FIGURE_6.panels.items()
    },
    "in-short": View(
        "Errors during training, without and with shortcuts",
        {"plain nets": _TWO, "ResNets": ("resnet-20", "resnet-56")}, (4.2, 3.3),
    ),
}  # fmt: skip
DEEPEST = "110 and 1202 layers"
PAPER_TOP: float = paper.constants()["cifar"]["plot_limit"]
#: The right panel of the paper begins at 3.5 of 6.4 units.
ZOOM = 3.5 / 6.4
ZOOM_TICKS = (0, 1, 5, 10, 20)
_TICKS = {5: (0, 1, 2, 3, 4, 5), 10: (0, 2, 4, 6, 8, 10), 20: (0, 5, 10, 20), 30: (0, 5, 10, 20, 30)}


def draw(records: Records, scale: Records | None = None, name: str = "figure-6") -> Drawing | None:
    """Curves of one source, data set and preset; None where there is nothing to draw.

    Args:
        records: of that source, data set and preset.
        scale: what the axis of errors has to have room for: by default these records.
        name: a key of `VIEWS`.

    Raises:
        ValueError: the records are of several.
    """
    view = VIEWS[name]
    found = ends(records, view.networks)
    rows = curves.points(records, view.networks, found)
    if not len(rows):
        return None
    of_scale = view.scale or view.networks
    top = own = curves.error_limit(ends(scale or records, of_scale))
    runs = usual(records.runs, of_scale)
    drawing = begin(name, ". ".join(filter(None, (view.number, view.title))), 1, len(view.panels), view.size)
    for panel, (said, networks) in enumerate(view.panels.items()):
        mine = found[found["network"].isin(networks)]
        own = _top_of_deepest(mine, rows, top) if said == DEEPEST else top
        quantities = (list(ERRORS)[panel],) if view.apart else tuple(ERRORS)
        drawn = rows[rows["network"].isin(networks) & rows["quantity"].isin(quantities)]
        curves.draw(drawing, panel, drawn)
        marks(drawing, panel, _read(records, networks, quantities, own))
        remarks = _not_displayed(drawn, networks, own) if len(drawn) else ["not run"]
        zoomed = bool(said == DEEPEST and len(mine) and not mine["note"].any())
        axis, last = drawing.axes[panel], curves.last_iteration(runs)
        axes_of(axis, [said, *remarks], "", f"{said if view.apart else 'error'} (%)")
        errors_on(axis, own, ZOOM_TICKS if zoomed and own == PAPER_TOP else ())
        iterations_on(axis, ZOOM * last if zoomed else 0, last)
    drawing.finding = _deeper_is_worse(found) if view.apart else _finding(found, view.panels)
    drawing.notes = (
        *curves.notes(records, found, view.networks, top),
        *([f"The axis of errors of {DEEPEST} ends at {own:.0f} %."] if own != top else []),
        *_never_warm(usual(records.runs, view.networks)),
    )
    marked = {"the paper's end of training": True, "the paper's end, test": False}
    said = about(group_of(runs), ", ".join(dict.fromkeys(runs["source"])), curves.last_iteration(runs))
    return finish(drawing, said, ERRORS, marked if any("paper" in part.said for part in drawing.parts) else None)


def errors_on(axis: Axes, top: float, ticks: Sequence[int] = ()) -> None:
    """Errors from 0 to `top` percent on the y axis."""
    axis.set_ylim(0, top)
    axis.set_yticks(list(ticks or _TICKS.get(int(top)) or range(0, int(top) + 1, 10 if top == 40 else 20)))


def _top_of_deepest(found: pd.DataFrame, rows: pd.DataFrame, top: float) -> float:
    """Where the right panel's axis ends, percent.

    The two deepest nets lie close together: beyond the paper's 20 % they have a scale of their own. A net whose
    training has only begun is shown at any error, as its beginning is all there is to see.
    """
    own = min(top, curves.error_limit(found)) if top > PAPER_TOP else top
    begun = found[(found["note"] != "") & (found["network"].map(rows.groupby("network")["y"].min()) > own)]
    errors = begun[list(ERRORS)].to_numpy(dtype=float).ravel()
    return max(own, curves.error_limit_of(errors)) if len(errors) else own


def _not_displayed(rows: pd.DataFrame, networks: Iterable[str], top: float) -> list[str]:
    """The networks that never come below the top of the axis, in the words of the paper's caption."""
    least = rows.groupby("network")["y"].min()
    hidden = [network for network in networks if least.get(network, 0.0) > top]
    return [f"{shown(network)} is higher than {top:.0f} % and not displayed" for network in hidden]


def _read(records: Records, networks: Iterable[str], quantities: Iterable[str], top: float) -> pd.DataFrame:
    """The paper's end points of some networks that lie on the plot; none of other data or another schedule."""
    read = paper.readings(6)
    of = read["network"].isin(list(networks)) & read["quantity"].isin(list(quantities)) & (read["value"] <= top)
    found = read[of & group_of(records.runs).comparable]
    hollow = found["quantity"] == "train_error"
    return found.assign(x=found["iteration"], said="the paper's " + found["quantity"].map(ERRORS), hollow=hollow)


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


def _finding(found: pd.DataFrame, panels: Panels) -> str:
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


def _deeper_is_worse(found: pd.DataFrame) -> str:
    """What Figure 1 is about."""
    nets = {end["network"]: end for end in found.to_dict("records")}
    if set(nets) != set(_TWO):
        return f"No curve of {' and '.join(name for name in _TWO if name not in nets)} yet."
    shallow, deep = (nets[name] for name in _TWO)
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
