"""Networks, images and checks that the tests of responses and of signals share."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from repro import models

NETS = ["plain-14", "resnet-14", "resnet-14-B", "resnet-14-C"]


def made(name: str, *, channels: int = 3, family: str | None = None) -> nn.Module:
    """A net whose every layer has statistics, gamma and beta of its own."""
    generator = torch.Generator().manual_seed(0)
    net = models.build(name, channels, family=family, generator=generator)
    with torch.no_grad():
        for norm in (m for m in net.modules() if isinstance(m, nn.BatchNorm2d)):
            for values in (norm.weight, norm.running_var):
                values.uniform_(0.5, 2.0, generator=generator)
            for values in (norm.bias, norm.running_mean):
                values.normal_(generator=generator)
    return net.train()


def images(count: int = 20, channels: int = 3, size: int = 8) -> Tensor:
    return torch.randn(count, channels, size, size, generator=torch.Generator().manual_seed(1))


@contextmanager
def left_as_it_is(net: nn.Module) -> Iterator[None]:
    """Check that weights, statistics, gradients, modes, hooks and random state are afterwards as they are now."""
    net.layer2.train(not net.training)  # a module may have a mode of its own
    for parameter in net.parameters():
        parameter.grad = torch.full_like(parameter, 0.5)
    before = {key: value.clone() for key, value in net.state_dict().items()}
    modes, state = [module.training for module in net.modules()], torch.get_rng_state()
    yield
    assert all(torch.equal(value, before[key]) for key, value in net.state_dict().items())
    assert all(torch.equal(p.grad, torch.full_like(p, 0.5)) for p in net.parameters())
    assert [module.training for module in net.modules()] == modes
    assert not any(module._forward_hooks for module in net.modules())
    assert torch.equal(torch.get_rng_state(), state)
