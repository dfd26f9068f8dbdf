"""CIFAR-10 as the Hugging Face hub keeps it: parquet files whose rows are an encoded image and its label."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from repro.data.pixels import Split, decode, reason
from repro.errors import DataError, OtherDataError

#: In rows; a file with more is refused unread.
LARGEST_FILE = 60_000


def shards(folder: Path, split: str) -> list[Path]:
    """The files of "train" or "test", in order: train-00000-of-00002.parquet and so on."""
    return sorted(folder.glob(f"{split}-*.parquet"))


def first_image(folder: Path) -> tuple[bytes, str]:
    """One encoded image, and what to call it in an error.

    Raises:
        DataError: the first file cannot be read, has other columns or no rows.
    """
    path = (shards(folder, "train") or shards(folder, "test"))[0]
    try:
        with _open(path) as file:
            batch = next(file.iter_batches(batch_size=1, columns=["img.bytes"]), None)
            image = pc.struct_field(batch.column("img"), "bytes")[0].as_py() if batch else None
    except (OSError, pa.ArrowException) as error:
        raise _unreadable(path, error) from error
    if image is None:
        raise DataError(f"{path}: its first row holds no image: {_FETCH}")
    return image, f"{path}: row 0"


def read(folder: Path) -> tuple[Split, Split]:
    """Read the training and the test set.

    Raises:
        DataError: a file is missing or cannot be read, has other columns, or holds a row without an image of 32x32
            RGB or without a label.
    """
    images: list[bytes] = []
    where: list[str] = []
    labels = []
    for split in ("train", "test"):
        paths = shards(folder, split)
        if not paths:
            raise DataError(f"{folder}: {split}-*.parquet is missing beside the other set's files: put it there")
        of_split = []
        for path in paths:
            blobs, values = _read_shard(path)
            images += blobs
            where += [f"{path}: row {row}" for row in range(len(blobs))]
            of_split.append(values)
        labels.append(np.concatenate(of_split))
    pixels = decode(images, where)
    cut = len(labels[0])
    return Split(pixels[:cut], labels[0]), Split(pixels[cut:], labels[1])


def _read_shard(path: Path) -> tuple[list[bytes], NDArray[np.int64]]:
    try:
        with _open(path) as file:
            if file.metadata.num_rows > LARGEST_FILE:
                raise DataError(f"{path}: has {file.metadata.num_rows:,} rows, more than all of CIFAR-10: {_FETCH}")
            table = file.read(columns=["img.bytes", "label"])
            blobs = pc.struct_field(table["img"], "bytes").to_pylist()
            labels = table["label"].cast(pa.int64()).to_pylist()
    except (OSError, pa.ArrowException) as error:
        raise _unreadable(path, error) from error
    for row, (blob, label) in enumerate(zip(blobs, labels, strict=True)):
        if blob is None or label is None:
            raise DataError(f"{path}: row {row} has no {'image' if blob is None else 'label'}: {_FETCH}")
    return blobs, np.asarray(labels, dtype=np.int64)


def _open(path: Path) -> Any:
    """A parquet file whose columns are those of the hub's CIFAR-10."""
    file = pq.ParquetFile(path)
    schema = file.schema_arrow
    image = schema.field("img").type if "img" in schema.names else None
    holds_bytes = image is not None and pa.types.is_struct(image) and image.get_field_index("bytes") >= 0
    if not holds_bytes or "label" not in schema.names or not pa.types.is_integer(schema.field("label").type):
        file.close()
        found = ", ".join(f"{field.name}: {field.type}" for field in schema)
        raise OtherDataError(
            f"{path}: its columns are {found or 'none'}, where CIFAR-10 on the Hugging Face hub (uoft-cs/cifar10) has "
            "img: struct<bytes, path> and label: int64"
        )
    return file


def _unreadable(path: Path, error: BaseException) -> DataError:
    if isinstance(error, PermissionError):
        return DataError(f"{path}: cannot be read: {reason(error)}")
    return DataError(f"{path}: cannot be read as a parquet file ({reason(error)}): {_FETCH}")


_FETCH = "fetch the file again"
