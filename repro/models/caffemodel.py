"""The networks that the authors published, as Caffe wrote them: read from protobuf's wire format, nothing executed.

The format: https://protobuf.dev/programming-guides/encoding. Numbers of fields: src/caffe/proto/caffe.proto of
BVLC/caffe. Names of layers: prototxt/ of KaimingHe/deep-residual-networks.
"""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from repro.errors import RecordError, shown

#: What a message holds by the numbers of its fields: numbers, or bytes.
Message = dict[int, list[int | memoryview]]

#: Some 700 layers are the most fields that a message of theirs has.
_MOST_FIELDS = 100_000
#: Bytes of a field by the kinds that have no length of their own.
_FIXED = {1: 8, 5: 4}
#: A layer is field 100 of a net, or field 2 in older files; then the fields of its name and its blobs.
_LAYERS = {100: (1, 7), 2: (4, 6)}
#: Of a blob: numbers, shape, and what older files have for a shape.
_DATA, _SHAPE, _OLD_SHAPE = 5, 7, (1, 2, 3, 4)
_MOST_DIMENSIONS = 4

#: res4b22_branch2c is the third convolution of the 23rd block of conv4_x, and bn4b22_branch2c and scale4b22_branch2c
#: are its batch normalisation. Blocks have letters, or where there are many, a, b1, b2, ...
_IN_BLOCK = re.compile(r"(res|bn|scale)([2-5])(?:b([1-9]\d?)|([a-z]))_branch(1|2[abc])", re.ASCII)
_BRANCHES = {
    "1": ("downsample.0", "downsample.1"),
    "2a": ("conv1", "bn1"),
    "2b": ("conv2", "bn2"),
    "2c": ("conv3", "bn3"),
}
_OTHERS = {
    "conv1": ("res", "conv1"),
    "bn_conv1": ("bn", "bn1"),
    "scale_conv1": ("scale", "bn1"),
    "fc1000": ("fc", "fc"),
}


def read_caffemodel(path: Path, content: bytes) -> dict[str, Tensor]:
    """The weights in a .caffemodel file, by the names that they have in this project's networks of Table 1.

    Raises:
        RecordError: it is damaged, or no network of the authors'.
    """
    try:
        state = _state(dict(_layers(memoryview(content))))
    except RecordError as error:
        raise RecordError(f"{path}: cannot be read as a caffemodel of the authors': {error}") from error
    if not state:
        raise RecordError(f"{path}: is no caffemodel: it holds no layer that has weights")
    return state


def _state(layers: dict[str, list[Tensor]]) -> dict[str, Tensor]:
    """Weights by their names here, from the blobs of layers by the authors' names."""
    state: dict[str, Tensor] = {}
    for name, blobs in layers.items():
        kind, module = _ours(name)
        match kind, blobs:
            case "res", [weight]:
                state[f"{module}.weight"] = weight
            case "res", [weight, bias] if module == "conv1":
                state["conv1.weight"], state["conv1.bias"] = weight, bias.flatten()
            case "bn", [mean, variance, factor] if factor.numel() == 1:
                # Both are sums, and the factor is what they are of (batch_norm_layer.cpp).
                scale = 1 / factor.item() if factor.item() else 0
                state[f"{module}.running_mean"] = mean.flatten() * scale
                state[f"{module}.running_var"] = variance.flatten() * scale
            case "scale", [weight, bias]:
                state[f"{module}.weight"], state[f"{module}.bias"] = weight.flatten(), bias.flatten()
            case "fc", [weight, bias]:
                state["fc.weight"], state["fc.bias"] = weight.reshape(-1, weight.shape[-1]), bias.flatten()
            case _:
                shapes = [list(blob.shape) for blob in blobs]
                raise RecordError(f"its layer {name} has blobs of shapes {shown(shapes)}, other than theirs")
    # ResNet-50's alone has one. (x + b) - mean is x - (mean - b).
    if "conv1.bias" in state:
        bias = state.pop("conv1.bias")
        if "bn1.running_mean" not in state or state["bn1.running_mean"].shape != bias.shape:
            raise RecordError("the bias of its conv1 is followed by no batch normalisation of as many channels")
        state["bn1.running_mean"] -= bias
    return state


