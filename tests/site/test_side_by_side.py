"""Networks side by side: what `--compare` shows, and the figure of networks that no other figure has."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest
from planted import plant
from test_report import Page

from repro import report
from repro.errors import UserError
from repro.figures import side_by_side as figures
from repro.figures.drawing import Drawing, colour_of
from repro.groups import Group, Trained, kept, narrow
from repro.records import Records, Source, collect
from repro.site.side_by_side import named
from repro.tables import side_by_side as tables

DEMO = {"data": "digits", "preset": "demo"}
OURS, VARIANT = Trained("local", "resnet-26"), Trained("local", "resnet-20", "optimiser.nesterov=true")
THEIRS = Trained("reference", "resnet-20")


@pytest.fixture
def places(tmp_path: Path) -> list[Source]:
    """Two seeds of a network of one's own, a variant, and the reference; the reference on other images as well."""
    local, reference = (tmp_path / name for name in ("local", "reference"))
    for seed, error in enumerate((6.0, 7.0)):
        plant(local, "resnet-26", **DEMO, seed=seed, train_end=2.0, test_end=error)
    plant(local, "resnet-20", **DEMO, train_end=3.0, test_end=9.0, settings={"optimiser.nesterov": True})
    for seed, error in enumerate((10.0, 12.0)):
        plant(reference, "resnet-20", **DEMO, seed=seed, train_end=3.0, test_end=error)
    plant(reference, "resnet-20", train_end=3.0, test_end=9.0)
    return [Source("local", local), Source("reference", reference)]


@pytest.fixture
def records(places: list[Source]) -> Records:
    return collect(places)


def drawn(records: Records, *chosen: Trained) -> Drawing:
    labels = {trained: trained.name for trained in chosen}
    found = figures.draw("compared", "Compared", narrow(records, Group("digits", "demo")), labels)
    assert found is not None
    return found


def test_curves_of_several_sources_share_one_axis_each_with_a_colour_and_a_marker_of_its_own(records: Records) -> None:
    drawing = drawn(records, OURS, VARIANT, THEIRS)
    (axis,) = drawing.axes
    ends = {(part.label, part.said): part.points[-1][1] for part in drawing.parts if part.said}
    test = {label: end for (label, said), end in ends.items() if said == "test error"}
    assert test == {OURS.name: 6.5, VARIANT.name: 9.0, THEIRS.name: 11.0}, "the means of their seeds"
    assert ends[THEIRS.name, "training error"] < 4
    assert len({(drawing.palette[label], drawing.markers[label]) for label in test}) == 3
    for part in drawing.parts:
        (line,) = (line for line in axis.get_lines() if line.get_gid() == part.gid)
        assert line.get_color() == drawing.palette[part.label]
        assert not part.said or line.get_marker() == drawing.markers[part.label]
    assert "reference/resnet-20 3.00 / 11.00" in drawing.finding


def test_a_colour_is_that_of_a_depth_and_a_marker_tells_its_networks_apart(tmp_path: Path) -> None:
    names = [
        "plain-20",
        "resnet-20",
        "plain-32",
        "resnet-32",
        "plain-56",
        "resnet-110",
        *(f"resnet-{n}" for n in (26, 38)),
    ]
    for network in names:
        plant(tmp_path, network, **DEMO)
    drawing = drawn(collect([Source("local", tmp_path)]), *(Trained("local", name) for name in names))
    colours = {label.partition("/")[2]: colour for label, colour in drawing.palette.items()}
    assert colours == {name: colour_of(name) for name in names}
    assert len({(drawing.palette[label], marker) for label, marker in drawing.markers.items()}) == len(names)


def test_differences_are_to_the_last_with_their_intervals(records: Records) -> None:
    table = tables.table(narrow(records, Group("digits", "demo")), [OURS, VARIANT, THEIRS])
    cells = {row[0]: dict(zip(table.columns, row, strict=True)) for row in table.rows}
    assert list(cells) == [OURS.name, VARIANT.name, THEIRS.name] and THEIRS.name in table.title
    assert cells[OURS.name]["test error"] == "6.50 ± 0.71 (n = 2)"
    assert str(cells[OURS.name]["test error: difference"]).startswith("−4.50 (−")
    assert cells[VARIANT.name]["test error: difference"].startswith("−2.00 ("), "its setting is what is compared"
    assert cells[THEIRS.name]["test error: difference"] == ""
    assert [link.target for link in cells[THEIRS.name]["runs"]] == [
        f"runs/reference--digits--demo--resnet-20--seed-{seed}.html" for seed in (0, 1)
    ]
    assert "there are 4 here" in " ".join(table.notes)


