"""CIFAR-10 that is damaged or mislabelled is refused in a line; nothing but the published bytes is unpickled."""

from __future__ import annotations

import io
import pickle
import shutil
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
from repro.data import batches, image_folder

pytestmark = pytest.mark.usefixtures("small")
TRAIN, TEST = (f"{split}-00000-of-00001.parquet" for split in ("train", "test"))
TAR = "cifar-10-python.tar.gz"
PY, BIN = "cifar-10-batches-py", "cifar-10-batches-bin"
Damage = Callable[[Path], object]


def first(folder: Path) -> Path:
    return min(folder.iterdir())


def remove(name: str) -> Damage:
    return lambda root: shutil.rmtree(root / name) if (root / name).is_dir() else (root / name).unlink()


def rename(name: str, other: str) -> Damage:
    return lambda root: (root / name).rename(root / other)


def write(name: str, content: bytes) -> Damage:
    return lambda root: (root / name).write_bytes(content)


def cut(name: str, kept: float) -> Damage:
    """Keep so many bytes of a file, or such a share of them."""

    def act(root: Path) -> None:
        content = (root / name).read_bytes()
        (root / name).write_bytes(content[: int(kept * len(content)) if kept < 1 else int(kept)])

    return act


NO_PARQUET = "cannot be read as a parquet file ("


def hold_out(root: Path) -> None:
    (root / "val" / "cat").mkdir(parents=True)
    file = first(root / "train" / "cat")
    file.rename(root / "val" / "cat" / file.name)


DAMAGED: list[tuple[Callable, Damage, str]] = [
    (write_batches, remove(f"{PY}/data_batch_5"), f"{PY}: holds no data_batch_5 of CIFAR-10: unpack"),
    (write_binary, remove(f"{BIN}/test_batch.bin"), f"{BIN}: holds no test_batch.bin of CIFAR-10"),
    (write_batches, cut(f"{PY}/data_batch_4", 0.999), f"{PY}: data_batch_4: is not the published file"),
    (write_binary, cut(f"{BIN}/data_batch_3.bin", 12_291), "data_batch_3.bin: its 12,291 bytes are no rows of 3,073"),
    *((write_archive, cut(TAR, kept), f"{TAR}: is damaged or incomplete (") for kept in (0, 0.5, 0.999)),
    (write_archive, write(TAR, b"<html>not found</html>"), f"{TAR}: is damaged or incomplete ("),
    (write_archive, write(TAR, archive(list(BATCHES)[:-1])), f"{TAR}: holds no test_batch"),
    *((write_parquet, cut(TEST, kept), f"{TEST}: {NO_PARQUET}") for kept in (0, 0.5, 0.9)),
    (write_parquet, remove(TRAIN), "the training set has 0 images, not 20"),
    (write_images, remove("test"), "test: cannot be read ([Errno 2] No such file"),
    (write_images, rename("train/automobile", "train/vehicle"), "train: lacks automobile and also holds vehicle"),
    (write_images, remove("test/truck"), "test: lacks truck: "),
    (write_images, lambda root: (root / "train" / "car").mkdir(), "train: also holds car: "),
    (write_images, lambda root: first(root / "train" / "cat").rename(root / "train/dog/1.png"), "3 labelled 5"),
    (write_images, hold_out, "(1 labelled 3): put those of "),
    (write_images, lambda root: cut(first(root / "test" / "deer").name, 1000)(root / "test/deer"), "cannot be decoded"),
]


@pytest.mark.parametrize(("lay", "damage", "said"), DAMAGED, ids=range(len(DAMAGED)))
def test_what_is_damaged_is_told(lay: Callable, damage: Damage, said: str, tmp_path: Path) -> None:
    lay(tmp_path)
    damage(tmp_path)
    message = refused(tmp_path)
    assert message.startswith(str(tmp_path)) and said in message


