"""A small ImageNet of three classes in every layout, made of scikit-learn's two photographs."""

from __future__ import annotations

import hashlib
import importlib.util
import io
import tarfile
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image
from scipy.io import savemat

#: With ids of a devkit, which are not in the order of the sorted names.
SYNSETS = {"n01440764": 800, "n01751748": 490, "n02105855": 1}
#: Of each validation image, by its number from 1; the first is ImageNet's own.
VALIDATION = ["n01751748", "n02105855", "n01440764", "n01440764", "n02105855", "n01751748"]

Photographs = dict[tuple[str, str], bytes]


def photographs(split: str) -> Photographs:
    """The bytes of each photograph by (synset, name): grey, CMYK, PNG, with EXIF, and two of one length in a class."""
    if split == "validation":
        names = [f"ILSVRC2012_val_{number:08}.JPEG" for number in range(1, 7)]
        return {
            (synset, name): encoded(seed) for seed, (synset, name) in enumerate(zip(VALIDATION, names, strict=True))
        }
    found = {
        (synset, f"{synset}_{number}.JPEG"): encoded(10 + 5 * place + number)
        for place, synset in enumerate(SYNSETS)
        for number in range(5)
    }
    found["n01440764", "n01440764_0.JPEG"] = encoded(30, mode="L")
    found["n01440764", "n01440764_1.JPEG"] = encoded(31, mode="CMYK")
    del found["n02105855", "n02105855_2.JPEG"]
    found["n02105855", "n02105855_2933.JPEG"] = encoded(32, kind="PNG")
    found["n01751748", "n01751748_0.JPEG"] = encoded(33, orientation=6)
    # Decoders ignore what follows the end of an image.
    one, other = ("n02105855", "n02105855_3.JPEG"), ("n02105855", "n02105855_4.JPEG")
    longest = max(len(found[one]), len(found[other]))
    found[one], found[other] = found[one].ljust(longest, b"\0"), found[other].ljust(longest, b"\0")
    return found


def picture(seed: int) -> Image.Image:
    """A part of a photograph, of some 60 to 100 pixels a side."""
    spec = importlib.util.find_spec("sklearn")
    assert spec is not None and spec.origin is not None
    folder = Path(spec.origin).parent / "datasets" / "images"
    width, height = 60 + 7 * (seed % 5), 60 + 11 * (seed % 4)
    left, top = 13 * seed, 9 * seed
    with Image.open(folder / ("china.jpg", "flower.jpg")[seed % 2]) as image:
        return image.crop((left, top, left + width, top + height)).convert("RGB")


def encoded(seed: int, mode: str = "RGB", kind: str = "JPEG", orientation: int = 0, quality: int = 85) -> bytes:
    exif = Image.Exif()
    if orientation:
        exif[0x0112] = orientation
    out = io.BytesIO()
    picture(seed).convert(mode).save(out, kind, exif=exif, quality=quality)
    return out.getvalue()


def canonical(split: str) -> tuple[list[int], list[bytes]]:
    """Labels and bytes as any index of the split has to give them."""
    order = sorted(SYNSETS)
    rows = sorted(
        (order.index(synset), len(data), hashlib.sha256(data).hexdigest(), data)
        for (synset, _), data in photographs(split).items()
    )
    return [row[0] for row in rows], [row[3] for row in rows]


def write_folders(root: Path, splits: tuple[str, ...] = ("train", "validation")) -> None:
    for split in splits:
        for (synset, name), data in photographs(split).items():
            path = root / {"train": "train", "validation": "val"}[split] / synset / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)


def write_flat(root: Path) -> None:
    write_folders(root, ("train",))
    write_validation(root / "val")
    write_devkit(root / "ILSVRC2012_devkit_t12" / "data")


def write_kaggle(root: Path) -> None:
    base = root / "ILSVRC" / "Data" / "CLS-LOC"
    write_folders(base, ("train",))
    write_validation(base / "val")
    rows = [f"{Path(name).stem},{synset} 1 2 30 40 " for synset, name in reversed(photographs("validation"))]
    (root / "LOC_val_solution.csv").write_text("\n".join(["ImageId,PredictionString", *rows]) + "\n")


