"""What is committed under reports/ is what results/reference/ gives: nobody has to take a number on trust."""

from pathlib import Path

import pytest

from repro import report

ROOT = Path(__file__).resolve().parents[1]


def texts(folder):
    """What is read as text, but for pictures, which differ between versions of matplotlib: path and content."""
    kept = [folder / "REPORT.md", folder / "claims.json", *(folder / "tables").rglob("*.*")]
    return {path.relative_to(folder).as_posix(): path.read_text(encoding="utf-8") for path in kept}


@pytest.mark.slow
def test_the_committed_report_is_that_of_the_committed_records(tmp_path):
    out = tmp_path / "reports"
    assert report.main(["--results", str(ROOT / "results" / "reference"), "--out", str(out)]) == 0
    expected, found = texts(ROOT / "reports"), texts(out)
    assert found.keys() == expected.keys()
    assert [path for path in expected if found[path] != expected[path]] == []
    assert len(expected) > 50
