"""Batch normalisation's statistics over many batches, in place of those that training kept as it went.

The paper does not say what its networks normalise by when they are tested. The authors' later release does: averages
over a large training batch, computed after training. A running average of momentum 0.1 is, in effect, of the last ten
batches, while the weights that it belongs to were still changing.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from repro.measure.responses import mode


@torch.no_grad()
def use_population_statistics(net: nn.Module, batches: Iterable[Tensor]) -> None:
    """Replace the running statistics of each nn.BatchNorm2d by their means over batches, weights as they are.

    Means of each batch's mean and unbiased variance, all batches weighing the same: Algorithm 2 of Ioffe and Szegedy
    (arXiv:1502.03167), the paper's reference [16].

    Args:
        net: a network, on the device of the images.
        batches: images, (N, C, H, W) each, as in training.

    Raises:
        ValueError: no batch, or a network whose batch normalisations take shares of a batch.
    """
    norms = [module for module in net.modules() if isinstance(module, nn.BatchNorm2d)]
    if any(type(norm) is not nn.BatchNorm2d for norm in norms):
        raise ValueError("statistics over whole batches are of networks that normalise whole batches")
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # as torch has it: the mean over all batches since
    some = False
    with mode(net, training=True):
        for images in batches:
            net(images)
            some = True
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    if not some:
        raise ValueError("statistics need at least one batch")
