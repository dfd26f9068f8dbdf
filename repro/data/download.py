"""Fetches CIFAR-10's archive through torchvision."""

from __future__ import annotations

import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPException
from pathlib import Path

from repro.data import forms
from repro.data.batches import PYTHON
from repro.data.pixels import reason
from repro.disk import replacing
from repro.errors import DataError

#: Seconds without a single byte after which the server is given up.
PATIENCE = 60


def download(folder: Path) -> None:
    """Fetch the archive into a folder, which is made if need be; progress goes to standard error.

    It gets its name only once it is complete and its MD5 is the published one.

    Raises:
        DataError: the server cannot be reached, is silent or sends something else, or the folder cannot be written.
    """
    from torchvision.datasets import CIFAR10
    from torchvision.datasets.utils import download_url

    try:
        folder.mkdir(parents=True, exist_ok=True)
        print(f"Fetching {CIFAR10.url} (170 MB) into {folder}; the server is often slow.", file=sys.stderr)
        with replacing(folder / PYTHON.archive) as part, _patience(PATIENCE):
            download_url(CIFAR10.url, folder, part.name, CIFAR10.tgz_md5)
    except (RuntimeError, OSError, HTTPException) as error:
        # RuntimeError is torchvision's word for a wrong MD5.
        wrong = isinstance(error, RuntimeError)
        why = "what it sent is not the published archive, or not all of it" if wrong else reason(error)
        raise DataError(
            f"{folder}: CIFAR-10 could not be fetched ({why}; from {CIFAR10.url}): try again later, or {forms.CHOICES}"
        ) from error


@contextmanager
def _patience(seconds: float) -> Iterator[None]:
    """torchvision sets no timeout of its own, so that a server that falls silent would be waited for without end."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(seconds)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)
