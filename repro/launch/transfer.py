"""A run's folder as bytes: taken where it trained, put where its results belong."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from repro.errors import RecordError
from repro.launch.progress import is_complete
from repro.records import RunFolder, replacing
from repro.records.seal import NAME as SEAL
from repro.train import checkpoint

#: File names and contents.
Files = Mapping[str, bytes]


def take(folder: RunFolder, *, previous: bool) -> Files:
    """The files of a run's folder that there are; the checkpoint before the newest one only if asked for.

    Raises:
        OSError: a file cannot be read.
    """
    before = checkpoint.previous(folder.checkpoint_path)
    paths = [path for path in _paths(folder) if previous or path != before]
    return {path.name: path.read_bytes() for path in paths if path.exists()}


def put(folder: RunFolder, files: Files) -> None:
    """Write files that `take` gave into a folder; names other than those of a run's files are passed over.

    A folder left half-way can be resumed: rows are written before the checkpoint that they led to, and the record
    last. A checkpoint that gives way to a newer one is kept as the one before, until the run is complete.

    Raises:
        OSError: a file cannot be written.
    """
    folder.path.mkdir(parents=True, exist_ok=True)
    before = checkpoint.previous(folder.checkpoint_path)
    for path in _paths(folder):
        content = files.get(path.name)
        if content is None or (path.exists() and path.read_bytes() == content):
            continue
        with replacing(path) as temporary:
            temporary.write_bytes(content)
            if path == folder.checkpoint_path and path.exists() and before.name not in files:
                path.replace(before)
    with suppress(RecordError):  # whoever resumes the run says what is wrong with its record
        if is_complete(folder):
            before.unlink(missing_ok=True)


def _paths(folder: RunFolder) -> list[Path]:
    newest, hashes = folder.checkpoint_path, folder.path / SEAL
    tables = [folder.curve_path, folder.health_path, folder.responses_path]
    return [*tables, checkpoint.previous(newest), newest, hashes, folder.record_path]
