"""Data sets by name. Importing this module, `data_folder` and `identify` need no torch, so that plans stay quick."""

from __future__ import annotations

import importlib
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from repro.data.table import DATA_SETS, Row
from repro.errors import DataError, unknown

if TYPE_CHECKING:
    from repro.data.dataset import Dataset
    from repro.data.photographs.dataset import Photographs


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
        name: of a row of `repro.data.table.DATA_SETS`.
        folder: where the files lie; by default `data_folder(None)`.

    Raises:
        UserError: no such data set; the nearest name is given.
        DataError: nothing there that is this data set: what was found where, and what to do.
    """
    if not row(name).in_folder or row(name).family == "imagenet":
        return name
    from repro.data.forms import choose

    _, jpeg = choose(name, data_folder(folder))
    return "cifar10-jpeg" if jpeg else "cifar10"


def load(name: str, folder: Path | None = None, download: bool = False) -> Dataset | Photographs:
    """Read a data set into memory, checked in full; of photographs where each lies.

    Args:
        name: of a row of `repro.data.table.DATA_SETS`. "cifar10" takes whichever form lies in the folder, the original
            pixels first; if that is JPEG images, the data set is named "cifar10-jpeg".
        folder: where the files lie; by default `data_folder(None)`. Digits come with scikit-learn and need none.
        download: fetch CIFAR-10 into the folder if no form of it lies there.

    Raises:
        UserError: no such data set; the nearest name is given.
        DataError: data missing, damaged, or not what it should be: what was found where, and what to do.
    """
    reader: Any = importlib.import_module(row(name).reader)  # here because torch and scikit-learn take seconds
    found: Dataset | Photographs = reader.load(name, data_folder(folder), download)
    return found


def row(name: str) -> Row:
    """What is known of a data set before its files are read; UserError names the nearest one."""
    if name not in DATA_SETS:
        raise unknown("data set", name, DATA_SETS)
    return DATA_SETS[name]
