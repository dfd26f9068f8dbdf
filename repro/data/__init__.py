"""Data sets by name. Importing this module, `data_folder` and `identify` need no torch, so that plans stay quick."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from repro.errors import DataError, unknown

if TYPE_CHECKING:
    from repro.data.dataset import Dataset

#: What --data takes, beside `JPEG_NAME`.
NAMES = ("digits", "cifar10")
#: What else may be asked for: CIFAR-10 whose images are stored as JPEG, and so are not the original pixels.
JPEG_NAME = "cifar10-jpeg"


def data_folder(argument: Path | None) -> Path:
    """The folder of --data-dir, or else of $REPRO_DATA, or else ./data.

    Raises:
        DataError: it begins with ~ or ~NAME, and whose home that would be is not known.
    """
    folder = argument or Path(os.environ.get("REPRO_DATA") or "data")
    try:
        return folder.expanduser()
    except RuntimeError as error:
        raise DataError(f"{folder}: whose home that is is not known: give the path in full") from error


def identify(name: str, folder: Path | None = None) -> str:
    """The name that `load` would give the data set, after a glance at the files and at one image.

    Args:
        name: one of `NAMES`, or "cifar10-jpeg".
        folder: where the files lie; by default `data_folder(None)`.

    Raises:
        UserError: no such data set; the nearest name is given.
        DataError: nothing there that is this data set: what was found where, and what to do.
    """
    _check_name(name)
    if name == "digits":
        return name
    from repro.data.forms import choose

    return JPEG_NAME if choose(name, data_folder(folder)).jpeg else "cifar10"


def load(name: str, folder: Path | None = None, download: bool = False) -> Dataset:
    """Read a data set into memory, checked in full.

    Args:
        name: one of `NAMES`, or "cifar10-jpeg". "cifar10" takes whichever form lies in the folder, the original
            pixels first; if that is JPEG images, the data set is named "cifar10-jpeg".
        folder: where the files lie; by default `data_folder(None)`. Digits come with scikit-learn and need none.
        download: fetch CIFAR-10 into the folder if no form of it lies there.

    Raises:
        UserError: no such data set; the nearest name is given.
        DataError: data missing, damaged, or not what it should be: what was found where, and what to do.
    """
    _check_name(name)
    # Imported here because torch and scikit-learn take seconds.
    if name == "digits":
        from repro.data.digits import load_digits

        return load_digits()
    from repro.data.cifar10 import load_cifar10

    return load_cifar10(name, data_folder(folder), download)


def classes(name: str) -> tuple[int, int]:
    """How many classes a data set has, and how many training images its smallest one; no file is read for it."""
    _check_name(name)
    if name == "digits":
        from repro.data.digits import load_digits

        counts = load_digits().train_labels.bincount()
        return len(counts), int(counts.min())
    from repro.data.cifar10 import TRAIN_PER_CLASS
    from repro.data.pixels import CLASSES

    return len(CLASSES), TRAIN_PER_CLASS


def _check_name(name: str) -> None:
    known = (*NAMES, JPEG_NAME)
    if name not in known:
        raise unknown("data set", name, known)
