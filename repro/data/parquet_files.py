"""CIFAR-10 as the Hugging Face hub keeps it: parquet files whose rows are an encoded image and its label."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from repro.data.image_folder import is_leftover
from repro.data.pixels import ANOTHER, Encoded, label_of_each, reason
from repro.errors import AbsentError, DataError

#: In rows; a file with more is refused unread.
LARGEST_FILE = 60_000
IMAGE_COLUMNS, LABEL_COLUMNS = ("img", "image"), ("label", "labels")
_FETCH = "fetch the file again"


def shards(folder: Path, split: str) -> list[Path]:
    """The files of "train" or "test", in order: train-00000-of-00002.parquet and so on, or train/0000.parquet."""
    flat = [*folder.glob(f"{split}-*.parquet"), *folder.glob(f"{split}.parquet")]
    return sorted(path for path in flat or folder.glob(f"{split}/*.parquet") if not is_leftover(path))


def rows(folder: Path, split: str) -> Iterator[Encoded]:
    """The images of "train" or "test".

    Raises:
        AbsentError: a file has other columns or classes, or more rows.
        DataError: a file cannot be read, or holds a row without an image or a label.
    """
    for path in shards(folder, split):
        try:
            with pq.ParquetFile(path) as file:
                if file.metadata.num_rows > LARGEST_FILE:
                    raise AbsentError(
                        f"{path}: has {file.metadata.num_rows:,} rows, more than all of CIFAR-10: {ANOTHER}"
                    )
                yield from _rows(file, path)
        except (OSError, pa.ArrowException) as error:
            raise DataError(f"{path}: cannot be read as a parquet file ({reason(error)}): {_FETCH}") from error


def _rows(file: Any, path: Path) -> Iterator[Encoded]:
    image, label = _columns(file.schema_arrow, path)
    number = 0
    for batch in file.iter_batches(batch_size=1_000, columns=[f"{image}.bytes", label]):
        blobs, labels = pc.struct_field(batch.column(image), "bytes"), batch.column(label).cast(pa.int64())
        for blob, value in zip(blobs.to_pylist(), labels.to_pylist(), strict=True):
            if blob is None or value is None:
                raise DataError(f"{path}: row {number} has no {'image' if blob is None else 'label'}: {_FETCH}")
            yield Encoded(blob, value, f"{path}: row {number}")
            number += 1


def _columns(schema: Any, path: Path) -> tuple[str, str]:
    """The columns of images and of labels, by any of the names that the hub has for them."""
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
        raise AbsentError(
            f"{path}: its classes are {', '.join(names[:5])}{' and more' if len(names) > 5 else ''}, not those of "
            "CIFAR-10 in their order: give the folder of CIFAR-10"
        )
    return image, label


def _class_names(metadata: Mapping[bytes, bytes] | None, label: str) -> list[str]:
    """The name of each label, where the hub wrote them down; empty where it did not."""
    try:
        names = json.loads((metadata or {})[b"huggingface"])["info"]["features"][label]["names"]
    except (KeyError, TypeError, ValueError, RecursionError):
        return []
    return names if isinstance(names, list) and all(isinstance(name, str) for name in names) else []
