"""CIFAR-10 as folders of images: train/<class>/*.png and test/<class>/*.png, or .jpg."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from repro.data.pixels import CLASSES, Split, decode, reason
from repro.errors import DataError, OtherDataError

SUFFIXES = (".png", ".jpg", ".jpeg")


def first_image(folder: Path) -> tuple[bytes, str]:
    """One encoded image, and what to call it in an error.

    Raises:
        DataError: there is none, it cannot be read, or the classes are not those of CIFAR-10.
    """
    _check_classes(folder / "train")
    paths = _images(folder / "train" / CLASSES[0])
    if not paths:
        raise DataError(f"{folder}: train/{CLASSES[0]} holds no image (.png, .jpg): {_EXPECTED}")
    return _read_bytes(paths[0]), str(paths[0])


def read(folder: Path) -> tuple[Split, Split]:
    """Read the training and the test set; labels are the places of the class names in the alphabet, as CIFAR-10's are.

    Raises:
        DataError: the classes are not those of CIFAR-10, or a file cannot be read or is not an image of 32x32 RGB.
    """
    paths: list[Path] = []
    labels = []
    for split in ("train", "test"):
        _check_classes(folder / split)
        of_class = [_images(folder / split / name) for name in CLASSES]
        paths += [path for group in of_class for path in group]
        labels.append(np.repeat(np.arange(len(CLASSES), dtype=np.int64), [len(group) for group in of_class]))
    pixels = decode([_read_bytes(path) for path in paths], [str(path) for path in paths])
    cut = len(labels[0])
    return Split(pixels[:cut], labels[0]), Split(pixels[cut:], labels[1])


def _check_classes(folder: Path) -> None:
    try:
        found = {path.name for path in folder.iterdir() if path.is_dir() and not path.name.startswith(".")}
    except OSError as error:
        raise DataError(f"{folder}: cannot be read ({reason(error)}): {_EXPECTED}") from error
    missing, others = [name for name in CLASSES if name not in found], sorted(found - set(CLASSES))
    if missing or others:
        words = [f"lacks {', '.join(missing)}"] * bool(missing) + [f"also holds {', '.join(others[:5])}"] * bool(others)
        raise (OtherDataError if others else DataError)(f"{folder}: {' and '.join(words)}: {_EXPECTED}")


def _images(folder: Path) -> list[Path]:
    """Images of one class in the order of their names."""
    try:
        names = sorted(path.name for path in folder.iterdir())
    except OSError as error:
        raise DataError(f"{folder}: cannot be read: {reason(error)}") from error
    return [folder / name for name in names if name.lower().endswith(SUFFIXES) and not name.startswith(".")]


def _read_bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {reason(error)}") from error


_EXPECTED = f"train/ and test/ need one folder of images for each of {', '.join(CLASSES)}"
