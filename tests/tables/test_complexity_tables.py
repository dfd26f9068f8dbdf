"""What networks cost, beside what the paper prints."""

from __future__ import annotations

import pytest

from repro import paper
from repro.tables import complexity
from repro.tables.table import Table


def by_name(table: Table) -> dict[object, tuple[object, ...]]:
    return {row[0]: row[1:] for row in table.rows}


def test_parameters_are_those_of_table_6_as_printed() -> None:
    found = by_name(complexity.parameters())
    theirs = {row["network"]: row["params"] for _, row in paper.table(6).iterrows() if row["network"]}
    assert len(theirs) == 6 and len(found) == 6 * 4
    for network, printed in theirs.items():
        assert found[network.replace("resnet", "ResNet")][:2] == (printed, printed)
    assert sum(row[0] != "" for row in found.values()) == 6
    assert found["ResNet-1202"][2:] == found["plain-1202"][2:] == ("19,421,274", "2,829,238,912")
    assert found["ResNet-110-C"][2] == "1,826,202"
    assert (found["ResNet-20-C"][1], found["ResNet-1202-C"][1]) == ("0.28M", "20.5M")


def test_multiply_adds_are_those_of_table_1_as_printed_or_the_difference_is_explained() -> None:
    theirs = {18: "1.8e9", 34: "3.6e9", 50: "3.8e9", 101: "7.6e9", 152: "11.3e9"}
    printed = {int(row["depth"]): f"{float(row['flops']) / 1e9:.1f}e9" for _, row in paper.table(1).iterrows()}
    assert printed == theirs
    rows = [dict(zip(complexity.table_1().columns, row, strict=True)) for row in complexity.table_1().rows]
    of = {(row["network"], row["stride on"]): row for row in rows}
    assert len(of) == len(rows) == 3 + 3 * 2 + 2
    for depth, said in theirs.items():
        ours = of[(f"ResNet-{depth}-A", "")] if depth < 50 else of[(f"ResNet-{depth}-B", "1x1")]
        assert ours["paper"] == said
    assert of[("ResNet-50-B", "1x1")]["why they differ"] == "3.86e9 is printed truncated, not rounded"
    assert of[("ResNet-50-B", "1x1")]["ours"] == "3.858e9" and of[("ResNet-152-B", "1x1")]["ours"] == "11.282e9"
    assert [of[(f"ResNet-{depth}-B", "3x3")]["ours"] for depth in (50, 101)] == ["4.089e9", "7.801e9"]
    assert of[("ResNet-50-B", "1x1")]["parameters"] == "25,557,032"
    assert (of[("VGG-19", "")]["paper"], of[("VGG-19", "")]["ours"]) == ("19.6e9", "19.632e9")
    assert of[("VGG-16", "")]["why they differ"].startswith("15.3e9 without its fc layers")
    assert of[("plain-34", "")]["paper"] == "3.6e9" and of[("plain-34", "")]["conv4_x"] == "6"
    for row in rows:
        differs = f"{float(row['ours'].removesuffix('e9')):.1f}e9" != row["paper"]
        assert (row["why they differ"] != "") == differs, row


def test_what_the_text_compares() -> None:
    rows = complexity.text_comparisons().rows
    # By hand: 3.6445 of 19.632; 11.282 of 15.470 and of 19.632; 69,632 of 73,728; 135,168 of 69,632.
    assert [float(row[3]) for row in rows] == pytest.approx([18.6, 72.9, 57.5, 94.4, 194.1])
    assert [row[2] for row in rows] == ["18", "lower", "lower", "similar", "doubled"]
    assert rows[0][4] == "3.6e9 of 19.6e9, both as printed, are 18.4"
