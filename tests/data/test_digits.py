"""The digits of scikit-learn: their scale, and a split that never changes."""

from __future__ import annotations

import pytest
import torch
from sklearn.datasets import load_digits as original

from repro import data
from repro.data.dataset import Dataset
from repro.data.table import DATA_SETS


@pytest.fixture(scope="module")
def digits() -> Dataset:
    return data.load("digits")


def test_shapes_and_facts(digits: Dataset) -> None:
    row = DATA_SETS["digits"]
    assert (digits.name, digits.source, digits.pad, digits.flip) == ("digits", "scikit-learn", 1, False)
    assert digits.classes == ("0", "1", "2", "3", "4", "5", "6", "7", "8", "9")
    assert digits.train_images.shape == (1437, 1, 8, 8) and digits.test_images.shape == (360, 1, 8, 8)
    assert (row.shape, row.train_images, row.test_images, row.classes) == ((1, 8, 8), 1437, 360, 10)
    assert row.fewest == digits.train_labels.bincount().min()
    assert digits.train_images.dtype == digits.test_images.dtype == torch.uint8
    assert digits.train_labels.dtype == digits.test_labels.dtype == torch.int64
    assert digits.channels == 1


def test_every_scan_is_in_exactly_one_set_with_its_label_in_the_original_order(digits: Dataset) -> None:
    bunch = original()
    # Greys of 0 to 16 as 0 to 255, in whole-number arithmetic with halves rounded up.
    scans = [
        (int(label), tuple((int(v) * 510 + 16) // 32 for v in image.ravel()))
        for label, image in zip(bunch.target, bunch.images, strict=True)
    ]
    assert len(set(scans)) == 1797  # no two are equal, so a scan's place in the original is certain
    place = {scan: index for index, scan in enumerate(scans)}
    train, test = (
        [place[int(label), tuple(image.flatten().tolist())] for label, image in zip(*pair, strict=True)]
        for pair in ((digits.train_labels, digits.train_images), (digits.test_labels, digits.test_images))
    )
    assert sorted(train + test) == list(range(1797))
    assert train == sorted(train) and test == sorted(test)


def test_the_split_has_not_changed(digits: Dataset) -> None:
    """Records carry this fingerprint: with another split, runs of before and after could not be compared."""
    assert digits.fingerprint == "711e8b7c20dbe0702e9ce83a5ee35e0eec9a3d8d542ed327e05b1b1eb295805b"
