"""CIFAR-10 from each form that it may lie in, and what is said where it is not what it should be."""

from __future__ import annotations

import io
import os
import shutil
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image
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
    write_shard,
)

from repro import data
from repro.data import pixels
from repro.data.augment import prepare
from repro.errors import DataError
from repro.spec import Images


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    shrink(monkeypatch)
    publish(monkeypatch)


def refused(folder: Path, name: str = "cifar10") -> str:
    """The message with which a folder is refused, which must be one line."""
    with pytest.raises(DataError) as caught:
        data.load(name, folder)
    assert "\n" not in str(caught.value) and caught.value.status == 1
    return str(caught.value)


def same_pixels(found: torch.Tensor, expected: np.ndarray) -> bool:
    return found.dtype == torch.uint8 and np.array_equal(found.permute(0, 2, 3, 1).numpy(), expected)


FORMS: dict[str, Callable[[Path], object]] = {
    "python batches": write_batches,
    "python archive": write_archive,
    "binary batches": write_binary,
    "parquet files": write_parquet,
    "image folders": write_images,
}


@pytest.mark.parametrize(
    ("form", "below"), [*((form, "") for form in FORMS), *((form, "in") for form in FORMS if "batches" not in form)]
)
def test_original_pixels_are_read_exactly(form: str, below: str, tmp_path: Path) -> None:
    FORMS[form](tmp_path / below)
    assert data.identify("cifar10", tmp_path) == "cifar10"
    found = data.load("cifar10", tmp_path)
    assert (found.name, found.source, found.pad, found.flip) == ("cifar10", form, 4, True)
    assert list(found.classes) == CLASSES
    for split, found_images, classes in (
        ("train", found.train_images, found.train_labels),
        ("test", found.test_images, found.test_labels),
    ):
        order = canonical(split)
        assert same_pixels(found_images, images(split)[order])
        assert classes.dtype == torch.int64 and classes.tolist() == [labels(split)[i] for i in order]
        assert found_images.is_contiguous()


def test_the_folder_of_batches_itself_may_be_given(tmp_path: Path) -> None:
    place = write_batches(tmp_path).rename(tmp_path / "renamed")
    assert data.load("cifar10", place).source == "python batches"
    assert data.load("cifar10", tmp_path).source == "python batches"


def test_the_same_images_are_the_same_data_set_whatever_they_lie_in(tmp_path: Path) -> None:
    """Rows of a parquet file in any order and number of files; what is held out is the same as well."""
    sets = []
    for form, write in FORMS.items():
        write(tmp_path / form)
        sets.append(data.load("cifar10", tmp_path / form))
    for shards in (2, 3):
        write_parquet(tmp_path / f"{shards} files", shards=shards)
        sets.append(data.load("cifar10", tmp_path / f"{shards} files"))
    for split in ("train", "test"):
        backwards = [encoded(image) for image in images(split)][::-1]
        write_shard(tmp_path / "backwards" / f"{split}-00000-of-00001.parquet", backwards, labels(split)[::-1])
    sets.append(data.load("cifar10", tmp_path / "backwards"))
    assert len(sets) == 8 and len({found.fingerprint for found in sets}) == 1
    held_out = [prepare(found, Images(held_out=10, evaluate_on="held-out"), torch.device("cpu")) for found in sets]
    assert all(torch.equal(one.test_images, held_out[0].test_images) for one in held_out)


def test_of_equal_images_the_one_with_the_lower_label_comes_first() -> None:
    split = pixels.Split(np.zeros((3, 3, 32, 32), dtype=np.uint8), np.array([7, 2, 5]))
    assert split.in_canonical_order().labels.tolist() == [2, 5, 7]


@pytest.mark.parametrize("name", ["cifar10", "cifar10-jpeg"])
@pytest.mark.parametrize("form", ["parquet files", "image folders", "image folders, .JPEG"])
def test_jpeg_images_have_a_name_of_their_own(form: str, name: str, tmp_path: Path) -> None:
    if form == "parquet files":
        write_parquet(tmp_path, "jpeg")
    else:
        write_images(tmp_path, "jpeg", ".JPEG" if form.endswith("JPEG") else ".jpg")
    assert data.identify(name, tmp_path) == "cifar10-jpeg"
    found = data.load(name, tmp_path)
    assert (found.name, found.pad, found.flip) == ("cifar10-jpeg", 4, True)
    for image in images("train"):
        # Encoded at the best quality, so that every decoder comes close to the pixels before.
        apart = np.abs(found.train_images.permute(0, 2, 3, 1).numpy().astype(int) - image).max((1, 2, 3))
        assert sum(apart <= 8) == 1 and apart.min() > 0


