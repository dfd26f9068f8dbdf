"""CIFAR-10 that is damaged or mislabelled is refused in a line; nothing but the published bytes is unpickled."""

from __future__ import annotations

import io
import pickle
import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image
from small_cifar import (
    BATCHES,
    archive,
    encoded,
    images,
    labels,
    refused,
    write_archive,
    write_batches,
    write_binary,
    write_images,
    write_parquet,
    write_shard,
)
from torchvision.datasets import CIFAR10

from repro import data
from repro.data import batches, image_folder, parquet_files

pytestmark = pytest.mark.usefixtures("small")
TRAIN, TEST = (f"{split}-00000-of-00001.parquet" for split in ("train", "test"))


def first(folder: Path) -> Path:
    return min(folder.iterdir())


def cut(path: Path, kept: float) -> Path:
    """Keep so many bytes of a file, or such a share of them."""
    content = path.read_bytes()
    path.write_bytes(content[: int(kept * len(content)) if kept < 1 else int(kept)])
    return path


# Published batches


class Bait:
    """Creates a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple:
        return Path.touch, (self.path,)


@pytest.mark.parametrize("published", ["small", "real"])
@pytest.mark.parametrize("write", [write_batches, write_archive])
def test_only_published_bytes_are_unpickled(
    write: Callable[[Path], Path], published: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    caught = tmp_path / "unpickled"
    bait = pickle.dumps(Bait(caught))
    pickle.loads(bait)
    assert caught.exists()  # the bait works
    caught.unlink()
    if published == "real":
        monkeypatch.undo()
    monkeypatch.setattr("small_cifar.batch", lambda name: bait)
    place = write(tmp_path / "data")
    assert f"{place}: data_batch_1: is not the published file (its MD5 is " in refused(tmp_path / "data")
    assert not caught.exists()


def test_the_real_batches_have_the_names_of_torchvisions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    assert [name for name, _ in (*CIFAR10.train_list, *CIFAR10.test_list)] == list(batches.PYTHON_NAMES)


@pytest.mark.parametrize("name", BATCHES)
@pytest.mark.parametrize(("write", "suffix"), [(write_batches, ""), (write_binary, ".bin")])
def test_a_missing_batch(write: Callable[[Path], Path], suffix: str, name: str, tmp_path: Path) -> None:
    place = write(tmp_path)
    (place / f"{name}{suffix}").unlink()
    assert f"{place}: holds no {name}{suffix} of CIFAR-10: unpack" in refused(tmp_path)


@pytest.mark.parametrize(
    ("write", "name", "kept", "said"),
    [
        (write_batches, "data_batch_4", 0.999, "is not the published file"),
        (write_binary, "data_batch_3.bin", 12_291, "its 12,291 bytes are no rows of 3,073"),
        (write_binary, "test_batch.bin", 0, "its 0 bytes are no rows of 3,073"),
    ],
)
def test_a_truncated_batch(write: Callable[[Path], Path], name: str, kept: float, said: str, tmp_path: Path) -> None:
    place = write(tmp_path)
    cut(place / name, kept)
    assert f"{place}: {name}: {said}" in refused(tmp_path)


def test_a_batch_too_large_to_be_one_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batches, "LARGEST_BATCH", 1_000)
    for form, write in (("folder", write_batches), ("archive", write_archive)):
        place = write(tmp_path / form)
        assert f"{place}: holds no data_batch_1" in refused(tmp_path / form)


def test_what_may_not_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(path: Path, *arguments: object) -> bytes:
        raise PermissionError(13, "Permission denied", str(path))

    forms = (write_parquet, write_archive, write_batches)
    for write in forms:
        write(tmp_path / write.__name__)
    monkeypatch.setattr(tarfile, "open", denied)
    monkeypatch.setattr(pq, "ParquetFile", denied)
    monkeypatch.setattr(Path, "read_bytes", denied)
    for write in forms:
        message = refused(tmp_path / write.__name__)
        assert "cannot be read" in message and "[Errno 13] Permission denied" in message


@pytest.mark.parametrize(
    "damage",
    [
        *(lambda path, kept=kept: cut(path, kept) for kept in (0, 5, 0.001, 0.5, 0.999)),
        lambda path: path.write_bytes(b"<html>not found</html>"),
        lambda path: path.write_bytes(b"\x1f\x8b" + bytes(500)),
    ],
)
def test_a_damaged_archive(damage: Callable[[Path], object], tmp_path: Path) -> None:
    path = write_archive(tmp_path)
    damage(path)
    message = refused(tmp_path)
    assert message.startswith(f"{path}: is damaged or incomplete (") and message.endswith("(--download)")


def test_an_archive_with_a_flipped_bit(tmp_path: Path) -> None:
    path = write_archive(tmp_path)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    assert refused(tmp_path).startswith(f"{path}: ")


def test_an_archive_without_one_batch_or_with_a_link_in_its_place(tmp_path: Path) -> None:
    path = tmp_path / "cifar-10-python.tar.gz"
    path.write_bytes(archive([name for name in BATCHES if name != "test_batch"]))
    assert f"{path}: holds no test_batch" in refused(tmp_path)
    with tarfile.open(path, "w:gz") as tar:
        link = tarfile.TarInfo("cifar-10-batches-py/data_batch_1")
        link.type, link.linkname = tarfile.SYMTYPE, "nowhere"
        tar.addfile(link)
    assert f"{path}: holds no data_batch_1" in refused(tmp_path)


# Parquet files


@pytest.mark.parametrize(("kept", "lost"), [("train", "test"), ("test", "train")])
def test_one_set_alone(kept: str, lost: str, tmp_path: Path) -> None:
    write_parquet(tmp_path / "parquet")
    (tmp_path / "parquet" / f"{lost}-00000-of-00001.parquet").unlink()
    assert data.identify("cifar10", tmp_path / "parquet") == "cifar10"
    assert f"{lost}-*.parquet is missing" in refused(tmp_path / "parquet")
    write_images(tmp_path / "images")
    shutil.rmtree(tmp_path / "images" / lost)
    assert f"{tmp_path / 'images' / lost}: cannot be read ([Errno 2] No such file" in refused(tmp_path / "images")


@pytest.mark.parametrize("name", [TRAIN, TEST])
@pytest.mark.parametrize("kept", [0, 4, 0.5, 0.9])
def test_a_truncated_parquet_file(name: str, kept: float, tmp_path: Path) -> None:
    write_parquet(tmp_path)
    cut(tmp_path / name, kept)
    assert f"{tmp_path / name}: cannot be read as a parquet file (" in refused(tmp_path)


def test_a_parquet_file_that_is_damaged_inside_or_a_folder(tmp_path: Path) -> None:
    """Both ends are sound, so that the file opens, but a page in the middle is not."""
    write_parquet(tmp_path)
    content = bytearray((tmp_path / TRAIN).read_bytes())
    content[4:60] = bytes(56)
    (tmp_path / TRAIN).write_bytes(content)
    assert f"{TRAIN}: cannot be read as a parquet file (" in refused(tmp_path)
    (tmp_path / TRAIN).unlink()
    (tmp_path / TRAIN).mkdir()
    assert f"{TRAIN}: cannot be read as a parquet file (" in refused(tmp_path)


@pytest.mark.parametrize(
    "columns",
    [
        {"image": pa.array([1]), "label": pa.array([1])},
        {"img": pa.array([b"x"]), "label": pa.array([1])},
        {"img": pa.array([{"path": "x"}]), "label": pa.array([1])},
        {"img": pa.array([{"bytes": b"x"}]), "label": pa.array(["cat"])},
    ],
)
def test_other_columns(columns: dict[str, pa.Array], tmp_path: Path) -> None:
    pq.write_table(pa.table(columns), tmp_path / TRAIN)
    message = refused(tmp_path)
    assert message.startswith(f"{tmp_path / TRAIN}: its columns are {next(iter(columns))}: ")
    assert message.endswith("has img: struct<bytes, path> and label: int64")


def test_more_images_of_the_same_classes_are_another_data_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As CINIC-10 has; it is passed over where CIFAR-10 lies beside it."""
    monkeypatch.setattr(image_folder, "LARGEST_CLASS", 2)
    write_images(tmp_path / "cinic")
    shutil.copytree(tmp_path / "cinic" / "train", tmp_path / "cinic" / "valid")
    for folder in (tmp_path / "cinic" / "train").iterdir():
        (folder / "more.png").write_bytes(encoded(images("test")[0]))
    said = refused(tmp_path)
    assert "cinic/train/airplane: holds 3 images, more than a class of CIFAR-10" in said and "another data set" in said
    write_images(tmp_path / "of" / "cifar")
    assert data.load("cifar10", tmp_path).source == "image folders"


