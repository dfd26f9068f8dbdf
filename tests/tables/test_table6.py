"""Table 6 on planted records: the paper's numbers, means over seeds, differences and their verdicts."""

from __future__ import annotations

import math
import re
from pathlib import Path

import pandas as pd
import pytest
from planted import plant
from scipy import stats

from repro.groups import Group, narrow
from repro.records import Records, Source, collect
from repro.tables import table6
from repro.tables.table import Table
from repro.tables.table6 import Row

PAPER = Group("cifar10", "paper")
SHORT = Group("cifar10", "short")


def made(records: Records, group: Group) -> Table:
    return table6.table(narrow(records, group), group)


def cells(table: Table, network: str) -> dict[str, object]:
    (row,) = [row for row in table.rows if row[0] == network]
    return dict(zip(table.columns, row, strict=True))


def test_the_papers_numbers_are_as_it_prints_them(paper_like: Records) -> None:
    table = made(paper_like, PAPER)
    assert cells(table, "ResNet-110")["paper"] == "6.43 (6.61 ± 0.16)"
    assert (cells(table, "ResNet-1202")["paper"], cells(table, "ResNet-1202")["parameters"]) == ("7.93", "19.4M")
    assert cells(table, "FitNet, 19 layers")["paper"] == "8.39"
    assert cells(table, "plain-20")["parameters"] == "0.27M", "counted: the paper prints none"
    assert cells(table, "plain-56")["paper"] == "13.3 †", "a reading of Figure 6, marked as such"
    others = str(cells(table, "ResNet-20")["others"])
    assert re.fullmatch(r"7\.84–8\.29 \(4\)", others), "a range, and how many"


def test_five_seeds_are_reported_as_the_paper_does(paper_like: Records) -> None:
    row = cells(made(paper_like, PAPER), "ResNet-110")
    assert row["planted"] == "6.43 (6.61 ± 0.16, n = 5)"
    assert str(row["planted − paper"]).startswith("0.00 (−0.")
    assert row["verdict"] == "no difference shown"
    assert [link.text for link in row["runs"]] == list("01234")


def test_equal_numbers_show_no_difference_and_others_are_higher_or_lower(tmp_path: Path) -> None:
    for network, error in (("resnet-20", 8.75), ("resnet-56", 9.5), ("resnet-32", 5.0)):
        plant(tmp_path, network, preset="paper", test_end=error)
    table = made(collect([Source("ours", tmp_path)]), PAPER)
    assert cells(table, "ResNet-20")["verdict"] == "no difference shown"
    assert cells(table, "ResNet-56")["verdict"] == "higher"
    assert cells(table, "ResNet-32")["verdict"] == "lower"
    assert str(cells(table, "ResNet-32")["ours − paper"]).startswith("−2.51 (")
    assert cells(table, "ResNet-44")["verdict"] == "not run"
    assert cells(table, "NIN")["verdict"] == ""


@pytest.mark.parametrize(
    ("data", "preset", "why"),
    [("cifar10", "short", "other schedule: not comparable"), ("cifar10-jpeg", "paper", "other data: not comparable")],
)
def test_other_data_and_schedules_are_not_judged(tmp_path: Path, data: str, preset: str, why: str) -> None:
    plant(tmp_path, "resnet-20", data=data, preset=preset, test_end=8.75)
    table = made(collect([Source("ours", tmp_path)]), Group(data, preset))
    assert cells(table, "ResNet-20")["verdict"] == why
    assert not any("− paper" in column for column in table.columns)


def test_a_foreign_curve_that_ends_early_is_not_judged(tmp_path: Path) -> None:
    for network, iteration in (("resnet-20", 40_000), ("resnet-32", 63_000)):
        plant(tmp_path, network, preset="paper", status="foreign", iteration=iteration, test_end=17.0)
    table = made(collect([Source("ours", tmp_path)]), PAPER)
    early, whole = (cells(table, network) for network in ("ResNet-20", "ResNet-32"))
    assert (early["ours − paper"], early["verdict"]) == ("", "ends at 40,000: not comparable")
    assert early["ours"] == whole["ours"] == "17.00 (n = 1 foreign)" and whole["verdict"] == "higher"


def test_incomplete_runs_and_variants_stay_out_and_are_named(tmp_path: Path) -> None:
    plant(tmp_path, "resnet-20", seed=0, test_end=10.0)
    plant(tmp_path, "resnet-20", seed=1, status="stopped")
    plant(tmp_path, "resnet-20", seed=2, status="diverged")
    plant(tmp_path, "resnet-20", seed=3, test_end=20.0, settings={"optimiser.nesterov": True})
    table = made(collect([Source("ours", tmp_path)]), SHORT)
    assert cells(table, "ResNet-20")["ours"] == "10.00 (n = 1)"
    plant(tmp_path, "resnet-110", status="stopped", iteration=200)
    begun = cells(made(collect([Source("ours", tmp_path)]), SHORT), "ResNet-110")
    assert (begun["ours"], begun["verdict"]) == ("", "stopped at 200 of 8,000")
    assert any("seed 1 (stopped), ResNet-20 seed 2 (diverged)" in note for note in table.notes)


@pytest.mark.parametrize(
    ("ours", "printed"),
    [
        ((6.61,), Row("", "", "", "", 7.0)),
        ((6.4, 6.6, 6.8), Row("", "", "", "", 6.61, runs=5)),
        ((9.9, 10.1), Row("", "", "", "", 9.7, reading=0.1)),
    ],
)
def test_the_uncertainty_by_hand(ours: tuple[float, ...], printed: Row) -> None:
    """|mean - x| <= t sqrt(s^2 (1/m + 1/n) + r^2 / 3): s is 100 sqrt(e / 2N), and t has 8 degrees of freedom."""
    found = table6.against(pd.DataFrame({"test_error": ours}), printed)
    variance = 100**2 * (printed.mean / 100) / (2 * 10_000)
    total = variance * (1 / printed.runs + 1 / len(ours)) + printed.reading**2 / 3
    assert found.effect == pytest.approx(sum(ours) / len(ours) - printed.mean)
    half = stats.t.ppf(0.975, 8) * math.sqrt(total)
    assert found.interval() == pytest.approx((found.effect - half, found.effect + half), rel=1e-9)
