from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pandas as pd
import pytest

from repro import names, paper
from repro.errors import UserError
from repro.spec import Run

#: Notes on the paper that were taken independently of these files; they lie beside a maintainer's checkout.
NOTES = Path(__file__).resolve().parents[2].parent / "shared" / "paper" / "facts.md"
needs_notes = pytest.mark.skipif(not NOTES.exists(), reason="the notes on the paper are not beside this checkout")
ALL = [*paper.TABLES, *paper.OTHERS]


@pytest.mark.parametrize("which", ALL)
def test_every_file_says_what_it_is_and_describes_each_column(which):
    said, frame = paper.about(which), paper.table(which)
    assert said.title and said.section
    assert re.search(r"print|read|digitised", said.checked)
    assert list(said.columns) == list(frame.columns)
    assert all(said.columns.values())
    assert len(frame) and not frame.duplicated().any()


@pytest.mark.parametrize("which", ALL)
def test_columns_hold_numbers_or_text_and_names_are_of_networks(which):
    frame = paper.table(which)
    for column in frame:
        values = frame[column]
        assert pd.api.types.is_numeric_dtype(values) or all(isinstance(value, str) for value in values)
    if which in (7, 8, 10, 11, 13) or "network" not in frame:
        return
    cifar = which in (6, "readings-responses", "third-party")
    for network in filter(None, frame["network"]):
        names.parse(network, "cifar" if cifar else None if which == "readings-curves" else "imagenet")


@pytest.mark.parametrize("which", [0, 15, "table-99", "readings"])
def test_an_unknown_table_is_an_error_in_one_line(which):
    with pytest.raises(UserError, match="unknown table of the paper"):
        paper.table(which)


def test_a_run_s_defaults_are_the_paper_s_schedule():
    text, schedule = paper.constants()["cifar"], Run("resnet-110").schedule
    assert schedule.iterations == text["iterations"]
    assert [share * schedule.iterations for share in schedule.milestones] == text["milestones"]
    assert (schedule.warm_up_lr, schedule.warm_up_until) == (text["warm_up_lr"], text["warm_up_until"])


# What the paper says of its own numbers, in words and in more than one place.


def error(network: str, table: int = 6, column: str = "error") -> float:
    frame = paper.table(table)
    return float(frame.loc[frame["network"] == network, column].item())


def test_the_text_s_differences_are_those_of_the_tables():
    text = paper.constants()["imagenet"]
    assert error("resnet-18", 2, "top1") - error("resnet-34", 2, "top1") == pytest.approx(2.85)
    assert text["resnet_34_below_resnet_18"] == pytest.approx(2.85, abs=0.051)
    assert round(error("plain-34", 2, "top1") - error("resnet-34", 2, "top1"), 1) == text["resnet_34_below_plain_34"]
    coco, said = paper.table(8).set_index("network"), paper.constants()["detection"]
    gain = coco.loc["ResNet-101"] - coco.loc["VGG-16"]
    assert gain["map_50_95"] == pytest.approx(said["coco_gain"])
    assert gain["map_50"] == pytest.approx(said["coco_gain_50"])
    assert round(100 * gain["map_50_95"] / coco.loc["VGG-16", "map_50_95"]) == said["coco_relative_gain"]
    loc = paper.table(14).set_index("method")["test"]
    fall = 100 * (1 - loc["ours (ILSVRC'15)"] / loc["VGG (ILSVRC'14)"])
    assert round(fall) == said["localisation_relative_reduction"]
    assert round(100 * text["plain_34_flops"] / text["vgg_19_flops"]) == text["plain_34_share_of_vgg_19"]
    assert paper.table(1).set_index("network").loc["resnet-34", "flops"] == text["plain_34_flops"]


def test_numbers_printed_twice_agree():
    two, three, eight, nine = (paper.table(n) for n in (2, 3, 8, 9))
    shared = two.merge(three, on="network")
    assert set(shared["network"]) == {"plain-34", "resnet-34"}
    assert (shared["top1_x"] == shared["top1_y"]).all()
    assert (nine.loc[:1, ["val_50", "val_50_95"]].to_numpy() == eight[["map_50", "map_50_95"]].to_numpy()).all()
    voc = paper.table(7).groupby("training")["map"].apply(list)
    for number, training in ((10, "07+12"), (11, "07++12")):
        rows = paper.table(number)
        assert rows.loc[rows["training"] == training, "map"].tolist() == voc[training]
    assert paper.table(13)["top5_error_predicted_class"].min() == paper.table(14)["val"].min()


