"""CIFAR-10 as its authors publish it: pickled batches in a folder, or in the archive they come in."""

from __future__ import annotations

import hashlib
import pickle
import warnings
from pathlib import Path

import numpy as np

from repro.data.archive import read_members
from repro.data.pixels import SIZE, Split, reason
from repro.errors import DataError

FOLDER = "cifar-10-batches-py"
ARCHIVE = "cifar-10-python.tar.gz"
FIRST_BATCH = "data_batch_1"
#: A batch has 31 MB; a file beyond this one is refused unread.
LARGEST_BATCH = 100_000_000


def read_folder(path: Path) -> tuple[Split, Split]:
    """Read the training and the test set from a folder of batches.

    Raises:
        DataError: a batch is missing, unreadable, or not the published one by its MD5.
    """
    batches = {}
    for name in _published():
        batch = path / name
        try:
            if batch.stat().st_size > LARGEST_BATCH:
                raise DataError(f"{batch}: larger than {LARGEST_BATCH:,} bytes, no batch of CIFAR-10: {_UNPACK}")
            batches[name] = batch.read_bytes()
        except FileNotFoundError as error:
            raise DataError(f"{path}: {name} is missing: {_UNPACK}") from error
        except OSError as error:
            raise DataError(f"{batch}: cannot be read: {reason(error)}") from error
        _check(batches[name], name, str(batch), _UNPACK)
    return _splits(batches)


def read_archive(path: Path) -> tuple[Split, Split]:
    """Read the training and the test set from the archive, in memory.

    Raises:
        DataError: the archive is truncated or unreadable, or a batch is missing or not the published one by its MD5.
    """
    batches = read_members(path, _published(), LARGEST_BATCH, _FETCH)
    for name, content in batches.items():
        _check(content, name, f"{path}: {name}", _FETCH)
    missing = [name for name in _published() if name not in batches]
    if missing:
        raise DataError(f"{path}: holds no {missing[0]}: {_FETCH}")
    return _splits(batches)


_UNPACK = f"unpack {ARCHIVE} again, or delete the folder"
_FETCH = "delete it and fetch it again (--download)"


def _published() -> dict[str, str]:
    """The MD5 of each batch as torchvision has it, training batches in order before the test batch."""
    # Imported here because it takes seconds, and only these files need it.
    from torchvision.datasets import CIFAR10

    return dict([*CIFAR10.train_list, *CIFAR10.test_list])


def _check(content: bytes, name: str, where: str, remedy: str) -> None:
    """Nothing is ever unpickled but the very bytes that the authors of CIFAR-10 published."""
    md5 = hashlib.md5(content, usedforsecurity=False).hexdigest()
    if md5 != _published()[name]:
        raise DataError(f"{where}: is not the published file (its MD5 is {md5}, not {_published()[name]}): {remedy}")


def _splits(batches: dict[str, bytes]) -> tuple[Split, Split]:
    from torchvision.datasets import CIFAR10

    train, test = ([_unpickle(batches[name]) for name, _ in table] for table in (CIFAR10.train_list, CIFAR10.test_list))
    return _joined(train), _joined(test)


def _unpickle(content: bytes) -> Split:
    with warnings.catch_warnings():
        # The numpy that pickled the batches, in 2009, wrote flags as numbers, of which numpy 2.4.0 to 2.4.4 warns.
        warnings.simplefilter("ignore", np.exceptions.VisibleDeprecationWarning)
        batch = pickle.loads(content, encoding="latin1")
    return Split(batch["data"].reshape(-1, 3, SIZE, SIZE), np.asarray(batch["labels"], dtype=np.int64))


def _joined(batches: list[Split]) -> Split:
    return Split(np.concatenate([b.images for b in batches]), np.concatenate([b.labels for b in batches]))
