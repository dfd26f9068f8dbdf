"""Fetching CIFAR-10, from a server on this machine that may misbehave."""

from __future__ import annotations

import hashlib
import socket
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from small_cifar import archive, refused, write_classes, write_images
from torchvision.datasets import CIFAR10

from repro import data
from repro.data import download
from repro.errors import DataError

ARCHIVE = "cifar-10-python.tar.gz"
CONTENT = archive()


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *words: object) -> None:
        pass


@pytest.fixture
def served(small: None, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The archive, as a file that the server sends."""
    place = tmp_path_factory.mktemp("served")
    (place / ARCHIVE).write_bytes(CONTENT)
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(place)))
    monkeypatch.setattr(CIFAR10, "url", f"http://127.0.0.1:{server.server_port}/{ARCHIVE}")
    monkeypatch.setattr(CIFAR10, "tgz_md5", hashlib.md5(CONTENT).hexdigest())
    monkeypatch.setenv("no_proxy", "*")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield place / ARCHIVE
    server.shutdown()
    server.server_close()
    thread.join()


def left_over(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_fetched_once_with_progress_shown(served: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "made" / "by it"
    found = data.load("cifar10", folder, download=True)
    assert (found.name, found.source) == ("cifar10", "python batches")
    assert left_over(folder) == [ARCHIVE]
    shown = capsys.readouterr()
    assert shown.out == "" and f"Fetching {CIFAR10.url} (170 MB) into {folder}" in shown.err and "100" in shown.err
    served.unlink()
    assert data.load("cifar10", folder, download=True).fingerprint == found.fingerprint
    assert capsys.readouterr().err == ""


def test_nothing_is_fetched_where_any_form_lies_or_unasked(
    served: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torchvision.datasets.utils.download_url", lambda *_: pytest.fail("fetched"))
    write_images(tmp_path / "there", "jpeg", ".jpg")
    assert data.load("cifar10", tmp_path / "there", download=True).name == "cifar10-jpeg"
    with pytest.raises(DataError, match="fetch the archive with --download"):
        data.load("cifar10", tmp_path / "absent")
    with pytest.raises(DataError, match="put one of these there"):
        data.load("cifar10-jpeg", tmp_path / "absent", download=True)
    assert not (tmp_path / "absent").exists()


@pytest.mark.filterwarnings("error")
def test_fetched_where_something_else_lies(served: Path, tmp_path: Path) -> None:
    """Images of another data set are no form of it, and what a killed one leaves is not taken for the archive."""
    write_classes(tmp_path, "tench")
    (tmp_path / f".{ARCHIVE}.1.tmp").write_bytes(CONTENT[:1000])
    assert "tench" in refused(tmp_path)
    assert data.load("cifar10", tmp_path, download=True).source == "python batches"


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (CONTENT[:5000], "is not the published archive"),
        (None, "HTTP Error 404: File not found; from http://127.0.0.1"),
        ("no server", "Connection refused"),
        ("silence", "timed out"),
    ],
    ids=["truncated", "an error", "no server", "silence"],
)
def test_what_is_not_the_archive_is_not_kept(
    answer: bytes | str | None, said: str, served: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = socket.getdefaulttimeout()
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        if answer is None:
            served.unlink()
        elif isinstance(answer, bytes):
            served.write_bytes(answer)
        else:
            monkeypatch.setattr(CIFAR10, "url", f"http://127.0.0.1:{other.getsockname()[1]}/{ARCHIVE}")
        if answer == "silence":  # it is connected to, and never answers
            other.listen()
            monkeypatch.setattr(download, "PATIENCE", 0.5)
        message = refused(tmp_path, download=True)
    assert message.startswith(f"{tmp_path}: CIFAR-10 could not be fetched (") and said in message
    assert ": try again later, or put one of these there: " in message
    assert socket.getdefaulttimeout() == before and left_over(tmp_path) == []
