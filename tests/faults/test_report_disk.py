"""A report whose disk is full or may not be written to, or whose process is killed: the one before stays whole."""

import shutil
import subprocess

import pytest
from disks import Filler, snapshot

from repro import report


def words(undisturbed, out):
    return ["--results", f"x={undisturbed}", "--out", str(out)]


def below(folder):
    """All files by their names in a folder."""
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def written(undisturbed, tmp_path_factory):
    out = tmp_path_factory.mktemp("written") / "out"
    assert report.main(words(undisturbed, out)) == 0
    return out


def room(place, megabytes):
    """Give a small disk another size."""
    subprocess.run(["mount", "-o", f"remount,size={megabytes}m", str(place)], check=True)


@pytest.mark.parametrize(("before", "pages"), [(False, 0), (True, 40)])
def test_a_full_disk(before, pages, undisturbed, written, small_disk, capsys):
    """From no room at all to nearly enough."""
    room(small_disk, 40)
    out, filler = small_disk / "out", Filler(small_disk)
    if before:
        shutil.copytree(written, out)
        (out / "index.html").write_text("the report before")
    old = snapshot(small_disk)
    filler.fill(leave=pages * 4096)
    assert report.main(words(undisturbed, out)) == 1
    err = capsys.readouterr().err
    assert err == f"repro.report: {out}: the report cannot be written: No space left on device\n"
    filler.make_room()
    assert snapshot(small_disk) == old
    assert report.main(words(undisturbed, out)) == 0
    assert below(out) == below(written)
    assert sorted(path.name for path in small_disk.iterdir()) == [".out.lock", "out"]


def test_results_may_be_read_only_and_the_reports_place_may_not(undisturbed, written, tmp_path, read_only, capsys):
    place = tmp_path / "place"
    shutil.copytree(written, place / "out")
    old = snapshot(place)
    read_only(place)
    assert report.main(words(undisturbed, place / "out")) == 1
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert "Read-only file system" in err or "Permission denied" in err
    assert snapshot(place) == old
    read_only.undo()
    read_only(undisturbed)
    assert report.main(words(undisturbed, place / "out")) == 0
    assert below(place / "out") == below(written)
