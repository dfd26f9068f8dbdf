"""Whether Apple's GPU trains right here: with some versions of torch its gradients are silently wrong."""

from __future__ import annotations

import copy
from functools import cache

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from repro.models import build
from repro.train.randomness import generator

#: Relative errors that are still rounding. A unit that rounds to the other side of its ReLU's edge moves gradients of
#: resnet-8 by up to 0.004 (fp32 against float64 on the CPU), wrong kernels (PyTorch issues 153957, 177116) by more.
_LOSS, _GRADIENT = 1e-4, 0.02


@cache
def mps_is_sound() -> bool:
    """Whether a training step of an MPS device that is here agrees with the CPU's."""
    return agrees_with_cpu(torch.device("mps"))


def agrees_with_cpu(device: torch.device) -> bool:
    """Whether loss and each gradient of a batch in fp32 are the CPU's but for rounding, with shortcuts A and B.

    Of images like CIFAR-10's and like the digits', which come to maps of 2x2. A step that fails does not agree.
    """
    y = torch.arange(128) % 10
    for name, (channels, size) in (("resnet-8", (3, 32)), ("resnet-8-B", (3, 32)), ("resnet-8", (1, 8))):
        x = torch.randn(128, channels, size, size, generator=generator("check", 0))
        net = build(name, channels, generator=generator("init", 0)).train()
        expected = _step(net, x, y)
        try:
            found = _step(copy.deepcopy(net).to(device), x.to(device), y.to(device))
        except RuntimeError:
            return False
        errors = [_relative(*pair) for pair in zip(found, expected, strict=True)]
        # So that NaN, too, is an error.
        if not (errors[0] <= _LOSS and all(error <= _GRADIENT for error in errors[1:])):
            return False
    return True


def _step(net: nn.Module, x: Tensor, y: Tensor) -> list[Tensor]:
    """The loss, and the gradients by all parameters."""
    loss = F.cross_entropy(net(x), y)
    return [loss.detach(), *torch.autograd.grad(loss, list(net.parameters()))]


def _relative(found: Tensor, expected: Tensor) -> float:
    error: float = ((found.cpu() - expected).norm() / expected.norm()).item()
    return error
