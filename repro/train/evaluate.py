"""Loss and error of a network over a split, in evaluation mode."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from repro.train.precision import Numerics
from repro.train.ranks import ALONE, Ranks


@torch.no_grad()
def evaluate(
    net: nn.Module, batches: Iterable[tuple[Tensor, Tensor]], numerics: Numerics, ranks: Ranks = ALONE
) -> tuple[float, float]:
    """Mean cross-entropy (nats) and error (percent) over all images; the network's mode is left as found.

    Several ranks, each with the whole network and the batches whose turn is its (`Ranks.turns`), share the work.
    """
    losses, wrong, images = [], [], 0
    for logits, y in _judged(net, batches, numerics):
        losses.append(F.cross_entropy(logits, y, reduction="sum"))
        wrong.append((logits.argmax(1) != y).sum())
        images += len(y)
    loss, mistakes, seen = ranks.total(_sum(losses), _sum(wrong), images)
    return loss / seen, 100 * mistakes / seen


@torch.no_grad()
def mistakes(net: nn.Module, batches: Iterable[tuple[Tensor, Tensor]], numerics: Numerics) -> Tensor:
    """Which images a network gets wrong, (N,) bool on the CPU, in evaluation mode; its mode is left as found."""
    return torch.cat([logits.argmax(1) != y for logits, y in _judged(net, batches, numerics)]).cpu()


def _judged(
    net: nn.Module, batches: Iterable[tuple[Tensor, Tensor]], numerics: Numerics
) -> Iterator[tuple[Tensor, Tensor]]:
    """Logits in float32, and labels, of each batch in evaluation mode."""
    training = net.training
    net.eval()
    for x, y in batches:
        with numerics.autocast():
            logits = net(x)
        yield logits.float(), y
    net.train(training)


def in_words(percent: float, count: int) -> str:
    """An error on so many images, and its standard error by the choice of these."""
    spread = 100 * math.sqrt(percent / 100 * (1 - percent / 100) / count)
    return f"{percent:.2f} % ({round(percent * count / 100):,} of {count:,} wrong, standard error {spread:.2f})"


def _sum(values: list[Tensor]) -> float:
    return torch.stack(values).sum().item() if values else 0
