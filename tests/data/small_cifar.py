"""A CIFAR-10 of 20 training and 10 test images in each form that it may lie in, for the tests of its readers."""

from __future__ import annotations

import hashlib
import io
import pickle
import tarfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image
from torchvision.datasets import CIFAR10

from repro import data
from repro.data import cifar10
from repro.errors import DataError

CLASSES = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]
#: Training images come in five batches of 4, test images in one of 10.
PER_CLASS = {"train": 2, "test": 1}
BATCHES = {f"data_batch_{n}": ("train", slice(4 * n - 4, 4 * n)) for n in range(1, 6)} | {
    "test_batch": ("test", slice(0, 10))
}


def shrink(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the small set the one that is expected."""
    monkeypatch.setattr(cifar10, "TRAIN_PER_CLASS", PER_CLASS["train"])
    monkeypatch.setattr(cifar10, "TEST_PER_CLASS", PER_CLASS["test"])


def refused(folder: Path, name: str = "cifar10", download: bool = False) -> str:
    """The message with which a folder is refused, which must be one line."""
    with pytest.raises(DataError) as caught:
        data.load(name, folder, download)
    assert "\n" not in str(caught.value) and caught.value.status == 1
    return str(caught.value)


def images(split: str) -> np.ndarray:
    """Random pixels, uint8 (N, 32, 32, 3): height, width, colour, as in an image viewer."""
    count = 10 * PER_CLASS[split]
    return np.random.default_rng(len(split)).integers(0, 256, (count, 32, 32, 3), dtype=np.uint8)


def labels(split: str) -> list[int]:
    """In an order that is not sorted."""
    return [(7 * index + 3) % 10 for index in range(10 * PER_CLASS[split])]


def encoded(pixels: np.ndarray, kind: str = "png") -> bytes:
    stream = io.BytesIO()
    best = {"quality": 100, "subsampling": 0} if kind == "jpeg" else {}
    Image.fromarray(pixels).save(stream, kind, **best)
    return stream.getvalue()


def batch(name: str) -> bytes:
    """A batch as its authors lay it out: rows of 1,024 red, 1,024 green and 1,024 blue values, pickled by Python 2."""
    split, part = BATCHES[name]
    rows = np.ascontiguousarray(images(split)[part].transpose(0, 3, 1, 2)).reshape(-1, 3072)
    content = pickle.dumps({"data": rows, "labels": labels(split)[part]}, protocol=2)
    # A numpy of that time pickled the flags of a dtype as the numbers 0 and 1; one of today as False and True.
    old = content.replace(b"\x89\x88\x87", b"K\x00K\x01\x87")
    assert old != content
    return old


def publish(monkeypatch: pytest.MonkeyPatch, contents: dict[str, bytes] | None = None) -> None:
    """Make the small batches (or these contents) the published ones, by their checksums."""
    contents = contents or {name: batch(name) for name in BATCHES}
    table = [[name, hashlib.md5(content).hexdigest()] for name, content in contents.items()]
    monkeypatch.setattr(CIFAR10, "train_list", table[:5])
    monkeypatch.setattr(CIFAR10, "test_list", table[5:])


def write_batches(folder: Path) -> Path:
    place = folder / "cifar-10-batches-py"
    place.mkdir(parents=True)
    for name in BATCHES:
        (place / name).write_bytes(batch(name))
    return place


def write_binary(folder: Path) -> Path:
    """The version for C: rows of a label byte and 3,072 bytes of pixels."""
    place = folder / "cifar-10-batches-bin"
    place.mkdir(parents=True)
    for name, (split, part) in BATCHES.items():
        pixels = images(split)[part].transpose(0, 3, 1, 2)
        rows = [bytes([label]) + image.tobytes() for label, image in zip(labels(split)[part], pixels, strict=True)]
        (place / f"{name}.bin").write_bytes(b"".join(rows))
    return place


def canonical(split: str) -> list[int]:
    """Places of the images above in canonical order: by the SHA-256 of their bytes, colour by colour, then label."""
    digests = [hashlib.sha256(image.transpose(2, 0, 1).tobytes()).hexdigest() for image in images(split)]
    return [place for _, _, place in sorted(zip(digests, labels(split), range(len(digests)), strict=True))]


def archive(names: Sequence[str] = tuple(BATCHES)) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as tar:
        for name in ("readme.html", *names):
            content = batch(name) if name in BATCHES else b"<html>"
            member = tarfile.TarInfo(f"cifar-10-batches-py/{name}")
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return stream.getvalue()


def write_archive(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "cifar-10-python.tar.gz"
    path.write_bytes(archive())
    return path


def write_shard(path: Path, blobs: Sequence[bytes | None], values: Sequence[Any], label: Any = None) -> None:
    """One parquet file in the columns of the hub."""
    rows = [{"bytes": blob, "path": f"{index}.png"} for index, blob in enumerate(blobs)]
    image = pa.array(rows, pa.struct([("bytes", pa.binary()), ("path", pa.string())]))
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table({"img": image, "label": pa.array(values, label or pa.int64())}), path)


def write_parquet(folder: Path, kind: str = "png", shards: int = 1) -> None:
    for split in ("train", "test"):
        blobs, values = [encoded(pixels, kind) for pixels in images(split)], labels(split)
        size = len(blobs) // shards
        for shard in range(shards):
            part = slice(shard * size, None if shard == shards - 1 else (shard + 1) * size)
            write_shard(folder / f"{split}-{shard:05}-of-{shards:05}.parquet", blobs[part], values[part])


def write_classes(folder: Path, *names: str) -> None:
    """Folders of other classes, an image in each."""
    for split in ("train", "test"):
        for name in names:
            (folder / split / name).mkdir(parents=True)
            (folder / split / name / "0.png").write_bytes(encoded(images("test")[0]))


def write_images(folder: Path, kind: str = "png", suffix: str = ".png") -> None:
    for split in ("train", "test"):
        for index, (pixels, label) in enumerate(zip(images(split), labels(split), strict=True)):
            place = folder / split / CLASSES[label]
            place.mkdir(parents=True, exist_ok=True)
            (place / f"{index:04}{suffix}").write_bytes(encoded(pixels, kind))
