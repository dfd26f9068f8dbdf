from __future__ import annotations

import subprocess
import sys

import pandas as pd
import pytest

from repro import paper
from repro.tables import complexity as tables


@pytest.fixture(scope="module")
def cifar() -> pd.DataFrame:
    return tables.cifar().set_index("network")


@pytest.fixture(scope="module")
def imagenet() -> pd.DataFrame:
    return tables.imagenet().set_index(["network", "stride"])


def test_parameters_are_those_of_table_6_as_printed(cifar):
    theirs = {row["network"]: row["params"] for _, row in paper.table(6).iterrows() if row["network"]}
    assert len(theirs) == 6
    assert cifar.loc[list(theirs), "paper"].to_dict() == theirs
    assert cifar.loc[list(theirs), "ours"].to_dict() == theirs
    assert (cifar["paper"] != "").sum() == 6


def test_every_network_of_section_4_2_has_its_exact_costs(cifar):
    assert len(cifar) == 6 * 4
    assert cifar.loc["resnet-1202", ["parameters", "macs"]].tolist() == [19_421_274, 2_829_238_912]
    assert cifar.loc["plain-1202", ["parameters", "macs"]].tolist() == [19_421_274, 2_829_238_912]
    assert cifar.loc["resnet-110-C", "parameters"] == 1_826_202
    assert cifar.loc["resnet-20-C", "ours"] == "0.28M" and cifar.loc["resnet-1202-C", "ours"] == "20.5M"


def test_multiply_adds_are_those_of_table_1_as_printed_or_the_difference_is_explained(imagenet):
    theirs = {18: "1.8e9", 34: "3.6e9", 50: "3.8e9", 101: "7.6e9", 152: "11.3e9"}
    printed = {int(row["depth"]): f"{float(row['flops']) / 1e9:.1f}e9" for _, row in paper.table(1).iterrows()}
    assert printed == theirs
    ours = {
        **{depth: imagenet.loc[(f"resnet-{depth}-A", "")] for depth in (18, 34)},
        **{depth: imagenet.loc[(f"resnet-{depth}-B", "1x1")] for depth in (50, 101, 152)},
    }
    assert {depth: row["paper"] for depth, row in ours.items()} == theirs
    assert {depth: row["ours"] for depth, row in ours.items()} == {**theirs, 50: "3.9e9"}
    assert ours[50]["explanation"] == "3.86e9 is printed truncated, not rounded"
    assert ours[50]["difference"] == pytest.approx(0.1)


def test_a_stride_on_the_3x3_does_not_fit_table_1(imagenet):
    on_3x3 = imagenet.loc[[(f"resnet-{depth}-B", "3x3") for depth in (50, 101, 152)]]
    assert on_3x3["ours"].tolist() == ["4.1e9", "7.8e9", "11.5e9"]
    assert on_3x3["difference"].round(9).tolist() == [0.3, 0.2, 0.2]
    assert on_3x3["explanation"].str.contains("first 1x1").all()


def test_vgg_beside_what_the_paper_says_of_it(imagenet):
    sixteen, nineteen = imagenet.loc[("vgg-16", "")], imagenet.loc[("vgg-19", "")]
    assert (nineteen["paper"], nineteen["ours"], nineteen["explanation"]) == ("19.6e9", "19.6e9", "")
    assert (sixteen["paper"], sixteen["ours"]) == ("15.3e9", "15.5e9")
    assert sixteen["explanation"].startswith("15.3e9 without its fc layers")
    assert nineteen["parameters"] == 143_667_240


def test_imagenet_has_every_form_of_every_depth(imagenet):
    assert imagenet.index.is_unique
    assert len(imagenet) == 2 * 4 + 3 * 4 * 2 + 2
    assert imagenet.loc[("plain-34", ""), ["paper", "ours"]].tolist() == ["3.6e9", "3.6e9"]
    assert imagenet.loc[("resnet-34-C", ""), "parameters"] == 22_716_840


@pytest.mark.parametrize("make", [tables.cifar, tables.imagenet])
def test_a_row_is_explained_exactly_if_it_differs(make):
    frame = make()
    assert tuple(frame.columns) == tables.COLUMNS
    printed = frame["paper"] != ""
    assert (frame["difference"].notna() == printed).all()
    differs = printed & (frame["paper"] != frame["ours"])
    assert ((frame["difference"].fillna(0) != 0) == differs).all()
    assert ((frame["explanation"] != "") == differs).all()


def test_what_the_text_compares():
    frame = tables.comparisons().set_index("comparison")
    # By hand: 3.6445 of 19.632; 11.282 of 15.470 and of 19.632; 69,632 of 73,728; 135,168 of 69,632.
    assert frame["ours"].round(1).tolist() == [18.6, 72.9, 57.5, 94.4, 194.1]
    assert frame["paper"].tolist() == ["18", "lower", "lower", "similar", "doubled"]
    assert frame["explanation"].iloc[0] == "3.6e9 of 19.6e9, both as printed, are 18.4"


def test_the_tables_need_no_torch():
    code = "import sys, repro.tables.complexity; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
