"""Checkpoints of other programs: read without executing anything, and searched for the weights of networks."""

from __future__ import annotations

import io
import pickletools
import re
import stat
import warnings
import zipfile
from _compat_pickle import IMPORT_MAPPING, NAME_MAPPING
from collections import OrderedDict, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from repro.disk import form_of
from repro.errors import RecordError, shown
from repro.models.caffemodel import read_caffemodel

#: Deeper than any training script puts its weights, even one that has a mapping for each layer.
_DEEPEST = 6
#: How torch.save began its files before they were zip archives: with a pickled number. Four pickles follow.
_LEGACY = b"l\xfc\x9cF\xf9 j\xa8P\x19."
_SAVE = "where it can be loaded, save its weights by torch.save(net.state_dict(), FILE)"
#: For what PyTorch does not load.
CONVERT = (
    "load it where it can be, make a dict of its arrays, named conv1.weight, bn1.weight, ... and shaped as PyTorch's "
    "(a convolution: outputs, inputs, height, width), and torch.save({k: torch.tensor(x) for k, x in arrays.items()}, "
    "FILE)"
)


class _Attributes:
    """Stands for a class, or function, that a file names: makes a mapping, and runs nothing.

    Attributes of an object become those of the mapping, and items, which subclasses of dict have, its items.
    """

    def __new__(cls, *_: Any, **__: Any) -> Any:
        return OrderedDict()


class _Nothing(list[Any]):
    """Likewise for what has a state of another form, or is a list: keeps nothing."""

    def __init__(self, *_: Any, **__: Any) -> None:
        super().__init__()

    def __setstate__(self, state: Any) -> None:
        """Drop it."""


_OTHER_STATE = (
    "numpy.dtype", "numpy.core.multiarray._reconstruct", "numpy._core.multiarray._reconstruct", "functools.partial",
    "collections.deque",
)  # fmt: skip


def read(path: Path) -> Any:
    """What a file of torch.save, of safetensors, or of the authors' Caffe holds, with inert mappings for objects.

    Raises:
        RecordError: it is none of them, or damaged, or the package safetensors is needed.
    """
    try:
        if not stat.S_ISREG(path.stat().st_mode):  # a folder, or a pipe that nobody may ever write to
            raise RecordError(f"{path}: is no file")
        content = path.read_bytes()
    except OSError as error:
        raise RecordError(f"{path}: cannot be read: {error.strerror}") from error
    if re.search(r"-\d+-of-(?!0*1\.)\d+\.|\.index\.json$", path.name):
        raise RecordError(
            f"{path}: is one of several parts of a checkpoint: load them all into one dict, and save that"
        )
    if path.suffix == ".caffemodel":
        return read_caffemodel(path, content)
    try:
        if path.suffix == ".safetensors" or content[8:10] == b'{"':
            from safetensors.torch import load

            return dict(sorted(load(content).items()))
        stand_ins: list[Any] = [
            (type(name, (_Nothing if name in _OTHER_STATE else _Attributes,), {}), name) for name in _names(content)
        ]
        # The file names classes; torch finds the inert ones under these names, and refuses any other.
        with torch.serialization.safe_globals(stand_ins), warnings.catch_warnings(action="ignore"):
            return torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except ModuleNotFoundError as error:
        raise RecordError(f"{path}: needs the package safetensors: pip install safetensors") from error
    except RecordError as error:
        raise RecordError(f"{path}: {error}") from error
    except Exception as error:  # neither library documents its exceptions: any of them means unreadable here
        # Of torch's text the reason, without its advice to execute what the file holds.
        why = str(error).rpartition("WeightsUnpickler error:")[2].strip().partition("\n")[0].partition(". ")[0]
        raise RecordError(f"{path}: cannot be read as a checkpoint ({why or repr(error)}): {_SAVE}") from error


def _names(content: bytes) -> set[str]:
    """The classes and functions that the pickle of a checkpoint names, as torch spells them."""
    if zipfile.is_zipfile(io.BytesIO(content)):
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            if (bad := archive.testzip()) is not None:  # torch does not look
                raise ValueError(f"is damaged: {bad} does not match its checksum")
            names = archive.namelist()
            if any(name.endswith("/constants.pkl") for name in names):
                raise ValueError("is a program of TorchScript, which is not executed here")
            pickles = [io.BytesIO(archive.read(name)) for name in names if name.endswith("/data.pkl")]
            if not pickles:
                whose = {"h5": "Keras' weights", "npy": "NumPy's arrays"}.get("".join(names[-1:]).rpartition(".")[2])
                raise RecordError(
                    f"is {whose or 'none of torch.save'}, a zip archive of {', '.join(names[:3])}: {CONVERT}"
                )
    elif _LEGACY in content[:32]:
        pickles = [io.BytesIO(content)] * 5
    else:
        form, cure = form_of(content)
        if not form:
            raise ValueError(f"it begins with {shown(content[:20])}")
        raise RecordError(f"is {form}: {cure or CONVERT}")
    steps = (step for stream in pickles for step in pickletools.genops(stream))
    found = {str(name).partition(" ")[::2] for step, name, _ in steps if step.name == "GLOBAL"}
    # torch.save writes the names that Python 2 had for them.
    renamed = (NAME_MAPPING.get(pair, (IMPORT_MAPPING.get(pair[0], pair[0]), pair[1])) for pair in found)
    return {".".join(pair) for pair in (*found, *renamed)}


