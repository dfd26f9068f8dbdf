"""Table 1: the ImageNet networks; their multiply-adds as the paper prints them and as computed here."""

from __future__ import annotations

from repro import names, paper
from repro.figures.chart import shown
from repro.tables import complexity
from repro.tables.table import Table

TITLE = "Architectures for ImageNet, and what they cost"


def table() -> Table:
    """Blocks, multiply-adds and parameters of the nets of which the paper prints a cost; all others are in its CSV."""
    stages = paper.table(1).set_index("network")
    costs = complexity.imagenet()
    rows = []
    for _, cost in costs[costs["paper"] != ""].iterrows():
        name = str(cost["network"])
        base = name[:-2] if name[-2:] in ("-A", "-B", "-C") else name
        blocks = ["", "", "", ""]
        if not name.startswith("vgg"):
            layout = stages.loc[f"resnet-{names.parse(base, 'imagenet').depth}"]
            blocks = [str(layout[f"conv{stage}_x"]) for stage in (2, 3, 4, 5)]
        rows.append(
            (
                shown(name).replace("vgg", "VGG"),
                *blocks,
                str(cost["stride"]),
                str(cost["paper"]),
                f"{cost['macs'] / 1e9:.3f}e9",
                f"{cost['parameters']:,}",
                str(cost["explanation"]),
            )
        )
    return Table(
        name="table-1",
        title=f"{TITLE}: multiply-adds of the paper and ours",
        frame=costs,
        columns=(
            "network",
            "conv2_x",
            "conv3_x",
            "conv4_x",
            "conv5_x",
            "stride on",
            "paper",
            "ours",
            "parameters",
            "why they differ",
        ),
        rows=tuple(rows),
        numeric=frozenset({1, 2, 3, 4, 6, 7, 8}),
        notes=(
            "Blocks of two 3×3 layers at 18 and 34 layers, of 1×1, 3×3 and 1×1 layers at 50 and more. "
            "After the name: the shortcut option.",
            "paper and ours: multiply-adds for one image of 224×224. The paper prints no ImageNet parameter counts.",
            "Everything here follows from the architecture; no training is needed. The CSV has every shortcut option.",
        ),
    )


def text_comparisons() -> Table:
    """What the paper's text says of costs, beside what comes out."""
    frame = complexity.comparisons()
    rows = tuple(
        (row["comparison"], row["section"], row["paper"], f"{row['ours']:.1f}", row["explanation"])
        for _, row in frame.iterrows()
    )
    return Table(
        name="costs-in-the-text",
        title="Costs that the paper's text compares, in percent of multiply-adds",
        frame=frame,
        columns=("comparison", "section", "paper", "ours", "why they differ"),
        rows=rows,
        numeric=frozenset({2, 3}),
    )
