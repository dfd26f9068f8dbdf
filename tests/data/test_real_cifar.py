"""The real images of CIFAR-10, where they are at hand: in $REPRO_DATA, or beside the repository."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from repro import data
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


@pytest.mark.slow
def test_a_jpeg_copy_has_a_name_of_its_own() -> None:
    found = data.load("cifar10", folder_of("cifar10-jpeg"))
    assert (found.name, found.source) == ("cifar10-jpeg", "parquet files")
    assert found.fingerprint != ORIGINAL


def test_original_pixels_have_their_fingerprint_and_the_means_that_everybody_has() -> None:
    found = data.load("cifar10", folder_of("cifar10"))
    assert (found.name, found.fingerprint) == ("cifar10", ORIGINAL)
    means = found.train_images.numpy().sum(axis=(0, 2, 3), dtype=np.int64) / (50_000 * 32 * 32 * 255)
    assert [round(mean, 4) for mean in means.tolist()] == [0.4914, 0.4822, 0.4465]


@pytest.mark.slow
def test_the_published_batches_have_the_fingerprint_of_the_originals(tmp_path: Path) -> None:
    """The seven files, with their published MD5."""
    path = BESIDE / "write_batches.py"
    if not path.exists():
        pytest.skip("nothing here rebuilds the published batches")
    subprocess.run([sys.executable, path, tmp_path / "images"], check=True)
    assert data.load("cifar10", tmp_path / "images").fingerprint == ORIGINAL
