"""A data set of photographs: where those of its training and validation set lie, checked as far as is known."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from repro.data.photographs import find
from repro.data.photographs.index import Index, archived, check, check_same_classes
from repro.data.table import DATA_SETS, Row
from repro.errors import DataError

#: The training set's archive is of archives, whose own ends are a share of this order.
_SLACK = 1e-4


@dataclass(frozen=True, eq=False)
class Photographs:
    """A counterpart of `repro.data.dataset.Dataset` whose images stay on disk.

    Attributes:
        name: "imagenet" or "imagenette".
        train, validation: its two sets; the second is what the "test error" is measured on.
        notes: how they differ from the published ones, a line each.
    """

    name: str
    train: Index
    validation: Index
    notes: tuple[str, ...] = ()
    channels: int = 3

    @property
    def classes(self) -> tuple[str, ...]:
        """The synset of each label, or the labels themselves where the layout names none."""
        return self.train.classes

    @property
    def source(self) -> str:
        """The layout, in words."""
        return self.train.source

    @property
    def fingerprint(self) -> str:
        """SHA-256 in hex over those of both sets: one for all layouts, another for re-encoded copies."""
        return hashlib.sha256(f"{self.train.fingerprint} {self.validation.fingerprint}".encode()).hexdigest()


def load(name: str, folder: Path, download: bool = False, copy: bool = True) -> Photographs:
    """Find both sets in a folder, in whichever layout; `copy` as in `repro.data.photographs.find`.

    Raises:
        DataError: they are not there, cannot be read, are to be fetched, or lack a class.
    """
    if download:
        raise DataError(f"{name} cannot be fetched by this program: leave --download out (docs/imagenet.md)")
    row = DATA_SETS[name]
    train, validation = find(folder, "train", copy), find(folder, "validation", copy)
    check_same_classes(train, validation)
    if len(train.classes) != row.classes:
        raise DataError(
            f"{folder}: has {len(train.classes):,} classes, and {name} {row.classes:,}: complete it, or give the "
            "preset of the data set that it is"
        )
    notes = [*_notes(row, train, 0), *_notes(row, validation, 1)]
    return Photographs(name, train, validation, tuple(notes))


def _notes(row: Row, index: Index, which: int) -> Iterator[str]:
    """How a set differs from the published one."""
    whose = f"its {('training', 'validation')[which]} images are not those of {row.title}"
    try:
        check(index, row.classes, (row.train_images, row.test_images)[which], row.each if which else None)
    except DataError as error:
        yield f"{whose}: {str(error).removeprefix(f'{index.where}: ')}"
        return
    if row.archives and abs(archived(index) / row.archives[which] - 1) > _SLACK:
        yield (
            f"{whose} but copies, encoded anew or scaled: they take {archived(index):,} bytes in an archive, and those "
            f"{row.archives[which]:,}"
        )
