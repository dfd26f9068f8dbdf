"""CIFAR-10 as the Hugging Face hub keeps it: parquet files whose rows are an encoded image and its label."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from repro.data.pixels import ANOTHER, Encoded, Split, decoded, label_of_each, reason
from repro.errors import AbsentError, DataError

#: In rows; a file with more is refused unread.
LARGEST_FILE = 60_000
IMAGE_COLUMNS, LABEL_COLUMNS = ("img", "image"), ("label", "labels")
_FETCH = "fetch the file again"


def shards(folder: Path, split: str) -> list[Path]:
    """The files of "train" or "test", in order: train-00000-of-00002.parquet and so on, or train/0000.parquet."""
    flat = [*folder.glob(f"{split}-*.parquet"), *folder.glob(f"{split}.parquet")]
    return sorted(flat or folder.glob(f"{split}/*.parquet"))


def first_image(folder: Path) -> tuple[bytes, str]:
    """One encoded image, and what to call it in an error.

    Raises:
        AbsentError: the first file has other columns or classes, or more rows.
        DataError: it cannot be read, or has no rows.
    """
    path = (shards(folder, "train") or shards(folder, "test"))[0]
    with _opened(path) as (file, key, _):
        batch = next(file.iter_batches(batch_size=1, columns=[f"{key}.bytes"]), None)
        image = pc.struct_field(batch.column(key), "bytes")[0].as_py() if batch else None
    if image is None:
        raise DataError(f"{path}: its first row holds no image: {_FETCH}")
    return image, f"{path}: row 0"


def read(folder: Path) -> tuple[Split, Split]:
    """Read the training and the test set.

    Raises:
        DataError: a file is missing or cannot be read, has other columns, or holds a row without an image of 32x32
            RGB or without a label.
    """
    return decoded(_encoded(folder, "train"), _encoded(folder, "test"))


def _encoded(folder: Path, split: str) -> Encoded:
    found = Encoded([], np.empty(0, dtype=np.int64), [])
    paths = shards(folder, split)
    if not paths:
        raise DataError(f"{folder}: {split}-*.parquet is missing beside the other set's files: put it there")
    for path in paths:
        with _opened(path) as (file, image, label):
            table = file.read(columns=[f"{image}.bytes", label])
            blobs = pc.struct_field(table[image], "bytes").to_pylist()
            values = table[label].cast(pa.int64()).to_pylist()
        for what, cells in (("image", blobs), ("label", values)):
            if None in cells:
                raise DataError(f"{path}: row {cells.index(None)} has no {what}: {_FETCH}")
        where = [f"{path}: row {row}" for row in range(len(blobs))]
        labels = np.append(found.labels, np.asarray(values, dtype=np.int64))
        found = Encoded(found.images + blobs, labels, found.where + where)
    return found


@contextmanager
def _opened(path: Path) -> Iterator[tuple[Any, str, str]]:
    """A file, and its columns of images and of labels, by any of the names that the hub has for them."""
    try:
        with pq.ParquetFile(path) as file:
            if file.metadata.num_rows > LARGEST_FILE:
                raise AbsentError(f"{path}: has {file.metadata.num_rows:,} rows, more than all of CIFAR-10: {ANOTHER}")
            yield (file, *_columns(file.schema_arrow, path))
    except (OSError, pa.ArrowException) as error:
        raise DataError(f"{path}: cannot be read as a parquet file ({reason(error)}): {_FETCH}") from error


def _columns(schema: Any, path: Path) -> tuple[str, str]:
    image = next((name for name in schema.names if name in IMAGE_COLUMNS), None)
    label = next((name for name in schema.names if name in LABEL_COLUMNS), None)
    kind = schema.field(image).type if image else None
    holds_bytes = kind is not None and pa.types.is_struct(kind) and kind.get_field_index("bytes") >= 0
    if not image or not label or not holds_bytes or not pa.types.is_integer(schema.field(label).type):
        found = ", ".join(f"{field.name}: {field.type}" for field in schema)
        raise AbsentError(
            f"{path}: its columns are {found or 'none'}, where CIFAR-10 on the Hugging Face hub "
            "(uoft-cs/cifar10) has img: struct<bytes, path> and label: int64"
        )
    names = _class_names(schema.metadata, label)
    if names and label_of_each(names) != list(range(len(names))):
        more = " and more" if len(names) > 5 else ""
        raise AbsentError(
            f"{path}: its classes are {', '.join(names[:5])}{more}, not those of CIFAR-10 in their order: give the "
            "folder of CIFAR-10"
        )
    return image, label


def _class_names(metadata: Mapping[bytes, bytes] | None, label: str) -> list[str]:
    """The name of each label, where the hub wrote them down; empty where it did not."""
    try:
        names = json.loads((metadata or {})[b"huggingface"])["info"]["features"][label]["names"]
    except (KeyError, TypeError, ValueError, RecursionError):
        return []
    return names if isinstance(names, list) and all(isinstance(name, str) for name in names) else []