class Bait:
    """Creates a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple:
        return Path.touch, (self.path,)


@pytest.mark.parametrize("published", ["small", "real"])
@pytest.mark.parametrize("lay", [write_batches, write_archive])
def test_only_published_bytes_are_unpickled(
    lay: Callable[[Path], Path], published: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    caught = tmp_path / "unpickled"
    bait = pickle.dumps(Bait(caught))
    pickle.loads(bait)
    assert caught.exists()  # the bait works
    caught.unlink()
    if published == "real":
        monkeypatch.undo()
    monkeypatch.setattr("small_cifar.batch", lambda name: bait)
    place = lay(tmp_path / "data")
    assert f"{place}: data_batch_1: is not the published file (its MD5 is " in refused(tmp_path / "data")
    assert not caught.exists()


def test_what_is_expected_is_the_real_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    assert tuple(name for name, _ in (*CIFAR10.train_list, *CIFAR10.test_list)) == batches.PYTHON.names
    write_parquet(tmp_path)
    assert "the training set has 20 images, not 50,000" in refused(tmp_path)
    monkeypatch.setattr("repro.data.cifar10.TRAIN_PER_CLASS", 2)
    assert "the test set has 10 images, not 10,000" in refused(tmp_path)


@pytest.mark.parametrize("lay", [write_parquet, write_archive, write_batches])
def test_what_may_not_be_read(lay: Callable, tmp_path: Path, unprivileged: Callable) -> None:
    lay(tmp_path)
    for path in filter(Path.is_file, tmp_path.rglob("*")):
        path.chmod(0)
    with unprivileged():
        message = refused(tmp_path)
    assert "cannot be read" in message and "Permission denied" in message


@pytest.mark.parametrize(
    "columns",
    [
        {"image": pa.array([1]), "label": pa.array([1])},
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


# Labels and numbers of images, whatever they lie in


def of_test(change: Callable[[list], object]) -> list:
    """The labels of the test set after a change."""
    values = labels("test")
    change(values)
    return values


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (
            of_test(lambda v: v.append(3)),
            "the test set has 11 images, not 10 with 1 of each label from 0 to 9 (2 labelled 3): it is another",
        ),
        (of_test(lambda v: v.__setitem__(3, -1)), "(0 labelled 4, 1 labelled -1)"),
        (of_test(lambda v: v.__setitem__(3, 7)), "(0 labelled 4, 2 labelled 7)"),
        (of_test(lambda v: v.__setitem__(7, None)), "row 7 has no label"),
    ],
)
def test_what_is_wrong_with_labels(values: list, said: str, tmp_path: Path) -> None:
    write_parquet(tmp_path)
    pixels = [*images("test"), images("train")[0]][: len(values)]
    write_shard(tmp_path / TEST, [encoded(image) for image in pixels], values)
    assert said in refused(tmp_path)


def test_a_damaged_form_is_not_passed_over(tmp_path: Path) -> None:
    write_images(tmp_path / "a")
    shutil.rmtree(tmp_path / "a" / "train" / "truck")
    write_images(tmp_path / "b", "jpeg", ".jpg")
    assert "lacks truck" in refused(tmp_path)


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
        (b"GIF89a", "is no PNG or JPEG image"),
        (PNG[:1500], "cannot be decoded ("),
        (encoded(images("test")[4][:31]), "is 32x31 RGB, not 32x32 RGB"),
        (encoded(images("test")[4][:, :, 0]), "is 32x32 L, not 32x32 RGB"),
        (None, "has no image"),
        (header_alone(), "is 9000x1 RGB, not 32x32 RGB"),
    ],
    ids=range(7),
)
def test_an_image_that_is_not_what_it_should_be(blob: bytes | None, said: str, tmp_path: Path) -> None:
    write_parquet(tmp_path)
    blobs: list[bytes | None] = [encoded(image) for image in images("test")]
    blobs[4] = blob
    write_shard(tmp_path / TEST, blobs, labels("test"))
    message = refused(tmp_path)
    assert message.startswith(f"{tmp_path / TEST}: row 4") and said in message