@pytest.mark.parametrize("number", [10, 11])
def test_a_detector_s_mean_is_the_mean_of_its_twenty_classes(number):
    frame = paper.table(number)
    classes = frame.iloc[:, 4:]
    assert classes.shape[1] == 20
    assert (classes.mean(axis=1) - frame["map"]).abs().max() < 0.06


def test_table_1_s_blocks_add_up_to_the_depths():
    frame = paper.table(1)
    layers = {"basic": 2, "bottleneck": 3}
    blocks = frame[["conv2_x", "conv3_x", "conv4_x", "conv5_x"]].sum(axis=1)
    assert (2 + blocks * frame["block"].map(layers) == frame["depth"]).all()


def test_readings_lie_within_their_bounds_and_beside_table_6():
    curves = paper.table("readings-curves")
    known = curves.dropna(subset=["value"])
    assert ((known["low"] <= known["value"]) & (known["value"] <= known["high"])).all()
    assert (curves["low"] < curves["high"]).all()
    ends = curves.query("figure == 6 and quantity == 'test_error' and value == value").set_index("network")["value"]
    for network in ("resnet-20", "resnet-32", "resnet-44", "resnet-56", "resnet-1202"):
        assert abs(ends[network] - error(network)) < 0.1
    assert error("resnet-110") < ends["resnet-110"] < error("resnet-110", column="mean")
    lowest = curves.query("quantity == 'lowest_test_error'").set_index("network")["value"]
    assert (lowest <= ends.reindex(lowest.index)).all()


def test_the_orders_that_the_paper_draws_conclusions_from():
    test = paper.readings(6).query("quantity == 'test_error'").set_index("network")["value"]
    assert test["plain-20"] < test["plain-32"] < test["plain-44"] < test["plain-56"]
    train = paper.readings(6).query("quantity == 'train_error'").set_index("network")
    assert train["value"]["plain-32"] <= train["value"]["plain-20"], "the order that claim H3's weak form leaves open"
    assert train["value"]["plain-20"] < train["value"]["plain-44"] < train["value"]["plain-56"]
    table = paper.table(6).query("network != ''").set_index("network")["error"]
    assert table[:"resnet-110"].is_monotonic_decreasing and table["resnet-1202"] > table["resnet-110"]
    means = paper.responses().query("layer != layer").set_index("network")["value"]
    assert means["resnet-20"] < means["plain-20"] and means["resnet-56"] < means["plain-56"]
    assert means["resnet-20"] > means["resnet-56"] > means["resnet-110"]


# Against the notes: both were typed from the paper, so a slip in one shows as a difference.


def numbers(text: str) -> Counter[str]:
    return Counter(re.findall(r"(?<![\w.])\d+\.\d+", text))


def csv_numbers(which: str) -> Counter[str]:
    """The numbers of a file, as it spells them."""
    lines = Path(paper.__file__).with_name(f"{which}.csv").read_text(encoding="utf-8").splitlines()
    return numbers("\n".join(line for line in lines if not line.startswith("#")).replace(",", " "))


def notes() -> str:
    return NOTES.read_text(encoding="utf-8")


def block(start: str, end: str) -> str:
    text = notes()
    return text[text.index(start) : text.index(end, text.index(start))]


def cells(text: str) -> list[list[str]]:
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line.startswith("|")]
    return [row for row in rows if not set("".join(row)) <= {"-"}]


