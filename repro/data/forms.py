"""The forms in which CIFAR-10 may lie in a folder, and which of them does."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from repro.data import binary_batches, image_folder, parquet_files, python_batches
from repro.data.pixels import is_jpeg, reason
from repro.errors import DataError, OtherDataError

#: In the order in which they are preferred.
Kind = Literal["python batches", "python archive", "binary batches", "binary archive", "parquet files", "image folders"]
#: So many levels below the folder given are looked into, as in the cache of the Hugging Face hub, and so many folders.
DEEPEST, MOST_FOLDERS = 5, 2_000

#: What a user can do, for the end of an error.
CHOICES = (
    f"put one of these there: {python_batches.FOLDER} or {python_batches.ARCHIVE}; {binary_batches.FOLDER} or "
    f"{binary_batches.ARCHIVE}; the Hugging Face files train-*.parquet and test-*.parquet (of uoft-cs/cifar10); "
    "or folders of images train/airplane/*.png … test/truck/*.png"
)
_JPEG_CHOICES = (
    "put the JPEG images there: as parquet files train-*.parquet and test-*.parquet, "
    "or as folders train/airplane/*.jpg … test/truck/*.jpg"
)


@dataclass(frozen=True)
class Form:
    """Where CIFAR-10 lies, and how: the folder that holds the files, or the archive."""

    kind: Kind
    path: Path


@dataclass(frozen=True)
class Choice:
    """The form taken, whether its images are JPEG, and all forms found."""

    form: Form
    jpeg: bool
    found: tuple[Form, ...]


def choose(name: str, folder: Path) -> Choice:
    """Decide which form in a folder to read.

    Original pixels come before JPEG images, unless "cifar10-jpeg" is what is asked for; among equals the order is
    that of `Kind`; and the folder itself comes before those in it. Images of other data sets, which may lie in the same
    form beside them, are passed over.

    Raises:
        DataError: there is none, or only original pixels where "cifar10-jpeg" is asked for, or one that comes before
            the one to take is damaged.
    """
    found = find(folder)
    wants_jpeg = name == "cifar10-jpeg"
    if not found:
        remedy = _JPEG_CHOICES if wants_jpeg else f"fetch the archive with --download, or {CHOICES}"
        raise DataError(f"{folder}: {_contents(folder)}: {remedy}")
    other: OtherDataError | None = None
    for form in list(found):
        try:
            jpeg = _is_jpeg(form)
        except OtherDataError as error:
            other = other or error
            found.remove(form)
            continue
        if jpeg == wants_jpeg:
            return Choice(form, jpeg, tuple(one for one in found if one == form or not _is_of_another_set(one)))
    if other and not found:
        raise other
    if wants_jpeg:
        raise DataError(
            f"{folder}: cifar10-jpeg is asked for, but the {found[0].kind} there hold the original pixels: "
            "ask for cifar10, or give the folder of the JPEG images"
        )
    # No original pixels, so JPEG ones: the first that was found.
    return Choice(found[0], True, tuple(found))


def holds_any(folder: Path) -> bool:
    """Whether any form of CIFAR-10 is there, be it damaged; images of other data sets do not count.

    Raises:
        DataError: the folder is a file or cannot be read, or the first form to be taken is damaged.
    """
    if not find(folder):
        return False
    try:
        choose("cifar10", folder)
    except OtherDataError:
        return False
    return True


def find(folder: Path) -> list[Form]:
    """All forms in a folder and in those a few levels below it, without opening a file; none if there is no folder.

    Raises:
        DataError: the folder is a file or cannot be read.
    """
    try:
        next(folder.iterdir(), None)
    except FileNotFoundError:
        return []
    except NotADirectoryError as error:
        raise DataError(
            f"{folder}: is no folder: --data-dir and $REPRO_DATA take the folder that holds the data"
        ) from error
    except OSError as error:
        raise DataError(f"{folder}: cannot be read: {reason(error)}") from error
    found: list[Form] = []
    level, seen = [folder], 0
    for _ in range(DEEPEST + 1):
        below: list[Path] = []
        for place in level[: MOST_FOLDERS - seen]:
            here, inside = _look(place)
            found += here
            # What lies in a form is its own: a hundred thousand images, say.
            below += inside if not here or place == folder else []
        seen += len(level)
        level = below
    order = get_args(Kind)
    return sorted(found, key=lambda form: order.index(form.kind))


def _look(place: Path) -> tuple[list[Form], list[Path]]:
    """The forms that lie right in a folder, and the folders in it that may hold others."""
    try:
        inside = sorted(place.iterdir())
        folders = [path for path in inside if path.is_dir() and not image_folder.is_leftover(path.name)]
        names = {path.name for path in inside}
        found = []
        if place.name == python_batches.FOLDER or python_batches.FIRST_BATCH in names:
            found.append(Form("python batches", place))
        if place.name == binary_batches.FOLDER or binary_batches.FIRST_BATCH in names:
            found.append(Form("binary batches", place))
        found += [Form("python archive", path) for path in inside if _is_copy(path, python_batches.ARCHIVE)]
        found += [Form("binary archive", path) for path in inside if _is_copy(path, binary_batches.ARCHIVE)]
        if any(parquet_files.shards(place, split) for split in ("train", "test")):
            found.append(Form("parquet files", place))
        splits = [path for path in folders if path.name in ("train", "test")]
        if any(path.is_dir() for split in splits for path in split.iterdir()):
            found.append(Form("image folders", place))
            folders = [path for path in folders if path not in splits]
    except PermissionError:
        # A disk's root has folders that nobody may read; `_contents` names them if nothing else is found.
        return [], []
    return found, folders


def _is_copy(path: Path, archive: str) -> bool:
    """Whether a file has the name of an archive, or that of a browser's second copy of it, "… (1).tar.gz"."""
    return path.match(archive.replace(".tar.gz", "*.tar.gz"))


def _is_jpeg(form: Form) -> bool:
    if form.kind == "parquet files":
        return is_jpeg(*parquet_files.first_image(form.path))
    if form.kind == "image folders":
        return is_jpeg(*image_folder.first_image(form.path))
    return False


def _is_of_another_set(form: Form) -> bool:
    try:
        _is_jpeg(form)
    except OtherDataError:
        return True
    except DataError:
        return False  # CIFAR-10's, as far as one can tell, and damaged
    return False


def _contents(folder: Path) -> str:
    """What lies in a folder without CIFAR-10, in a few words."""
    try:
        paths = sorted(folder.iterdir())
    except FileNotFoundError:
        return "there is no such folder (--data-dir or $REPRO_DATA names it)"
    if not paths:
        return "the folder is empty"
    names = [path.name if os.access(path, os.R_OK) else f"{path.name} that may not be read" for path in paths]
    known = [f"{name} is {what}" for name, what in _OTHERS.items() if (folder / name).exists()]
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    return f"no CIFAR-10 there, it holds {', '.join(names[:5])}{more}{''.join(f' ({text})' for text in known[:1])}"


#: Other data sets, by a file or folder that they come as.
_OTHERS = {
    "cifar-100-python": "CIFAR-100",
    "cifar-100-python.tar.gz": "CIFAR-100",
    "cifar-100-binary": "CIFAR-100",
    "MNIST": "MNIST",
    "FashionMNIST": "Fashion-MNIST",
    "train-images-idx3-ubyte.gz": "MNIST, or one in its form",
    "train_32x32.mat": "SVHN",
    "stl10_binary": "STL-10",
    "tiny-imagenet-200": "Tiny ImageNet",
}
