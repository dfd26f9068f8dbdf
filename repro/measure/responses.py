"""Standard deviation of layer responses (arXiv:1512.03385, Section 4.2 and Figure 7)."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor, nn


@dataclass
class _Moments:
    """Count, mean and sum of squared deviations of all numbers seen, in float64 (Chan et al.'s update)."""

    count: int = 0
    mean: float = 0.0
    squares: float = 0.0

    def add(self, values: Tensor) -> None:
        # Devices without float64 (MPS) hand a batch's sums over; shifted by the batch's mean, float32 is enough there.
        wide = values.float() if values.device.type == "mps" else values.double()
        count, mean = values.numel(), wide.mean()
        squares = (wide - mean).square_().sum().item()
        delta = mean.item() - self.mean
        total = self.count + count
        self.squares += squares + delta**2 * self.count * count / total
        self.mean += delta * count / total
        self.count = total


@torch.no_grad()
def responses(net: nn.Module, batches: Iterable[Tensor]) -> list[tuple[str, float]]:
    """Standard deviation of the response of each 3x3 layer: its output "after BN and before other nonlinearity".

    Pooled over all units and images, in evaluation mode, in one pass that keeps no activations. The paper says neither
    over what it pools nor on which images, nor in which mode.

    Args:
        net: a network of the paper's form; its mode is left as found.
        batches: images, (N, C, H, W) each.

    Returns:
        Name of the 3x3 convolution and standard deviation of what the batch normalisation behind it gives, in the
        network's order, the first convolution included: 6n + 1 of them. Projections are 1x1 and not among them.
    """
    moments: dict[str, _Moments] = {}
    handles = []
    for name, norm in _norms(net):
        moments[name] = _Moments()
        # The ReLU that follows works in place, so the numbers are taken while they are what the layer gave.
        hook = lambda module, inputs, output, seen=moments[name]: seen.add(output)  # noqa: E731
        handles.append(norm.register_forward_hook(hook))
    training = net.training
    net.eval()
    try:
        for x in batches:
            net(x)
    finally:
        net.train(training)
        for handle in handles:
            handle.remove()
    return [(name, math.sqrt(seen.squares / seen.count)) for name, seen in moments.items()]


def _norms(net: nn.Module) -> list[tuple[str, nn.Module]]:
    """Each 3x3 convolution's name, and the batch normalisation right after it: conv1 and bn1, conv2 and bn2."""
    modules = dict(net.named_modules())
    pairs = []
    for name, module in modules.items():
        if isinstance(module, nn.Conv2d) and module.kernel_size == (3, 3):
            block, dot, layer = name.rpartition(".")
            pairs.append((name, modules[f"{block}{dot}{layer.replace('conv', 'bn')}"]))
    return pairs
