"""Figure 4: validation error on ImageNet of plain nets (left) and ResNets (right); the paper's readings alone."""

from __future__ import annotations

from repro import paper
from repro.figures.drawing import Drawing, axes_of, begin, finish, iterations_on, marks
from repro.groups import shown

TITLE = "Training on ImageNet: plain nets and ResNets of 18 and 34 layers"
PANELS = {"plain nets": ("plain-18", "plain-34"), "ResNets": ("resnet-18", "resnet-34")}


def draw() -> Drawing:
    """What was read off the paper's curves."""
    read = paper.readings(4)
    drawing = begin("figure-4", f"Figure 4. {TITLE}", 1, 2, (4.2, 3.0))
    found = read.assign(x=read["iteration"], said="the paper's validation error", hollow=False)
    for axis, (panel, (title, networks)) in zip(drawing.axes, enumerate(PANELS.items()), strict=True):
        marks(drawing, panel, found[found["network"].isin(networks)])
        axes_of(axis, [title], "", "validation error (%)")
        axis.set_ylim(20, 60)
        iterations_on(axis, 0, 600_000)
    last = read[read["iteration"] == read["iteration"].max()].set_index("network")["value"]
    ends = ", ".join(f"{shown(str(name))} {value:.1f} %" for name, value in last.items())
    drawing.finding = (
        f"In the paper, near the end of training: {ends}. The deeper plain net is the worse of its two, the deeper "
        "ResNet the better."
    )
    drawing.notes = ("Diamonds: errors on center crops, read from the paper's figure to 0.1.",)
    about = "ImageNet, validation set, center crops · source: read from Figure 4 of arXiv:1512.03385"
    return finish(drawing, about, (), {"read from the paper": False})
