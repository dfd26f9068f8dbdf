from __future__ import annotations

import math

import pytest
import torch
from nets import NETS, images, left_as_it_is, made
from torch import Tensor, nn

from repro.measure.health import signal_health
from repro.measure.responses import NoResponsesError, responses


def directly(net: nn.Module, x: Tensor) -> list[float]:
    """Keep everything, in float64: what each 3x3 layer's batch normalisation gives, before anything overwrites it."""
    kept: list[Tensor] = []
    norms = [m for key, m in net.named_modules() if isinstance(m, nn.BatchNorm2d) and "downsample" not in key]
    hooks = [norm.register_forward_hook(lambda _m, _x, y: kept.append(y.detach().double().clone())) for norm in norms]
    net.eval()
    net(x)
    for hook in hooks:
        hook.remove()
    return [y.std(correction=0).item() for y in kept]


def expected_names(n: int) -> list[str]:
    return ["conv1"] + [f"layer{s}.{b}.conv{c}" for s in (1, 2, 3) for b in range(n) for c in (1, 2)]


def stds(found: list[tuple[str, float]]) -> list[float]:
    return [std for _, std in found]


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-12), (torch.float32, 1e-6)])
@pytest.mark.parametrize("name", NETS)
def test_they_are_those_of_activations_kept_however_images_are_batched(name, dtype, tolerance):
    net, x = made(name).to(dtype), images().to(dtype)
    found = responses(net, iter([x[:1], x[1:8], x[8:]]))
    assert [key for key, _ in found] == expected_names(2)
    assert stds(found) == pytest.approx(directly(net, x), rel=tolerance)
    assert min(stds(found)) > 0.1


@pytest.mark.parametrize("offset", [1e3, -1e5])
def test_a_large_mean_does_not_drown_the_deviation(offset):
    net, x = made("plain-8"), images(60)
    with torch.no_grad():
        for block in (net, net.layer2[0]):
            block.bn1.bias.fill_(offset)
    expected = directly(net, x)
    assert expected[0] < 1e-2 * abs(offset)
    assert stds(responses(net, x.split(9))) == pytest.approx(expected, rel=1e-6)


def test_a_silent_layer_has_no_deviation():
    net = made("plain-8")
    nn.init.zeros_(net.layer1[0].bn2.weight)
    nn.init.constant_(net.layer1[0].bn2.bias, 0.3)
    assert dict(responses(net, [images()]))["layer1.0.conv2"] == 0.0


def test_under_the_callers_autocast():
    net, x = made("resnet-14"), images()
    with torch.autocast("cpu", torch.bfloat16):
        found = stds(responses(net, x.split(8)))
        expected = directly(net, x)
    assert found == pytest.approx(expected, rel=1e-6)
    assert found != pytest.approx(directly(net, x), rel=1e-6)


def test_the_net_is_as_it_was_also_after_an_error():
    def broken():
        yield images()
        raise OSError("no more")

    net = made("resnet-14-B")
    with left_as_it_is(net):
        responses(net, [images()])
    with left_as_it_is(net), pytest.raises(OSError, match="no more"):
        responses(net, broken())


def test_no_images_is_an_error():
    with pytest.raises(ValueError, match="at least one image"):
        responses(made("plain-8"), [])


def test_of_an_imagenet_net_the_3x3_layers():
    net = made("resnet-50", family="imagenet")
    found = responses(net, [images(2, size=32)])
    blocks = [f"layer{s}.{b}.conv2" for s, n in enumerate((3, 4, 6, 3), start=1) for b in range(n)]
    assert [key for key, _ in found] == blocks


class PreActivation(nn.Module):
    """The order of layers of arXiv:1603.05027, of equal channels, with the usual names."""

    def __init__(self):
        super().__init__()
        self.bn1, self.conv1 = nn.BatchNorm2d(3), nn.Conv2d(3, 3, 3, padding=1)
        self.bn2, self.conv2 = nn.BatchNorm2d(3), nn.Conv2d(3, 3, 3, padding=1)

    def forward(self, x):
        return self.conv2(self.bn2(self.conv1(self.bn1(x)))).mean((2, 3))


def test_of_a_net_that_normalises_first_nothing_is_measured_under_another_layers_name():
    with pytest.raises(NoResponsesError, match="right after conv1"):
        responses(PreActivation(), [images(2)])
    net = made("plain-8")
    net.layer2[0].bn2 = nn.Identity()
    with pytest.raises(NoResponsesError, match=r"right after layer2\.0\.conv2"):
        responses(net, [images(2)])


def test_a_net_without_3x3_layers_or_of_another_order_has_the_signals_that_need_no_response():
    net = nn.Sequential(nn.Conv2d(3, 4, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    with pytest.raises(NoResponsesError, match="no 3x3 convolution"):
        responses(net, [images(2)])
    assert signal_health(net, images(2), torch.tensor([0, 1])) == []
    signals = signal_health(PreActivation(), images(2), torch.tensor([0, 1]))
    assert [signal.name for signal in signals] == ["conv1", "conv2"]
    assert all(math.isnan(signal.activation_variance) and signal.gradient_norm > 0 for signal in signals)
