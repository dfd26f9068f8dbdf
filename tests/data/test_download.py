"""Fetching CIFAR-10, from a server on this machine that may misbehave."""

from __future__ import annotations

import hashlib
import socket
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from small_cifar import archive, refused, write_classes, write_images
from torchvision.datasets import CIFAR10

from repro import data
from repro.data import download
from repro.errors import DataError

Answer = Callable[[BaseHTTPRequestHandler], None]
ARCHIVE = "cifar-10-python.tar.gz"


def send(content: bytes, length: int | None = None, status: int = 200) -> Answer:
    """Answer with this content, and claim a length for it."""

    def answer(request: BaseHTTPRequestHandler) -> None:
        request.send_response(status)
        request.send_header("Content-Length", str(len(content) if length is None else length))
        request.end_headers()
        request.wfile.write(content)

    return answer


class Server:
    """Counts the requests that it answers."""

    def __init__(self) -> None:
        # One archive for all, because each carries the time at which it was packed.
        self.archive = archive()
        self.answer: Answer = send(self.archive)
        self.requests = 0
        self.done = threading.Event()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.requests += 1
                outer.answer(self)

            def log_message(self, *words: object) -> None:
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_port}/{ARCHIVE}"


@pytest.fixture
def server(small: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    server = Server()
    monkeypatch.setattr(CIFAR10, "url", server.url)
    monkeypatch.setattr(CIFAR10, "tgz_md5", hashlib.md5(server.archive).hexdigest())
    monkeypatch.setenv("no_proxy", "*")
    thread = threading.Thread(target=server.http.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.done.set()
    server.http.shutdown()
    server.http.server_close()
    thread.join()


def left_over(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_fetched_once_with_progress_shown(server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "made" / "by it"
    found = data.load("cifar10", folder, download=True)
    assert (found.name, found.source) == ("cifar10", "python batches")
    assert left_over(folder) == [ARCHIVE]
    shown = capsys.readouterr()
    assert shown.out == "" and f"Fetching {server.url} (170 MB) into {folder}" in shown.err and "100" in shown.err
    requests = server.requests
    assert data.load("cifar10", folder, download=True).fingerprint == found.fingerprint
    assert server.requests == requests


def test_nothing_is_fetched_where_any_form_lies_or_unasked(server: Server, tmp_path: Path) -> None:
    write_images(tmp_path / "there", "jpeg", ".jpg")
    assert data.load("cifar10", tmp_path / "there", download=True).name == "cifar10-jpeg"
    with pytest.raises(DataError, match="fetch the archive with --download"):
        data.load("cifar10", tmp_path / "absent")
    with pytest.raises(DataError, match="put one of these there"):
        data.load("cifar10-jpeg", tmp_path / "absent", download=True)
    assert server.requests == 0 and not (tmp_path / "absent").exists()


@pytest.mark.filterwarnings("error")
def test_images_of_another_data_set_are_no_form_of_it(server: Server, tmp_path: Path) -> None:
    write_classes(tmp_path, "tench")
    assert data.load("cifar10", tmp_path, download=True).source == "python batches"


CONTENT = archive()


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (send(CONTENT[:5000], length=len(CONTENT)), "is not the published archive"),
        (send(b"<html>gone</html>"), "is not the published archive"),
        (send(b""), "is not the published archive"),
        (send(b"", status=503), "HTTP Error 503: Service Unavailable; from http://127.0.0.1"),
        (None, "Connection refused"),
    ],
    ids=["truncated", "another", "empty", "an error", "no server"],
)
def test_what_is_not_the_archive_is_not_kept(
    answer: Answer | None, said: str, server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as unheard:
        unheard.bind(("127.0.0.1", 0))
        if answer:
            server.answer = answer
        else:
            monkeypatch.setattr(CIFAR10, "url", f"http://127.0.0.1:{unheard.getsockname()[1]}/{ARCHIVE}")
        message = refused(tmp_path, download=True)
    assert message.startswith(f"{tmp_path}: CIFAR-10 could not be fetched (") and said in message
    assert ": try again later, or put one of these there: " in message
    assert left_over(tmp_path) == []


def test_a_silent_server_is_given_up(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def half(request: BaseHTTPRequestHandler) -> None:
        send(b"\x1f\x8b", length=1_000)(request)
        request.wfile.flush()
        server.done.wait(20)

    server.answer = half
    monkeypatch.setattr(download, "PATIENCE", 2)
    before = socket.getdefaulttimeout()
    assert "timed out" in refused(tmp_path, download=True)
    assert socket.getdefaulttimeout() == before and left_over(tmp_path) == []


def test_an_interrupted_one_leaves_nothing_behind(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(url: str, root: Path, filename: str, md5: str) -> None:
        (root / filename).write_bytes(b"half of it")
        raise KeyboardInterrupt

    monkeypatch.setattr("torchvision.datasets.utils.download_url", interrupted)
    with pytest.raises(KeyboardInterrupt):
        data.load("cifar10", tmp_path, download=True)
    assert left_over(tmp_path) == []


def test_what_a_killed_one_leaves_is_not_taken_for_the_archive(server: Server, tmp_path: Path) -> None:
    (tmp_path / f".{ARCHIVE}.1.tmp").write_bytes(CONTENT[:1000])
    assert "no CIFAR-10 there" in refused(tmp_path)
    assert data.load("cifar10", tmp_path, download=True).source == "python batches"


def test_a_folder_that_cannot_be_made(server: Server, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for place in (tmp_path / "file", tmp_path / "file" / "below"):
        assert f"{place}: is no folder that can be read ([Errno 20]" in refused(place, download=True)
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    message = refused(tmp_path / "link", download=True)
    assert f"{tmp_path / 'link'}: CIFAR-10 could not be fetched ([Errno 17] File exists" in message
    assert server.requests == 0