def test_more_rows_than_cifar10_has_are_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parquet_files, "LARGEST_FILE", 19)
    write_parquet(tmp_path)
    assert f"{TRAIN}: has 20 rows, more than all of CIFAR-10" in refused(tmp_path)


# Labels and numbers of images, whatever they lie in


def of_test(change: Callable[[list], object]) -> list:
    """The labels of the test set after a change."""
    values = labels("test")
    change(values)
    return values


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (of_test(lambda v: v.pop()), "the test set has 9 images, not 10"),
        (
            of_test(lambda v: v.append(3)),
            "the test set has 11 images, not 10 with 1 of each label from 0 to 9 (2 labelled 3): it is another",
        ),
        (of_test(lambda v: v.__setitem__(3, 10)), "(0 labelled 4, 1 labelled 10)"),
        (of_test(lambda v: v.__setitem__(3, -1)), "(0 labelled 4, 1 labelled -1)"),
        (of_test(lambda v: v.__setitem__(3, 7)), "(0 labelled 4, 2 labelled 7)"),
        (of_test(lambda v: v.__setitem__(7, None)), "row 7 has no label"),
        (of_test(lambda v: v.__setitem__(0, 2**63)), "cannot be read as a parquet file ("),
    ],
)
def test_what_is_wrong_with_labels(values: list, said: str, tmp_path: Path) -> None:
    write_parquet(tmp_path)
    pixels = [*images("test"), images("train")[0]][: len(values)]
    kind = pa.uint64() if 2**63 in values else pa.int64()
    write_shard(tmp_path / TEST, [encoded(image) for image in pixels], values, kind)
    assert said in refused(tmp_path)


