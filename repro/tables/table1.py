"""Table 1: the ImageNet networks; their multiply-adds as the paper prints them and as computed here."""

from __future__ import annotations

from repro import names, paper
from repro.groups import shown
from repro.tables import complexity
from repro.tables.table import Table, made

TITLE = "Architectures for ImageNet, and what they cost"


def table() -> Table:
    """Blocks, multiply-adds and parameters of the nets of which the paper prints a cost."""
    stages = paper.table(1).set_index("network")
    costs = complexity.imagenet()
    rows = []
    for cost in costs[costs["paper"] != ""].to_dict("records"):
        name = cost["network"]
        blocks = ["", "", "", ""]
        if not name.startswith("vgg"):
            layout = stages.loc[f"resnet-{names.parse(name, 'imagenet').depth}"]
            blocks = [str(layout[f"conv{stage}_x"]) for stage in (2, 3, 4, 5)]
        ours = [cost["stride"], cost["paper"], f"{cost['macs'] / 1e9:.3f}e9", f"{cost['parameters']:,}"]
        rows.append([shown(name).replace("vgg", "VGG"), *blocks, *ours, cost["explanation"]])
    return made(
        "table-1",
        f"{TITLE}: multiply-adds of the paper and ours",
        ["network", *(f"conv{stage}_x" for stage in (2, 3, 4, 5)),
         "stride on", "paper", "ours", "parameters", "why they differ"],
        rows,
        words=("stride on", "why they differ"),
        notes=[
            "Blocks of two 3×3 layers at 18 and 34 layers, of 1×1, 3×3 and 1×1 layers at 50 and more. "
            "After the name: the shortcut option.",
            "paper and ours: multiply-adds for one image of 224×224. The paper prints no ImageNet parameter counts.",
            "Everything here follows from the architecture; no training is needed.",
        ],
    )  # fmt: skip


def text_comparisons() -> Table:
    """What the paper's text says of costs, beside what comes out."""
    rows = [
        [row["comparison"], row["section"], row["paper"], f"{row['ours']:.1f}", row["explanation"]]
        for row in complexity.comparisons().to_dict("records")
    ]
    return made(
        "costs-in-the-text",
        "Costs that the paper's text compares, in percent of multiply-adds",
        ["comparison", "section", "paper", "ours", "why they differ"],
        rows,
        words=("section", "why they differ"),
    )
