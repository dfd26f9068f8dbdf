"""ImageNet as parquet files of the Hugging Face hub: image: struct<bytes, path>, label: int64.

A parquet file has to be read in row groups, which makes random reads a hundredfold. So the photographs' own bytes are
copied once, into one file, and an index beside it.
"""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import zipfile
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from filelock import FileLock

from repro.data.parquet_files import shards
from repro.data.photographs.index import Chunk, Index, build
from repro.data.photographs.layouts import NAMES, Split
from repro.data.pixels import reason
from repro.disk import replacing
from repro.errors import DataError

SOURCE = "parquet files"
#: Rows read at a time: some 30 MB.
_ROWS = 256


def files(base: Path, split: Split) -> list[Path]:
    """The files of a split, in order: train-00000-of-00294.parquet and so on, or train/0000.parquet."""
    return next(filter(None, (shards(base, name) for name in NAMES[split])), [])


def index(paths: list[Path], folder: Path, copy: bool) -> Index:
    """The index of the photographs' copy; other processes wait while it is made.

    Args:
        paths: of the files.
        folder: that the user gives. The copy goes there, or, where it cannot, to the user's folder for caches.
        copy: whether to make one that is not there.

    Raises:
        DataError: there is no copy and none is to be made or can be, a file cannot be read or has other columns, or a
            row lacks its image or label.
    """
    stats = [(path.name, (stat := path.stat()).st_size, stat.st_mtime_ns) for path in paths]
    name = f"photographs-{hashlib.sha256(repr(stats).encode()).hexdigest()[:16]}"
    places = _places(folder)
    for place in places:
        if found := _of_copy(place / name, paths):
            return found
    where, problems = paths[0].parent, []
    if not copy:
        raise DataError(f"{where}: the photographs in its parquet files are not copied yet")
    for place in places:
        try:
            place.mkdir(parents=True, exist_ok=True)
            with FileLock(place / f"{name}.lock"):
                return _of_copy(place / name, paths) or _copied(paths, place / name)
        except OSError as error:
            problems.append(f"{place}: {error.strerror or reason(error)}")
    raise DataError(
        f"{where}: its photographs have to be copied, and cannot be ({'; '.join(problems)}): make room, or set "
        "$XDG_CACHE_HOME to a folder that has it"
    )


def _places(folder: Path) -> list[Path]:
    """Where a copy may lie, the best first."""
    places = [folder / "photographs"]
    with suppress(RuntimeError):  # nobody knows where this user's home is
        places.append(Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "repro")
    return places


def _of_copy(name: Path, paths: list[Path]) -> Index | None:
    """The index of a copy, if it is there; one that is damaged is made anew."""
    copy, table = name.with_suffix(".bin"), name.with_suffix(".npz")
    try:
        with np.load(table) as saved:
            rows, classes = saved["rows"], tuple(saved["classes"].tolist())
        if copy.stat().st_size != (rows["offset"] + rows["length"]).max():
            return None
    # What NumPy and zipfile raise for what is not there, or no longer what was written.
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None
    return Index(SOURCE, paths[0].parent, (copy,), rows, classes, loose=False)


def _copied(paths: list[Path], name: Path) -> Index:
    copy, table = name.with_suffix(".bin"), name.with_suffix(".npz")
    for left_over in copy.parent.glob(f".{copy.name}.*.tmp"):
        left_over.unlink()
    free, size = shutil.disk_usage(copy.parent).free, sum(path.stat().st_size for path in paths)
    if free < size:
        raise OSError(errno.ENOSPC, f"{free / 1e9:.1f} GB are free, and {size / 1e9:.1f} needed")
    chunks = []
    with replacing(copy) as temporary:
        with temporary.open("wb") as out:
            for path in paths:
                rows = []
                for row, content, label in _rows(path):
                    rows.append((row, out.tell(), len(content), label))
                    out.write(content)
                chunks.append(Chunk(temporary, rows))
        built = build(SOURCE, paths[0].parent, False, chunks)
    with replacing(table) as temporary, temporary.open("wb") as out:
        np.savez(out, rows=built.rows, classes=np.array(built.classes))
    return replace(built, places=(copy,))


def _rows(path: Path) -> Iterator[tuple[str, bytes, int]]:
    """What to call each row's photograph, its bytes, and its label."""
    try:
        with pq.ParquetFile(path) as file:
            _check_columns(file.schema_arrow, path)
            number = 0
            for batch in file.iter_batches(_ROWS, columns=["image", "label"]):
                for row in batch.to_pylist():
                    image, label = row["image"] or {}, row["label"]
                    if not image.get("bytes") or label is None or label < 0:
                        lacks = "label (those of the test set are not public)" if image.get("bytes") else "photograph"
                        raise DataError(f"{path}: row {number} has no {lacks}: fetch the file again, or another split")
                    yield image.get("path") or f"{path.name}: row {number}", image["bytes"], label
                    number += 1
    except (OSError, pa.ArrowException) as error:
        raise DataError(f"{path}: cannot be read as a parquet file ({reason(error)}): fetch it again") from error


def _check_columns(schema: Any, path: Path) -> None:
    image = schema.field("image").type if "image" in schema.names else None
    holds_bytes = image is not None and pa.types.is_struct(image) and image.get_field_index("bytes") >= 0
    if not holds_bytes or "label" not in schema.names or not pa.types.is_integer(schema.field("label").type):
        found = ", ".join(f"{field.name}: {field.type}" for field in schema)
        raise DataError(
            f"{path}: its columns are {found or 'none'}, where ImageNet on the Hugging Face hub has image: "
            "struct<bytes, path> and label: int64: give the folder of ImageNet"
        )
