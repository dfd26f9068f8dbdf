"""Reading results folders: copies counted once, conflicts found, nothing stopped by what is odd."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from planted import plant

from repro.errors import RecordError
from repro.groups import narrow
from repro.records import Source
from repro.site.load import against_reference, load


def test_a_copy_of_a_run_is_counted_once_and_told(tmp_path: Path) -> None:
    folder = plant(tmp_path, "plain-20")
    shutil.copytree(folder, tmp_path / "a-backup" / "seed-0")
    gathered = load([Source("ours", tmp_path)])
    assert list(gathered.records.runs["folder"]) == ["cifar10/short/plain-20/seed-0"], "the one in its own place"
    assert gathered.records.curves["folder"].nunique() == 1
    (said,) = gathered.troubles["copied"]
    assert said.startswith("ours: a-backup/seed-0: ")


def test_other_bits_of_equal_runs_are_a_conflict_with_the_iteration(tmp_path: Path) -> None:
    for name in ("a", "b"):
        folder = plant(tmp_path / name, "plain-20", test_end=9.0)
    assert load([Source(name, tmp_path / name) for name in ("a", "b")]).troubles["in conflict"] == []
    lines = (folder / "curve.csv").read_text().splitlines()
    cells = lines[10].split(",")
    cells[4] = "33.0"
    (folder / "curve.csv").write_text("\n".join([*lines[:10], ",".join(cells), *lines[11:]]) + "\n")
    (said,) = load([Source(name, tmp_path / name) for name in ("a", "b")]).troubles["in conflict"]
    assert "a: cifar10/short/plain-20/seed-0 and b: cifar10/short/plain-20/seed-0" in said
    assert "from iteration 1,000 on" in said


def changed(folder: Path, **parts: Any) -> None:
    """Other values in a planted record."""
    record = json.loads((folder / "run.json").read_text())
    for part, values in parts.items():
        record[part] = record[part] | values if isinstance(values, dict) else values
    (folder / "run.json").write_text(json.dumps(record))


def on_gpu(processor: str) -> dict[str, object]:
    environment = {"device": "One", "cudnn": "91900", "driver": "580.1", "processor": processor}
    return {"numerics": {"device": "cuda"}, "environment": environment}


NOTHING = "nothing that is recorded says why"


@pytest.mark.parametrize(
    ("theirs", "mine", "why"),
    [
        ({}, {}, NOTHING),
        ({}, {"numerics": {"threads": 3}}, "threads 3, the reference's 2"),
        ({}, {"environment": {"processor": "another"}}, "processor another, the reference's planted"),
        ({}, {"data": {"fingerprint": "another"}}, "images another"),
        # On a GPU its libraries decide and not the processor.
        (on_gpu("a"), on_gpu("b"), NOTHING),
        ({}, {"sessions": [{}, {"from": 100, "instructions": "avx2"}]}, "its own training moved to another machine"),
    ],
)
def test_other_bits_are_a_conflict_where_nothing_says_why(
    theirs: dict[str, Any], mine: dict[str, Any], why: str, tmp_path: Path
) -> None:
    changed(plant(tmp_path / "reference", "plain-20", test_end=9.0), **theirs)
    changed(plant(tmp_path / "mine", "plain-20", test_end=9.5), **mine)
    gathered = load([Source(name, tmp_path / name) for name in ("reference", "mine")])
    assert bool(gathered.troubles["in conflict"]) == (why == NOTHING)
    (folder,) = narrow(gathered.records, source="mine").runs["folder"]
    said = against_reference(gathered.records, "mine", folder)
    assert said.startswith("other than the reference's, in curves from iteration ") and why in said


def test_a_run_so_far_is_compared_as_far_as_it_has_come(tmp_path: Path) -> None:
    whole = plant(tmp_path / "reference", "plain-20", test_end=9.0)
    part = plant(tmp_path / "mine", "plain-20", status="stopped", iteration=4000)
    lines = (whole / "curve.csv").read_text().splitlines()
    (part / "curve.csv").write_text("\n".join(lines[: 1 + 4000 // 100]) + "\n")
    records = load([Source(name, tmp_path / name) for name in ("reference", "mine")]).records
    assert against_reference(records, "mine", "cifar10/short/plain-20/seed-0") == (
        "the same as the reference's, as far as it has come"
    )
    assert against_reference(records, "reference", "cifar10/short/plain-20/seed-0") == ""


ATTESTATION = {
    "format": 1, "date": "2026-01-02", "by": "A. Nother", "data": "digits", "preset": "demo",
    "environment": {"processor": "One", "torch": "2.6.0"},
    "repeats": [{"network": "plain-20", "seed": 0, "verdict": "differs", "why": "test error", "outputs": []}],
}  # fmt: skip


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({}, ""),
        ({"format": 2}, "format"),
        ({"repeats": [{"network": "plain-20"}]}, "missing"),
        ({"date": 3}, "date is 3: a text is needed"),
    ],
)
def test_attestations_are_read_and_damaged_ones_told(change: dict[str, object], said: str, tmp_path: Path) -> None:
    plant(tmp_path / "mine", "plain-20")
    folder = tmp_path / "attestations"
    folder.mkdir()
    (folder / "one.json").write_text(json.dumps(ATTESTATION | change))
    gathered = load([Source("mine", tmp_path / "mine")], attestations=folder)
    assert len(gathered.attestations) == (not said)
    assert [said in line for line in gathered.troubles["unreadable"]] == ([True] if said else [])


def test_discarded_runs_are_read_by_source(tmp_path: Path) -> None:
    plant(tmp_path / "mine", "plain-20")
    path = tmp_path / "mine" / "discarded.csv"
    path.write_text("data,preset,runs,core_hours,why\ndigits,demo,3,1.5,a fault\n")
    (row,) = load([Source("mine", tmp_path / "mine")]).discarded.to_dict("records")
    assert (row["source"], row["runs"], row["core_hours"]) == ("mine", 3, 1.5)
    path.write_text("data,preset\ndigits,demo\n")
    with pytest.raises(RecordError, match=r"discarded\.csv: cannot be read as a table of discarded runs"):
        load([Source("mine", tmp_path / "mine")])


def test_a_preset_that_only_a_stranger_has_can_be_asked_for(tmp_path: Path) -> None:
    plant(tmp_path, "plain-20", data="digits", preset="demo")
    (tmp_path / "digits/demo").rename(tmp_path / "digits/tiny")
    record = tmp_path / "digits/tiny/plain-20/seed-0/run.json"
    record.write_text(record.read_text(encoding="utf-8").replace('"demo"', '"tiny"'), encoding="utf-8")
    plant(tmp_path, "plain-20", data="digits", preset="demo")
    records = load([Source("theirs", tmp_path)], ["tiny"]).records
    assert [set(table["preset"]) for table in (records.runs, records.curves)] == [{"tiny"}, {"tiny"}]