def _ours(name: str) -> tuple[str, str]:
    """What a layer is, and what the module that does so is called here."""
    if name in _OTHERS:
        return _OTHERS[name]
    found = _IN_BLOCK.fullmatch(name)
    if not found:
        raise RecordError(f"its layer {shown(name)} is none of theirs (conv1, res2a_branch1, ..., fc1000)")
    kind, stage, number, letter, branch = found.groups()
    block = int(number) if number else ord(letter) - ord("a")
    return kind, f"layer{int(stage) - 1}.{block}.{_BRANCHES[branch][kind != 'res']}"


def _layers(net: memoryview) -> Iterator[tuple[str, list[Tensor]]]:
    """Name and blobs of each layer that has blobs."""
    fields = _fields(net)
    for number, (name_field, blob_field) in _LAYERS.items():
        for layer in map(_fields, _bytes(fields, number)):
            blobs = _bytes(layer, blob_field)
            if blobs:
                name = b"".join(_bytes(layer, name_field)[-1:]).decode(errors="replace")
                yield name, [_blob(_fields(blob), name) for blob in blobs]


def _blob(blob: Message, name: str) -> Tensor:
    data = b"".join(_bytes(blob, _DATA))
    shape = _shape(blob)
    if not 1 <= len(shape) <= _MOST_DIMENSIONS or not data or 4 * math.prod(shape) != len(data):
        raise RecordError(f"its layer {shown(name)} has {len(data):,} bytes of numbers for shape {shown(shape)}")
    return torch.from_numpy(np.frombuffer(data, "<f4").astype(np.float32)).reshape(shape)


def _shape(blob: Message) -> list[int]:
    if _SHAPE not in blob:
        return [int(value) for field in _OLD_SHAPE for value in blob.get(field, []) if isinstance(value, int)]
    packed = b"".join(dimensions for shape in _bytes(blob, _SHAPE) for dimensions in _bytes(_fields(shape), 1))
    found: list[int] = []
    at = 0
    while at < len(packed) and len(found) <= _MOST_DIMENSIONS:
        dimension, at = _varint(memoryview(packed), at)
        found.append(dimension)
    return found


def _bytes(message: Message, field: int) -> list[memoryview]:
    values = message.get(field, [])
    found = [value for value in values if isinstance(value, memoryview)]
    if len(found) < len(values):
        raise RecordError(f"a field {field} is a number, where bytes are needed")
    return found


def _fields(message: memoryview) -> Message:
    """The values of a message's fields, in their order: of a packed or repeated field, several."""
    found: Message = defaultdict(list)
    at = 0
    for _ in range(_MOST_FIELDS):
        if at == len(message):
            return found
        tag, at = _varint(message, at)
        field, kind = divmod(tag, 8)
        value: int | memoryview
        if kind == 0:
            value, at = _varint(message, at)
        elif kind == 2 or kind in _FIXED:
            size, at = (_FIXED[kind], at) if kind in _FIXED else _varint(message, at)
            value = message[at : at + size]
            at += size
            if at > len(message):
                raise RecordError(f"it ends {at - len(message):,} bytes early: download it again")
        else:
            raise RecordError(f"a field {field} is of a kind ({kind}) that Caffe does not write")
        found[field].append(value)
    raise RecordError(f"a message has more than {_MOST_FIELDS:,} fields")


def _varint(message: memoryview, at: int) -> tuple[int, int]:
    """A number of seven bits a byte, the lowest first, and where it ends."""
    value = 0
    for place in range(10):
        if at + place == len(message):
            raise RecordError("it ends within a number: download it again")
        byte = message[at + place]
        value |= (byte & 127) << 7 * place
        if byte < 128:
            return value, at + place + 1
    raise RecordError("a number has more than ten bytes")
