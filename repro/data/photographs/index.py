"""Where each photograph of a split lies, so that one read at an offset serves every layout and nothing is unpacked."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from repro.data.pixels import reason
from repro.errors import DataError, counted

_NUMBERS = ("place", "offset", "length", "label")
#: WordNet's number of a class, as in n01440764/n01440764_10026.JPEG.
SYNSET = re.compile(r"n\d{8}")
#: A validation image of ILSVRC2012 that tells whether labels were mixed up: its class, and that one's place of 1,000.
CANARY, CANARY_CLASS, CANARY_LABEL, CLASSES_OF_ILSVRC2012 = "ILSVRC2012_val_00000001", "n01751748", 65, 1000
#: Of a photograph its name, offset, length, and class: a synset, or a label where the layout names none.
Row = tuple[str, int, int, str | int]


class Chunk(NamedTuple):
    """Photographs in one folder or archive."""

    place: Path
    rows: Sequence[Row]


@dataclass(frozen=True, eq=False)
class Index:
    """The photographs of a split in canonical order: by label, then length in bytes, then SHA-256 of the bytes.

    The order follows from the files alone, so the same files give the same batches whatever layout they lie in.

    Attributes:
        source: the layout, in words.
        where: the folder or archive that holds the split.
        places: folders or archives, each once.
        rows: (N,) with the fields place (of `places`), offset, length, label, and name (in its place). An array,
            because workers would copy the memory of Python objects, whose reference counts they change.
        classes: the synset of each label, in sorted order; or the labels themselves where the layout names no synsets.
        loose: whether each photograph is a file of its own, in a folder of `places`.
    """

    source: str
    where: Path
    places: tuple[Path, ...]
    rows: NDArray[np.void]
    classes: tuple[str, ...]
    loose: bool

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def labels(self) -> NDArray[np.int64]:
        """The label of each photograph, (N,)."""
        labels: NDArray[np.int64] = self.rows["label"]
        return labels

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 in hex over (label, length) of all photographs: one for all layouts, other for re-encoded copies."""
        pairs = np.stack([self.rows["label"], self.rows["length"]], axis=1)
        return hashlib.sha256(pairs.astype("<i8").tobytes()).hexdigest()

    def name(self, number: int) -> str:
        """What to call a photograph in an error."""
        path, name = self._path(number), os.fsdecode(self.rows["name"][number])
        return str(path) if self.loose else f"{path}: {name}"

    def read(self, number: int) -> bytes:
        """The bytes of a photograph's file.

        Raises:
            DataError: it cannot be read, or is shorter than it was.
        """
        length = int(self.rows["length"][number])
        try:
            with self._path(number).open("rb") as file:
                file.seek(int(self.rows["offset"][number]))
                content = file.read(length)
        except OSError as error:
            raise DataError(f"{self.name(number)}: cannot be read: {reason(error)}") from error
        if len(content) < length:
            raise DataError(f"{self.name(number)}: has {len(content):,} of its {length:,} bytes: fetch it again")
        return content

    def _path(self, number: int) -> Path:
        place = self.places[int(self.rows["place"][number])]
        return place / os.fsdecode(self.rows["name"][number]) if self.loose else place


def build(source: str, where: Path, loose: bool, chunks: Iterable[Chunk]) -> Index:
    """An index of photographs that come in any order; the arguments are its attributes.

    Raises:
        DataError: a photograph is empty or cannot be read, none has some label, or the labels are in another order than
            the sorted synsets.
    """
    places: list[Path] = []
    found: dict[str | int, int] = {}
    tables, canary = [], None
    for place, rows in chunks:
        names, offsets, lengths, classes = zip(*rows, strict=True) if rows else ((), (), (), ())
        if 0 in lengths:
            raise DataError(f"{place}: {names[lengths.index(0)]} is empty: fetch it again")
        places += [place] if place not in places[-1:] else []
        encoded = np.array([os.fsencode(name) for name in names], dtype=bytes)
        table = np.empty(len(rows), dtype=[*((key, np.int64) for key in _NUMBERS), ("name", encoded.dtype)])
        table["place"], table["offset"], table["length"], table["name"] = len(places) - 1, offsets, lengths, encoded
        # For now classes are numbered as they turn up.
        table["label"] = [found.setdefault(one, len(found)) for one in classes]
        canary = next((one for name, one in zip(names, classes, strict=True) if CANARY in name), canary)
        tables.append(table)
    if not found:
        raise DataError(f"{where}: holds no photographs: unpack it again")
    ordered = sorted(found)
    _check_labels(ordered, canary, where)
    joined = np.concatenate(tables)
    joined["label"] = np.array([ordered.index(one) for one in found])[joined["label"]]
    return _in_canonical_order(Index(source, where, tuple(places), joined, tuple(map(str, ordered)), loose))


