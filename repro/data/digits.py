"""Handwritten digits: 1,797 real scans of 8x8 grey pixels that come with scikit-learn, so that no network is needed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from sklearn import datasets

from repro.data.dataset import Dataset
from repro.data.table import DATA_SETS

#: The largest grey value in scikit-learn's copy: it counts the set pixels of a 4x4 block of the original scan.
_LARGEST = 16
#: One image in five, of each class, is a test image: 360 of 1,797.
_TEST_EVERY = 5


def load(name: str, folder: Path, download: bool) -> Dataset:
    """1,437 training and 360 test images, always the same ones: uint8 (N, 1, 8, 8), grey 0 to 16 scaled to 0 to 255.

    Each class is put in a fixed random order, and of all classes in a row every fifth image is a test image; so the
    share of test images in a class is off by less than one image. Both sets keep the order of scikit-learn.
    """
    bunch = datasets.load_digits()
    labels = bunch.target.astype(np.int64)
    images = np.rint(bunch.images * (255 / _LARGEST)).astype(np.uint8)[:, None]
    # numpy keeps the stream of RandomState for ever, which it does not promise of its newer generators; and
    # scikit-learn's own splitter may change with its version.
    random = np.random.RandomState(0)
    order = np.concatenate([random.permutation(np.flatnonzero(labels == digit)) for digit in range(10)])
    is_test = np.zeros(len(labels), dtype=bool)
    is_test[order[::_TEST_EVERY]] = True
    return Dataset(
        name=name,
        train_images=torch.from_numpy(images[~is_test]),
        train_labels=torch.from_numpy(labels[~is_test]),
        test_images=torch.from_numpy(images[is_test]),
        test_labels=torch.from_numpy(labels[is_test]),
        classes=tuple("0123456789"),
        pad=DATA_SETS[name].pad,
        flip=DATA_SETS[name].flip,
        source="scikit-learn",
    )
