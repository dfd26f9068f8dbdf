"""CIFAR-10 from each form that it may lie in: where programs put it, and by the names that they give it."""

from __future__ import annotations

import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from small_cifar import (
    CLASSES,
    canonical,
    encoded,
    images,
    labels,
    refused,
    write_archive,
    write_batches,
    write_binary,
    write_classes,
    write_images,
    write_parquet,
    write_shard,
)

from repro import data
from repro.data import forms, pixels
from repro.errors import DataError

pytestmark = pytest.mark.usefixtures("small")
Write = Callable[[Path], object]


def keras(folder: Path) -> None:
    write_batches(folder / "datasets").rename(folder / "datasets" / "cifar-10-batches-py-target")


def second_copy(folder: Path) -> None:
    write_archive(folder).rename(folder / "cifar-10-python (1).tar.gz")


def binary_archive(folder: Path) -> None:
    place = write_binary(folder)
    with tarfile.open(folder / "cifar-10-binary.tar.gz", "w:gz") as tar:
        tar.add(place, place.name)
    shutil.rmtree(place)


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


def shards_and_an_empty_one(folder: Path) -> None:
    write_parquet(folder, shards=3)
    write_shard(folder / "train-00001-of-00002.parquet", [], [])


def rows_backwards_labels_of_a_byte(folder: Path) -> None:
    for split in ("train", "test"):
        backwards = [encoded(image) for image in images(split)][::-1]
        write_shard(folder / f"{split}-00000-of-00001.parquet", backwards, labels(split)[::-1], pa.uint8())


def system_leftovers(folder: Path) -> None:
    write_images(folder)
    for place in (folder, folder / "train", folder / "test"):
        (place / "__MACOSX" / "train" / "airplane").mkdir(parents=True)
        (place / ".DS_Store").write_bytes(b"\0")
        (place / "labels.txt").write_bytes(b"none of ours")
        (place / ".ipynb_checkpoints").mkdir()
    for name in (".0000.png", "Thumbs.db"):
        (folder / "train" / "airplane" / name).write_bytes(b"none of ours")


def other_spellings(folder: Path) -> None:
    """`car` comes after `bird` in the alphabet, where `automobile` comes before."""
    write_images(folder)
    for split in ("train", "test"):
        for name in CLASSES:
            said = {"airplane": "plane", "automobile": "car"}.get(name, name.title())
            (folder / split / name).rename(folder / split / said)


FORMS: dict[Write, str] = {
    write_batches: "python batches",
    write_archive: "python batches",
    lambda folder: write_batches(folder / "my" / "data" / "cifar10"): "python batches",
    lambda folder: [path.rename(folder / path.name) for path in write_batches(folder).iterdir()]: "python batches",
    keras: "python batches",
    second_copy: "python batches",
    write_binary: "binary batches",
    binary_archive: "binary batches",
    write_parquet: "parquet files",
    hub_cache: "parquet files",
    convert_branch: "parquet files",
    renamed_columns: "parquet files",
    shards_and_an_empty_one: "parquet files",
    rows_backwards_labels_of_a_byte: "parquet files",
    write_images: "image folders",
    system_leftovers: "image folders",
    other_spellings: "image folders",
}


@pytest.mark.filterwarnings("error")  # numpy 2.4.0 to 2.4.4 warns of the batches, which are as old pickles are
@pytest.mark.parametrize(("write", "form"), FORMS.items(), ids=lambda item: getattr(item, "__name__", ""))
def test_in_any_form_the_same_images_come_in_the_same_order_with_their_labels(
    write: Write, form: str, tmp_path: Path
) -> None:
    write(tmp_path)
    assert data.identify("cifar10", tmp_path) == "cifar10"
    found = data.load("cifar10", tmp_path)
    assert (found.name, found.source, found.pad, found.flip) == ("cifar10", form, 4, True)
    assert list(found.classes) == CLASSES
    for split, found_images, found_labels in (
        ("train", found.train_images, found.train_labels),
        ("test", found.test_images, found.test_labels),
    ):
        order = canonical(split)
        assert found_images.dtype == torch.uint8 and found_images.is_contiguous()
        assert np.array_equal(found_images.permute(0, 2, 3, 1).numpy(), images(split)[order])
        assert found_labels.dtype == torch.int64 and found_labels.tolist() == [labels(split)[i] for i in order]


def test_of_equal_images_the_one_with_the_lower_label_comes_first() -> None:
    split = pixels.Split(np.zeros((3, 3, 32, 32), dtype=np.uint8), np.array([7, 2, 5]))
    assert split.in_canonical_order().labels.tolist() == [2, 5, 7]


@pytest.mark.parametrize("name", ["cifar10", "cifar10-jpeg"])
@pytest.mark.parametrize("suffix", ["", ".png"])
def test_jpeg_images_have_a_name_of_their_own(suffix: str, name: str, tmp_path: Path) -> None:
    """By their bytes: a suffix does not make an image a PNG."""
    if suffix:
        write_images(tmp_path, "jpeg", suffix)
    else:
        write_parquet(tmp_path, "jpeg")
    assert data.identify(name, tmp_path) == "cifar10-jpeg"
    found = data.load(name, tmp_path)
    assert (found.name, found.pad, found.flip) == ("cifar10-jpeg", 4, True)
    for image in images("train"):
        # Encoded at the best quality, so that every decoder comes close to the pixels before.
        apart = np.abs(found.train_images.permute(0, 2, 3, 1).numpy().astype(int) - image).max((1, 2, 3))
        assert sum(apart <= 8) == 1 and apart.min() > 0


