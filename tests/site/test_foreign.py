"""Curves of other programs, brought in."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from planted import plant

from repro.errors import UserError
from repro.records import Source, collect
from repro.records.foreign import Target, bring_in


def given(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "curves.csv"
    path.write_text(text, encoding="utf-8")
    return path


def test_epochs_and_fractions_become_iterations_and_percent(tmp_path: Path) -> None:
    path = given(tmp_path, "epoch,train_error,test_error\n1,0.6,0.55\n2,0.5,\n164,0.0071,0.0784\n")
    (said,) = bring_in(path, tmp_path / "r", Target("resnet-20"))
    assert "errors read as fractions" in said
    records = collect([Source("jsg", tmp_path / "r")])
    (run,) = records.runs.to_dict("records")
    assert (run["status"], run["network"], run["data"], run["preset"]) == ("foreign", "resnet-20", "cifar10", "paper")
    assert run["test_error"] == pytest.approx(7.84)
    assert run["train_error"] == pytest.approx(0.71)
    assert list(records.curves["iteration"]) == [391, 781, 64_062], "50,000 images in batches of 128"
    assert math.isnan(records.curves["test_error"].iloc[1])
    assert run["iterations"] == 64_062


def test_iterations_and_percent_are_taken_as_they_are(tmp_path: Path) -> None:
    path = given(tmp_path, "iteration, test_error\n64000, 8.75\n0, 90\n32000, 20\n")
    bring_in(path, tmp_path / "r", Target("resnet-20-A", seed=3))
    records = collect([Source("x", tmp_path / "r")])
    assert list(records.curves["iteration"]) == [32_000, 64_000], "in order, and without the start"
    assert list(records.curves["test_error"]) == [20.0, 8.75]
    assert list(records.runs["seed"]) == [3]


def test_one_file_may_hold_several_runs(tmp_path: Path) -> None:
    text = "network,seed,epoch,test_error\n" + "".join(
        f"{network},{seed},{epoch},{10 + seed + epoch}\n"
        for network in ("plain-20", "resnet-20")
        for seed in (0, 1)
        for epoch in (1, 2)
    )
    said = bring_in(given(tmp_path, text), tmp_path / "r", Target())
    assert len(said) == 4
    runs = collect([Source("x", tmp_path / "r")]).runs.set_index(["network", "seed"])["test_error"]
    assert runs.to_dict() == {("plain-20", 0): 12, ("plain-20", 1): 13, ("resnet-20", 0): 12, ("resnet-20", 1): 13}


def test_bringing_in_again_replaces(tmp_path: Path) -> None:
    bring_in(given(tmp_path, "iteration,test_error\n10,50\n20,40\n"), tmp_path / "r", Target("resnet-20"))
    bring_in(given(tmp_path, "iteration,test_error\n10,30\n"), tmp_path / "r", Target("resnet-20"))
    assert list(collect([Source("x", tmp_path / "r")]).curves["test_error"]) == [30.0]


def test_a_run_of_ours_is_never_replaced(tmp_path: Path) -> None:
    folder = plant(tmp_path / "r", "resnet-20", preset="paper", coarse=10)
    before = (folder / "curve.csv").read_bytes()
    with pytest.raises(UserError, match="holds a run of this program"):
        bring_in(given(tmp_path, "iteration,test_error\n10,30\n"), tmp_path / "r", Target("resnet-20"))
    assert (folder / "curve.csv").read_bytes() == before


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "line 1 has the columns (none)"),
        ("step,err\n1,2\n", "line 1 has the columns step, err"),
        ("epoch,test_error\n", "has no rows"),
        ("epoch,test_error\n1,abc\n", "line 2: test_error is 'abc'"),
        ("epoch,test_error\n1,inf\n", "line 2: test_error is 'inf'"),
        ("epoch,test_error\n1,-3\n", "line 2: test_error is '-3'"),
        ("epoch,test_error\n1,50\n2,101\n", "line 3: errors of nan and 101 %"),
        ("epoch,test_error\n1,50,7\n", "line 2 has 3 cells, not 2"),
        ("epoch,test_error\n,50\n", "line 2: its iteration is nan"),
        ("epoch,test_error\n1e300,50\n", "line 2: its iteration is"),
        ("epoch,test_error\n1,50\n1,40\n", "two rows of one run are at iteration 391"),
        ("epoch,test_error\n0,90\n", "no row beyond iteration 0"),
        ("epoch,test_error,seed\n1,50,x\n", "line 2: seed is 'x'"),
        ("epoch,test_error,network\n1,50,resnet-21\n", "did you mean 'resnet-20'"),
    ],
)
def test_what_is_wrong_is_said_with_its_line(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(UserError) as caught:
        bring_in(given(tmp_path, text), tmp_path / "r", Target("resnet-20"))
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "r").exists(), "nothing is written"


def test_files_that_are_no_text_and_unknown_targets(tmp_path: Path) -> None:
    path = given(tmp_path, "epoch,test_error\n1,50\n")
    with pytest.raises(UserError, match="which network is it"):
        bring_in(path, tmp_path / "r", Target())
    with pytest.raises(UserError, match="did you mean 'cifar10'"):
        bring_in(path, tmp_path / "r", Target("resnet-20", data="cifar-10"))
    with pytest.raises(UserError, match="did you mean 'short'"):
        bring_in(path, tmp_path / "r", Target("resnet-20", preset="shrot"))
    path.write_bytes(b"\xff\xfe\x00\x01")
    with pytest.raises(UserError, match="cannot be read"):
        bring_in(path, tmp_path / "r", Target("resnet-20"))
    with pytest.raises(UserError, match="cannot be read"):
        bring_in(tmp_path / "nowhere.csv", tmp_path / "r", Target("resnet-20"))
