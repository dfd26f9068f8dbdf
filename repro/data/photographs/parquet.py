"""ImageNet as parquet files of the Hugging Face hub: image: struct<bytes, path>, label: int64.

A parquet file has to be read in row groups, which makes random reads a hundredfold. So the photographs' own bytes are
copied once, into one file, and an index beside it.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from filelock import FileLock

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
    for name in NAMES[split]:
        found = [*base.glob(f"{name}-*.parquet"), *base.glob(f"{name}.parquet"), *base.glob(f"{name}/*.parquet")]
        if found:
            return sorted(found)
    return []


def index(paths: list[Path], cache: Path) -> Index:
    """The index of the photographs' copy in a folder, made if it is not there; other processes wait for it meanwhile.

    Raises:
        DataError: a file cannot be read or has other columns, a row lacks its image or label, or the disk is too small.
    """
    stats = [path.stat() for path in paths]
    known = repr([(path.name, stat.st_size, stat.st_mtime_ns) for path, stat in zip(paths, stats, strict=True)])
    key = hashlib.sha256(known.encode()).hexdigest()[:16]
    copy, table = cache / f"photographs-{key}.bin", cache / f"photographs-{key}.npz"
    try:
        cache.mkdir(parents=True, exist_ok=True)
        with FileLock(cache / f"photographs-{key}.lock"):
            if not (copy.exists() and table.exists()):
                _copy(paths, sum(stat.st_size for stat in stats), copy, table)
    except OSError as error:
        raise DataError(f"{cache}: the photographs cannot be copied there: {reason(error)}") from error
    with np.load(table) as saved:
        return Index(SOURCE, paths[0].parent, (copy,), saved["rows"], tuple(saved["classes"].tolist()), loose=False)


def _copy(paths: list[Path], size: int, copy: Path, table: Path) -> None:
    for left_over in copy.parent.glob(f".{copy.name}.*.tmp"):
        left_over.unlink()
    free = shutil.disk_usage(copy.parent).free
    if free < size:
        raise DataError(
            f"{copy.parent}: has {free / 1e9:.1f} GB free, and the copy of {paths[0].parent} needs {size / 1e9:.1f}: "
            "make room, or give another folder"
        )
    chunks = []
    with replacing(copy) as temporary:
        with temporary.open("wb") as out:
            for path in paths:
                rows = []
                for name, content, label in _rows(path):
                    rows.append((name, out.tell(), len(content), label))
                    out.write(content)
                chunks.append(Chunk(temporary, rows))
        built = build(SOURCE, paths[0].parent, False, chunks)
    with replacing(table) as temporary, temporary.open("wb") as out:
        np.savez(out, rows=built.rows, classes=np.array(built.classes))


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