def test_a_difference_that_rests_on_the_spread_assumed_says_so(tmp_path: Path) -> None:
    for seed, error in enumerate((40.0, 41.0, 40.5)):
        plant(tmp_path, "plain-20", **DEMO, seed=seed, test_end=error)
        plant(tmp_path, "resnet-20", **DEMO, seed=seed, test_end=error - 38)
    records = collect([Source("local", tmp_path)])
    chosen = [Trained("local", "plain-20"), Trained("local", "resnet-20")]
    told = {True: tables.table(records, chosen)}
    told[False] = tables.table(kept(records, lambda table: table["seed"] == 0), chosen)
    for three, table in told.items():
        difference = dict(zip(table.columns, table.rows[0], strict=True))["test error: difference"]
        assert str(difference).startswith("+38.0") and ("(spread assumed)" in str(difference)) == (not three)


def test_what_was_trained_on_other_images_or_has_not_ended_has_no_difference(places: list[Source]) -> None:
    plant(places[0].path, "resnet-32", **DEMO, status="stopped")
    data = {"name": "digits", "fingerprint": "0" * 16, "train_images": 1437, "test_images": 360, "source": "others"}
    plant(places[0].path, "resnet-38", **DEMO, extra={"data": data})
    early, other = Trained("local", "resnet-32"), Trained("local", "resnet-38")
    table = tables.table(narrow(collect(places), Group("digits", "demo")), [early, other, THEIRS])
    cells = {row[0]: row[1:5] for row in table.rows}
    assert cells[early.name] == ("none yet", "", "none yet", "")
    assert cells[other.name][3] == "not comparable: they differ in images"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["local/resnet-62", "reference/resnet-20"], "'local/resnet-62': did you mean 'local/resnet-26'?"),
        (["resnet-26", "reference/resnet-20"], "'resnet-26': did you mean 'local/resnet-26'?"),
        (["local/resnet-26", "local/resnet-26"], "needs two networks .* local/resnet-26 on digits, demo"),
    ],
)
def test_what_cannot_be_compared_is_told(records: Records, words: list[str], said: str) -> None:
    with pytest.raises(UserError, match=said):
        named(records, words)
    assert named(records, ["local/resnet-20+optimiser.nesterov=true", "reference/resnet-20"]) == [VARIANT, THEIRS]


def test_they_stand_first_in_a_report_that_opens_with_their_group(places: list[Source], tmp_path: Path) -> None:
    local, reference = places
    # A second group of these, and one that is nearer to the paper and has a headline judged.
    plant(local.path, "resnet-26", data="cifar10-jpeg")
    plant(reference.path, "resnet-20", data="cifar10-jpeg")
    for network in ("plain-20", "plain-56"):
        plant(local.path, network)
    words = [word for place in places for word in ("--results", f"{place.name}={place.path}")]
    out = tmp_path / "out"
    assert report.main([*words, "--out", str(out), "--compare", OURS.name, THEIRS.name]) == 0
    text = (out / "REPORT.md").read_text()
    asked = text[text.index("## Networks side by side") : text.index("## What this is about")]
    assert text.index("## ") == text.index(asked), "first of all"
    assert re.findall(r"^#### (.*)", asked, re.MULTILINE) == [
        "CIFAR-10, JPEG copy · preset short",
        "8×8 digits · preset demo",
    ]
    assert asked.count("![") == 2 and "Protocol of **reference**" in asked
    page = Page(out / "index.html")
    assert page.ids.index("side-by-side") < page.ids.index("opening") < page.ids.index("in-short")
    assert "#side-by-side" in page.addresses and len(page.ids) == len(set(page.ids))
    assert (out / "figures/digits--demo/compared.svg").is_file() and (
        out / "tables/digits--demo/compared.csv"
    ).is_file()
    others = text[text.index("### Other networks") :].partition("\n### ")[0]
    assert others.count("![") == 2 and "ResNet-26" in others and "ResNet-20" not in others


def test_networks_in_no_other_figure_are_shown_in_each_variant(records: Records, tmp_path: Path) -> None:
    plant(tmp_path / "own", "resnet-26", **DEMO, settings={"schedule.lr": 0.05})
    plant(tmp_path / "own", "resnet-26-B", **DEMO)
    plant(tmp_path / "own", "plain-56", **DEMO, settings={"schedule.lr": 0.05})
    own = collect([Source("own", tmp_path / "own")])
    drawing = figures.draw_others(own, own)
    assert drawing is not None and list(drawing.palette) == ["ResNet-26 (schedule.lr=0.05)", "ResNet-26-B"]
    none = replace(own, runs=own.runs[own.runs["network"] == "plain-56"])
    assert figures.draw_others(none, own) is None
