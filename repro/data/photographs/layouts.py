"""The layouts in which people have ImageNet, but for parquet: each by what it is recognised, and what lies where in it.

A recogniser takes (base, root, split), a folder to look in and the one that the user gave, and gives None where its
layout is not there. It opens nothing: its chunks are read as they are asked for.
"""

from __future__ import annotations

import csv
import io
import os
import re
import tarfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any, Literal, NamedTuple

from scipy.io import loadmat

from repro.data.batches import read_files
from repro.data.image_folder import is_leftover
from repro.data.photographs.index import SYNSET, Chunk
from repro.data.pixels import reason
from repro.errors import DataError, shown

Split = Literal["train", "validation"]
#: What a split's folder or files are called.
NAMES: dict[Split, tuple[str, ...]] = {"train": ("train",), "validation": ("val", "validation")}
TRAIN_ARCHIVE, VALIDATION_ARCHIVE = "ILSVRC2012_img_train.tar", "ILSVRC2012_img_val.tar"
DEVKIT, GROUND_TRUTH, META = "ILSVRC2012_devkit_t12", "ILSVRC2012_validation_ground_truth.txt", "meta.mat"
KAGGLE_LABELS = "LOC_val_solution.csv"
_SUFFIXES = (".jpeg", ".jpg", ".png")
_VALIDATION = re.compile(r"ILSVRC2012_val_(\d{8})\.jpe?g", re.IGNORECASE)
_FETCH = "fetch it again"


class Found(NamedTuple):
    """A layout that lies somewhere; see `repro.data.photographs.index.build`."""

    source: str
    where: Path
    loose: bool
    chunks: Iterable[Chunk]


def synset_folders(base: Path, root: Path, split: Split) -> Found | None:
    """train/n01440764/*.JPEG and val/n01440764/*.JPEG, as Imagenette and Imagewoof lie too."""
    for where in (base / name for name in NAMES[split]):
        folders = sorted(path for path in _inside(where) if SYNSET.fullmatch(path.name) and path.is_dir())
        if folders:
            return Found("synset folders", where, True, map(_folder, folders))
    return None


def flat_folder(base: Path, root: Path, split: Split) -> Found | None:
    """ILSVRC2012_val_00000001.JPEG and so on in one folder, with the devkit or Kaggle's table beside."""
    for where in (base / name for name in (*NAMES[split], ".")) if split == "validation" else ():
        if any(_VALIDATION.fullmatch(path.name) for path in _inside(where)):

            def chunks(where: Path = where) -> Iterator[Chunk]:
                rows = [(name, offset, length) for name, offset, length, _ in _folder(where).rows]
                yield _labelled(where, rows, validation_classes(where, base, root))

            return Found("a flat folder", where, True, chunks())
    return None


def archives(base: Path, root: Path, split: Split) -> Found | None:
    """The original archives: a tar of 1,000 tars, and the validation set's, which has no folders."""
    path = base / (TRAIN_ARCHIVE if split == "train" else VALIDATION_ARCHIVE)
    if not path.is_file():
        return None

    def train() -> Iterator[Chunk]:
        for name, offset, length in _members(path):
            synset = PurePosixPath(name).stem
            if SYNSET.fullmatch(synset) and name.endswith(".tar"):
                inside = [(*row, synset) for row in _members(path, offset, offset + length) if _is_image(row[0])]
                if not inside:
                    raise DataError(f"{path}: {name} holds no photographs: {_FETCH}")
                yield Chunk(path, inside)

    def validation() -> Iterator[Chunk]:
        yield _labelled(path, [row for row in _members(path) if _is_image(row[0])], validation_classes(base, root))

    return Found("the original archives", path, False, train() if split == "train" else validation())


def shards(base: Path, root: Path, split: Split) -> Found | None:
    """Archives of webdataset: imagenet1k-train-0000.tar or train/0000.tar, which hold NAME.jpg and NAME.cls."""
    forms = [form for name in NAMES[split] for form in (f"*{name}*.tar", f"{name}/*.tar")]
    found = sorted({path for form in forms for path in base.glob(form) if not is_leftover(path)})
    return Found("webdataset shards", found[0].parent, False, map(_shard, found)) if found else None


RECOGNISERS: tuple[Callable[[Path, Path, Split], Found | None], ...] = (synset_folders, flat_folder, archives, shards)