def write_archives(root: Path) -> None:
    inner = {}
    for synset in reversed(SYNSETS):
        of_class = {name: data for (one, name), data in photographs("train").items() if one == synset}
        inner[f"{synset}.tar"] = tar(of_class)
    (root / "ILSVRC2012_img_train.tar").write_bytes(tar(inner))
    flat = {name: data for (_, name), data in photographs("validation").items()}
    (root / "ILSVRC2012_img_val.tar").write_bytes(tar(flat))
    with tempfile.TemporaryDirectory() as folder:
        write_devkit(Path(folder))
        kit = {f"ILSVRC2012_devkit_t12/data/{path.name}": path.read_bytes() for path in Path(folder).iterdir()}
    (root / "ILSVRC2012_devkit_t12.tar.gz").write_bytes(tar(kit, "w:gz"))


def write_shards(root: Path) -> None:
    """Two shards of training images, in another order and with other names."""
    order = sorted(SYNSETS)
    for split, name in (("train", "train"), ("validation", "val")):
        rows = list(reversed(photographs(split).items()))
        for shard in range(2):
            files = {}
            for number, ((synset, _), data) in enumerate(rows[shard::2]):
                files[f"{number:06}.cls"] = str(order.index(synset)).encode()
                files[f"{number:06}.jpg"] = data
                files[f"{number:06}.json"] = b"{}"
            (root / f"imagenet-{name}-{shard:06}.tar").write_bytes(tar(files))


def write_parquet(root: Path) -> None:
    order = sorted(SYNSETS)
    (root / "data").mkdir()
    for split in ("train", "validation"):
        rows = sorted(photographs(split).items(), key=lambda row: row[0][1], reverse=True)
        for shard in range(2):
            images = [{"bytes": data, "path": f"{synset}/{name}"} for (synset, name), data in rows[shard::2]]
            labels = [order.index(synset) for (synset, _), _ in rows[shard::2]]
            write_rows(root / "data" / f"{split}-{shard:05}-of-00002.parquet", images, labels)


LAYOUTS: dict[str, Callable[[Path], None]] = {
    "folders": write_folders,
    "flat": write_flat,
    "kaggle": write_kaggle,
    "archives": write_archives,
    "shards": write_shards,
    "parquet": write_parquet,
}


def write_validation(folder: Path) -> None:
    folder.mkdir(parents=True)
    for (_, name), data in photographs("validation").items():
        (folder / name).write_bytes(data)


def write_devkit(folder: Path, ids: dict[str, int] = SYNSETS) -> None:
    """As the original: structs of which some are no classes, but have children, and a line of an id for each image."""
    folder.mkdir(parents=True, exist_ok=True)
    names = ("ILSVRC2012_ID", "WNID", "words", "gloss", "num_children", "children")
    meta = np.zeros((len(ids) + 1, 1), dtype=[(name, object) for name in names])
    for row, (synset, number) in enumerate(ids.items()):
        meta[row, 0] = (float(number), synset, "words, more words", "gloss", 0.0, 0.0)
    meta[len(ids), 0] = (1001.0, "n00001740", "entity", "gloss", 3.0, np.arange(3.0))
    savemat(folder / "meta.mat", {"synsets": meta})
    lines = "".join(f"{ids[synset]}\n" for synset in VALIDATION)
    (folder / "ILSVRC2012_validation_ground_truth.txt").write_text(lines)


def write_rows(path: Path, images: list[dict[str, object] | None], labels: list[int]) -> None:
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    pq.write_table(pa.table({"image": pa.array(images, kind), "label": pa.array(labels, pa.int64())}), path)


def tar(files: dict[str, bytes], mode: str = "w") -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode=mode) as archive:  # type: ignore[call-overload]
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return out.getvalue()
