"""Exhibits of several sources and groups: one scale, protocols, and what would fill the gaps."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from planted import plant

from repro.claims import Link, Verdict
from repro.claims.verdict import Lack
from repro.records import Source
from repro.site.content import Exhibit, effect
from repro.site.exhibits import Maker, paper_alone, parts
from repro.site.load import load


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("exhibits")


@pytest.fixture(scope="module")
def exhibits(root: Path) -> dict[str, Exhibit]:
    plant(root / "a", "plain-20", test_end=18.0, train_end=16.0)
    plant(root / "b", "plain-20", test_end=45.0, train_end=44.0)
    plant(root / "b", "resnet-20-B", data="digits", preset="demo")
    gathered = load([Source("a", root / "a"), Source("b", root / "b")])
    (root / "out").mkdir()
    maker = Maker(gathered, root / "out", "pages")
    found = (*parts(maker), paper_alone(maker))
    return {exhibit.anchor: exhibit for part in found for exhibit in part.exhibits}


def test_sources_of_a_group_share_one_scale(exhibits: dict[str, Exhibit]) -> None:
    (block,) = exhibits["figure-1"].blocks
    assert [picture.source for picture in block.pictures] == ["a", "b"]
    assert {axis.get_ylim() for picture in block.pictures for axis in picture.drawing.axes} == {(0.0, 60.0)}


def test_the_panels_of_figure_6_can_be_had_one_by_one(exhibits: dict[str, Exhibit]) -> None:
    (picture, _) = exhibits["figure-6"].blocks[0].pictures
    assert {file.target.split("/")[-1] for file in picture.files if file.form.endswith("(PNG)")} == {
        "figure-6-plain-nets.png"
    }, "the other panels have no runs"


def test_groups_without_runs_of_an_exhibit_say_what_would_fill_it(exhibits: dict[str, Exhibit]) -> None:
    ((block, command),) = exhibits["figure-1"].missing
    assert block.key == "digits--demo"
    assert command == "python -m repro.run degradation --preset demo"
    assert [command for _, command in exhibits["figure-7"].missing] == [
        "python -m repro.run responses --preset short --data-dir DIR",
        "python -m repro.run responses --preset demo",
    ]


def test_each_comparison_has_its_protocol(exhibits: dict[str, Exhibit]) -> None:
    for anchor in ("figure-1", "figure-6", "table-6"):
        block = exhibits[anchor].blocks[0]
        assert [item.source for item in block.protocols] == ["a", "b"], anchor
        assert "8,000 iterations of training in place of 64,000" in block.protocols[0].deviations
        assert dict(block.protocols[0].made_with)["precision"] == "bf16"


def test_shortcut_options_are_shown_where_they_were_run(exhibits: dict[str, Exhibit]) -> None:
    (block,) = exhibits["shortcuts"].blocks
    assert block.key == "digits--demo"
    assert [table.table.name for table in block.tables] == ["shortcuts"]
    (protocol,) = block.protocols
    made = dict(protocol.made_with)
    assert protocol.source == "b" and made["precision"] == "bf16"
    assert [lacking.key for lacking, _ in exhibits["shortcuts"].missing] == ["cifar10--short"]


def test_the_protocol_of_the_options_is_that_of_all_nets_that_they_are_set_against(tmp_path: Path) -> None:
    plant(tmp_path / "a", "resnet-20-B")
    numerics = {"device": "cpu", "precision": "fp32", "threads": 1}
    plant(tmp_path / "a", "plain-20", extra={"numerics": numerics})
    plant(tmp_path / "a", "plain-56", extra={"numerics": {**numerics, "precision": "fp16"}})
    (tmp_path / "out").mkdir()
    found = parts(Maker(load([Source("a", tmp_path / "a")]), tmp_path / "out", "committed"))
    (options,) = (exhibit for part in found for exhibit in part.exhibits if exhibit.anchor == "shortcuts")
    made = dict(options.blocks[0].protocols[0].made_with)
    assert sorted(made["precision"].split("; ")) == ["bf16", "fp32"], "56 layers are not in the table"


def test_settings_that_nobody_changed_say_how_to(exhibits: dict[str, Exhibit]) -> None:
    assert not exhibits["settings"].blocks
    commands = {block.key: command for block, command in exhibits["settings"].missing}
    assert list(commands) == ["cifar10--short", "digits--demo"]
    assert commands["digits--demo"] == (
        "python -m repro.run ambiguities --preset demo && python -m repro.run longer --preset demo && "
        "python -m repro.run warm-up --preset demo"
    )


def test_files_are_where_downloads_lead(exhibits: dict[str, Exhibit], root: Path) -> None:
    out = root / "out"
    files = [
        file.target
        for exhibit in exhibits.values()
        for block in (exhibit, *exhibit.blocks)
        for item in (*block.pictures, *block.tables)
        for file in item.files
    ]
    assert len(files) > 60
    assert sorted(files) == sorted(path.relative_to(out).as_posix() for path in out.rglob("*.*"))


def verdict_on(*links: Link, turns: Link) -> Verdict:
    texts = dict.fromkeys(
        ("id", "section", "statement", "paper", "form", "caveats", "note", "evidence", "source", "data"), ""
    )
    return Verdict(
        **texts,
        preset="",
        verdict=turns.verdict,
        effect=turns.effect,
        interval=turns.interval,
        unit="percentage points",
        n=9,
        runs=tuple(str(number) for number in range(9)),
        links=links,
        command=None,
    )


def test_the_number_behind_a_chain_is_told_with_the_comparison_that_it_is_of() -> None:
    weak = Link("a > b in error", "too close to call", "", -0.5, (-2.0, 1.0), ("1", "2", "3"))
    strong = Link("b > c in error", "holds", "", 4.0, (3.0, 5.0), ("3",))
    missing = Link("c > d in error", "not run", "", lacks=(Lack("no run of", "c"), Lack("no run of", "d")))
    course = Link("b > c all along", "holds", "")
    number = "+4.00 points, 95 % interval +3.00 to +5.00, 1 run"
    assert effect(verdict_on(strong, course, turns=strong)) == number
    assert effect(verdict_on(strong, missing, turns=strong)) == f"Of b > c in error alone: {number}"
    assert effect(verdict_on(missing, strong, turns=missing)) == "No run of c or d."
    assert effect(verdict_on(replace(strong, assumed=True), turns=strong)).endswith(
        "1 run, with an assumed spread over seeds"
    )
    chain = effect(verdict_on(strong, weak, turns=weak))
    assert chain == "It turns on a > b in error: −0.50 points, 95 % interval −2.00 to +1.00, 3 runs"
