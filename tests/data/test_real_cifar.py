"""The real images of CIFAR-10, as JPEG, where they are at hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from repro import data
from repro.data.dataset import Dataset
from repro.errors import DataError


def real_folder() -> Path | None:
    """Where the JPEG mirror lies: in $REPRO_DATA, or beside the repository."""
    beside = Path(__file__).resolve().parents[3] / "shared" / "data" / "cifar10-jpeg"
    for folder in (data.data_folder(None), beside):
        try:
            if data.identify("cifar10-jpeg", folder) == "cifar10-jpeg":
                return folder
        except DataError:
            continue
    return None


@pytest.fixture(scope="module")
def real() -> Dataset:
    folder = real_folder()
    if folder is None:
        pytest.skip("no JPEG mirror of CIFAR-10 in $REPRO_DATA or beside the repository")
    return data.load("cifar10", folder)


class TestRealImages:
    def test_all_are_there_under_their_own_name(self, real: Dataset) -> None:
        assert (real.name, real.source) == ("cifar10-jpeg", "parquet files")
        assert real.train_images.shape == (50_000, 3, 32, 32) and real.test_images.shape == (10_000, 3, 32, 32)
        assert torch.equal(real.train_labels.bincount(), torch.full((10,), 5_000))
        assert torch.equal(real.test_labels.bincount(), torch.full((10,), 1_000))

    def test_means_of_the_channels_are_those_that_come_with_the_files(self, real: Dataset) -> None:
        means = real.train_images.numpy().sum(axis=(0, 2, 3), dtype=np.int64) / (50_000 * 32 * 32 * 255)
        assert [round(mean, 4) for mean in means.tolist()] == [0.4913, 0.4821, 0.4465]

    def test_no_test_image_is_a_training_image(self, real: Dataset) -> None:
        train = {image.numpy().tobytes() for image in real.train_images}
        assert not any(image.numpy().tobytes() in train for image in real.test_images)