def test_original_pixels_are_taken_before_jpeg_images_unless_those_are_asked_for(tmp_path: Path) -> None:
    write_parquet(tmp_path, "jpeg")
    write_images(tmp_path / "png")
    for name, form in (("cifar10", "image folders"), ("cifar10-jpeg", "parquet files")):
        assert data.identify(name, tmp_path) == name
        found = data.load(name, tmp_path)
        assert (found.name, found.source) == (name, form)


@pytest.mark.parametrize("call", [data.identify, data.load])
def test_original_pixels_are_not_the_jpeg_ones(call: Callable, tmp_path: Path) -> None:
    write_parquet(tmp_path)
    with pytest.raises(DataError, match="cifar10-jpeg is asked for, but the parquet files there hold the original"):
        call("cifar10-jpeg", tmp_path)


def imagenet(folder: Path) -> None:
    write_classes(folder, "n01440764", "n02102040")


def mnist_of_the_hub(folder: Path) -> None:
    """In the columns of CIFAR-10, but its classes have names of their own."""
    write_parquet(folder)
    said = '{"info": {"features": {"label": {"names": ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"]}}}}'
    for path in folder.glob("*.parquet"):
        pq.write_table(pq.read_table(path).replace_schema_metadata({"huggingface": said}), path)


def cifar100_of_the_hub(folder: Path) -> None:
    folder.mkdir()
    for split in ("train", "test"):
        table = pa.table({"img": [{"bytes": b"", "path": ""}], "fine_label": [1], "coarse_label": [1]})
        pq.write_table(table, folder / f"{split}-00000-of-00001.parquet")


OTHERS: dict[Write, str] = {
    imagenet: "n01440764",
    mnist_of_the_hub: "its classes are 0, 1, 2, 3, 4 and more",
    cifar100_of_the_hub: "fine_label",
}


@pytest.mark.parametrize(("write", "said"), OTHERS.items(), ids=lambda item: getattr(item, "__name__", ""))
def test_another_data_set_is_told_and_beside_cifar10_passed_over(write: Write, said: str, tmp_path: Path) -> None:
    write(tmp_path / "another")
    message = refused(tmp_path)
    assert said in message and str(tmp_path) in message
    write_images(tmp_path / "small", "jpeg", ".jpg")
    found = data.load("cifar10", tmp_path)
    assert (found.name, found.source) == ("cifar10-jpeg", "image folders")
    assert data.identify("cifar10", tmp_path) == "cifar10-jpeg"
    write(tmp_path / "zz")
    write_images(tmp_path / "test-first")
    assert data.identify("cifar10", tmp_path) == "cifar10"


def test_what_lies_too_deep_or_goes_round_in_circles_ends_the_search(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "up").symlink_to(tmp_path)
    write_batches(tmp_path.joinpath(*"123456"))
    assert "no CIFAR-10 there" in refused(tmp_path)


def test_so_many_folders_are_looked_into_and_no_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("a", "b", "c", "d"):
        for below in range(8):
            (tmp_path / name / str(below)).mkdir(parents=True)
    really, looked = forms._look, []
    monkeypatch.setattr(forms, "MOST_FOLDERS", 3)
    monkeypatch.setattr(forms, "_look", lambda place: looked.append(place) or really(place))
    assert forms.find(tmp_path) == []
    assert looked == [tmp_path, tmp_path / "a", tmp_path / "b"]


def test_where_nothing_is_what_lies_there_is_named_and_what_to_do(tmp_path: Path) -> None:
    for call in (data.identify, data.load):
        with pytest.raises(DataError, match=r"absent: there is no such folder .*--download, .*\.parquet.*train/"):
            call("cifar10", tmp_path / "absent")
    assert f"{tmp_path}: no CIFAR-10 there, it holds nothing: fetch the archive with --download" in refused(tmp_path)
    assert "--download" not in refused(tmp_path, "cifar10-jpeg"), "that does not help"
    write_parquet(tmp_path / ".cache")  # hidden folders are left alone
    assert "it holds .cache" in refused(tmp_path)


def test_folders_that_may_not_be_read(tmp_path: Path, unprivileged: Callable) -> None:
    """As for a user who is not root: below the one given they are passed over."""
    write_parquet(tmp_path / "plain_text")
    (tmp_path / "lost+found").mkdir()
    (tmp_path / "lost+found").chmod(0)
    with unprivileged():
        assert data.load("cifar10", tmp_path).source == "parquet files"
    tmp_path.chmod(0)
    with unprivileged():
        message = refused(tmp_path)
    tmp_path.chmod(0o755)
    assert f"{tmp_path}: is no folder that can be read ([Errno 13] Permission denied" in message
