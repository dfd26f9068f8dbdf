"""CIFAR-10: 50,000 training and 10,000 test images of 32x32 RGB in 10 classes, read from whichever form lies there.

In memory they are in canonical order (`repro.data.pixels.Split`), whatever form they were read from.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from repro.data import binary_batches, forms, image_folder, parquet_files, python_batches
from repro.data.dataset import Dataset
from repro.data.download import download as fetch
from repro.data.pixels import CLASSES, Split
from repro.data.table import DATA_SETS
from repro.errors import DataError

#: Images of each class.
TRAIN_PER_CLASS = 5_000
TEST_PER_CLASS = 1_000

_READERS: dict[forms.Kind, Callable[[Path], tuple[Split, Split]]] = {
    "python batches": python_batches.read_folder,
    "python archive": python_batches.read_archive,
    "binary batches": binary_batches.read,
    "binary archive": binary_batches.read_archive,
    "parquet files": parquet_files.read,
    "image folders": image_folder.read,
}


def load(name: str, folder: Path, download: bool = False) -> Dataset:
    """Read and check all of CIFAR-10.

    Args:
        name: "cifar10" for the original pixels or else JPEG images, "cifar10-jpeg" for JPEG images only.
        folder: holds one of the forms of `repro.data.forms`, itself or a few levels below.
        download: fetch the archive if no form lies there.

    Raises:
        DataError: missing, damaged, mixed, mislabelled, or not as many images as CIFAR-10 has.
    """
    if download and name == "cifar10" and not forms.holds_any(folder):
        fetch(folder)
    choice = forms.choose(name, folder)
    form = choice.form
    others = [f"{o.kind} in {o.path}" for o in choice.found if o != form and _same(o.kind) != _same(form.kind)]
    if others:
        warnings.warn(f"{folder}: the {form.kind} in {form.path} are taken, not the {', '.join(others)}", stacklevel=2)
    train, test = _READERS[form.kind](form.path)
    _check(train, TRAIN_PER_CLASS, f"{form.path}: the training set")
    _check(test, TEST_PER_CLASS, f"{form.path}: the test set")
    train, test = train.in_canonical_order(), test.in_canonical_order()
    row = DATA_SETS["cifar10-jpeg" if choice.jpeg else "cifar10"]
    return Dataset(
        name=row.name,
        train_images=torch.from_numpy(train.images),
        train_labels=torch.from_numpy(train.labels),
        test_images=torch.from_numpy(test.images),
        test_labels=torch.from_numpy(test.labels),
        classes=CLASSES,
        pad=row.pad,
        flip=row.flip,
        source=form.kind,
    )


def _same(kind: forms.Kind) -> str:
    """torchvision leaves its archive beside the batches that it unpacked, and so do people: the same bytes."""
    return kind.replace("archive", "batches")


def _check(split: Split, per_class: int, what: str) -> None:
    """Labels in range, and exactly as many images of each class as there should be."""
    needed = per_class * len(CLASSES)
    wrong = np.flatnonzero((split.labels < 0) | (split.labels >= len(CLASSES)))
    if len(wrong):
        raise DataError(
            f"{what} has label {split.labels[wrong[0]]} at image {wrong[0]}, where labels are 0 to "
            f"{len(CLASSES) - 1}: {_FETCH}"
        )
    if len(split.labels) != needed:
        raise DataError(f"{what} has {len(split.labels):,} images, not {needed:,}: {_FETCH}")
    counts = np.bincount(split.labels, minlength=len(CLASSES))
    for label, count in enumerate(counts):
        if count != per_class:
            raise DataError(
                f"{what} has {count:,} images labelled {label} ({CLASSES[label]}), not {per_class:,}: {_FETCH}"
            )


_FETCH = "it is incomplete or mislabelled, so fetch it again"
