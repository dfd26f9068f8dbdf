"""Loss and error of a network over a split, in evaluation mode."""

from __future__ import annotations

from collections.abc import Iterable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from repro.train.precision import Numerics


@torch.no_grad()
def evaluate(net: nn.Module, batches: Iterable[tuple[Tensor, Tensor]], numerics: Numerics) -> tuple[float, float]:
    """Mean cross-entropy (nats) and error (percent) over all images; the network's mode is left as found."""
    training = net.training
    net.eval()
    losses, wrong, images = [], [], 0
    for x, y in batches:
        with numerics.autocast():
            logits = net(x)
        logits = logits.float()
        losses.append(F.cross_entropy(logits, y, reduction="sum"))
        wrong.append((logits.argmax(1) != y).sum())
        images += len(y)
    net.train(training)
    return torch.stack(losses).sum().item() / images, 100 * torch.stack(wrong).sum().item() / images
