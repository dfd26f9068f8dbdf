"""Parameters and multiply-adds of a network by running it, to check `repro.measure.complexity`."""

from __future__ import annotations

import copy

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from repro.measure.complexity import Complexity, Layer


def count(net: nn.Module, channels: int, height: int, width: int) -> Complexity:
    """What one image of this shape costs, by module; no arithmetic is done, and `net` stays as it is.

    Raises:
        ValueError: multiply-adds outside any module that has parameters, which no layer could be charged with.
    """
    shadow = copy.deepcopy(net).to("meta").eval()
    dtype = next(shadow.parameters()).dtype
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        shadow(torch.empty(1, channels, height, width, dtype=dtype, device="meta"))
    by_module = counter.get_flop_counts()
    layers = []
    for name, module in shadow.named_modules():
        parameters = sum(p.numel() for p in module.parameters(recurse=False))
        if parameters:
            flops = sum(by_module.get(f"{type(shadow).__name__}.{name}", {}).values())
            layers.append(Layer(name, parameters, flops // 2))
    found = Complexity(tuple(layers))
    if 2 * found.macs != counter.get_total_flops():
        raise ValueError(f"{counter.get_total_flops() // 2 - found.macs} multiply-adds are of no layer with parameters")
    return found
