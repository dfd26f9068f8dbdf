"""Files that another program has open, as Windows treats them."""

import pytest

from repro import disk
from repro.errors import RecordError


@pytest.fixture
def held(monkeypatch, tmp_path):
    """A file that cannot be replaced so many times; gives the file and how often it was tried."""

    def hold(times, windows=True):
        tried = []
        replace = disk.Path.replace

        def refuse(self, target):
            tried.append(target)
            if len(tried) <= times:
                raise PermissionError(13, "The process cannot access the file")
            return replace(self, target)

        monkeypatch.setattr(disk.Path, "replace", refuse)
        monkeypatch.setattr(disk, "WINDOWS", windows)
        monkeypatch.setattr(disk.time, "sleep", lambda _: None)
        (tmp_path / "curve.csv").write_text("before")
        return tmp_path / "curve.csv", tried

    return hold


def test_it_is_tried_again_until_the_file_is_free(held):
    path, tried = held(3)
    disk.write_text(path, "after")
    assert path.read_text() == "after"
    assert len(tried) == 4


def test_a_file_that_stays_open_is_named_and_left_whole(held):
    path, tried = held(10_000)
    with pytest.raises(RecordError, match="another program has it open") as caught:
        disk.write_text(path, "after")
    assert str(path) in str(caught.value)
    assert len(tried) > 3
    assert path.read_text() == "before"
    assert list(path.parent.iterdir()) == [path]


def test_elsewhere_a_refusal_is_final(held):
    path, tried = held(1, windows=False)
    with pytest.raises(PermissionError):
        disk.write_text(path, "after")
    assert len(tried) == 1
