"""The real images of CIFAR-10, where they are at hand: in $REPRO_DATA, or beside the repository."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from small_cifar import CLASSES

from repro import data
from repro.data.dataset import Dataset
from repro.errors import DataError

BESIDE = Path(__file__).resolve().parents[3] / "shared" / "data"
#: Of images and labels in canonical order. Networks that others trained on the published files have their published
#: errors on images of this fingerprint.
ORIGINAL = "82aef3701182904a2951cf854e9fbc095471acf8c72a2c6bb38db889b4ce1273"


def folder_of(name: str) -> Path:
    for folder in (data.data_folder(None), BESIDE / name):
        try:
            if data.identify(name, folder) == name:
                return folder
        except DataError:
            continue
    pytest.skip(f"no {name} in $REPRO_DATA or beside the repository")


def test_a_jpeg_copy_has_a_name_of_its_own() -> None:
    found = data.load("cifar10", folder_of("cifar10-jpeg"))
    assert (found.name, found.source) == ("cifar10-jpeg", "parquet files")
    assert found.fingerprint != ORIGINAL


@pytest.fixture(scope="module")
def real() -> Dataset:
    return data.load("cifar10", folder_of("cifar10"))


class TestOriginalPixels:
    def test_all_are_there(self, real: Dataset) -> None:
        assert (real.name, real.fingerprint) == ("cifar10", ORIGINAL)
        assert real.train_images.shape == (50_000, 3, 32, 32) and real.test_images.shape == (10_000, 3, 32, 32)
        assert torch.equal(real.train_labels.bincount(), torch.full((10,), 5_000))
        assert torch.equal(real.test_labels.bincount(), torch.full((10,), 1_000))

    def test_means_of_the_channels_are_those_that_everybody_has(self, real: Dataset) -> None:
        means = real.train_images.numpy().sum(axis=(0, 2, 3), dtype=np.int64) / (50_000 * 32 * 32 * 255)
        assert [round(mean, 4) for mean in means.tolist()] == [0.4914, 0.4822, 0.4465]

    def test_no_two_images_are_the_same(self, real: Dataset) -> None:
        images = {image.numpy().tobytes() for split in (real.train_images, real.test_images) for image in split}
        assert len(images) == 60_000


def _batches(folder: Path) -> None:
    """The seven published files, with their published MD5."""
    path = BESIDE / "write_batches.py"
    if not path.exists():
        pytest.skip("nothing here rebuilds the published batches")
    subprocess.run([sys.executable, path, folder], check=True)


def _rows(split: str) -> list[tuple[bytes, int]]:
    tables = [pq.read_table(path) for path in sorted(folder_of("cifar10").glob(f"{split}-*.parquet"))]
    if not tables:
        pytest.skip("the originals at hand are no parquet files")
    return [(row["img"]["bytes"], row["label"]) for table in tables for row in table.to_pylist()]


def _binary(folder: Path) -> None:
    folder.mkdir(parents=True)
    names = [f"data_batch_{n}.bin" for n in range(1, 6)]
    for split, files in (("train", names), ("test", ["test_batch.bin"])):
        found = data.load("cifar10", folder_of("cifar10"))
        images, labels = getattr(found, f"{split}_images").numpy(), getattr(found, f"{split}_labels").numpy()
        order = np.random.default_rng(0).permutation(len(labels))
        for name, part in zip(files, np.split(order, len(files)), strict=True):
            rows = np.concatenate([labels[part, None].astype(np.uint8), images[part].reshape(len(part), -1)], axis=1)
            rows.tofile(folder / name)


def _folders(folder: Path) -> None:
    for split in ("train", "test"):
        for name in CLASSES:
            (folder / split / name).mkdir(parents=True)
        for index, (blob, label) in enumerate(_rows(split)):
            (folder / split / CLASSES[label] / f"{index:05}.png").write_bytes(blob)


@pytest.mark.slow
@pytest.mark.parametrize("write", [_batches, _binary, _folders])
def test_every_layout_of_the_originals_has_their_fingerprint(write: Callable[[Path], None], tmp_path: Path) -> None:
    write(tmp_path / "images")
    assert data.load("cifar10", tmp_path / "images").fingerprint == ORIGINAL