@dataclass(frozen=True)
class Weights:
    """What may be the weights of one network.

    Attributes:
        holder: the keys that lead to the mapping that they are in, joined by dots; empty where that is the whole file.
        prefix: of their names there.
        tensors: by their names without it, in the order of the file.
        beside: the mapping's other tensors, by their names.
        aside: what else the file holds, a few names.
    """

    holder: str
    prefix: str
    tensors: dict[str, Tensor]
    beside: dict[str, Tensor]
    aside: tuple[str, ...]

    @property
    def place(self) -> str:
        """What tells them from others in the file."""
        return ".".join(filter(None, (self.holder, self.prefix.removesuffix("."))))


def networks(content: Any, place: str | None = None) -> list[Weights]:
    """Everything in a file that may be the weights of a network: has a convolution and a classifier.

    Args:
        place: only those whose place begins so.

    Raises:
        RecordError: there is nothing.
    """
    mappings = list(_mappings(content))
    for holder, own in mappings:
        for key, value in own.items():
            if "mask" in ".".join((*holder, str(key))).lower() and isinstance(value, Tensor) and value.dim() == 4:
                raise RecordError(
                    f"is of a pruned network, with masks ({key}, ...): multiply each weight by its mask "
                    "(torch.nn.utils.prune.remove(layer, 'weight') does), and save the weights alone"
                )
    found = [weights for holder, mapping in mappings for weights in _below(content, holder, mapping)]
    if not found:
        # Of layers, each a mapping of its own.
        flat = {".".join((*holder, str(key))): value for holder, own in mappings for key, value in own.items()}
        found = list(_below(content, (), flat))
    if not found:
        kinds = {str(value.dtype) for value in flat.values() if isinstance(value, Tensor) and value.dim() == 4}
        keys = f" among {', '.join(map(str, list(content)[:8]))}" if isinstance(content, dict) and content else ""
        what = f", but tensors of {', '.join(sorted(kinds))}" if kinds else ""
        whole = "neither quantised weights nor whole networks are used here"
        raise RecordError(f"no network's weights found{keys}{what}: {whole}: {_SAVE}")
    chosen = [weights for weights in found if place is None or f"{weights.place}.".startswith(f"{place}.")]
    if not chosen:
        places = sorted(weights.place or "the file itself, without --weights" for weights in found)
        raise RecordError(f"no network's weights at {place!r}, but at {', '.join(places)}")
    return chosen


def _mappings(content: Any, *holder: str) -> Iterator[tuple[tuple[str, ...], Mapping[Any, Any]]]:
    if isinstance(content, list | tuple):
        content = dict(enumerate(content))
    if isinstance(content, dict) and len(holder) <= _DEEPEST:
        yield holder, content
        for key, value in content.items():
            yield from _mappings(value, *holder, str(key))


def _below(content: Any, holder: tuple[str, ...], mapping: Mapping[Any, Any]) -> Iterator[Weights]:
    """The networks in one mapping of tensors, each below the longest prefix that all its names have."""
    tensors = {key: value.detach() for key, value in mapping.items() if isinstance(key, str) and _is_usable(value)}
    below: dict[str, list[str]] = defaultdict(list)
    for key in tensors:
        for step in re.finditer(r"^|\.", key):
            below[key[: step.end()]].append(key)
    longest: dict[tuple[str, ...], str] = {}
    for prefix, keys in below.items():
        # A mean of images, which has one row, is no convolution.
        convolutions = tuple(key for key in keys if tensors[key].dim() == 4 and len(tensors[key]) > 1)
        if convolutions and any(tensors[key].dim() == 2 for key in keys):
            longest[convolutions] = max(longest.get(convolutions, ""), prefix, key=len)
    for prefix in longest.values():
        others = [str(key) for key in content if str(key) != holder[0]] if holder and isinstance(content, dict) else []
        others += sorted({branch(key, prefix) for key in map(str, mapping) if not key.startswith(prefix)})
        aside = (*others[:8], *(["..."] if len(others) > 8 else []))
        inside = {key.removeprefix(prefix): tensors[key] for key in below[prefix]}
        beside = {key: value for key, value in tensors.items() if key not in below[prefix]}
        yield Weights(".".join(holder), prefix, inside, beside, aside)


def branch(key: str, prefix: str) -> str:
    """What a name begins with, as far as it takes to differ from the prefix of a network beside it."""
    steps = (key[: step.start()] for step in re.finditer(r"\.|$", key))
    return next(begin for begin in steps if begin == key or not prefix.startswith(f"{begin}."))


def _is_usable(value: Any) -> bool:
    return (
        isinstance(value, Tensor)
        and value.layout is torch.strided
        and value.device.type == "cpu"
        and value.dtype.is_floating_point
        and not value.is_quantized
    )
