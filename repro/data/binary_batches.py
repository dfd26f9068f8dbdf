"""CIFAR-10's binary version: rows of a label byte and the 3,072 bytes of an image, as its authors publish it for C."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from repro.data.pixels import SIZE, Split, reason
from repro.errors import DataError

FOLDER = "cifar-10-batches-bin"
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
    return _split(folder, _TRAIN), _split(folder, _TEST)


def _split(folder: Path, names: tuple[str, ...]) -> Split:
    rows = np.concatenate([_rows(folder / name) for name in names])
    return Split(rows[:, 1:].reshape(-1, 3, SIZE, SIZE), rows[:, 0].astype(np.int64))


def _rows(path: Path) -> np.ndarray[tuple[int, int], np.dtype[np.uint8]]:
    try:
        size = path.stat().st_size
        if not 0 < size <= LARGEST_BATCH or size % _ROW:
            raise DataError(f"{path}: its {size:,} bytes are no rows of {_ROW:,}, as a batch has them: {_UNPACK}")
        return np.fromfile(path, dtype=np.uint8).reshape(-1, _ROW)
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {reason(error)}: {_UNPACK}") from error


_UNPACK = "unpack cifar-10-binary.tar.gz again"
