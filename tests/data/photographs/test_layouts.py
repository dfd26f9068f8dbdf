"""The same photographs in every layout give one index; anything else there is told in a line."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from small_imagenet import (
    LAYOUTS,
    SYNSETS,
    canonical,
    encoded,
    photographs,
    tar,
    write_archives,
    write_devkit,
    write_flat,
    write_folders,
    write_kaggle,
    write_parquet,
    write_rows,
    write_validation,
)

from repro.data.photographs import find, parquet
from repro.data.photographs.index import Chunk, Index, build, check, check_same_classes
from repro.errors import DataError


def contents(index: Index) -> list[bytes]:
    return [index.read(number) for number in range(len(index))]


@pytest.fixture
def fingerprints(tmp_path: Path) -> dict[str, str]:
    write_folders(tmp_path / "reference")
    return {split: find(tmp_path / "reference", split).fingerprint for split in ("train", "validation")}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_one_index_for_all_layouts(layout: str, tmp_path: Path, fingerprints: dict[str, str]) -> None:
    root = tmp_path / layout
    root.mkdir()
    LAYOUTS[layout](root)
    for split in ("train", "validation"):
        index = find(root, split)
        labels, files = canonical(split)
        assert index.labels.tolist() == labels
        assert contents(index) == files
        assert index.fingerprint == fingerprints[split]
        assert index.classes == (("0", "1", "2") if layout in ("shards", "parquet") else tuple(sorted(SYNSETS)))
        assert len(index.places) <= 3


@pytest.mark.parametrize("layout", ["shards", "parquet"])
def test_what_macos_leaves_beside_files_is_passed_over(layout: str, tmp_path: Path) -> None:
    LAYOUTS[layout](tmp_path)
    for path in [*tmp_path.glob("*train*.tar"), *tmp_path.glob("data/train*.parquet")]:
        place = path.parent / "train" / path.name
        place.parent.mkdir(exist_ok=True)
        path.rename(place)
        for beside in (path, place):
            beside.with_name(f"._{path.name}").write_bytes(b"\0\5\x16\7")
    assert contents(find(tmp_path, "train")) == canonical("train")[1]


def test_train_and_validation_differ_and_so_do_re_encoded_copies(tmp_path: Path, fingerprints: dict[str, str]) -> None:
    assert fingerprints["train"] != fingerprints["validation"]
    write_folders(tmp_path)
    (tmp_path / "train" / "n01440764" / "n01440764_2.JPEG").write_bytes(encoded(12, quality=84))
    assert find(tmp_path, "train").fingerprint != fingerprints["train"]


def test_names_are_those_of_the_files(tmp_path: Path) -> None:
    write_folders(tmp_path)
    index = find(tmp_path, "train")
    assert {index.name(n) for n in range(len(index))} == {str(path) for path in (tmp_path / "train").glob("*/*")}
    (tmp_path / "archives").mkdir()
    write_archives(tmp_path / "archives")
    index = find(tmp_path / "archives", "train")
    archive = tmp_path / "archives" / "ILSVRC2012_img_train.tar"
    assert {index.name(n) for n in range(len(index))} == {f"{archive}: {name}" for _, name in photographs("train")}


def test_parquet_is_copied_once_and_again_when_the_files_change(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_parquet(tmp_path)
    with pytest.raises(DataError, match="not copied yet"):
        find(tmp_path, "train", copy=False)
    first = find(tmp_path, "train")
    (copy,) = (tmp_path / "photographs").glob("*.bin")
    assert copy.stat().st_size == sum(len(data) for data in photographs("train").values())
    with monkeypatch.context() as patch:
        patch.setattr(parquet, "_copied", None)
        assert contents(find(tmp_path, "train", copy=False)) == contents(first)
    write_rows(tmp_path / "data" / "train-00001-of-00002.parquet", [{"bytes": encoded(1), "path": None}], [0])
    assert len(find(tmp_path, "train")) == 1 + len(photographs("train")) - len(photographs("train")) // 2


def test_a_copy_that_was_interrupted_is_made_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_parquet(tmp_path)
    cache = tmp_path / "photographs"

    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(parquet.np, "savez", interrupted)
        find(tmp_path, "train")
    (copy,) = cache.glob("*.bin")
    torn = cache / f".{copy.name}.1.tmp"
    torn.write_bytes(b"half")
    copy.write_bytes(b"other")
    assert contents(find(tmp_path, "train")) == canonical("train")[1]
    assert not torn.exists()


@pytest.mark.parametrize("suffix", [".npz", ".bin"])
@pytest.mark.parametrize("content", [b"", b"PK\3\4 cut off", None])
def test_a_copy_that_is_damaged_is_made_anew(suffix: str, content: bytes | None, tmp_path: Path) -> None:
    write_parquet(tmp_path)
    expected = contents(find(tmp_path, "train"))
    (damaged,) = (tmp_path / "photographs").glob(f"*{suffix}")
    damaged.write_bytes(damaged.read_bytes()[:-1] if content is None else content)
    assert contents(find(tmp_path, "train")) == expected


def test_where_the_data_may_not_be_written_to_the_copy_goes_to_the_users_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, unprivileged: Callable[[], AbstractContextManager[None]]
) -> None:
    root, cache = tmp_path / "data", tmp_path / "cache"
    root.mkdir(), cache.mkdir()
    write_parquet(root)
    root.chmod(0o555), cache.chmod(0o777)
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache))
    with unprivileged():
        assert contents(find(root, "train")) == canonical("train")[1]
        assert contents(find(root, "train", copy=False)) == canonical("train")[1]
    assert list(cache.glob("repro/*.bin")) and not (root / "photographs").exists()


def test_a_copy_in_a_folder_that_may_not_be_written_to_is_read(
    tmp_path: Path, unprivileged: Callable[[], AbstractContextManager[None]]
) -> None:
    write_parquet(tmp_path)
    find(tmp_path, "train")
    (tmp_path / "photographs").chmod(0o555)
    with unprivileged():
        assert contents(find(tmp_path, "train")) == canonical("train")[1]


def test_disks_that_are_too_small_for_the_copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_parquet(tmp_path)
    monkeypatch.setattr(parquet.shutil, "disk_usage", lambda _: type("Usage", (), {"free": 10}))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    message = refused(tmp_path, "train")
    assert "make room" in message and str(tmp_path / "photographs") in message and str(tmp_path / "cache") in message
    assert not list(tmp_path.rglob("*.bin"))


def refused(root: Path, split: str) -> str:
    with pytest.raises(DataError) as caught:
        find(root, split)  # type: ignore[arg-type]
    message = str(caught.value)
    assert "\n" not in message and str(root) in message
    return message


def nothing(root: Path) -> None:
    pass


def a_file(root: Path) -> None:
    root.rmdir()
    root.write_text("x")


def empty_class(root: Path) -> None:
    write_folders(root)
    for path in (root / "train" / "n01751748").iterdir():
        path.unlink()
    (root / "train" / "n01751748" / "._n01751748_1.JPEG").write_bytes(b"left by macOS")


def cut(write: Callable[[Path], None], name: str, kept: Callable[[int], int]) -> Callable[[Path], None]:
    """A layout of which one file is cut."""

    def act(root: Path) -> None:
        write(root)
        content = (root / name).read_bytes()
        (root / name).write_bytes(content[: kept(len(content))])

    return act


def devkit_beside(root: Path) -> None:
    write_validation(root / "val")
    write_devkit(root)


def rows(name: str, images: list[dict[str, object] | None], labels: list[int]) -> Callable[[Path], None]:
    return lambda root: write_rows(root / name, images, labels)


def other_columns(root: Path) -> None:
    pq.write_table(pa.table({"text": ["a"], "label": [1]}), root / "train.parquet")


ARCHIVE, SHARD, VALUES = "ILSVRC2012_img_train.tar", "imagenet-train-0.tar", "LOC_val_solution.csv"
ROW: dict[str, object] = {"bytes": encoded(1), "path": "a"}
A_THOUSAND: list[dict[str, object] | None] = [
    {"bytes": b"x", "path": f"ILSVRC2012_val_{n + 1:08}.JPEG"} for n in range(1000)
]
TWO_CLASSES = {f"{n}.{kind}": data for n in (0, 2) for kind, data in (("jpg", encoded(n)), ("cls", b"%d" % n))}
# The inner archives lack their ends, so that reading one would go on into the next.
RUNNING_ON = {f"{synset}.tar": tar({f"{synset}_1.JPEG": b"data"})[:1024] for synset in SYNSETS}
#: What writes it, files that are written then, and words that tell what is wrong.
WRONG_TRAINING_SETS: list[tuple[Callable[[Path], object], dict[str, bytes], list[str]]] = [
    (Path.rmdir, {}, ["no such folder", "--data-dir"]),
    (a_file, {}, ["is no folder"]),
    (nothing, {}, ["it is empty", "n01440764"]),
    (empty_class, {}, ["train/n01751748: holds no photographs"]),
    (write_folders, {"train/n01751748/n01751748_3.JPEG": b""}, ["n01751748_3.JPEG is empty"]),
    (nothing, {"train/airplane/1.png": b"x"}, ["folders named airplane", "synset"]),
    (lambda root: write_folders(root / "imagenette2-160"), {}, ["give", "imagenette2-160"]),
    (nothing, {"imagenette2-160.tgz": b"x"}, ["unpack it"]),
    (nothing, {"ILSVRC2012_devkit_t12.tar.gz": b"x"}, ["holds no photographs of the train set", ARCHIVE]),
    (cut(write_archives, ARCHIVE, lambda size: size // 2), {}, [f"{ARCHIVE}: is damaged", "fetch it again"]),
    (write_archives, {ARCHIVE: tar({"n01440764.tar": b""}, "w:gz")}, ["no tar archive"]),
    (nothing, {ARCHIVE: tar({"n01440764.tar": tar({})})}, ["n01440764.tar holds no photographs"]),
    (nothing, {ARCHIVE: tar(RUNNING_ON)}, [f"{ARCHIVE}: is damaged"]),
    (nothing, {SHARD: tar({"a/0.jpg": encoded(1), "b/0.cls": b"1"})}, ["a/0.jpg has no"]),
    (nothing, {SHARD: tar({"0.jpg": encoded(1), "0.cls": b"tench\n"})}, ["0.cls holds b'tench"]),
    (nothing, {SHARD: tar(TWO_CLASSES)}, ["no photograph has label 1"]),
    (other_columns, {}, ["text: string", "image: struct"]),
    (rows("train.parquet", [ROW, ROW], [0, -1]), {}, ["row 1 has no label"]),
    (rows("train.parquet", [ROW, None], [0, 0]), {}, ["row 1 has no photograph"]),
    (
        cut(write_parquet, "data/train-00001-of-00002.parquet", lambda size: size - 1),
        {},
        ["train-00001-of-00002.parquet: cannot be read as a parquet file"],
    ),
]
WRONG_VALIDATION_SETS: list[tuple[Callable[[Path], object], dict[str, bytes], list[str]]] = [
    (
        lambda root: write_validation(root / "val"),
        {},
        ["classes of its photographs", "ILSVRC2012_devkit_t12.tar.gz", VALUES],
    ),
    (
        cut(write_flat, "ILSVRC2012_devkit_t12/data/meta.mat", lambda size: size - 40),
        {},
        ["no devkit", "fetch it again"],
    ),
    # As if ids were in the order of the sorted synsets.
    (
        devkit_beside,
        {"ILSVRC2012_validation_ground_truth.txt": b"1\n" * 6},
        ["ILSVRC2012_val_00000001 is labelled n02105855, not n01751748"],
    ),
    (write_flat, {"val/ILSVRC2012_val_00000007.JPEG": encoded(7)}, ["ILSVRC2012_val_00000007.JPEG has no class"]),
    (write_kaggle, {VALUES: b"id,label\n1,2\n"}, [VALUES, "ImageId"]),
    (
        rows("validation.parquet", A_THOUSAND, list(range(1000))),
        {},
        ["ILSVRC2012_val_00000001 is labelled 0, not n01751748 (65)"],
    ),
]
WRONG = [("train", *row) for row in WRONG_TRAINING_SETS] + [("validation", *row) for row in WRONG_VALIDATION_SETS]


@pytest.mark.parametrize(("split", "write", "files", "words"), WRONG, ids=range(len(WRONG)))
def test_a_wrong_set_is_told_in_a_line(
    split: str, write: Callable[[Path], object], files: dict[str, bytes], words: list[str], tmp_path: Path
) -> None:
    root = tmp_path / "data"
    root.mkdir()
    write(root)
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)
    message = refused(root, split)
    assert all(word in message for word in words), message
    assert not list(tmp_path.rglob("*.tmp")) and not list(tmp_path.rglob("*.bin"))


def test_a_folder_that_may_not_be_read(tmp_path: Path, unprivileged: Callable) -> None:
    write_folders(tmp_path)
    (tmp_path / "train" / "n01751748").chmod(0)
    with unprivileged():
        message = refused(tmp_path, "train")
    (tmp_path / "train" / "n01751748").chmod(0o755)
    assert f"{tmp_path / 'train' / 'n01751748'}: cannot be read" in message


@pytest.mark.parametrize("lacks", ["train", "val"])
def test_a_class_of_one_set_alone(lacks: str, tmp_path: Path) -> None:
    write_folders(tmp_path)
    (tmp_path / lacks / "n02105855").rename(tmp_path / "elsewhere")
    with pytest.raises(DataError, match="n02105855") as caught:
        check_same_classes(find(tmp_path, "train"), find(tmp_path, "validation"))
    has = {"train": "val", "val": "train"}[lacks]
    assert f"only {tmp_path / has} has n02105855" in str(caught.value)


def test_a_layout_without_synsets_agrees_with_one_that_has_them(tmp_path: Path) -> None:
    write_folders(tmp_path, ("train",))
    write_parquet(tmp_path)
    check_same_classes(find(tmp_path, "train"), find(tmp_path, "validation"))


def small(labels: list[int]) -> Index:
    rows = [(str(n), n, n + 1, f"n{label:08}") for n, label in enumerate(labels)]
    return build("a test", Path("here"), True, [Chunk(Path("here"), rows)])  # type: ignore[list-item]


def test_counts() -> None:
    check(small([1, 1, 2, 2]), classes=2, images=4, each=2)
    check(small([1, 1, 1, 2]), classes=2, images=4)
    for labels, word in (([1] * 4, "1 classes, not 2"), ([1, 1, 1, 2], "n00000001 has 3 photographs, not 2")):
        with pytest.raises(DataError, match=word):
            check(small(labels), classes=2, images=4, each=2)
    with pytest.raises(DataError, match="here: has 5 photographs, not 4"):
        check(small([1, 1, 1, 2, 2]), classes=2, images=4)


def test_a_file_that_changed_after_it_was_indexed(tmp_path: Path) -> None:
    write_folders(tmp_path)
    index = find(tmp_path, "train")
    path = Path(index.name(3))
    length = path.stat().st_size
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(DataError, match=f"{path}: has {length - 1:,} of its {length:,} bytes"):
        index.read(3)
    path.unlink()
    with pytest.raises(DataError, match=f"{path}: cannot be read"):
        index.read(3)
