"""Folders of images that are not those of CIFAR-10."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from small_cifar import encoded, images, shrink, write_images

from repro import data
from repro.errors import DataError


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    shrink(monkeypatch)
    write_images(tmp_path)


def refused(folder: Path) -> str:
    with pytest.raises(DataError) as caught:
        data.load("cifar10", folder)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("split", ["train", "test"])
def test_one_set_alone(split: str, tmp_path: Path) -> None:
    shutil.rmtree(tmp_path / split)
    assert f"{tmp_path / split}: cannot be read ([Errno 2] No such file" in refused(tmp_path)


@pytest.mark.parametrize("split", ["train", "test"])
def test_a_class_by_another_name_would_shift_the_labels(split: str, tmp_path: Path) -> None:
    (tmp_path / split / "automobile").rename(tmp_path / split / "vehicle")
    assert f"{tmp_path / split}: lacks automobile and also holds vehicle: train/ and test/ need" in refused(tmp_path)


def test_a_missing_class(tmp_path: Path) -> None:
    shutil.rmtree(tmp_path / "test" / "truck")
    assert f"{tmp_path / 'test'}: lacks truck: " in refused(tmp_path)


def test_an_eleventh_class(tmp_path: Path) -> None:
    (tmp_path / "train" / "maple").mkdir()
    assert f"{tmp_path / 'train'}: also holds maple: " in refused(tmp_path)


def test_an_empty_class(tmp_path: Path) -> None:
    for path in (tmp_path / "train" / "airplane").iterdir():
        path.unlink()
    assert f"{tmp_path}: train/airplane holds no image" in refused(tmp_path)


def test_a_missing_image(tmp_path: Path) -> None:
    next((tmp_path / "train" / "horse").iterdir()).unlink()
    assert "the training set has 19 images, not 20" in refused(tmp_path)


def test_an_image_in_another_class(tmp_path: Path) -> None:
    path = next((tmp_path / "train" / "horse").iterdir())
    path.rename(tmp_path / "train" / "cat" / path.name)
    assert "the training set has 3 images labelled 3 (cat), not 2" in refused(tmp_path)


def test_png_and_jpeg_mixed(tmp_path: Path) -> None:
    path = tmp_path / "test" / "truck" / next((tmp_path / "test" / "truck").iterdir()).name
    path.unlink()
    path.with_suffix(".jpg").write_bytes(encoded(images("test")[0], "jpeg"))
    message = refused(tmp_path)
    assert message.startswith(f"{path.with_suffix('.jpg')}: PNG and JPEG images are mixed")


def test_a_name_does_not_make_an_image_a_png(tmp_path: Path) -> None:
    write_images(tmp_path, "jpeg", ".png")
    assert data.identify("cifar10", tmp_path) == "cifar10-jpeg"
    assert data.load("cifar10", tmp_path).name == "cifar10-jpeg"


@pytest.mark.parametrize("name", [".0000.png", "Thumbs.db", "labels.txt"])
def test_other_files_are_left_alone(name: str, tmp_path: Path) -> None:
    (tmp_path / "train" / "airplane" / name).write_bytes(b"none of ours")
    (tmp_path / "train" / name).write_bytes(b"none of ours")
    (tmp_path / "train" / ".hidden").mkdir()
    assert data.load("cifar10", tmp_path).train_images.shape == (20, 3, 32, 32)


def test_a_damaged_image_is_named(tmp_path: Path) -> None:
    path = next((tmp_path / "test" / "deer").iterdir())
    path.write_bytes(path.read_bytes()[:1000])
    assert refused(tmp_path).startswith(f"{path}: cannot be decoded (")


def test_an_image_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    path = next((tmp_path / "test" / "deer").iterdir())
    path.unlink()
    path.mkdir()
    assert f"{path}: cannot be read: [Errno 21] Is a directory" in refused(tmp_path)