@needs_notes
@pytest.mark.parametrize(
    ("number", "start", "end"),
    [
        (2, "Table 2, top-1", "\n"),
        ((3, 4), "| Table 3, 10-crop val", "Table 5, ensembles"),
        (5, "Table 5, ensembles", "[S1,S3]"),
        (6, "| method | layers | params | error |", "The follow-up"),
        (7, "Table 7 (VOC", "[S1,S3]"),
        (8, "Table 8 (COCO val)", "(+6.0"),
        (9, "| | val | test-dev |", "\n\n"),
        (10, "Table 10 (VOC07", "Table 11"),
        (11, "Table 11 (VOC12", "Table 12"),
        (12, "Table 12 (ImageNet", "; 8.5 points"),
        (13, "Table 13 (LOC", "Table 14"),
        (14, "Table 14 (top-5", "(64%"),
    ],
)
def test_other_tables_hold_the_numbers_of_the_notes(number, start, end):
    marks = re.sub(r"@\.5|\[\.5,\.95\]|07\+\+?12", " ", block(start, end))
    tables = number if isinstance(number, tuple) else (number,)
    assert sum((csv_numbers(f"table-{one}") for one in tables), Counter()) == numbers(marks)


@needs_notes
def test_table_1_against_the_notes():
    rows = cells(block("### 2.1 Table 1", "Downsampling is by"))
    flops = [float(value) for value in next(row for row in rows if row[0].startswith("FLOPs"))[1:]]
    assert paper.table(1)["flops"].tolist() == flops
    blocks = [[int(n) for n in re.findall(r"(?<=x)\d+(?=\||$| )", "|".join(row[1:]))] for row in rows[1:5]]
    stages = paper.table(1)[["conv2_x", "conv3_x", "conv4_x", "conv5_x"]].T
    assert stages.to_numpy().tolist() == blocks


@needs_notes
def test_end_points_and_responses_against_the_notes():
    rows = cells(block("End-of-training readings", "=> (a)"))[1:]
    curves = paper.readings(6).set_index(["network", "quantity"])
    for name, train, test, _, lowest in rows:
        network = name.lower()
        low, high = curves.loc[(network, "train_error"), ["low", "high"]]
        bounds = [float(value) for value in re.findall(r"\d+\.\d+", train)]
        if "<" in train:
            assert (low, high) == (0, bounds[0])
        elif len(bounds) == 2:
            assert [low, high] == bounds
        else:
            assert curves.loc[(network, "train_error"), "value"] == bounds[0]
        assert curves.loc[(network, "test_error"), "value"] == float(test)
        assert curves.loc[(network, "lowest_test_error"), "value"] == float(lowest.strip("~"))
    means = dict(re.findall(r"((?:plain|ResNet)-\d+) (\d\.\d+)", block("Approximate mean std", "First layer")))
    ours = paper.responses().query("layer != layer").set_index("network")["value"]
    assert {name.lower(): float(value) for name, value in means.items()} == ours.to_dict()
    val = block("Readings, center-crop val", "[D]")
    assert [float(x) for x in re.findall(r"\d+\.\d", val.partition(": ")[2])[:4]] == paper.readings(4)[
        "value"
    ].tolist()[4:]


@needs_notes
def test_reproductions_by_others_against_the_notes():
    text = block("| R-JSG final", "=> reproductions on 50k")
    theirs = paper.table("third-party")
    tests = cells(text)
    for row, source in zip(tests, ["jsg921019", "gcr", "akamaster", "apark263", "Lasagne"], strict=False):
        mine = theirs[theirs["source"].str.startswith(source) & (theirs["quantity"] == "test_error")]
        for depth, text_ in zip((20, 32, 44, 56, 110, 1202), row[1:7], strict=True):
            expected = [float(value) for value in re.findall(r"\d+\.\d+", text_)]
            assert mine.loc[mine["network"] == f"resnet-{depth}", "value"].tolist() == expected, (source, depth)
    jsg = theirs[theirs["source"].str.startswith("jsg") & theirs["network"].str.startswith("plain")]
    assert jsg["value"].tolist() == [float(value) for value in re.findall(r"\d+\.\d+", tests[0][7])]
    missing = numbers(text) - Counter(f"{value:.2f}" for value in theirs["value"])
    assert set(missing) <= {"7.3", "0.2", "6.56"}, "all but a number of one digit, a spread and a best of five"
    assert {7.3} <= set(theirs["value"]) and {0.2} <= set(theirs["std"])