def test_original_pixels_are_taken_before_jpeg_images_and_said_to_be(tmp_path: Path) -> None:
    write_parquet(tmp_path, "jpeg")
    write_images(tmp_path / "png")
    assert data.identify("cifar10", tmp_path) == "cifar10"
    with pytest.warns(UserWarning, match="the image folders in .*png are taken, not the parquet files in "):
        found = data.load("cifar10", tmp_path)
    assert (found.name, found.source) == ("cifar10", "image folders")


def test_jpeg_images_are_taken_where_they_are_asked_for(tmp_path: Path) -> None:
    write_batches(tmp_path)
    write_parquet(tmp_path, "jpeg")
    assert data.identify("cifar10-jpeg", tmp_path) == "cifar10-jpeg"
    with pytest.warns(UserWarning, match="the parquet files in .* are taken"):
        assert data.load("cifar10-jpeg", tmp_path).name == "cifar10-jpeg"


def test_torchvisions_folder_and_archive_side_by_side_are_one_kind(tmp_path: Path) -> None:
    write_archive(tmp_path)
    write_batches(tmp_path)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert data.load("cifar10", tmp_path).source == "python batches"


def test_all_forms_of_the_original_pixels_in_order_of_preference(tmp_path: Path) -> None:
    for expected in reversed(FORMS):
        FORMS[expected](tmp_path)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            assert data.load("cifar10", tmp_path).source == expected


@pytest.mark.parametrize("call", [data.identify, data.load])
def test_original_pixels_are_not_the_jpeg_ones(call: Callable, tmp_path: Path) -> None:
    write_parquet(tmp_path)
    with pytest.raises(DataError, match="cifar10-jpeg is asked for, but the parquet files there hold the original"):
        call("cifar10-jpeg", tmp_path)


def write_imagenet(folder: Path) -> None:
    for split in ("train", "test"):
        place = folder / split / "n01440764"
        place.mkdir(parents=True)
        (place / "0.png").write_bytes(encoded(images("test")[0]))


def write_mnist(folder: Path) -> None:
    folder.mkdir()
    table = pa.table({"image": pa.array([b""]), "label": pa.array([0])})
    for split in ("train", "test"):
        pq.write_table(table, folder / f"{split}-00000-of-00001.parquet")


@pytest.mark.parametrize(("write", "said"), [(write_imagenet, "n01440764"), (write_mnist, "image: binary")])
def test_another_data_set_beside_it_is_passed_over(write: Callable, said: str, tmp_path: Path) -> None:
    write(tmp_path / "another")
    assert said in refused(tmp_path)
    write_images(tmp_path / "small", "jpeg", ".jpg")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = data.load("cifar10", tmp_path)
    assert (found.name, found.source) == ("cifar10-jpeg", "image folders")
    assert data.identify("cifar10", tmp_path) == "cifar10-jpeg"
    write(tmp_path / "zz")
    write_images(tmp_path / "test-first")
    assert data.identify("cifar10", tmp_path) == "cifar10"


def test_a_damaged_one_is_not_passed_over(tmp_path: Path) -> None:
    write_images(tmp_path / "a")
    shutil.rmtree(tmp_path / "a" / "train" / "truck")
    write_images(tmp_path / "b", "jpeg", ".jpg")
    assert "lacks truck" in refused(tmp_path)


