"""CIFAR-10's binary version: rows of a label byte and the 3,072 bytes of an image, as its authors publish it for C."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from repro.data.archive import read_members
from repro.data.pixels import SIZE, Split, reason
from repro.errors import DataError

FOLDER = "cifar-10-batches-bin"
ARCHIVE = "cifar-10-binary.tar.gz"
FIRST_BATCH = "data_batch_1.bin"
_TRAIN, _TEST = tuple(f"data_batch_{n}.bin" for n in range(1, 6)), ("test_batch.bin",)
#: A label, then 1,024 red, 1,024 green and 1,024 blue values.
_ROW = 1 + 3 * SIZE * SIZE
#: A batch has 31 MB; a file beyond this one is refused unread.
LARGEST_BATCH = 100_000_000


def read(folder: Path) -> tuple[Split, Split]:
    """Read the training and the test set.

    Raises:
        DataError: a batch is missing, unreadable, or no whole number of rows.
    """
    contents = {}
    for name in (*_TRAIN, *_TEST):
        path = folder / name
        try:
            if path.stat().st_size > LARGEST_BATCH:
                raise DataError(f"{path}: larger than {LARGEST_BATCH:,} bytes, no batch of CIFAR-10: {_UNPACK}")
            contents[name] = path.read_bytes()
        except OSError as error:
            raise DataError(f"{path}: cannot be read: {reason(error)}: {_UNPACK}") from error
    return _split(contents, _TRAIN, folder), _split(contents, _TEST, folder)


def read_archive(path: Path) -> tuple[Split, Split]:
    """Read the training and the test set from the archive, in memory.

    Raises:
        DataError: the archive is truncated or unreadable, or a batch is missing or no whole number of rows.
    """
    contents = read_members(path, (*_TRAIN, *_TEST), LARGEST_BATCH, _FETCH)
    return _split(contents, _TRAIN, path), _split(contents, _TEST, path)


def _split(contents: dict[str, bytes], names: tuple[str, ...], where: Path) -> Split:
    for name in names:
        if name not in contents:
            raise DataError(f"{where}: holds no {name}: {_FETCH}")
        size = len(contents[name])
        if not size or size % _ROW:
            raise DataError(f"{where / name}: its {size:,} bytes are no rows of {_ROW:,}: {_UNPACK}")
    rows = np.frombuffer(b"".join(contents[name] for name in names), dtype=np.uint8).reshape(-1, _ROW)
    return Split(rows[:, 1:].reshape(-1, 3, SIZE, SIZE), rows[:, 0].astype(np.int64))


_UNPACK = f"unpack {ARCHIVE} again"
_FETCH = "delete it and fetch it again"
