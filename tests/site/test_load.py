"""Reading results folders: copies counted once, conflicts found, nothing stopped by what is odd."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from planted import plant

from repro.errors import RecordError
from repro.records import Source
from repro.site.load import load


def test_a_copy_of_a_run_is_counted_once_and_told(tmp_path: Path) -> None:
    folder = plant(tmp_path, "plain-20")
    shutil.copytree(folder, tmp_path / "a-backup" / "seed-0")
    gathered = load([Source("ours", tmp_path)])
    assert list(gathered.records.runs["folder"]) == ["cifar10/short/plain-20/seed-0"], "the one in its own place"
    assert gathered.records.curves["folder"].nunique() == 1
    assert gathered.repeated == ("ours: a-backup/seed-0",)


def test_equal_runs_of_two_sources_are_no_conflict(tmp_path: Path) -> None:
    for name in ("a", "b"):
        plant(tmp_path / name, "plain-20", test_end=9.0)
    assert load([Source(name, tmp_path / name) for name in ("a", "b")]).conflicts == ()


def test_other_bits_of_equal_runs_are_a_conflict_with_the_iteration(tmp_path: Path) -> None:
    for name in ("a", "b"):
        folder = plant(tmp_path / name, "plain-20", test_end=9.0)
    lines = (folder / "curve.csv").read_text().splitlines()
    cells = lines[10].split(",")
    cells[4] = "33.0"
    (folder / "curve.csv").write_text("\n".join([*lines[:10], ",".join(cells), *lines[11:]]) + "\n")
    (said,) = load([Source(name, tmp_path / name) for name in ("a", "b")]).conflicts
    assert "a: cifar10/short/plain-20/seed-0 and b: cifar10/short/plain-20/seed-0" in said
    assert "from iteration 1,000 on" in said


@pytest.mark.parametrize(
    "extra",
    [
        {"numerics": {"device": "cpu", "precision": "fp32", "threads": 2}},
        {"numerics": {"device": "cpu", "precision": "bf16", "threads": 1}},
        {"data": {"fingerprint": "other", "train_images": 50_000, "test_images": 10_000}},
        {"environment": {"python": "3.12.0", "torch": "2.6.0", "processor": "another", "commit": "0" * 40}},
        {"environment": {"python": "3.12.0", "torch": "2.7.0", "processor": "planted", "commit": "0" * 40}},
    ],
)
def test_runs_that_may_differ_are_no_conflict(tmp_path: Path, extra: dict[str, object]) -> None:
    plant(tmp_path / "a", "plain-20", test_end=9.0)
    plant(tmp_path / "b", "plain-20", test_end=10.0, extra=extra)
    assert load([Source(name, tmp_path / name) for name in ("a", "b")]).conflicts == ()


def test_a_torn_line_is_a_remark_and_no_warning(tmp_path: Path, recwarn: pytest.WarningsRecorder) -> None:
    folder = plant(tmp_path, "plain-20")
    with (folder / "curve.csv").open("a") as file:
        file.write("8100,2")
    gathered = load([Source("ours", tmp_path)])
    assert any("torn off" in text for text in gathered.remarks)
    assert not list(recwarn)


def test_nothing_to_read_says_where_it_was_looked_for(tmp_path: Path) -> None:
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / "run.json").write_text("{")
    with pytest.raises(RecordError, match=r"no run in .*; 1 unreadable: .*run\.json"):
        load([Source("ours", tmp_path), Source("absent", tmp_path / "nowhere")])