class TestNothingThere:
    @pytest.mark.parametrize("call", [data.identify, data.load])
    def test_no_folder(self, call: Callable, tmp_path: Path) -> None:
        with pytest.raises(DataError, match=r"absent: there is no such folder .*--download, .*\.parquet.*train/"):
            call("cifar10", tmp_path / "absent")

    def test_an_empty_folder(self, tmp_path: Path) -> None:
        assert (
            f"{tmp_path}: the folder is empty: fetch the archive with --download, or put one of these there"
            in refused(tmp_path)
        )

    def test_other_things_are_named(self, tmp_path: Path) -> None:
        for name in ("cifar-100-python", "notes.txt", *(f"z{n}" for n in range(6))):
            (tmp_path / name).mkdir()
        assert "it holds cifar-100-python, notes.txt, z0, z1, z2 and 3 more" in refused(tmp_path)

    def test_nothing_is_said_of_downloads_where_they_do_not_help(self, tmp_path: Path) -> None:
        message = refused(tmp_path, "cifar10-jpeg")
        assert "JPEG images" in message and "--download" not in message

    def test_a_file_for_a_folder(self, tmp_path: Path) -> None:
        path = write_archive(tmp_path)
        assert refused(path) == f"{path}: is no folder: --data-dir and $REPRO_DATA take the folder that holds the data"

    def test_a_folder_that_may_not_be_read(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        def denied(path: Path) -> None:
            raise PermissionError(13, "Permission denied", str(path))

        monkeypatch.setattr(Path, "iterdir", denied)
        assert f"{tmp_path}: cannot be read: [Errno 13] Permission denied" in refused(tmp_path)

    def test_folders_below_that_may_not_be_read(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """As for a user who is not root."""
        locked = tmp_path / "lost+found"
        locked.mkdir()
        listed = Path.iterdir

        def iterdir(path: Path) -> Iterator[Path]:
            if path == locked:
                raise PermissionError(13, "Permission denied", str(path))
            return listed(path)

        monkeypatch.setattr(Path, "iterdir", iterdir)
        monkeypatch.setattr(os, "access", lambda path, mode: path != locked)
        assert "it holds lost+found that may not be read: " in refused(tmp_path)
        write_parquet(tmp_path / "plain_text")
        assert data.load("cifar10", tmp_path).source == "parquet files"

    def test_hidden_folders_are_left_alone(self, tmp_path: Path) -> None:
        write_parquet(tmp_path / ".cache")
        assert "it holds .cache: " in refused(tmp_path)


def test_too_few_images(tmp_path: Path) -> None:
    write_parquet(tmp_path)
    blobs = [encoded(image) for image in images("train")]
    write_shard(tmp_path / "train-00000-of-00001.parquet", blobs[:-1], labels("train")[:-1])
    assert "the training set has 19 images, not 20: it is incomplete or mislabelled" in refused(tmp_path)
    write_shard(tmp_path / "train-00000-of-00001.parquet", blobs, labels("train"))
    write_shard(tmp_path / "test-00001-of-00002.parquet", blobs[:1], labels("train")[:1])
    assert "the test set has 11 images, not 10" in refused(tmp_path)


def test_the_real_numbers_are_expected(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    write_parquet(tmp_path)
    assert "the training set has 20 images, not 50,000" in refused(tmp_path)
    monkeypatch.setattr("repro.data.cifar10.TRAIN_PER_CLASS", 2)
    assert "the test set has 10 images, not 10,000" in refused(tmp_path)


@pytest.mark.parametrize("label", [10, -1])
def test_a_label_out_of_range(label: int, tmp_path: Path) -> None:
    write_parquet(tmp_path)
    values = labels("test")
    values[3] = label
    write_shard(tmp_path / "test-00000-of-00001.parquet", [encoded(image) for image in images("test")], values)
    assert f"the test set has label {label} at image 3, where labels are 0 to 9" in refused(tmp_path)


def test_classes_of_unequal_size(tmp_path: Path) -> None:
    write_parquet(tmp_path)
    values = labels("train")
    values[values.index(7)] = 3
    write_shard(tmp_path / "train-00000-of-00001.parquet", [encoded(image) for image in images("train")], values)
    assert "the training set has 3 images labelled 3 (cat), not 2" in refused(tmp_path)


class TestSingleImages:
    """One image of the test set, row 4, is not what it should be."""

    def with_image(self, tmp_path: Path, blob: bytes | None) -> str:
        write_parquet(tmp_path)
        blobs: list[bytes | None] = [encoded(image) for image in images("test")]
        blobs[4] = blob
        path = tmp_path / "test-00000-of-00001.parquet"
        write_shard(path, blobs, labels("test"))
        message = refused(tmp_path)
        assert message.startswith(f"{path}: row 4")
        return message

    def test_of_another_encoding(self, tmp_path: Path) -> None:
        message = self.with_image(tmp_path, encoded(images("test")[4], "jpeg"))
        assert "PNG and JPEG images are mixed (the first is" in message

    @pytest.mark.parametrize("blob", [b"", b"GIF89a", b"\x89PN"])
    def test_of_no_known_encoding(self, tmp_path: Path, blob: bytes) -> None:
        assert "is no PNG or JPEG image" in self.with_image(tmp_path, blob)

    @pytest.mark.parametrize(("cut", "why"), [(9, "its header is damaged"), (30, "its header"), (60, ""), (1500, "")])
    def test_truncated(self, tmp_path: Path, cut: int, why: str) -> None:
        assert f"cannot be decoded ({why}" in self.with_image(tmp_path, encoded(images("test")[4])[:cut])

    def test_of_another_size(self, tmp_path: Path) -> None:
        assert "is 32x31 RGB, not 32x32 RGB" in self.with_image(tmp_path, encoded(images("test")[4][:31]))

    def test_grey(self, tmp_path: Path) -> None:
        assert "is 32x32 L, not 32x32 RGB" in self.with_image(tmp_path, encoded(images("test")[4][:, :, 0]))

    def test_missing(self, tmp_path: Path) -> None:
        assert "has no image" in self.with_image(tmp_path, None)

    def test_huge_by_its_header(self, tmp_path: Path) -> None:
        """Refused by its header, and so before anything is decoded: there are no pixels behind it."""
        stream = io.BytesIO()
        Image.new("RGB", (9_000, 1)).save(stream, "png")
        header = stream.getvalue()[:41]  # up to where the pixels begin
        assert "is 9000x1 RGB, not 32x32 RGB" in self.with_image(tmp_path, header)
