"""Standard deviations of layer responses (arXiv:1512.03385, Section 4.2 and Figure 7)."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn

from repro.errors import UserError


class NoResponsesError(UserError):
    """A network has no responses as the paper defines them: it does not normalise right after each 3x3 layer."""


@torch.no_grad()
def responses(net: nn.Module, batches: Iterable[Tensor]) -> list[tuple[str, float]]:
    """Standard deviation of each 3x3 layer's response: its output "after BN and before other nonlinearity".

    Pooled over all units and images, in evaluation mode, in one pass that keeps no activations; the paper says neither
    over what it pools, nor on which images, nor in which mode. Moments are exact to about float32's rounding whatever
    the responses' mean, also where the caller has autocast on and on devices that have no float64.

    Args:
        net: a network of the paper, or any whose convolutions convK are each followed by a batch normalisation bnK.
        batches: images, (N, C, H, W) each, on the network's device; every one weighs the same, however batched.

    Returns:
        Name of the convolution and standard deviation, in the network's order: the first convolution and both of each
        block, 6n + 1 of them; projections (1x1) are no responses. In the networks of Table 1, the 3x3 ones only.

    Raises:
        ValueError: no images.
        NoResponsesError: a net of another order of layers.
    """
    found = layers(net)
    some = False
    moments = {name: _Moments() for name, _, _ in found}

    def take(name: str, output: Tensor) -> None:
        # The ReLU that follows overwrites `output`, so it is reduced to its moments at once.
        moments[name].add(output)

    with mode(net, training=False), watched(found, response=take):
        for images in batches:
            net(images)
            some = some or len(images) > 0
    if not some:
        raise ValueError("responses need at least one image")
    without = next((name for name, seen in moments.items() if not seen.count), None)
    if without or not moments:
        why = f"no batch normalisation of its number right after {without}" if without else "no 3x3 convolution"
        raise NoResponsesError(f"its responses are not measured: {why}")
    return [(name, math.sqrt(seen.squares / seen.count)) for name, seen in moments.items()]


@dataclass
class _Moments:
    """Count, mean and sum of squared deviations of the numbers seen so far."""

    count: int = 0
    mean: float = 0.0
    squares: float = 0.0

    def add(self, batch: Tensor) -> None:
        """Take in a batch, (N, ...).

        Each image is reduced on its device about its own mean, where float32 is exact enough, and what that mean was
        rounded by is put right from the sum about it; all further sums are float64.
        """
        rows = batch.flatten(1)
        if rows.dtype != torch.float64:
            rows = rows.float()
        units = rows.shape[1]
        centre = rows.mean(1, keepdim=True)
        rows = rows - centre
        sums = torch.stack([centre[:, 0], rows.sum(1), rows.square_().sum(1)])
        centres, remainders, squares = sums.cpu().double()
        means = centres + remainders / units
        within = (squares - remainders**2 / units).clamp(min=0).sum() + units * means.var(correction=0) * len(means)
        self._merge(rows.numel(), means.mean().item(), within.item())

    def _merge(self, count: int, mean: float, squares: float) -> None:
        """Chan, Golub and LeVeque's rule for the moments of two sets together."""
        total = self.count + count
        delta = mean - self.mean
        self.squares += squares + delta**2 * self.count * count / total
        self.mean += delta * count / total
        self.count = total


def layers(net: nn.Module) -> list[tuple[str, nn.Conv2d, nn.Module | None]]:
    """The 3x3 convolutions in the network's order: name, convolution, and the module that has its number as bnK."""
    modules = dict(net.named_modules())
    found = []
    for name, module in modules.items():
        if isinstance(module, nn.Conv2d) and module.kernel_size == (3, 3):
            parent, dot, own = name.rpartition(".")
            found.append((name, module, modules.get(f"{parent}{dot}{own.replace('conv', 'bn')}")))
    return found


@contextmanager
def watched(
    found: Iterable[tuple[str, nn.Conv2d, nn.Module | None]],
    *,
    response: Callable[[str, Tensor], None],
    output: Callable[[str, Tensor], None] = lambda name, tensor: None,
) -> Iterator[None]:
    """While a net runs, hand on the output of each of some layers, and its response, as (name, tensor).

    A layer whose output is not what its bnK takes in, as in a net that normalises before it convolves, has no response:
    what came out there would be another layer's.
    """
    given: dict[str, Tensor] = {}

    def of_convolution(name: str, module: nn.Module, inputs: tuple[Tensor, ...], tensor: Tensor) -> None:
        given[name] = tensor
        output(name, tensor)

    def of_norm(name: str, module: nn.Module, inputs: tuple[Tensor, ...], tensor: Tensor) -> None:
        if given.pop(name, None) is inputs[0]:
            response(name, tensor)

    hooks = []
    for name, convolution, norm in found:
        hooks.append(convolution.register_forward_hook(partial(of_convolution, name)))
        if isinstance(norm, nn.BatchNorm2d):
            hooks.append(norm.register_forward_hook(partial(of_norm, name)))
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


@contextmanager
def mode(net: nn.Module, *, training: bool) -> Iterator[None]:
    """Put a net into training or evaluation mode, and afterwards each of its modules back into its own."""
    former = [(module, module.training) for module in net.modules()]
    net.train(training)
    try:
        yield
    finally:
        for module, was in former:
            module.training = was
