"""CIFAR-10 as its authors publish it: seven batches in a folder, or in the archive they come in; pickled, or binary."""

from __future__ import annotations

import hashlib
import pickle
import tarfile
import warnings
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np

from repro.data.pixels import SIZE, Split, reason
from repro.errors import DataError

#: A batch has 31 MB; a file beyond this is passed over unread.
LARGEST_FILE = 100_000_000
#: Of the binary version, which is for C: a label, then 1,024 red, 1,024 green and 1,024 blue values.
_ROW = 1 + 3 * SIZE * SIZE
_AGAIN = "unpack the archive again, or delete it and fetch it again (--download)"


def _unpickled(content: bytes, name: str, where: str) -> Split:
    """Nothing is ever unpickled but the very bytes that the authors of CIFAR-10 published, as torchvision has them."""
    # Imported here because it takes seconds, and only these files need it.
    from torchvision.datasets import CIFAR10

    published = dict([*CIFAR10.train_list, *CIFAR10.test_list])[name]
    md5 = hashlib.md5(content, usedforsecurity=False).hexdigest()
    if md5 != published:
        raise DataError(f"{where}: is not the published file (its MD5 is {md5}, not {published}): {_AGAIN}")
    with warnings.catch_warnings():
        # The numpy that pickled the batches, in 2009, wrote flags as numbers, of which numpy 2.4.0 to 2.4.4 warns.
        warnings.simplefilter("ignore", np.exceptions.VisibleDeprecationWarning)
        batch = pickle.loads(content, encoding="latin1")
    return Split(batch["data"].reshape(-1, 3, SIZE, SIZE), np.asarray(batch["labels"], dtype=np.int64))


def _rows(content: bytes, name: str, where: str) -> Split:
    if not content or len(content) % _ROW:
        raise DataError(f"{where}: its {len(content):,} bytes are no rows of {_ROW:,}: {_AGAIN}")
    rows = np.frombuffer(content, dtype=np.uint8).reshape(-1, _ROW)
    return Split(rows[:, 1:].reshape(-1, 3, SIZE, SIZE), rows[:, 0].astype(np.int64))


@dataclass(frozen=True)
class Version:
    """One of the two versions: the archive, the batches' names in it, the test set last, and what a batch holds."""

    archive: str
    names: tuple[str, ...]
    decode: Callable[[bytes, str, str], Split]

    def lies(self, folder: Path, inside: list[Path]) -> list[Path]:
        """The folder, if a batch is among the paths in it, and archives among them, also as "... (1).tar.gz"."""
        pattern = self.archive.replace(".tar.gz", "*.tar.gz")
        batches = [folder] if any(path.name in self.names for path in inside) else []
        return batches + [path for path in inside if path.match(pattern)]

    def read(self, place: Path) -> tuple[Split, Split]:
        """Read the training and the test set from a folder of batches, or from their archive.

        Raises:
            DataError: unreadable, a batch is missing, or is not the published one by its MD5 (Python) or no whole
                number of rows (binary).
        """
        contents = read_files(place, self.names, _AGAIN)
        for name in self.names:
            if name not in contents:
                raise DataError(f"{place}: holds no {name} of CIFAR-10: {_AGAIN}")
        *train, test = (self.decode(contents[name], name, f"{place}: {name}") for name in self.names)
        return Split(np.concatenate([b.images for b in train]), np.concatenate([b.labels for b in train])), test


_NAMES = (*(f"data_batch_{n}" for n in range(1, 6)), "test_batch")
PYTHON = Version("cifar-10-python.tar.gz", _NAMES, _unpickled)
BINARY = Version("cifar-10-binary.tar.gz", tuple(f"{name}.bin" for name in _NAMES), _rows)


def read_files(place: Path, names: tuple[str, ...], cure: str) -> dict[str, bytes]:
    """Files with those names in a folder, or in whichever folder of an archive; in memory, nothing is unpacked.

    Raises:
        DataError: it cannot be read, is damaged or incomplete; `cure` says what to do then.
    """
    try:
        return dict(_in_folder(place, names) if place.is_dir() else _in_archive(place, names))
    except PermissionError as error:
        raise DataError(f"{place}: cannot be read: {reason(error)}") from error
    except (OSError, EOFError, tarfile.TarError, zlib.error) as error:
        raise DataError(f"{place}: is damaged or incomplete ({reason(error)}): {cure}") from error


def _in_folder(folder: Path, names: tuple[str, ...]) -> Iterator[tuple[str, bytes]]:
    for path in (folder / name for name in names):
        if path.exists() and path.stat().st_size <= LARGEST_FILE:
            yield path.name, path.read_bytes()


def _in_archive(path: Path, names: tuple[str, ...]) -> Iterator[tuple[str, bytes]]:
    with tarfile.open(path, "r:gz") as archive:
        for member in archive:
            name = PurePosixPath(member.name).name
            file = archive.extractfile(member) if name in names and member.isfile() else None
            if file is not None and member.size <= LARGEST_FILE:
                yield name, file.read()
