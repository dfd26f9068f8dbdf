"""Parquet files that are not those of CIFAR-10."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from small_cifar import canonical, encoded, images, labels, shrink, write_parquet, write_shard

from repro import data
from repro.data import parquet_files
from repro.errors import DataError


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    shrink(monkeypatch)


def refused(folder: Path) -> str:
    with pytest.raises(DataError) as caught:
        data.load("cifar10", folder)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(("kept", "lost"), [("train", "test"), ("test", "train")])
def test_one_set_alone(kept: str, lost: str, tmp_path: Path) -> None:
    write_parquet(tmp_path)
    (tmp_path / f"{lost}-00000-of-00001.parquet").unlink()
    assert data.identify("cifar10", tmp_path) == "cifar10"
    assert f"{tmp_path}: {lost}-*.parquet is missing" in refused(tmp_path)


@pytest.mark.parametrize("split", ["train", "test"])
@pytest.mark.parametrize("kept", [0, 4, 0.5, 0.9])
def test_truncated(split: str, kept: float, tmp_path: Path) -> None:
    write_parquet(tmp_path)
    path = tmp_path / f"{split}-00000-of-00001.parquet"
    content = path.read_bytes()
    path.write_bytes(content[: int(kept * len(content)) if kept < 1 else int(kept)])
    assert f"{path}: cannot be read as a parquet file (" in refused(tmp_path)


def test_damaged_inside(tmp_path: Path) -> None:
    """Both ends are sound, so that the file opens, but a page in the middle is not."""
    write_parquet(tmp_path)
    path = tmp_path / "train-00000-of-00001.parquet"
    content = bytearray(path.read_bytes())
    content[4:60] = bytes(56)
    path.write_bytes(content)
    assert f"{path}: cannot be read as a parquet file (" in refused(tmp_path)


def test_not_permitted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_parquet(tmp_path)

    def denied(path: Path) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(pq, "ParquetFile", denied)
    path = tmp_path / "train-00000-of-00001.parquet"
    assert refused(tmp_path) == f"{path}: cannot be read: [Errno 13] Permission denied: '{path}'"


def test_no_file(tmp_path: Path) -> None:
    (tmp_path / "train-00000-of-00001.parquet").mkdir()
    assert "train-00000-of-00001.parquet: cannot be read as a parquet file (" in refused(tmp_path)


@pytest.mark.parametrize(
    "columns",
    [
        {"image": pa.array([1]), "label": pa.array([1])},
        {"img": pa.array([b"x"]), "label": pa.array([1])},
        {"img": pa.array([{"path": "x"}]), "label": pa.array([1])},
        {"img": pa.array([{"bytes": b"x"}]), "label": pa.array(["cat"])},
        {"img": pa.array([{"bytes": b"x"}]), "fine_label": pa.array([1]), "coarse_label": pa.array([1])},
    ],
)
def test_other_columns(columns: dict[str, pa.Array], tmp_path: Path) -> None:
    path = tmp_path / "train-00000-of-00001.parquet"
    pq.write_table(pa.table(columns), path)
    message = refused(tmp_path)
    assert message.startswith(f"{path}: its columns are {next(iter(columns))}: ")
    assert message.endswith("has img: struct<bytes, path> and label: int64")


def test_no_rows(tmp_path: Path) -> None:
    write_shard(tmp_path / "train-00000-of-00001.parquet", [], [])
    assert "its first row holds no image" in refused(tmp_path)


def test_an_empty_shard_among_others_is_no_harm(tmp_path: Path) -> None:
    write_parquet(tmp_path)
    write_shard(tmp_path / "train-00001-of-00002.parquet", [], [])
    assert data.load("cifar10", tmp_path).train_labels.tolist() == [labels("train")[i] for i in canonical("train")]


def test_a_row_without_a_label(tmp_path: Path) -> None:
    write_parquet(tmp_path)
    path = tmp_path / "test-00000-of-00001.parquet"
    write_shard(path, [encoded(image) for image in images("test")], [*labels("test")[:7], None, *labels("test")[8:]])
    assert f"{path}: row 7 has no label" in refused(tmp_path)


@pytest.mark.parametrize("label", [pa.uint8(), pa.int32(), pa.uint64()])
def test_labels_of_another_whole_number_type(label: pa.DataType, tmp_path: Path) -> None:
    write_parquet(tmp_path)
    blobs = [encoded(image) for image in images("test")]
    write_shard(tmp_path / "test-00000-of-00001.parquet", blobs, labels("test"), label)
    assert data.load("cifar10", tmp_path).test_labels.tolist() == [labels("test")[i] for i in canonical("test")]


def test_a_label_that_no_int64_holds(tmp_path: Path) -> None:
    write_parquet(tmp_path)
    blobs = [encoded(image) for image in images("test")]
    write_shard(tmp_path / "test-00000-of-00001.parquet", blobs, [2**63, *labels("test")[1:]], pa.uint64())
    assert "test-00000-of-00001.parquet: cannot be read as a parquet file (" in refused(tmp_path)


def test_more_rows_than_cifar10_has_are_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parquet_files, "LARGEST_FILE", 19)
    write_parquet(tmp_path)
    assert "train-00000-of-00001.parquet: has 20 rows, more than all of CIFAR-10" in refused(tmp_path)
