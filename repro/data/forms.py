"""The forms in which CIFAR-10 may lie in a folder, and which of them does."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from repro.data import batches, image_folder, parquet_files
from repro.data.pixels import Encoded, Split, decoded, reason
from repro.errors import AbsentError, DataError

#: So many levels below the folder given are looked into, as in the cache of the Hugging Face hub, and so many folders.
DEEPEST, MOST_FOLDERS = 5, 2_000
#: The forms of the original pixels, then those of encoded images, in the order in which they are preferred.
_VERSIONS = {"python batches": batches.PYTHON, "binary batches": batches.BINARY}
_ROWS: dict[str, Callable[[Path, str], Iterator[Encoded]]] = {
    "parquet files": parquet_files.rows,
    "image folders": image_folder.rows,
}
_ORDER = [*_VERSIONS, *_ROWS]

#: What a user can do, for the end of an error.
CHOICES = (
    f"put one of these there: cifar-10-batches-py or {batches.PYTHON.archive}; cifar-10-batches-bin or "
    f"{batches.BINARY.archive}; the Hugging Face files train-*.parquet and test-*.parquet (of uoft-cs/cifar10); "
    "or folders of images train/airplane/*.png … test/truck/*.png, or .jpg"
)


@dataclass(frozen=True)
class Form:
    """Where CIFAR-10 lies, and how: the kind of form, and the folder that holds the files, or the archive."""

    kind: str
    path: Path

    def read(self) -> tuple[Split, Split]:
        """The training and the test set.

        Raises:
            DataError: a file is missing, damaged, or not what it should be.
        """
        if self.kind in _VERSIONS:
            return _VERSIONS[self.kind].read(self.path)
        return decoded(self._rows("train"), self._rows("test"))

    def is_jpeg(self) -> bool:
        """Whether its images are JPEG, by the first one.

        Raises:
            AbsentError: it is another data set in a like form.
            DataError: that image cannot be read.
        """
        first = next(chain(self._rows("train"), self._rows("test")), None) if self.kind in _ROWS else None
        return first is not None and first.is_jpeg()

    def _rows(self, split: str) -> Iterator[Encoded]:
        return _ROWS[self.kind](self.path, split)


def choose(name: str, folder: Path) -> tuple[Form, bool]:
    """Decide which form in a folder to read, and whether its images are JPEG.

    Original pixels come before JPEG images, unless "cifar10-jpeg" is what is asked for; among equals python batches
    come before binary ones, parquet files and folders of images; and the folder itself comes before those in it. Images
    of other data sets, which may lie in the same form beside them, are passed over.

    Raises:
        AbsentError: there is none.
        DataError: only original pixels where "cifar10-jpeg" is asked for, one that comes before the one to take is
            damaged, or the folder is a file or cannot be read.
    """
    wants_jpeg = name == "cifar10-jpeg"
    other: AbsentError | None = None
    second: Form | None = None
    for form in find(folder):
        try:
            jpeg = form.is_jpeg()
        except AbsentError as error:
            other = other or error
            continue
        if jpeg == wants_jpeg:
            return form, jpeg
        second = second or form
    if second and wants_jpeg:
        raise DataError(
            f"{folder}: cifar10-jpeg is asked for, but the {second.kind} there hold the original pixels: "
            "ask for cifar10, or give the folder of the JPEG images"
        )
    if second:
        return second, True
    remedy = f"{'' if wants_jpeg else 'fetch the archive with --download, or '}{CHOICES}"
    raise other or AbsentError(f"{folder}: {_contents(folder)}: {remedy}")


def find(folder: Path) -> list[Form]:
    """All forms in a folder and in those a few levels below it, without opening a file; none if there is no folder.

    Raises:
        DataError: the folder is a file or cannot be read.
    """
    found: list[Form] = []
    level, seen = [folder], 0
    for _ in range(DEEPEST + 1):
        below: list[Path] = []
        for place in level[: max(0, MOST_FOLDERS - seen)]:
            try:
                here, inside = _look(place)
            except FileNotFoundError:
                continue
            except OSError as error:
                if place != folder:
                    continue  # a disk's root has folders that nobody may read
                remedy = "--data-dir and $REPRO_DATA take the folder that holds the data"
                raise DataError(f"{folder}: is no folder that can be read ({reason(error)}): {remedy}") from error
            found += here
            # What lies in a form is its own: a hundred thousand images, say.
            below += inside if not here or place == folder else []
        seen += len(level)
        level = below
    return sorted(found, key=lambda form: _ORDER.index(form.kind))


def _look(place: Path) -> tuple[list[Form], list[Path]]:
    """The forms that lie right in a folder, and the folders in it that may hold others."""
    inside = sorted(place.iterdir())
    folders = [path for path in inside if path.is_dir() and not image_folder.is_leftover(path)]
    found = [Form(kind, path) for kind, version in _VERSIONS.items() for path in version.lies(place, inside)]
    if any(parquet_files.shards(place, split) for split in ("train", "test")):
        found.append(Form("parquet files", place))
    splits = [path for path in folders if path.name in ("train", "test")]
    if any(path.is_dir() for split in splits for path in split.iterdir()):
        found.append(Form("image folders", place))
        folders = [path for path in folders if path not in splits]
    return found, folders


def _contents(folder: Path) -> str:
    """What lies in a folder without CIFAR-10, in a few words."""
    if not folder.exists():
        return "there is no such folder (--data-dir or $REPRO_DATA names it)"
    names = sorted(path.name for path in folder.iterdir())
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    return f"no CIFAR-10 there, it holds {', '.join(names[:5]) or 'nothing'}{more}"
