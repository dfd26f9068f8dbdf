"""Fetches CIFAR-10's archive through torchvision."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPException
from pathlib import Path

from filelock import FileLock, Timeout

from repro.data import forms
from repro.data.batches import PYTHON_ARCHIVE
from repro.data.pixels import reason
from repro.errors import DataError

#: Seconds without a single byte after which the server is given up.
PATIENCE = 60


def download(folder: Path) -> None:
    """Fetch the archive into a folder, which is made if need be; progress goes to standard error.

    It gets its name only once it is complete and its MD5 is the published one.

    Raises:
        DataError: the server cannot be reached, is silent or sends something else; the folder cannot be written; or
            another process is fetching it.
    """
    from torchvision.datasets import CIFAR10
    from torchvision.datasets.utils import download_url

    part = folder / f"{PYTHON_ARCHIVE}.part"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / f".{PYTHON_ARCHIVE}.lock", timeout=0):
            print(f"Fetching {CIFAR10.url} (170 MB) into {folder}; the server is often slow.", file=sys.stderr)
            try:
                with _patience(PATIENCE):
                    download_url(CIFAR10.url, folder, part.name, CIFAR10.tgz_md5)
                with part.open("rb+") as file:
                    os.fsync(file.fileno())
                part.replace(folder / PYTHON_ARCHIVE)
            except RuntimeError as error:  # torchvision's word for a wrong MD5
                why = f"what {CIFAR10.url} sent is not the published archive, or not all of it"
                raise _failed(folder, why) from error
            finally:
                part.unlink(missing_ok=True)
    except Timeout as error:
        raise DataError(f"{folder}: another process is fetching CIFAR-10 into it: wait until it ends") from error
    except (OSError, HTTPException) as error:
        raise _failed(folder, f"{reason(error)}; from {CIFAR10.url}") from error


@contextmanager
def _patience(seconds: float) -> Iterator[None]:
    """torchvision sets no timeout of its own, so that a server that falls silent would be waited for without end."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(seconds)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)


def _failed(folder: Path, why: str) -> DataError:
    return DataError(f"{folder}: CIFAR-10 could not be fetched ({why}): try again later, or {forms.CHOICES}")
