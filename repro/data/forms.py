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
Kind = Literal["python batches", "python archive", "binary batches", "parquet files", "image folders"]

#: What a user can do, for the end of an error.
CHOICES = (
    f"put one of these there: {python_batches.FOLDER} or {python_batches.ARCHIVE}, or {binary_batches.FOLDER}; "
    "the Hugging Face files train-*.parquet and test-*.parquet (of uoft-cs/cifar10); "
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
    """All forms in a folder and in those one level below it, without opening a file; none if there is no folder.

    Raises:
        DataError: the folder is a file or cannot be read.
    """
    try:
        inside = sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))
    except FileNotFoundError:
        return []
    except NotADirectoryError as error:
        raise DataError(
            f"{folder}: is no folder: --data-dir and $REPRO_DATA take the folder that holds the data"
        ) from error
    except OSError as error:
        raise DataError(f"{folder}: cannot be read: {reason(error)}") from error
    places = [folder, *inside]
    paths = {kind: [_path(kind, place) for place in places] for kind in get_args(Kind)}
    return [Form(kind, path) for kind in paths for path in paths[kind] if path is not None]


def _path(kind: Kind, place: Path) -> Path | None:
    """Where the form of one kind lies if it lies right in this folder."""
    try:
        names = {path.name for path in place.iterdir()}
        if kind == "python batches":
            return place if place.name == python_batches.FOLDER or python_batches.FIRST_BATCH in names else None
        if kind == "python archive":
            return place / python_batches.ARCHIVE if python_batches.ARCHIVE in names else None
        if kind == "binary batches":
            return place if place.name == binary_batches.FOLDER or binary_batches.FIRST_BATCH in names else None
        if kind == "parquet files":
            return place if any(parquet_files.shards(place, split) for split in ("train", "test")) else None
        splits = [place / split for split in ("train", "test") if split in names and (place / split).is_dir()]
        return place if any(path.is_dir() for split in splits for path in split.iterdir()) else None
    except PermissionError:
        # A disk's root has folders that nobody may read; `_contents` names them if nothing else is found.
        return None


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
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    return f"no CIFAR-10 there, it holds {', '.join(names[:5])}{more}"
