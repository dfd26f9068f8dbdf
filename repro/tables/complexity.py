"""Parameters and multiply-adds beside the paper's: Table 6's column, Table 1's last row, and what its text compares.

Each function gives a DataFrame; `ours` is written as the paper prints it, to the same decimals, and `difference` is in
that unit. A difference that is not zero is explained.
"""

from __future__ import annotations

import math
import re
from decimal import Decimal

import pandas as pd

from repro import names, paper
from repro.measure.complexity import VGG_DEPTHS, Complexity, complexity, figure_5, vgg

#: Columns of `cifar` and `imagenet`.
COLUMNS = ("network", "stride", "parameters", "macs", "paper", "ours", "difference", "explanation")


def cifar() -> pd.DataFrame:
    """The networks of Section 4.2 for 32x32 images: plain nets and options A, B, C at each depth of Table 6.

    Columns (`COLUMNS`): network; stride ("", there are no bottleneck blocks); parameters and macs, exact; paper,
    parameters as Table 6 prints them ("0.27M"; "" for nets that it does not list); ours, in that form; difference,
    ours - paper in millions (NaN where paper is ""); explanation, "" where the two are equal.
    """
    table = paper.table(6)
    printed = {row["network"]: row["params"] for _, row in table.iterrows() if row["network"]}
    rows = []
    for depth in names.CIFAR_DEPTHS:
        like = printed[f"resnet-{depth}"]
        for name in (f"plain-{depth}", f"resnet-{depth}", f"resnet-{depth}-B", f"resnet-{depth}-C"):
            cost = complexity(name, "cifar")
            rows.append(_row(name, "", cost, printed.get(name, ""), _as(cost.parameters, like)))
    return pd.DataFrame(rows, columns=list(COLUMNS))


def imagenet() -> pd.DataFrame:
    """The networks of Table 1 for 224x224 images, and VGG-16 and VGG-19, to which the paper compares them.

    Plain nets and options A, B, C at each depth; bottleneck nets with the stride on the first 1x1 layer and on the 3x3.
    Table 1 does not say which option its multiply-adds are of: here A for 18 and 34 layers (as in Table 2; with B, 34
    layers would print 3.7e9), B for the others (Section 4.1).

    Columns (`COLUMNS`): network, always with its option; stride ("1x1", "3x3", or "" for nets without bottleneck
    blocks); parameters and macs, exact; paper, multiply-adds as printed ("3.8e9"; "" where the paper gives none); ours,
    in that form; difference, ours - paper in 1e9 (NaN where paper is ""); explanation, "" where the two are equal.
    """
    printed = _printed_flops()
    rows = []
    for depth in names.IMAGENET_DEPTHS:
        bottleneck = depth in names.BOTTLENECK_DEPTHS
        for name in (f"plain-{depth}", *(f"resnet-{depth}-{option}" for option in "ABC")):
            for stride in ("1x1", "3x3") if bottleneck else ("",):
                cost = complexity(name, "imagenet", stride_on_3x3=stride == "3x3")
                said = printed.get(name, "")
                ours = _as(cost.macs, said or "0.0e9")
                why = _why_of_table_1(cost, stride, said) if said and ours != said else ""
                rows.append(_row(name, stride, cost, said, ours, why))
    for depth in VGG_DEPTHS:
        cost = vgg(depth)
        said = printed[f"vgg-{depth}"]
        ours = _as(cost.macs, said)
        rows.append(_row(f"vgg-{depth}", "", cost, said, ours, _why_of_vgg(cost, said) if ours != said else ""))
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _printed_flops() -> dict[str, str]:
    """Multiply-adds as the paper prints them, "3.6e9", in Table 1 and in its text."""
    said = paper.constants()["imagenet"]
    flops = {"plain-34": said["plain_34_flops"], "vgg-16": said["vgg_16_flops"], "vgg-19": said["vgg_19_flops"]}
    for _, row in paper.table(1).iterrows():
        option = names.default_option(int(row["depth"]), "imagenet")
        flops[f"{row['network']}-{option}"] = float(row["flops"])
    return {name: f"{value / 1e9:.1f}e9" for name, value in flops.items()}


def _why_of_table_1(cost: Complexity, stride: str, said: str) -> str:
    if stride == "3x3":
        return "the paper's number is that of a stride on the first 1x1 layer, where the authors have it"
    exact = f"{cost.macs / 1e9:.2f}e9"
    return f"{exact} is printed truncated, not rounded" if exact.startswith(said.removesuffix("e9")) else ""


def _why_of_vgg(cost: Complexity, said: str) -> str:
    alone = _as(cost.without("fc").macs, said)
    return f"{alone} without its fc layers, which the paper's number for VGG-19 includes" if alone == said else ""


def comparisons() -> pd.DataFrame:
    """What the paper's text says of costs, in percent of multiply-adds (Sections 3.3 and 4.1, Figure 5).

    Columns: comparison; section; paper, as printed ("18", or a word); ours, percent; macs and of_macs, the numbers
    compared; explanation, "" where none is needed.
    """
    said = paper.constants()["imagenet"]
    deepest = complexity("resnet-152", "imagenet").macs
    block = {key: cost.macs for key, cost in figure_5().items()}
    by_printed = 100 * said["plain_34_flops"] / said["vgg_19_flops"]
    why = f"{said['plain_34_flops'] / 1e9}e9 of {said['vgg_19_flops'] / 1e9}e9, both as printed, are {by_printed:.1f}"
    rows: list[tuple[str, str, str, int, int, str]] = [
        (
            "plain-34, of VGG-19",
            "3.3",
            str(said["plain_34_share_of_vgg_19"]),
            complexity("plain-34").macs,
            vgg(19).macs,
            why,
        ),
        ("resnet-152, of VGG-16", "4.1", "lower", deepest, vgg(16).macs, ""),
        ("resnet-152, of VGG-19", "4.1", "lower", deepest, vgg(19).macs, ""),
        ("Figure 5: bottleneck, of the basic block", "4.1", "similar", block["bottleneck"], block["basic"], ""),
        (
            "bottleneck with a projection, of one with the identity",
            "4.1",
            "doubled",
            block["projected bottleneck"],
            block["bottleneck"],
            "",
        ),
    ]
    frame = pd.DataFrame(rows, columns=["comparison", "section", "paper", "macs", "of_macs", "explanation"])
    frame.insert(3, "ours", 100 * frame["macs"] / frame["of_macs"])
    return frame


def _row(
    name: str, stride: str, cost: Complexity, said: str, ours: str, explanation: str = ""
) -> tuple[str, str, int, int, str, str, float, str]:
    apart = float(_number(ours) - _number(said)) if said else math.nan
    return name, stride, cost.parameters, cost.macs, said, ours, apart, explanation


_PRINTED = re.compile(r"(\d+(?:\.(\d+))?)(M|e9)")


def _as(number: int, like: str) -> str:
    """A number in the unit and to the decimals of a printed one: 269,722 like "0.46M" is "0.27M"."""
    match = _PRINTED.fullmatch(like)
    assert match, like
    return f"{number / {'M': 1e6, 'e9': 1e9}[match[3]]:.{len(match[2] or '')}f}{match[3]}"


def _number(printed: str) -> Decimal:
    match = _PRINTED.fullmatch(printed)
    assert match, printed
    return Decimal(match[1])
