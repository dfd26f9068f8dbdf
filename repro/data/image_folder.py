"""CIFAR-10 as folders of images: train/<class>/*.png and test/<class>/*.png, or .jpg."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from repro.data.pixels import ANOTHER, CLASSES, Encoded, Split, decoded, label_of_each, reason
from repro.errors import AbsentError, DataError

SUFFIXES = (".png", ".jpg", ".jpeg")
#: Images of a class; CINIC-10 and others have the same ten, and more.
LARGEST_CLASS = 5_000


def first_image(folder: Path) -> tuple[bytes, str]:
    """One encoded image, and what to call it in an error.

    Raises:
        AbsentError: the classes are not those of CIFAR-10, or have more images.
        DataError: there is none, or it cannot be read.
    """
    first = _folders(folder / "train")[0]
    paths = _images(first)
    if not paths:
        raise DataError(f"{first}: holds no image (.png, .jpg): {_EXPECTED}")
    if len(paths) > LARGEST_CLASS:
        raise AbsentError(f"{first}: holds {len(paths):,} images, more than a class of CIFAR-10: {ANOTHER}")
    return _read_bytes(paths[0]), str(paths[0])


def read(folder: Path) -> tuple[Split, Split]:
    """Read the training and the test set; labels are the places of the class names in the alphabet, as CIFAR-10's are.

    Raises:
        DataError: the classes are not those of CIFAR-10, or a file cannot be read or is not an image of 32x32 RGB.
    """
    return decoded(_encoded(folder / "train"), _encoded(folder / "test"))


def _encoded(folder: Path) -> Encoded:
    of_class = [_images(path) for path in _folders(folder)]
    paths = [path for group in of_class for path in group]
    labels = np.repeat(np.arange(len(CLASSES), dtype=np.int64), [len(group) for group in of_class])
    return Encoded([_read_bytes(path) for path in paths], labels, [str(path) for path in paths])


def _folders(folder: Path) -> list[Path]:
    """The folders of the ten classes, in the order of their labels; system leftovers beside them are passed over."""
    try:
        inside = sorted(path for path in folder.iterdir() if path.is_dir() and not is_leftover(path.name))
    except OSError as error:
        raise DataError(f"{folder}: cannot be read ({reason(error)}): {_EXPECTED}") from error
    labels = label_of_each([path.name for path in inside])
    if labels is not None:
        return [path for _, path in sorted(zip(labels, inside, strict=True))]
    found = {path.name.lower() for path in inside}
    missing, others = [name for name in CLASSES if name not in found], sorted(found - set(CLASSES))
    words = [f"lacks {', '.join(missing)}"] * bool(missing) + [f"also holds {', '.join(others[:5])}"] * bool(others)
    raise (AbsentError if others else DataError)(f"{folder}: {' and '.join(words)}: {_EXPECTED}")


def is_leftover(name: str) -> bool:
    """Whether a system, and not a person, put a file or folder there."""
    return name.startswith(".") or name == "__MACOSX"


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
