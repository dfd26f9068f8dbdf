from __future__ import annotations

import copy

import pytest
import torch
import torch.nn.functional as F
from nets import NETS, images, left_as_it_is, made
from torch import Tensor, nn

from repro.measure.health import Signal, signal_health
from repro.models import cifar


def batch(count: int = 12) -> tuple[Tensor, Tensor]:
    return images(count, size=12), torch.arange(count) % 10


def names(net: nn.Module) -> list[str]:
    return [key for key, m in net.named_modules() if isinstance(m, nn.Conv2d) and m.kernel_size == (3, 3)]


def independently(net: nn.Module, x: Tensor, labels: Tensor) -> list[Signal]:
    """By keeping all activations of a copy, and by its parameters' own `grad`."""
    twin = copy.deepcopy(net).train()
    kept: dict[str, Tensor] = {}
    for name, module in twin.named_modules():
        if isinstance(module, nn.Conv2d | nn.BatchNorm2d):
            module.register_forward_hook(lambda _m, _x, y, name=name: kept.update({name: y.detach().double().clone()}))
    F.cross_entropy(twin(x), labels).backward()
    found = []
    for index, name in enumerate(names(twin), start=1):
        response, out = kept[name.replace("conv", "bn")], kept[name]
        per_channel = torch.stack([out[:, c].var(correction=0) for c in range(out.shape[1])])
        gradient = twin.get_submodule(name).weight.grad.double()
        found.append(
            Signal(
                layer=index,
                name=name,
                activation_variance=response.var(correction=0).item(),
                gradient_norm=gradient.square().sum().sqrt().item(),
                conv_variance=per_channel.mean().item(),
            )
        )
    return found


def values(signals: list[Signal]) -> list[float]:
    return [number for s in signals for number in (s.activation_variance, s.gradient_norm, s.conv_variance)]


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-10), (torch.float32, 1e-4)])
@pytest.mark.parametrize("name", NETS)
def test_signals_are_those_of_autograd(name, dtype, tolerance):
    net, (x, labels) = made(name).to(dtype), batch()
    found = signal_health(net, x.to(dtype), labels)
    assert [(s.layer, s.name) for s in found] == list(enumerate(names(net), start=1))
    assert len(found) == 13
    assert values(found) == pytest.approx(values(independently(net, x.to(dtype), labels)), rel=tolerance)


def test_a_large_mean_does_not_drown_the_variance():
    net, (x, labels) = made("plain-8"), batch(40)
    nn.init.constant_(net.bn1.bias, 1e6)
    found, expected = signal_health(net, x, labels)[0], independently(net, x, labels)[0]
    assert found.activation_variance == pytest.approx(expected.activation_variance, rel=1e-5)
    assert found.activation_variance < 10


@pytest.mark.parametrize("training", [True, False])
def test_the_net_is_as_it_was_also_after_an_error(training):
    net, (x, labels) = made("resnet-14-C").train(training), batch()
    with left_as_it_is(net), torch.no_grad():
        signal_health(net, x, labels)
        assert not torch.is_grad_enabled()
    with left_as_it_is(net), pytest.raises((IndexError, RuntimeError)):
        signal_health(net, x, torch.full((len(x),), 10))


def test_a_net_that_recomputes_its_activations_gives_the_same(monkeypatch):
    x, labels = batch()
    expected = signal_health(made("resnet-14").double(), x.double(), labels)
    monkeypatch.setattr(cifar, "DEEP", 1)
    net = made("resnet-14").double()
    assert net.layer1.segment
    before = {key: value.clone() for key, value in net.state_dict().items()}
    assert values(signal_health(net, x.double(), labels)) == pytest.approx(values(expected), rel=1e-12)
    assert all(torch.equal(value, before[key]) for key, value in net.state_dict().items())
