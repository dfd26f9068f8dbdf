"""What networks cost: Table 1's multiply-adds, Table 6's parameters and what the paper's text compares, beside ours.

Everything here follows from the architecture. A number that the paper prints is printed as there; where ours differs,
the table says why.
"""

from __future__ import annotations

from functools import cache

from repro import names, paper
from repro.groups import shown
from repro.measure.complexity import VGG_DEPTHS, Complexity, complexity, figure_5, vgg
from repro.tables.table import Table, made

TITLE = "Architectures for ImageNet, and what they cost"


@cache
def parameters_as_printed(network: str) -> str:
    """Parameters of a network of Section 4.2 in the form that Table 6 has at its depth: "0.27M"."""
    depth = names.parse(network, "cifar").depth
    decimals = len(_printed_parameters()[f"resnet-{depth}"].rstrip("M").partition(".")[2])
    return f"{complexity(network, 'cifar').parameters / 1e6:.{decimals}f}M"


@cache
def _printed_parameters() -> dict[str, str]:
    found = paper.table(6)
    return dict(zip(found["network"], found["params"], strict=True))


def parameters() -> Table:
    """The networks of Section 4.2 for 32x32 images: plain nets and options A, B, C at each depth of Table 6."""
    rows = []
    for depth in names.CIFAR_DEPTHS:
        for name in (f"plain-{depth}", f"resnet-{depth}", f"resnet-{depth}-B", f"resnet-{depth}-C"):
            cost = complexity(name, "cifar")
            ours = [parameters_as_printed(name), f"{cost.parameters:,}", f"{cost.macs:,}"]
            rows.append([shown(name), _printed_parameters().get(name, ""), *ours])
    return made(
        "parameters",
        "Parameters and multiply-adds of the networks of Section 4.2",
        ["network", "parameters: paper", "ours", "exact", "multiply-adds"],
        rows,
        notes=["Counted from the architecture, for a 32×32 image; no convolution has a bias."],
    )


def table_1() -> Table:
    """The nets of which the paper prints a cost for 224x224 images, and VGG-16 and VGG-19, to which it compares them.

    Table 1 does not say which option its multiply-adds are of: here A for 18 and 34 layers (as in Table 2; with B, 34
    layers would print 3.7e9), B for the others (Section 4.1).
    """
    text, printed = paper.constants()["imagenet"], paper.table(1).set_index("depth")
    rows = []
    for depth, stages in printed.iterrows():
        blocks = [str(stages[f"conv{stage}_x"]) for stage in (2, 3, 4, 5)]
        option = names.default_option(int(str(depth)), "imagenet")
        if depth == 34:
            rows.append(_row("plain-34", blocks, "", complexity("plain-34"), text["plain_34_flops"]))
        for stride in ("1x1", "3x3") if depth in names.BOTTLENECK_DEPTHS else ("",):
            cost = complexity(f"resnet-{depth}", "imagenet", stride_on_3x3=stride == "3x3")
            rows.append(_row(f"ResNet-{depth}-{option}", blocks, stride, cost, float(stages["flops"])))
    rows += [_row(f"VGG-{depth}", [""] * 4, "", vgg(depth), text[f"vgg_{depth}_flops"]) for depth in VGG_DEPTHS]
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


def _row(name: str, blocks: list[str], stride: str, cost: Complexity, flops: float) -> list[str]:
    said, exact = _rounded(flops), f"{cost.macs / 1e9:.2f}e9"
    if _rounded(cost.macs) == said:
        why = ""
    elif stride == "3x3":
        why = "the paper's number is that of a stride on the first 1x1 layer, where the authors have it"
    elif name.startswith("VGG") and _rounded(cost.without("fc").macs) == said:
        why = f"{said} without its fc layers, which the paper's number for VGG-19 includes"
    else:
        why = f"{exact} is printed truncated, not rounded" if exact.startswith(said.removesuffix("e9")) else ""
    return [name, *blocks, stride, said, f"{cost.macs / 1e9:.3f}e9", f"{cost.parameters:,}", why]


def _rounded(macs: float) -> str:
    return f"{macs / 1e9:.1f}e9"


def text_comparisons() -> Table:
    """What the paper's text says of costs, in percent of multiply-adds (Sections 3.3 and 4.1, Figure 5)."""
    said = paper.constants()["imagenet"]
    plain, vgg_16, vgg_19 = complexity("plain-34").macs, vgg(16).macs, vgg(19).macs
    deepest = complexity("resnet-152", "imagenet").macs
    block = {key: cost.macs for key, cost in figure_5().items()}
    by_printed = 100 * said["plain_34_flops"] / said["vgg_19_flops"]
    why = f"{said['plain_34_flops'] / 1e9}e9 of {said['vgg_19_flops'] / 1e9}e9, both as printed, are {by_printed:.1f}"
    projected = "bottleneck with a projection, of one with the identity"
    compared = [
        ("plain-34, of VGG-19", "3.3", str(said["plain_34_share_of_vgg_19"]), plain / vgg_19, why),
        ("resnet-152, of VGG-16", "4.1", "lower", deepest / vgg_16, ""),
        ("resnet-152, of VGG-19", "4.1", "lower", deepest / vgg_19, ""),
        ("Figure 5: bottleneck, of the basic block", "4.1", "similar", block["bottleneck"] / block["basic"], ""),
        (projected, "4.1", "doubled", block["projected bottleneck"] / block["bottleneck"], ""),
    ]
    return made(
        "costs-in-the-text",
        "Costs that the paper's text compares, in percent of multiply-adds",
        ["comparison", "section", "paper", "ours", "why they differ"],
        [[what, section, theirs, f"{100 * ours:.1f}", why] for what, section, theirs, ours, why in compared],
        words=("section", "why they differ"),
    )
