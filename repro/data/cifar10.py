"""CIFAR-10: 50,000 training and 10,000 test images of 32x32 RGB in 10 classes, read from whichever form lies there.

In memory they are in canonical order (`repro.data.pixels.Split`), whatever form they were read from.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from repro.data import forms
from repro.data.dataset import Dataset
from repro.data.download import download as fetch
from repro.data.pixels import ANOTHER, CLASSES, Split
from repro.data.table import DATA_SETS
from repro.errors import AbsentError, DataError

#: Images of each class.
TRAIN_PER_CLASS = 5_000
TEST_PER_CLASS = 1_000
_AGAIN = "it is incomplete or mislabelled, so fetch it again"


def load(name: str, folder: Path, download: bool = False) -> Dataset:
    """Read and check all of CIFAR-10.

    Args:
        name: "cifar10" for the original pixels or else JPEG images, "cifar10-jpeg" for JPEG images only.
        folder: holds one of the forms of `repro.data.forms`, itself or a few levels below.
        download: fetch the archive if no form lies there.

    Raises:
        DataError: missing, damaged, mixed, mislabelled, or not as many images as CIFAR-10 has.
    """
    try:
        form, jpeg = forms.choose(name, folder)
    except AbsentError:
        if not download or name != "cifar10":
            raise
        fetch(folder)
        form, jpeg = forms.choose(name, folder)
    train, test = form.read()
    # As whoever follows the paper's split of 45,000 and 5,000 images may keep them.
    kept = next((path for path in form.path.glob("val*") if path.is_dir()), None)
    _check(
        train, TRAIN_PER_CLASS, f"{form.path}: the training set", f"put those of {kept} there too" if kept else _AGAIN
    )
    _check(test, TEST_PER_CLASS, f"{form.path}: the test set", _AGAIN)
    train, test = train.in_canonical_order(), test.in_canonical_order()
    row = DATA_SETS["cifar10-jpeg" if jpeg else "cifar10"]
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


def _check(split: Split, per_class: int, what: str, cure: str) -> None:
    """Exactly as many images of each class as there should be, and no other label; `cure` is for fewer."""
    found = dict(zip(*(values.tolist() for values in np.unique(split.labels, return_counts=True)), strict=True))
    needed = dict.fromkeys(range(len(CLASSES)), per_class)
    wrong = [label for label in {**needed, **found} if found.get(label, 0) != needed.get(label, 0)]
    if wrong:
        counts = ", ".join(f"{found.get(label, 0):,} labelled {label}" for label in wrong[:3])
        more = len(split.labels) > per_class * len(CLASSES)
        raise DataError(
            f"{what} has {len(split.labels):,} images, not {per_class * len(CLASSES):,} with {per_class:,} of each "
            f"label from 0 to {len(CLASSES) - 1} ({counts}): {ANOTHER if more else cure}"
        )