def test_the_real_numbers_are_expected(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    write_parquet(tmp_path)
    assert "the training set has 20 images, not 50,000" in refused(tmp_path)
    monkeypatch.setattr("repro.data.cifar10.TRAIN_PER_CLASS", 2)
    assert "the test set has 10 images, not 10,000" in refused(tmp_path)


def remove(folder: Path, name: str) -> None:
    shutil.rmtree(folder / name)


def rename(folder: Path, name: str, other: str) -> None:
    (folder / name).rename(folder / other)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda f: rename(f / "train", "automobile", "vehicle"), "lacks automobile and also holds vehicle"),
        (lambda f: rename(f / "test", "automobile", "vehicle"), "lacks automobile and also holds vehicle"),
        (lambda f: remove(f / "test", "truck"), "lacks truck: "),
        (lambda f: (f / "train" / "maple").mkdir(), "also holds maple: "),
        (lambda f: (f / "train" / "car").mkdir(), "also holds car: "),
        (lambda f: [path.unlink() for path in (f / "train" / "airplane").iterdir()], "holds no image"),
        (lambda f: first(f / "train" / "horse").unlink(), "has 19 images, not 20"),
        (lambda f: rename(f / "train", f"horse/{first(f / 'train' / 'horse').name}", "cat/1.png"), "3 labelled 3"),
        (lambda f: cut(first(f / "test" / "deer"), 1000), "cannot be decoded ("),
        (lambda f: (first(f / "test" / "deer").unlink(), (f / "test" / "deer" / "0.png").mkdir()), "cannot be read"),
    ],
    ids=range(10),
)
def test_what_is_wrong_with_folders(change: Callable[[Path], object], said: str, tmp_path: Path) -> None:
    write_images(tmp_path)
    change(tmp_path)
    message = refused(tmp_path)
    assert said in message and message.startswith(str(tmp_path))


def test_a_damaged_form_is_not_passed_over(tmp_path: Path) -> None:
    write_images(tmp_path / "a")
    remove(tmp_path / "a" / "train", "truck")
    write_images(tmp_path / "b", "jpeg", ".jpg")
    assert "lacks truck" in refused(tmp_path)


# Single images


def header_alone() -> bytes:
    """Of an image that claims to be huge: there are no pixels behind it, and nothing may try to decode any."""
    stream = io.BytesIO()
    Image.new("RGB", (9_000, 1)).save(stream, "png")
    return stream.getvalue()[:41]


PNG = encoded(images("test")[4])


@pytest.mark.parametrize(
    ("blob", "said"),
    [
        (encoded(images("test")[4], "jpeg"), "PNG and JPEG images are mixed (the first is"),
        (b"", "is no PNG or JPEG image"),
        (b"GIF89a", "is no PNG or JPEG image"),
        (b"\x89PN", "is no PNG or JPEG image"),
        (PNG[:9], "cannot be decoded (its header is damaged"),
        (PNG[:60], "cannot be decoded ("),
        (PNG[:1500], "cannot be decoded ("),
        (encoded(images("test")[4][:31]), "is 32x31 RGB, not 32x32 RGB"),
        (encoded(images("test")[4][:, :, 0]), "is 32x32 L, not 32x32 RGB"),
        (None, "has no image"),
        (header_alone(), "is 9000x1 RGB, not 32x32 RGB"),
    ],
    ids=range(11),
)
def test_an_image_that_is_not_what_it_should_be(blob: bytes | None, said: str, tmp_path: Path) -> None:
    write_parquet(tmp_path)
    blobs: list[bytes | None] = [encoded(image) for image in images("test")]
    blobs[4] = blob
    write_shard(tmp_path / TEST, blobs, labels("test"))
    message = refused(tmp_path)
    assert message.startswith(f"{tmp_path / TEST}: row 4") and said in message


def test_a_file_without_rows(tmp_path: Path) -> None:
    write_shard(tmp_path / TRAIN, [], [])
    assert "its first row holds no image" in refused(tmp_path)
