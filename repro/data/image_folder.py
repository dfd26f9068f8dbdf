"""CIFAR-10 as folders of images: train/<class>/*.png and test/<class>/*.png, or .jpg."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path, PurePath

from repro.data.pixels import ANOTHER, CLASSES, Encoded, label_of_each, reason
from repro.errors import AbsentError, DataError

_SUFFIXES = (".png", ".jpg", ".jpeg")
#: Images of a class; CINIC-10 and others have the same ten, and more.
LARGEST_CLASS = 5_000


def rows(folder: Path, split: str) -> Iterator[Encoded]:
    """The images of "train" or "test"; labels are the places of the class names in the alphabet, as CIFAR-10's are.

    Raises:
        AbsentError: other classes than those of CIFAR-10, or one with more images.
        DataError: a class is missing, or a file cannot be read.
    """
    try:
        for label, place in enumerate(_folders(folder / split)):
            paths = [path for path in place.iterdir() if path.suffix.lower() in _SUFFIXES and not is_leftover(path)]
            if len(paths) > LARGEST_CLASS:
                raise AbsentError(f"{place}: holds {len(paths):,} images, more than a class of CIFAR-10: {ANOTHER}")
            for path in sorted(paths):
                yield Encoded(path.read_bytes(), label, str(path))
    except OSError as error:
        raise DataError(f"{error.filename}: cannot be read ({reason(error)}): {_EXPECTED}") from error


def is_leftover(path: PurePath) -> bool:
    """Whether a system, and not a person, put it there, as macOS puts one beside each file on the disks of others."""
    return path.name.startswith(".") or path.name == "__MACOSX"


def _folders(folder: Path) -> list[Path]:
    """The folders of the ten classes, in the order of their labels; system leftovers beside them are passed over."""
    inside = sorted(path for path in folder.iterdir() if path.is_dir() and not is_leftover(path))
    labels = label_of_each([path.name for path in inside])
    if labels is not None:
        return [path for _, path in sorted(zip(labels, inside, strict=True))]
    found = {path.name.lower() for path in inside}
    missing, others = [name for name in CLASSES if name not in found], sorted(found - set(CLASSES))
    words = [f"lacks {', '.join(missing)}"] * bool(missing) + [f"also holds {', '.join(others[:5])}"] * bool(others)
    raise (AbsentError if others else DataError)(f"{folder}: {' and '.join(words)}: {_EXPECTED}")


_EXPECTED = f"train/ and test/ need one folder of images for each of {', '.join(CLASSES)}"
