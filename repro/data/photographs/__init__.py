"""Data sets of photographs, read from the files in which people have them: ImageNet, and subsets such as Imagenette."""

from __future__ import annotations

from pathlib import Path

from repro.data.photographs import parquet
from repro.data.photographs.index import SYNSET, Index, build
from repro.data.photographs.layouts import DEVKIT, NAMES, RECOGNISERS, Split
from repro.data.pixels import reason
from repro.errors import DataError

#: Where in the folder that the user gives: itself, Kaggle's place, the hub's.
_BASES = (".", "ILSVRC/Data/CLS-LOC", "data")
_CHOICES = (
    "put one of these there: folders train/n01440764/*.JPEG and val/n01440764/*.JPEG; the archives "
    "ILSVRC2012_img_train.tar, ILSVRC2012_img_val.tar and ILSVRC2012_devkit_t12.tar.gz; Kaggle's folder ILSVRC with "
    "LOC_val_solution.csv; webdataset shards *-train-*.tar and *-val-*.tar; parquet files train-*.parquet and "
    "validation-*.parquet"
)


def find(folder: Path, split: Split, copy: bool = True) -> Index:
    """The index of a split, in whichever layout it lies in a folder; the first where there are several.

    Args:
        folder: that the user gives.
        split: "train" or "validation".
        copy: whether to copy the photographs of parquet files, where that has not been done (see `parquet.index`).

    Raises:
        DataError: no such folder, no photographs in a layout that is known (what is there instead), a file that cannot
            be read, or photographs without labels.
    """
    try:
        if not folder.is_dir():
            problem = "is no folder" if folder.exists() else "there is no such folder"
            raise DataError(f"{folder}: {problem}: give the one that holds the data (--data-dir or $REPRO_DATA)")
        for base in (folder / below for below in _BASES):
            for recognise in RECOGNISERS:
                found = recognise(base, folder, split)
                if found:
                    return build(*found)
            paths = parquet.files(base, split)
            if paths:
                return parquet.index(paths, folder, copy)
        raise DataError(f"{folder}: {_instead(folder, split)}")
    except OSError as error:
        raise DataError(f"{error.filename or folder}: cannot be read: {reason(error)}") from error


def _instead(folder: Path, split: Split) -> str:
    """What lies there, in a few words, and what to do."""
    inside = sorted(folder.iterdir())
    for path in inside:
        if path.is_dir() and (parquet.files(path, split) or any(one(path, path, split) for one in RECOGNISERS)):
            return f"holds no photographs of the {split} set, but {path.name} in it does: give {path}"
    for path in inside:
        # The devkit is read as it is.
        if path.suffix in (".tgz", ".gz", ".zip") and path.name != f"{DEVKIT}.tar.gz":
            return f"holds {path.name}, which is compressed, so unpack it; or {_CHOICES}"
    for path in (folder / name for name in NAMES[split]):
        named = sorted(one.name for one in path.iterdir() if one.is_dir()) if path.is_dir() else []
        if named and not SYNSET.fullmatch(named[0]):
            return (
                f"{path.name} in it has folders named {', '.join(named[:3])}, not by synset as n01440764: rename them"
            )
    names = ", ".join(path.name for path in inside[:5]) + (f" and {len(inside) - 5} more" if len(inside) > 5 else "")
    return f"holds no photographs of the {split} set ({names or 'it is empty'}): {_CHOICES}"
