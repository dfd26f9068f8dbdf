"""CIFAR-10 as people have it: where programs put it, by the names that they give it; and what is another data set."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from small_cifar import (
    CLASSES,
    canonical,
    encoded,
    images,
    labels,
    publish,
    shrink,
    write_archive,
    write_batches,
    write_binary,
    write_images,
    write_parquet,
)

from repro import data
from repro.data.table import DATA_SETS
from repro.errors import DataError


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    shrink(monkeypatch)
    publish(monkeypatch)


def keras(folder: Path) -> None:
    write_batches(folder / "datasets" / "cifar-10-batches-py-target")


def second_copy(folder: Path) -> None:
    write_archive(folder).rename(folder / "cifar-10-python (1).tar.gz")


def binary_archive(folder: Path) -> None:
    place = write_binary(folder)
    with tarfile.open(folder / "cifar-10-binary.tar.gz", "w:gz") as tar:
        for path in place.iterdir():
            member = tarfile.TarInfo(f"cifar-10-batches-bin/{path.name}")
            member.size = path.stat().st_size
            tar.addfile(member, io.BytesIO(path.read_bytes()))
            path.unlink()
    place.rmdir()


def hub_cache(folder: Path) -> None:
    """Files are links into a folder of blobs."""
    place = folder / "datasets--uoft-cs--cifar10"
    snapshot = place / "snapshots" / "0b2714987fa478483af9968de7c934580d0bb9a2" / "plain_text"
    write_parquet(place / "blobs")
    snapshot.mkdir(parents=True)
    for path in sorted((place / "blobs").iterdir()):
        blob = path.rename(path.with_name(f"{hash(path.name):x}"))
        (snapshot / path.name).symlink_to(blob)


def convert_branch(folder: Path) -> None:
    write_parquet(folder)
    for split in ("train", "test"):
        place = folder / "plain_text" / split
        place.mkdir(parents=True)
        (folder / f"{split}-00000-of-00001.parquet").rename(place / "0000.parquet")


def renamed_columns(folder: Path) -> None:
    write_parquet(folder)
    for split in ("train", "test"):
        path = folder / f"{split}-00000-of-00001.parquet"
        pq.write_table(pq.read_table(path).rename_columns(["image", "labels"]), folder / f"{split}.parquet")
        path.unlink()


def named_in_another_order(folder: Path) -> None:
    """The file says which of its labels is which class."""
    order = CLASSES[::-1]
    said = {"info": {"features": {"label": {"names": order, "_type": "ClassLabel"}}}}
    write_parquet(folder)
    for path in folder.glob("*.parquet"):
        table = pq.read_table(path)
        own = pa.array([9 - label for label in table["label"].to_pylist()], pa.int64())
        table = table.set_column(1, "label", own).replace_schema_metadata({"huggingface": json.dumps(said)})
        pq.write_table(table, path)


def system_leftovers(folder: Path) -> None:
    write_images(folder)
    for place in (folder, folder / "train", folder / "test"):
        (place / "__MACOSX" / "train" / "airplane").mkdir(parents=True)
        (place / ".DS_Store").write_bytes(b"\0")
        (place / ".ipynb_checkpoints").mkdir()


def other_spellings(folder: Path) -> None:
    """`car` comes after `bird` in the alphabet, where `automobile` comes before."""
    write_images(folder)
    for split in ("train", "test"):
        for name in CLASSES:
            said = {"airplane": "plane", "automobile": "car"}.get(name, name.title())
            (folder / split / name).rename(folder / split / said)


def far_down(folder: Path) -> None:
    write_batches(folder / "my" / "data" / "cifar10")


BROUGHT: dict[Callable[[Path], None], str] = {
    keras: "python batches",
    second_copy: "python archive",
    binary_archive: "binary archive",
    hub_cache: "parquet files",
    convert_branch: "parquet files",
    renamed_columns: "parquet files",
    named_in_another_order: "parquet files",
    system_leftovers: "image folders",
    other_spellings: "image folders",
    far_down: "python batches",
}


@pytest.mark.parametrize(("bring", "form"), BROUGHT.items(), ids=lambda item: getattr(item, "__name__", ""))
def test_what_people_have_is_read_with_each_label_at_its_image(bring: Callable, form: str, tmp_path: Path) -> None:
    bring(tmp_path)
    assert data.identify("cifar10", tmp_path) == "cifar10"
    found = data.load("cifar10", tmp_path)
    assert (found.name, found.source) == ("cifar10", form)
    for split, pixels, given in (
        ("train", found.train_images, found.train_labels),
        ("test", found.test_images, found.test_labels),
    ):
        order = canonical(split)
        assert np.array_equal(pixels.permute(0, 2, 3, 1).numpy(), images(split)[order])
        assert given.tolist() == [labels(split)[place] for place in order]


def folders(*names: str) -> Callable[[Path], None]:
    def write(folder: Path) -> None:
        for split in ("train", "test"):
            for name in names:
                (folder / split / name).mkdir(parents=True)
                (folder / split / name / "0.png").write_bytes(encoded(images("test")[0]))

    return write


def mnist_of_the_hub(folder: Path) -> None:
    """In the columns of CIFAR-10, but its classes have names of their own."""
    write_parquet(folder)
    said = {"info": {"features": {"label": {"names": [str(digit) for digit in range(10)]}}}}
    for path in folder.glob("*.parquet"):
        pq.write_table(pq.read_table(path).replace_schema_metadata({"huggingface": json.dumps(said)}), path)


def cifar100_of_the_hub(folder: Path) -> None:
    table = pa.table({"img": [{"bytes": b"", "path": ""}], "fine_label": [1], "coarse_label": [1]})
    for split in ("train", "test"):
        pq.write_table(table, folder / f"{split}-00000-of-00001.parquet")


@pytest.mark.parametrize(
    ("bring", "said"),
    [
        (lambda folder: (folder / "cifar-100-python").mkdir(), "cifar-100-python is CIFAR-100"),
        (lambda folder: (folder / "MNIST").mkdir(), "MNIST is MNIST"),
        (folders("apple", "aquarium_fish", "baby"), "CIFAR-100"),
        (folders(*"0123456789"), "MNIST"),
        (folders("n01440764", "n02102040"), "ImageNet"),
        (folders(*CLASSES, "car"), "car"),
        (mnist_of_the_hub, "its classes are 0, 1, 2, 3, 4 and more"),
        (cifar100_of_the_hub, "CIFAR-100"),
    ],
    ids=range(8),
)
def test_what_is_no_cifar10_is_said_to_be_what_it_is(bring: Callable, said: str, tmp_path: Path) -> None:
    bring(tmp_path)
    with pytest.raises(DataError) as caught:
        data.load("cifar10", tmp_path)
    assert said in str(caught.value) and str(tmp_path) in str(caught.value) and "\n" not in str(caught.value)


def test_what_lies_too_deep_or_goes_round_in_circles_ends_the_search(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "up").symlink_to(tmp_path)
    write_batches(tmp_path.joinpath(*"123456"))
    with pytest.raises(DataError, match="no CIFAR-10 there"):
        data.load("cifar10", tmp_path)


def test_the_table_says_what_the_digits_are() -> None:
    row, found = DATA_SETS["digits"], data.load("digits")
    assert tuple(found.train_images.shape[1:]) == row.shape
    assert (len(found.train_images), len(found.test_images)) == (row.train_images, row.test_images)
    assert (len(found.classes), int(found.train_labels.bincount().min())) == (row.classes, row.fewest)
