"""Files as Windows treats them: open in another program, and with line ends of its own."""

import pytest
from planted import plant

from repro import disk
from repro.errors import RecordError
from repro.records import RunFolder, Source, collect, read_record


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
    assert (path.read_text(), len(tried)) == ("after", 4)


@pytest.mark.parametrize(
    ("windows", "error", "tries"), [(True, RecordError, disk.TRIES + 1), (False, PermissionError, 1)]
)
def test_a_file_that_stays_open_is_named_and_left_whole(held, windows, error, tries):
    path, tried = held(10_000, windows)
    with pytest.raises(error, match="another program has it open" if windows else "cannot access"):
        disk.write_text(path, "after")
    assert (path.read_text(), len(tried)) == ("before", tries)
    assert list(path.parent.iterdir()) == [path]


def test_a_record_has_the_bytes_that_its_seal_was_made_of(tmp_path, monkeypatch):
    def write_text(self, text, encoding=None, errors=None, newline=None):
        """Where nobody asks for other line ends."""
        return self.write_bytes(text.replace("\n", newline or "\r\n").encode(encoding))

    record = read_record(plant(tmp_path, "plain-20") / "run.json")
    folder = RunFolder(tmp_path, record.spec)
    monkeypatch.setattr(disk.Path, "write_text", write_text)
    folder.write(record.to_dict())
    assert collect([Source("ours", tmp_path)]).damaged == ()
    assert folder.put_back(folder.tables()) == []
