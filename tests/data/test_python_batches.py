"""The published batches of CIFAR-10: what is damaged is refused, and nothing but the published bytes is unpickled."""

from __future__ import annotations

import pickle
import tarfile
import warnings
from pathlib import Path

import numpy as np
import pytest
from small_cifar import BATCHES, archive, batch, publish, shrink, write_archive, write_batches
from torchvision.datasets import CIFAR10

from repro.data import load, python_batches
from repro.errors import DataError


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    shrink(monkeypatch)
    publish(monkeypatch)


def refused(folder: Path) -> str:
    with pytest.raises(DataError) as caught:
        load("cifar10", folder)
    assert "\n" not in str(caught.value)
    return str(caught.value)


class Bait:
    """Creates a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple:
        return Path.touch, (self.path,)


@pytest.mark.parametrize("published", ["small", "real"])
@pytest.mark.parametrize("form", ["folder", "archive"])
def test_only_published_bytes_are_unpickled(
    form: str, published: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    caught = tmp_path / "unpickled"
    bait = pickle.dumps(Bait(caught))
    pickle.loads(bait)
    assert caught.exists()  # the bait works
    caught.unlink()
    if published == "real":
        monkeypatch.undo()
    monkeypatch.setattr("small_cifar.batch", lambda name: bait)
    if form == "folder":
        where = str(write_batches(tmp_path / "data") / "data_batch_1")
    else:
        where = f"{write_archive(tmp_path / 'data')}: data_batch_1"
    assert f"{where}: is not the published file (its MD5 is " in refused(tmp_path / "data")
    assert not caught.exists()


def test_a_truncated_batch(tmp_path: Path) -> None:
    place = write_batches(tmp_path)
    (place / "data_batch_4").write_bytes(batch("data_batch_4")[:-1])
    message = refused(tmp_path)
    assert f"{place / 'data_batch_4'}: is not the published file" in message
    assert "unpack cifar-10-python.tar.gz again" in message


@pytest.mark.parametrize("name", BATCHES)
def test_a_missing_batch(name: str, tmp_path: Path) -> None:
    place = write_batches(tmp_path)
    (place / name).unlink()
    assert f"{place}: {name} is missing: unpack" in refused(tmp_path)


def test_batches_that_may_not_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = write_batches(tmp_path)

    def denied(path: Path) -> bytes:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "read_bytes", denied)
    assert f"{place / 'data_batch_1'}: cannot be read: [Errno 13] Permission denied" in refused(tmp_path)


def test_an_archive_that_may_not_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_archive(tmp_path)

    def denied(*arguments: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(tarfile, "open", denied)
    assert refused(tmp_path) == f"{path}: cannot be read: [Errno 13] Permission denied"


def test_a_batch_too_large_to_be_one_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(python_batches, "LARGEST_BATCH", 1_000)
    place = write_batches(tmp_path / "folder")
    assert f"{place / 'data_batch_1'}: larger than 1,000 bytes" in refused(tmp_path / "folder")
    path = write_archive(tmp_path / "archive")
    assert f"{path}: holds no data_batch_1: delete it and fetch it again" in refused(tmp_path / "archive")


def test_an_archive_without_one_batch(tmp_path: Path) -> None:
    path = tmp_path / "cifar-10-python.tar.gz"
    path.write_bytes(archive([name for name in BATCHES if name != "test_batch"]))
    assert f"{path}: holds no test_batch" in refused(tmp_path)


@pytest.mark.parametrize("kept", [0, 5, 0.001, 0.5, 0.999])
def test_a_truncated_archive(kept: float, tmp_path: Path) -> None:
    path = write_archive(tmp_path)
    content = path.read_bytes()
    path.write_bytes(content[: int(kept * len(content)) if kept < 1 else int(kept)])
    message = refused(tmp_path)
    assert message.startswith(f"{path}: is damaged or incomplete (")
    assert message.endswith("): delete it and fetch it again (--download)")


def test_an_archive_with_a_flipped_bit(tmp_path: Path) -> None:
    path = write_archive(tmp_path)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    message = refused(tmp_path)
    assert "is damaged or incomplete" in message or "is not the published file" in message


@pytest.mark.parametrize("content", [b"<html>not found</html>", b"\x1f\x8b" + bytes(500)])
def test_something_else_by_the_archives_name(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "cifar-10-python.tar.gz"
    path.write_bytes(content)
    assert f"{path}: is damaged or incomplete" in refused(tmp_path)


def test_links_in_an_archive_are_not_followed(tmp_path: Path) -> None:
    path = tmp_path / "cifar-10-python.tar.gz"
    with tarfile.open(path, "w:gz") as tar:
        link = tarfile.TarInfo("cifar-10-batches-py/data_batch_1")
        link.type, link.linkname = tarfile.SYMTYPE, "nowhere"
        tar.addfile(link)
    assert f"{path}: holds no data_batch_1" in refused(tmp_path)


def test_numpys_warning_on_old_pickles_is_silenced_there_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The batches here are such pickles, but only numpy 2.4.0 to 2.4.4 warns of them; so it is made to warn."""
    unpickle = pickle.loads

    def warning(content: bytes, encoding: str) -> object:
        warnings.warn("align=0", np.exceptions.VisibleDeprecationWarning, stacklevel=1)
        warnings.warn("another one", UserWarning, stacklevel=1)
        return unpickle(content, encoding=encoding)

    monkeypatch.setattr("repro.data.python_batches.pickle.loads", warning)
    write_batches(tmp_path)
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        load("cifar10", tmp_path)
        assert {str(warning.message) for warning in seen} == {"another one"}
        warnings.warn("heard again", np.exceptions.VisibleDeprecationWarning, stacklevel=1)
        assert str(seen[-1].message) == "heard again"


def test_the_real_checksums_are_those_of_torchvision(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    assert python_batches._published() == dict(CIFAR10.train_list) | dict(CIFAR10.test_list)
    assert list(python_batches._published()) == list(BATCHES)
