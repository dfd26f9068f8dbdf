"""Errors during training: Figures 1, 4 and 6 of the paper, and what a report opens with."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pandas as pd
from matplotlib.axes import Axes

from repro import paper
from repro.ends import ERRORS, ends
from repro.errors import counted
from repro.figures import curves
from repro.figures.drawing import Drawing, about, axes_of, begin, finish, iterations_on, marks
from repro.groups import group_of, shown, usual
from repro.records import Records

Panels = Mapping[str, tuple[str, ...]]
_TWO = ("plain-20", "plain-56")
#: What can be drawn, by the name of its files: the networks of each panel, by its title.
VIEWS: dict[str, Panels] = {
    "figure-1": dict.fromkeys(ERRORS.values(), _TWO),
    "figure-6": {
        "plain nets": ("plain-20", "plain-32", "plain-44", "plain-56", "plain-110"),
        "ResNets": ("resnet-20", "resnet-32", "resnet-44", "resnet-56", "resnet-110"),
        "110 and 1202 layers": ("resnet-110", "resnet-1202"),
    },
    "figure-4": {"plain nets": ("plain-18", "plain-34"), "ResNets": ("resnet-18", "resnet-34")},
    "in-short": {"plain nets": _TWO, "ResNets": ("resnet-20", "resnet-56")},
}
TITLES = {
    "figure-1": "Figure 1. Training error and test error of plain nets of 20 and 56 layers",
    "figure-6": "Figure 6. Errors during training of plain nets and ResNets",
    "figure-4": "Figure 4. Errors during training of plain nets and ResNets of 18 and 34 layers",
    "in-short": "Errors during training, without and with shortcuts",
}
#: Inches of a panel, by how many there are.
_SIZES = {1: (7.0, 4.2), 2: (4.2, 3.3), 3: (3.7, 3.4)}
IMAGENET_TITLE = "Training on ImageNet: plain nets and ResNets of 18 and 34 layers"
DEEPEST = "110 and 1202 layers"
PAPER_TOP: float = paper.constants()["cifar"]["plot_limit"]
#: The right panel of the paper begins at 3.5 of 6.4 units.
ZOOM = 3.5 / 6.4
ZOOM_TICKS = (0, 1, 5, 10, 20)
_TICKS = {5: (0, 1, 2, 3, 4, 5), 10: (0, 2, 4, 6, 8, 10), 20: (0, 5, 10, 20), 30: (0, 5, 10, 20, 30)}


def networks_of(name: str) -> tuple[str, ...]:
    """All networks of a view."""
    return tuple(dict.fromkeys(network for networks in VIEWS[name].values() for network in networks))


def draw(records: Records, scale: Records | None = None, name: str = "figure-6", alone: str = "") -> Drawing | None:
    """Curves of one source, data set and preset; None where there is nothing to draw.

    Args:
        records: of that source, data set and preset.
        scale: what the axis of errors has to have room for: by default these records.
        name: a key of `VIEWS`.
        alone: title of the one panel to draw; by default all are drawn.

    Raises:
        ValueError: the records are of several.
    """
    panels, nets = VIEWS[name], networks_of(name)
    found = ends(records, nets)
    rows = curves.points(records, nets, found)
    # A panel in which no network has a curve is left away.
    panels = {said: of for said, of in panels.items() if alone in ("", said) and set(rows["network"]) & set(of)}
    if not panels:
        return None
    top = own = curves.error_limit(ends(scale or records, nets))
    known = {*rows["network"], *_read(records, nets, ERRORS, top)["network"]}
    deep = " and ".join(network.partition("-")[2] for network in panels.get(DEEPEST, ()) if network in known)
    titles = {said: f"{deep} layers" if said == DEEPEST else said for said in panels}
    title = f"{TITLES[name].partition(' of ')[0]}: {titles[alone]}" if alone else TITLES[name]
    runs, comparable = usual(records.runs, nets), group_of(records.runs).comparable
    last, apart = curves.last_iteration(runs), name == "figure-1"
    # The paper's marks are where its own curves end, beyond the last iteration of a shorter run.
    edge = max(last, paper.constants()["cifar"]["iterations"]) if comparable else last
    drawing = begin("-".join([name, *alone.lower().split()]), title, 1, len(panels), _SIZES[len(panels)])
    for panel, (said, networks) in enumerate(panels.items()):
        mine = found[found["network"].isin(networks)]
        own = _top_of_deepest(mine, rows, top) if said == DEEPEST else top
        quantities = (list(ERRORS)[panel],) if apart else tuple(ERRORS)
        drawn = rows[rows["network"].isin(networks) & rows["quantity"].isin(quantities)]
        read = _read(records, networks, quantities, own)
        # The key goes by depth, also where one network has a curve and the next a mark alone.
        labels = pd.concat([drawn, read.assign(label=read["network"].map(shown))])
        for network in networks:
            for label in labels.loc[labels["network"] == network, "label"].unique():
                drawing.colour(label, network)
        curves.draw(drawing, panel, drawn)
        marks(drawing, panel, read)
        remarks = _not_displayed(drawn, networks, own) if len(drawn) else ["no curve"]
        zoomed = said == DEEPEST and comparable and not mine["note"].any()
        axes_of(drawing.axes[panel], [titles[said], *remarks], "", f"{said if apart else 'error'} (%)")
        errors_on(drawing.axes[panel], own, ZOOM_TICKS if zoomed and own == PAPER_TOP else ())
        iterations_on(drawing.axes[panel], ZOOM * edge if zoomed else 0, edge)
    drawing.finding = _finding(
        found, {"plain nets": nets} if apart else {titles[said]: panels[said] for said in panels}
    )
    drawing.notes = (
        *curves.notes(records, found, nets, top),
        *([f"The axis of errors of {titles[DEEPEST]} ends at {own:.0f} %."] if own != top else []),
        *_never_warm(runs),
    )
    marked = {"paper, training": True, "paper, test": False}
    there = found[found["network"].isin(sum(panels.values(), ()))]
    said = about(group_of(runs), ", ".join(dict.fromkeys(runs["source"])), last)
    said += curves.seeds(there["network"].map(shown), there["seeds"])
    return finish(drawing, said, ERRORS, marked if any("paper" in part.said for part in drawing.parts) else None)


def errors_on(axis: Axes, top: float, ticks: Sequence[int] = ()) -> None:
    """Errors from 0 to `top` percent on the y axis."""
    axis.set_ylim(0, top)
    axis.set_yticks(list(ticks or _TICKS.get(int(top)) or range(0, int(top) + 1, 10 if top == 40 else 20)))


def _top_of_deepest(found: pd.DataFrame, rows: pd.DataFrame, top: float) -> float:
    """Where the axis of the panel of the deepest nets ends, percent: as those of the others, or higher."""
    # A net whose training has only begun is shown at any error, as its beginning is all there is to see.
    begun = found[(found["note"] != "") & (found["network"].map(rows.groupby("network")["y"].min()) > top)]
    errors = begun[list(ERRORS)].to_numpy(dtype=float).ravel()
    return max(top, curves.error_limit_of(errors)) if len(errors) else top


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
    # A run without warm-up has 0 there.
    for network, mine in runs[runs["warm_up_ended"].isna()].query("status == 'complete'").groupby("network"):
        schedule = mine["run"].iloc[0].schedule
        said.append(
            f"{shown(str(network))}: in {counted(len(mine), 'run')} its training error never fell below "
            f"{schedule.warm_up_until:g} %, so that the warm-up at a learning rate of {schedule.warm_up_lr:g} never "
            "ended."
        )
    return said


def _finding(found: pd.DataFrame, panels: Panels) -> str:
    said = {end["network"]: at_the_end(end, shown(end["network"])) for end in found.to_dict("records")}
    told = [
        f"{title}: {', '.join(said[name] for name in networks if name in said)}"
        for title, networks in panels.items()
        # ResNet-110 alone was told with the ResNets already.
        if (there := said.keys() & set(networks)) and (len(panels) == 1 or there != {"resnet-110"})
    ]
    return f"Training / test error at the end of the curves, in percent. {'; '.join(told)}."


def at_the_end(end: Mapping[Any, Any], name: str) -> str:
    """A row of `repro.ends.ends` in words: training and test error, and why they end early if they do."""
    errors = " / ".join("none yet" if math.isnan(end[error]) else f"{end[error]:.2f}" for error in ERRORS)
    return f"{name} {errors}" + (f" ({end['note']})" if end["note"] else "")


def draw_imagenet() -> Drawing:
    """Figure 4, validation error on ImageNet of plain nets (left) and ResNets (right): the paper's readings alone."""
    read = paper.readings(4)
    drawing = begin("figure-4", f"Figure 4. {IMAGENET_TITLE}", 1, 2, (4.2, 3.0))
    found = read.assign(x=read["iteration"], said="the paper's validation error", hollow=False)
    for panel, (title, kind) in enumerate({"plain nets": "plain", "ResNets": "resnet"}.items()):
        marks(drawing, panel, found[found["network"].str.startswith(kind)])
        axes_of(drawing.axes[panel], [title], "", "validation error (%)")
        drawing.axes[panel].set_ylim(20, 60)
        iterations_on(drawing.axes[panel], 0, 600_000)
    last = read[read["iteration"] == read["iteration"].max()]
    said = ", ".join(f"{shown(net)} {value:.1f} %" for net, value in zip(last["network"], last["value"], strict=True))
    drawing.finding = (
        f"In the paper, near the end of training: {said}. The deeper plain net is the worse of its two, the deeper "
        "ResNet the better."
    )
    drawing.notes = ("Diamonds: errors on center crops, read from the paper's figure to 0.1.",)
    of = "ImageNet, validation set, center crops · source: read from Figure 4 of arXiv:1512.03385"
    return finish(drawing, of, (), {"read from the paper": False})