def _check_labels(ordered: list[Any], canary: str | int | None, where: Path) -> None:
    """All classes are synsets, or all are labels, which have to be from 0 on without a gap."""
    numbered = isinstance(ordered[0], int)
    missing = next((label for label, one in enumerate(ordered) if numbered and one != label), None)
    if missing is not None:
        raise DataError(f"{where}: no photograph has label {missing}: fetch it in full")
    known = canary is not None and (not numbered or len(ordered) == CLASSES_OF_ILSVRC2012)
    if known and canary not in (CANARY_CLASS, CANARY_LABEL):
        raise DataError(
            f"{where}: {CANARY} is labelled {canary}, not {CANARY_CLASS} ({CANARY_LABEL}): its labels are in another "
            "order, so use those of the devkit or of LOC_val_solution.csv"
        )


def _in_canonical_order(index: Index) -> Index:
    """Only photographs of one class and length are read: of ILSVRC2012 about one in a hundred."""
    rows = index.rows[np.lexsort((index.rows["length"], index.rows["label"]))]
    index = replace(index, rows=rows)
    same = (rows["label"][1:] == rows["label"][:-1]) & (rows["length"][1:] == rows["length"][:-1])
    tied = np.flatnonzero(np.append(same, False) | np.append(False, same))
    digests = np.array([hashlib.sha256(index.read(number)).hexdigest() for number in tied.tolist()], dtype="S64")
    rows[tied] = rows[tied][np.lexsort((digests, rows["length"][tied], rows["label"][tied]))]
    return index


def check(index: Index, classes: int, images: int, each: int | None = None) -> None:
    """Compare a split with the published one.

    Args:
        classes, images: how many it has: 1,000 and 1,281,167 or 50,000 in ILSVRC2012.
        each: photographs of each class, where all have the same number: 50 in ILSVRC2012's validation set.

    Raises:
        DataError: it has another number of any; which.
    """
    if len(index.classes) != classes:
        raise DataError(f"{index.where}: has {len(index.classes):,} classes, not {classes:,}: {_OTHER}")
    counts = np.bincount(index.labels, minlength=classes)
    for label in np.flatnonzero(counts != each) if each else ():
        raise DataError(
            f"{index.where}: class {index.classes[label]} has {counted(int(counts[label]), 'photograph')}, not {each}: "
            f"{_OTHER}"
        )
    if len(index) != images:
        raise DataError(f"{index.where}: has {counted(len(index), 'photograph')}, not {images:,}: {_OTHER}")


def archived(index: Index) -> int:
    """Bytes that its photographs take in a tar archive: of each a header of 512 and the file, filled up."""
    return int((512 + -(-index.rows["length"] // 512) * 512).sum())


def check_same_classes(train: Index, validation: Index) -> None:
    """Raise DataError where the training and the validation set have not the same classes; name one that is missing."""
    ours, theirs = set(train.classes), set(validation.classes)
    if len(ours) == len(theirs) and not ours & theirs:  # the layout of one names no synsets
        return
    for name in sorted(ours ^ theirs):
        raise DataError(
            f"{train.where} has {len(ours):,} classes and {validation.where} {len(theirs):,}; only "
            f"{(train if name in ours else validation).where} has {name}: complete the other"
        )


_OTHER = "complete it, or name the data set that it is"
