"""The report's folder: whole or not at all, and nobody else's files are harmed."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from filelock import FileLock

from repro.site.output import MARKER, OutputError, replaced


def write(out: Path, **files: str) -> None:
    with replaced(out) as folder:
        for name, text in files.items():
            (folder / name).write_text(text)


def contents(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): path.read_text()
        for path in folder.rglob("*")
        if path.is_file() and path.name != MARKER and path.suffix != ".lock"
    }


def siblings(out: Path) -> list[str]:
    return sorted(path.name for path in out.parent.iterdir() if not path.name.endswith(".lock"))


def test_a_report_replaces_the_one_before_whole_or_not_at_all(tmp_path: Path) -> None:
    out = tmp_path / "deep" / "out"
    out.mkdir(parents=True)
    (out / ".gitkeep").touch()
    write(out, a="1", b="1")
    write(out, b="2")
    with pytest.raises(RuntimeError), replaced(out) as folder:
        (folder / "b").write_text("half")
        raise RuntimeError
    assert contents(out) == {"b": "2", ".gitkeep": ""}
    assert siblings(out) == ["out"]


def test_files_of_others_are_kept_wherever_they_are(tmp_path: Path) -> None:
    out = tmp_path / "out"
    with replaced(out) as folder:
        (folder / "figures").mkdir()
        (folder / "figures" / "ours.svg").write_text("1")
    (out / "notes.txt").write_text("mine")
    (out / "figures" / "mine.txt").write_text("mine")
    write(out / "local", index="nested report")
    (out / "b").write_text("mine, with the name of a new one")
    write(out, b="2")
    kept = {"notes.txt": "mine", "figures/mine.txt": "mine", "local/index": "nested report"}
    assert contents(out) == {"b": "2", "b~": "mine, with the name of a new one", **kept}


@pytest.mark.parametrize("renamed", [0, 1, 2])
def test_killed_at_any_renaming_nothing_is_lost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, renamed: int) -> None:
    out, rename, done = tmp_path / "out", Path.rename, []
    write(out, a="1")
    (out / "mine").write_text("mine")

    def killed(path: Path, target: Path) -> Path:
        done.append(path)
        if len(done) > renamed:
            os._exit(9)
        return rename(path, target)

    if not (child := os.fork()):
        try:
            monkeypatch.setattr(Path, "rename", killed)
            write(out, a="2")
        finally:
            os._exit(9)
    assert os.waitpid(child, 0)[1] >> 8 == 9
    with pytest.raises(RuntimeError), replaced(out):
        raise RuntimeError
    assert contents(out) == {"a": "2" if renamed == 2 else "1", "mine": "mine"}
    assert siblings(out) == ["out"]


def test_two_processes_do_not_write_one_report(tmp_path: Path) -> None:
    lock = FileLock(tmp_path / ".out.lock")
    with lock, pytest.raises(OutputError, match="another process"):
        write(tmp_path / "out", a="1")
