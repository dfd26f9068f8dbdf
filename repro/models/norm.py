"""Batch normalisation over shares of a batch, which one process computes, or several together.

The paper trains "with a mini-batch size of 128 on two GPUs" (arXiv:1512.03385, Section 4.2) and does not say over what
it normalises. How many shares there are belongs to the network; who computes them does not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable


@dataclass(frozen=True)
class Spread:
    """How a process that has a part of the batch computes its shares.

    Attributes:
        shares: equal shares of what this process has.
        gather: where a share lies on several processes, stacks what each of them gives: (...) to (processes, ...),
            alike on all. Then `shares` is 1.
    """

    shares: int
    gather: Callable[[Tensor], Tensor] | None = None


class ShareNorm(nn.BatchNorm2d):
    """nn.BatchNorm2d, each of `shares` equal, contiguous shares of the batch by its own mean and variance.

    In training each share's images see that share's statistics alone. Running statistics are updated once a batch, by
    the mean over the shares of their means and of their unbiased variances. In evaluation, and in the names and shapes
    of what it holds, it is nn.BatchNorm2d. Maps (N, C, H, W) to the same shape; N must be a multiple of `shares`.

    With a `spread` it is given one process's part of the batch, and its running statistics take that part's update:
    the mean over the processes is the batch's.
    """

    def __init__(self, features: int, shares: int) -> None:
        super().__init__(features)
        self.shares = shares
        self.spread: Spread | None = None

    def forward(self, x: Tensor) -> Tensor:
        """Normalise."""
        spread = self.spread or Spread(self.shares)
        if not self.training or spread == Spread(1):
            return super().forward(x)
        if len(x) % spread.shares:
            raise ValueError(f"{len(x)} images do not make {spread.shares} equal shares")
        y, mean, variance = self._alone(x, spread.shares) if spread.gather is None else self._together(x, spread.gather)
        running_mean, running_var, batches = self._running()
        running_mean.copy_(mean)
        running_var.copy_(variance)
        batches.add_(1)
        return y

    def _alone(self, x: Tensor, shares: int) -> tuple[Tensor, Tensor, Tensor]:
        """The shares normalised, and what the running statistics become."""
        mean, variance, _ = self._running()
        updates = [(mean.clone(), variance.clone()) for _ in range(shares)]
        pieces = [
            F.batch_norm(piece, *update, self.weight, self.bias, True, self.momentum or 0.0, self.eps)
            for piece, update in zip(x.chunk(shares), updates, strict=True)
        ]
        means, variances = zip(*updates, strict=True)
        # Put together as the pieces lie in memory: channels-last.
        return torch.cat(pieces), torch.stack(means).mean(0), torch.stack(variances).mean(0)

    def _together(self, x: Tensor, gather: Callable[[Tensor], Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        """This process's part of one share normalised, and what the running statistics become."""
        y, mean, unbiased = _Together.apply(x, self.weight, self.bias, self.eps, gather)
        running_mean, running_var, _ = self._running()
        return y, running_mean.lerp(mean, self.momentum or 0.0), running_var.lerp(unbiased, self.momentum or 0.0)

    def _running(self) -> tuple[Tensor, Tensor, Tensor]:
        assert self.running_mean is not None and self.running_var is not None and self.num_batches_tracked is not None
        return self.running_mean, self.running_var, self.num_batches_tracked

    def extra_repr(self) -> str:
        """Show the shares in the module's text."""
        return f"{super().extra_repr()}, shares={self.shares}"  # type: ignore[no-untyped-call]


class _Together(torch.autograd.Function):
    """Batch normalisation of a share that lies in equal parts on several processes.

    Gives the normalised part, and the share's mean and unbiased variance (C,). The gradients of weight and bias are of
    this part's images alone; those of the input are whole, for a loss that is the sum of the processes' losses.
    """

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, eps: float, gather: Callable[[Tensor], Tensor]
    ) -> tuple[Tensor, Tensor, Tensor]:
        # In two passes, as torch.var_mean's one takes ten times as long, and then by Chan, Golub and LeVeque's rule for
        # equal parts: squares are never of anything but deviations.
        mean = _wide(x).mean((0, 2, 3))
        variance = (_wide(x) - mean[:, None, None]).square_().mean((0, 2, 3))
        means, variances = gather(torch.stack([mean, variance])).unbind(1)
        mean = means.mean(0)
        variance = variances.mean(0) + (means - mean).square().mean(0)
        count = len(means) * x.numel() // x.shape[1]
        y = F.batch_norm(x, mean, variance, weight, bias, False, 0.0, eps)
        ctx.save_for_backward(x, weight, mean, (variance + eps).rsqrt())
        ctx.gather, ctx.count = gather, count
        unbiased = variance * (count / max(count - 1, 1))
        ctx.mark_non_differentiable(mean, unbiased)
        return y, mean, unbiased

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor, *_: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, mean, inverse = ctx.saved_tensors
        mean, inverse, scale = (each[:, None, None] for each in (mean, inverse, weight * inverse))
        normalised, gradient = (_wide(x) - mean).mul_(inverse), _wide(gradient)
        sums = torch.stack([gradient.sum((0, 2, 3)), (gradient * normalised).sum((0, 2, 3))])
        of_one, of_normalised = ctx.gather(sums).sum(0)[:, :, None, None] / ctx.count
        to_input = normalised.mul_(-of_normalised).add_(gradient).sub_(of_one).mul_(scale)
        return to_input.to(x.dtype), sums[1], sums[0], None, None


def _wide(x: Tensor) -> Tensor:
    """In which statistics are computed: float32, or float64 where the input is."""
    return x if x.dtype == torch.float64 else x.float()


def in_shares(net: nn.Module, shares: int) -> nn.Module:
    """Have a network's batch normalisations take that many shares of a batch; what they hold stays as it is."""
    for parent in list(net.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, nn.BatchNorm2d):
                setattr(parent, name, _in_shares(child, shares))
    return net


def _in_shares(norm: nn.BatchNorm2d, shares: int) -> ShareNorm:
    with torch.device("meta"):
        made = ShareNorm(norm.num_features, shares)
    made.train(norm.training)
    made.weight, made.bias = norm.weight, norm.bias
    made.running_mean, made.running_var = norm.running_mean, norm.running_var
    made.num_batches_tracked = norm.num_batches_tracked
    return made


def set_spread(net: nn.Module, spread: Spread | None) -> None:
    """Say how this process computes its part of each batch; None where it is given whole batches."""
    for module in net.modules():
        if isinstance(module, ShareNorm):
            module.spread = spread


@contextmanager
def given_whole_batches(net: nn.Module) -> Iterator[None]:
    """For as long as this lasts, compute all shares here, whoever computes them otherwise."""
    former = [(module, module.spread) for module in net.modules() if isinstance(module, ShareNorm)]
    set_spread(net, None)
    try:
        yield
    finally:
        for module, spread in former:
            module.spread = spread
