"""The tables beside Table 6: the paper's own, costs, ends of curves, responses, options, settings, runs."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pandas as pd
import pytest
from planted import plant

from repro import paper, report
from repro.ends import reading
from repro.groups import Group, narrow
from repro.records import Records, Source, collect, tested
from repro.records.tested import Errors
from repro.tables import beside_figures, imagenet, paper_tables, variants
from repro.tables import runs as runs_table
from repro.tables.table import Table

PAPER = Group("cifar10", "paper")
SHORT = Group("cifar10", "short")


def cells(table: Table, first: str, which: int = 0) -> dict[str, object]:
    row = [row for row in table.rows if row[0] == first][which]
    return dict(zip(table.columns, row, strict=True))


def found(path: Path) -> Records:
    return collect([Source("ours", path)])


@pytest.mark.parametrize("number", [2, 3, 4, 5, 7, 8, 9, 10, 11, 12, 13, 14])
def test_the_papers_tables_are_printed_digit_by_digit(number: int) -> None:
    table = paper_tables.table(number)
    frame = paper.table(number)
    assert len(table.rows) == len(frame)
    for row, values in zip(table.rows, frame.to_dict("records"), strict=True):
        for column, cell in zip([c for c in frame if c != "network" or number not in (3, 4)], row, strict=True):
            value = values[column]
            if isinstance(value, float):
                assert (cell == "") if math.isnan(value) else float(str(cell)) == value
            else:
                assert str(cell).lower() == str(value).lower()


def test_networks_of_tables_2_to_4_stand_beside_the_papers_errors(tmp_path: Path) -> None:
    for seed, error in enumerate((7.0, 8.0)):
        plant(tmp_path, "resnet-34", preset="table-1-short", test_end=error, seed=seed)
    plant(tmp_path, "resnet-50", preset="table-1-short", test_end=6.0)
    group = Group("cifar10", "table-1-short")
    second, third, fourth = (imagenet.table(found(tmp_path), group, number) for number in imagenet.NUMBERS)
    assert second is not None and third is not None and fourth is not None
    assert cells(second, "ResNet-34")["ours"] == "7.50 ± 0.71 (n = 2)"
    assert cells(second, "ResNet-34")["the paper on ImageNet, top-1"] == "25.03"
    assert cells(second, "plain-34")["ours"] == "not run"
    assert cells(third, "ResNet-50")["ours"] == cells(fourth, "ResNet-50")["ours"] == "6.00 (n = 1)"
    assert [row[0] for row in second.rows] == ["plain-18", "plain-34", "ResNet-18", "ResNet-34"]
    assert imagenet.table(narrow(found(tmp_path), PAPER), PAPER, 2) is None
    assert "whole" in second.notes[-1] and "middle" not in second.notes[-1]


def test_photographs_are_said_to_be_tested_on_their_middle(tmp_path: Path) -> None:
    plant(tmp_path, "resnet-34", preset="imagenette", data="imagenette")
    table = imagenet.table(found(tmp_path), Group("imagenette", "imagenette"), 2)
    assert table is not None and "Imagenette, the middle of each test photograph" in table.notes[-1]


def test_what_was_measured_of_others_weights_stands_beside_the_papers(tmp_path: Path) -> None:
    def keep(network: str, images: int, **errors: tuple[float, float]) -> None:
        by = {
            protocol: Errors(top1=top1, top5=top5, device="cpu", precision="fp32", torch="2", pillow="11")
            for protocol, (top1, top5) in errors.items()
        }
        made = tested.Tested(
            format=1, network=network, form="caffe", crop=224, weights="w.caffemodel", weights_sha256="0" * 64,
            images=images, classes=1000, fingerprint="0" * 64, errors=by,
        )  # fmt: skip
        tested.keep(tested.place_of(tmp_path, network), made)

    keep("resnet-50", 50_000, center=(1.0, 1.0), ten=(22.854, 6.706))
    keep("resnet-50", 50_000, dense=(20.1, 5.2))
    keep("resnet-34-A", 50_000, ten=(25.5, 7.9))
    keep("resnet-101", 49_999, ten=(2.0, 2.0), dense=(2.0, 2.0))
    damaged = tested.place_of(tmp_path, "resnet-18")
    damaged.parent.mkdir()
    damaged.write_text('{"format": 1}')
    found, unread = tested.tested_in(tmp_path)
    assert ["network is missing" in line for line in unread] == [True]
    columns = [f"top-{top} error (%), measured here: theirs" for top in (1, 5)]

    def beside(number: int, first: str) -> list[object]:
        return [cells(paper_tables.table(number, {"theirs": found}), first).get(column) for column in columns]

    assert beside(2, "ResNet-34") == ["25.50", None]
    assert beside(3, "ResNet-50") == ["22.85", "6.71"]
    assert beside(3, "ResNet-101") == beside(3, "VGG-16") == ["", ""]
    assert beside(4, "ResNet-50") == ["20.10", "5.20"]
    plant(tmp_path, "plain-20", preset="demo", data="digits")
    assert report.main(["--results", f"theirs={tmp_path}", "--committed", "--out", str(tmp_path / "out")]) == 0
    for number, error in ((2, "25.50"), (3, "22.85"), (4, "20.10")):
        assert error in (tmp_path / "out" / "tables" / f"table-{number}.csv").read_text(encoding="utf-8")
    assert columns[0] in (tmp_path / "out" / "REPORT.md").read_text(encoding="utf-8")
    assert any("resnet-101" in note and "49,999" in note for note in paper_tables.table(4, {"theirs": found}).notes)


def test_ends_of_curves_stand_beside_the_papers(paper_like: Records) -> None:
    table = beside_figures.curve_ends(narrow(paper_like, PAPER), PAPER)
    errors = [f"{error}: {of}" for error in ("training error", "test error") for of in ("paper", "planted")]
    assert table.columns == ["network", *errors]
    found = {row[0]: row[1:] for row in table.rows}
    assert found["plain-56"] == ("5.9", "5.90", "13.3", "13.30")
    assert found["ResNet-110"] == ("0.1", "0.10", "6.56", "6.61"), "ours is a mean of five"
    assert found["ResNet-44"][0] == "< 0.2"
    assert found["plain-110"][0] == "> 60"
    assert reading("resnet-26", "test_error")[0] == "", "a net that the paper did not draw"


def test_a_curve_that_ends_early_is_marked(tmp_path: Path) -> None:
    plant(tmp_path, "plain-20", status="stopped", iteration=3000)
    table = beside_figures.curve_ends(found(tmp_path), SHORT)
    assert str(cells(table, "plain-20")["training error: ours"]).endswith(" (at 3,000)")
    assert any("stopped at iteration 3,000 of 8,000" in note for note in table.notes)
    assert any("not comparable" in note for note in table.notes)


def test_mean_responses_beside_the_papers_readings(tmp_path: Path) -> None:
    plant(tmp_path, "resnet-20", seed=0, responses=[1.0] * 19, responses_training=0.5)
    plant(tmp_path, "resnet-20", seed=1, responses=[1.0] * 18 + [20.0])  # a mean over layers, no median
    plant(tmp_path, "plain-20", responses=[2.0] * 19)
    table = beside_figures.mean_responses(found(tmp_path), SHORT)
    assert table.columns == ["network", "paper", "ours, evaluation mode", "ours, training mode"]
    assert tuple(cells(table, "ResNet-20").values())[1:] == ("1.6 †", "1.50 ± 0.71 (n = 2)", "0.50 (n = 1)")
    assert cells(table, "plain-20")["ours, training mode"] == "not measured"
    assert tuple(cells(table, "ResNet-110").values())[1:] == ("1.0 †", "not run", "not run")


def test_shortcut_options_by_depth(tmp_path: Path) -> None:
    assert variants.shortcuts(found(tmp_path), SHORT) is None
    for network, error in (("plain-20", 18.0), ("resnet-20", 17.0), ("resnet-20-C", 16.0)):
        plant(tmp_path, network, test_end=error)
    table = variants.shortcuts(found(tmp_path), SHORT)
    (row,) = table.rows
    assert row == ("20 layers", "ours", "18.00 (n = 1)", "17.00 (n = 1)", "not run", "16.00 (n = 1)")
    assert "none 28.54, A 25.03, B 24.52, C 24.19" in table.notes[0]


def test_what_a_setting_moves(tmp_path: Path) -> None:
    def made() -> Table:
        return variants.settings(found(tmp_path), SHORT, lambda run: "in words")

    plant(tmp_path, "resnet-20", test_end=17.0)
    assert made() is None
    plant(tmp_path, "resnet-20", test_end=60.0, settings={"optimiser.nesterov": True})
    plant(tmp_path, "resnet-20", settings={"schedule.warm_up": "on"}, status="diverged")
    table = made()
    moved, lost = (dict(zip(table.columns, row, strict=True)) for row in table.rows)
    assert (moved["changed"], moved["usual"], moved["verdict"]) == ("60.00 (n = 1)", "17.00 (n = 1)", "higher")
    assert str(moved["difference"]).startswith("+43.00 (+")
    assert (lost["changed"], lost["verdict"]) == ("", "diverged")
    plant(tmp_path, "resnet-20", seed=1, settings={"optimiser.nesterov": True}, status="diverged")
    assert cells(made(), "ResNet-20", 0)["verdict"] == "higher; 1 diverged"


def test_a_setting_is_not_judged_by_runs_that_differ_in_another(tmp_path: Path) -> None:
    plant(tmp_path, "resnet-20", test_end=17.0)
    path = plant(tmp_path, "resnet-20", test_end=60.0, settings={"optimiser.nesterov": True}) / "run.json"
    record = json.loads(path.read_text(encoding="utf-8"))
    record["spec"]["schedule"]["lr"] = 0.3
    path.write_text(json.dumps(record), encoding="utf-8")
    row = cells(variants.settings(found(tmp_path), SHORT, lambda run: "in words"), "ResNet-20")
    assert row["verdict"].startswith("not comparable: ") and "schedule.lr" in row["verdict"] and row["difference"] == ""


def test_ends_are_the_last_points_and_not_the_best(tmp_path: Path) -> None:
    path = plant(tmp_path, "plain-20", train_end=16.0, test_end=18.0) / "curve.csv"
    curve = pd.read_csv(path, dtype=str)
    curve.loc[curve["iteration"] == "4000", ["train_error", "test_error"]] = "5.0"
    curve.to_csv(path, index=False)
    (row,) = (row for row in beside_figures.curve_ends(found(tmp_path), SHORT).rows if row[0] == "plain-20")
    assert row[4] == "18.00"


def test_computing_time_is_time_by_threads_and_ranks_or_by_cards(tmp_path: Path) -> None:
    plant(tmp_path, "plain-20", extra={"seconds": 3600.0, "numerics": {"device": "cpu", "threads": 2}})
    plant(
        tmp_path, "plain-32", status="stopped", extra={"seconds": 1800.0, "numerics": {"device": "cpu", "threads": 4}}
    )
    cards = {"device": "cuda", "threads": 8, "ranks": 4}
    plant(tmp_path, "plain-20", preset="paper", extra={"seconds": 900.0, "numerics": cards})
    plant(tmp_path, "plain-56", status="foreign", extra={"seconds": 9000.0})
    gone = pd.DataFrame([["ours", "digits", "demo", 3, 1.5, "a fault"]])
    gone.columns = pd.Index(["source", "data", "preset", "runs", "core_hours", "why"])
    table = runs_table.compute(found(tmp_path).runs, gone)
    assert {row[1:3]: row[3:] for row in table.rows} == {
        ("CIFAR-10 · preset short", "2 runs, 1 of them not complete"): ("4.00", "0.00"),
        ("CIFAR-10 · preset paper", "1 run"): ("0.00", "1.00"),
        ("8×8 digits · preset demo", "3 discarded runs: a fault"): ("1.50", "0.00"),
        ("", ""): ("5.50", "1.00"),
    }