def validation_classes(*folders: Path) -> Mapping[int, str]:
    """The synset of each validation image by the number in its name, from the devkit or from Kaggle's table.

    Raises:
        DataError: neither is in one of the folders, or it cannot be read.
    """
    for folder in folders:
        for place in (folder, folder / DEVKIT / "data", folder / "data"):
            if (place / GROUND_TRUTH).is_file() and (place / META).is_file():
                files = {name: (place / name).read_bytes() for name in (GROUND_TRUTH, META)}
                return _of_devkit(files, place)
        archive = folder / f"{DEVKIT}.tar.gz"
        if archive.is_file():
            return _of_devkit(read_files(archive, (GROUND_TRUTH, META), _FETCH), archive)
        if (folder / KAGGLE_LABELS).is_file():
            return _of_kaggle(folder / KAGGLE_LABELS)
    raise DataError(
        f"{folders[0]}: the classes of its photographs are not there: put {DEVKIT}.tar.gz, or Kaggle's "
        f"{KAGGLE_LABELS}, in {folders[-1]}"
    )


def _of_devkit(files: Mapping[str, bytes], where: Path) -> dict[int, str]:
    """Lines of the ground truth are ids of meta.mat, which are not in the order of the sorted synsets."""
    try:
        meta: Any = loadmat(io.BytesIO(files[META]), squeeze_me=True)["synsets"]  # type: ignore[arg-type]
        synsets = {int(one["ILSVRC2012_ID"]): str(one["WNID"]) for one in meta}
        return {image: synsets[int(line)] for image, line in enumerate(files[GROUND_TRUTH].split(), start=1)}
    # scipy raises whatever a damaged file leads it to.
    except Exception as error:
        raise DataError(f"{where}: is no devkit of ILSVRC2012 ({reason(error)}): {_FETCH}") from error


def _of_kaggle(path: Path) -> dict[int, str]:
    try:
        with path.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        return {int(row["ImageId"].rpartition("_")[2]): row["PredictionString"].split()[0] for row in rows}
    except (OSError, ValueError, KeyError, IndexError, AttributeError, csv.Error) as error:
        raise DataError(f"{path}: is no table of ImageId and PredictionString ({reason(error)}): {_FETCH}") from error


def _labelled(place: Path, rows: Iterable[tuple[str, int, int]], classes: Mapping[int, str]) -> Chunk:
    """Validation images with the classes that their numbers have."""
    labelled = []
    for name, offset, length in rows:
        match = _VALIDATION.fullmatch(PurePosixPath(name).name)
        if not match or int(match[1]) not in classes:
            raise DataError(f"{place}: {name} has no class in the devkit or {KAGGLE_LABELS}: remove it, or {_FETCH}")
        labelled.append((name, offset, length, classes[int(match[1])]))
    return Chunk(place, labelled)


def _folder(folder: Path) -> Chunk:
    """All photographs of a folder, each a file, of the class that the folder's name says."""
    with os.scandir(folder) as entries:
        rows = [(entry.name, 0, entry.stat().st_size, folder.name) for entry in entries if _is_image(entry.name)]
    if not rows:
        raise DataError(f"{folder}: holds no photographs, so the class is missing: unpack it again")
    return Chunk(folder, sorted(rows))


def _shard(path: Path) -> Chunk:
    images: dict[str, tuple[str, int, int]] = {}
    labels: dict[str, int] = {}
    with path.open("rb") as file:
        for name, offset, length in _members(path):
            folder, _, last = name.rpartition("/")
            key = f"{folder}/{last.partition('.')[0]}"
            if _is_image(name):
                images[key] = (name, offset, length)
            elif name.endswith(".cls"):
                file.seek(offset)
                text = file.read(min(length, 80))
                if not text.strip().isdigit():
                    raise DataError(f"{path}: {name} holds {shown(text)}, where a label from 0 is needed: {_FETCH}")
                labels[key] = int(text)
    for key, (name, *_) in images.items():
        if key not in labels:
            raise DataError(f"{path}: {name} has no NAME.cls beside it, so its class is unknown: fetch shards that do")
    return Chunk(path, [(*image, labels[key]) for key, image in images.items()])


def _members(path: Path, begin: int = 0, end: int | None = None) -> Iterator[tuple[str, int, int]]:
    """Name, offset and length of each file in a tar archive, which may itself lie in a tar archive, from `begin` on."""
    try:
        with path.open("rb") as file:
            file.seek(begin)
            with tarfile.open(fileobj=file, mode="r:") as archive:
                for member in archive:
                    if end is not None and member.offset_data + member.size > end:
                        raise tarfile.ReadError("an archive in it ends too late")
                    if member.isfile():
                        yield member.name, member.offset_data, member.size
    except tarfile.TarError as error:
        raise DataError(f"{path}: is damaged, or no tar archive ({reason(error)}): {_FETCH}") from error


def _is_image(name: str) -> bool:
    return name.lower().endswith(_SUFFIXES) and not is_leftover(PurePosixPath(name))


def _inside(folder: Path) -> list[Path]:
    return sorted(folder.iterdir()) if folder.is_dir() else []
