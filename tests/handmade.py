"""The networks' formulas, written out with torch.nn.functional alone, to check the modules against."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def randomised(module: nn.Module, seed: int = 0) -> nn.Module:
    """Double precision; every parameter and running statistic away from where it begins, signals of about size 1."""
    generator = torch.Generator().manual_seed(seed)
    module.double()
    with torch.no_grad():
        for key, value in module.state_dict().items():
            if value.ndim > 1:
                value.normal_(0, (2 / value[0].numel()) ** 0.5, generator=generator)
            elif key.endswith("running_var") or (key.endswith("weight") and value.ndim == 1):
                value.uniform_(0.5, 1.5, generator=generator)
            elif value.ndim:
                value.normal_(0, 0.3, generator=generator)
    return module


def normalised(x: Tensor, state: dict[str, Tensor], name: str, training: bool) -> Tensor:
    """Batch normalisation, written out (Ioffe and Szegedy, Algorithm 1)."""
    if training:
        mean = x.mean((0, 2, 3))
        variance = ((x - mean[:, None, None]) ** 2).mean((0, 2, 3))
    else:
        mean, variance = state[f"{name}.running_mean"], state[f"{name}.running_var"]
    scale = state[f"{name}.weight"] / torch.sqrt(variance + 1e-5)
    return (x - mean[:, None, None]) * scale[:, None, None] + state[f"{name}.bias"][:, None, None]


def by_hand(
    x: Tensor, state: dict[str, Tensor], option: str | None, stride: int, training: bool, stride_on_3x3: bool = False
) -> Tensor:
    """A block's output from its weights, with torch.nn.functional alone."""
    three = "conv3.weight" in state
    strides = ([1, stride, 1] if stride_on_3x3 else [stride, 1, 1]) if three else [stride, 1]
    y = x
    for k, s in enumerate(strides, start=1):
        weight = state[f"conv{k}.weight"]
        y = F.conv2d(y, weight, stride=s, padding=weight.shape[-1] // 2)
        y = normalised(y, state, f"bn{k}", training)
        if k < len(strides):
            y = y.clamp(min=0)
    if option is not None:
        changes = stride > 1 or x.shape[1] != y.shape[1]
        if option == "C" or (option == "B" and changes):
            carried = F.conv2d(x, state["downsample.0.weight"], stride=stride)
            carried = normalised(carried, state, "downsample.1", training)
        else:
            carried = torch.zeros_like(y)
            first = (y.shape[1] - x.shape[1]) // 2
            carried[:, first : first + x.shape[1]] = x[:, :, ::stride, ::stride]
        y = y + carried
    return y.clamp(min=0)
