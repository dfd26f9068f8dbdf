"""Files as the authors' Caffe wrote them, by the rules of protobuf's wire format."""

from __future__ import annotations

import struct

import torch
from torch import Tensor, nn

#: Blocks of the authors' prototxt files, stage by stage.
BLOCKS = {
    18: (["a", "b"],) * 4,
    50: (list("abc"), list("abcd"), list("abcdef"), list("abc")),
    101: (list("abc"), ["a", "b1", "b2", "b3"], ["a", *(f"b{k}" for k in range(1, 23))], list("abc")),
    152: (list("abc"), ["a", *(f"b{k}" for k in range(1, 8))], ["a", *(f"b{k}" for k in range(1, 36))], list("abc")),
}


def varint(number: int) -> bytes:
    found = b""
    while number >= 128:
        found += bytes([number % 128 + 128])
        number //= 128
    return found + bytes([number])


def field(number: int, value: int | bytes) -> bytes:
    if isinstance(value, int):
        return varint(8 * number) + varint(value)
    return varint(8 * number + 2) + varint(len(value)) + value


def blob(values: Tensor, old: bool = False) -> bytes:
    """BlobProto: shape 7 of dim 1, data 5; before there were shapes, num 1, channels 2, height 3, width 4."""
    data = field(5, struct.pack(f"<{values.numel()}f", *values.flatten().tolist()))
    if old:
        four = (*[1] * (4 - values.dim()), *values.shape)
        return b"".join(field(k, size) for k, size in enumerate(four, start=1)) + data
    return field(7, field(1, b"".join(map(varint, values.shape)))) + data


def layer(name: str, *blobs: Tensor, old: bool = False) -> bytes:
    """LayerParameter: name 1, type 2, bottom 3, blobs 7, in field 100; before, name 4, type 5, blobs 6, in field 2."""
    written = [blob(values, old) for values in blobs]
    if old:
        return field(
            2, field(2, b"data") + field(4, name.encode()) + field(5, 4) + b"".join(field(6, b) for b in written)
        )
    settings = field(106, field(1, 64)) + field(5, 1)
    return field(100, field(1, name.encode()) + field(2, b"Type") + b"".join(field(7, b) for b in written) + settings)


def caffemodel(net: nn.Module, depth: int, factor: float = 999.98, old: bool = False) -> bytes:
    """A network's weights as the authors' files have them, ReLUs among the layers."""
    modules = dict(net.named_modules())

    def convolution(name: str, suffix: str, ours: str, norm: str) -> bytes:
        conv, bn = modules[ours], modules[norm]
        blobs = [conv.weight] if conv.bias is None else [conv.weight, conv.bias]
        statistics = (bn.running_mean * factor, bn.running_var * factor, torch.tensor([factor]))
        return (
            layer(name, *blobs, old=old)
            + layer(f"bn{suffix}", *statistics, old=old)
            + layer(f"scale{suffix}", bn.weight, bn.bias, old=old)
            + layer(f"{name}_relu", old=old)
        )

    found = field(1, b"ResNet") + field(3, b"data") + b"".join(field(4, size) for size in (1, 3, 224, 224))
    found += convolution("conv1", "_conv1", "conv1", "bn1")
    for stage, blocks in enumerate(BLOCKS[depth], start=2):
        for index, block in enumerate(blocks):
            place = f"layer{stage - 1}.{index}"
            if f"{place}.downsample.0" in modules:
                suffix = f"{stage}{block}_branch1"
                found += convolution(f"res{suffix}", suffix, f"{place}.downsample.0", f"{place}.downsample.1")
            for k in range(1, 3 if depth == 18 else 4):
                suffix = f"{stage}{block}_branch2{'abc'[k - 1]}"
                found += convolution(f"res{suffix}", suffix, f"{place}.conv{k}", f"{place}.bn{k}")
    return found + layer("fc1000", net.fc.weight, net.fc.bias, old=old) + layer("prob", old=old)
