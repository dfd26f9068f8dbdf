from __future__ import annotations

import pytest
import torch
import torchvision
from handmade import randomised
from torch import nn

from repro import models
from repro.names import IMAGENET_DEPTHS


def on_meta(name: str, **settings) -> nn.Module:
    with torch.device("meta"):
        return models.build(name, family="imagenet", **settings)


def of_torchvision(depth: int) -> nn.Module:
    with torch.device("meta"):
        return getattr(torchvision.models, f"resnet{depth}")()


def parameters(net: nn.Module) -> int:
    return sum(p.numel() for p in net.parameters())


@pytest.mark.parametrize("depth", IMAGENET_DEPTHS)
def test_state_and_outputs_are_torchvisions(depth):
    theirs = randomised(of_torchvision(depth).to_empty(device="cpu"))
    # Built without storage, and given theirs: two sets of weights of 152 layers in double precision are a gigabyte.
    ours = on_meta(f"resnet-{depth}-B", stride_on_3x3=True).double()
    state = theirs.state_dict()
    assert [(key, value.shape) for key, value in ours.state_dict().items()] == [
        (key, value.shape) for key, value in state.items()
    ]
    ours.load_state_dict(state, assign=True)
    images = torch.randn(2, 3, 40, 56, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        expected = theirs.eval()(images)
        assert expected.abs().max() > 0.1
        torch.testing.assert_close(ours.eval()(images), expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("name", ["plain-34", "plain-50", "resnet-18", "resnet-50-A", "resnet-152"])
def test_feature_maps_are_those_of_table_1(name):
    net = on_meta(name)
    wider = 4 if int(name.split("-")[1]) >= 50 else 1
    shapes = []
    for module in (net.conv1, net.maxpool, net.layer1, net.layer2, net.layer3, net.layer4):
        module.register_forward_hook(lambda _module, _args, y: shapes.append(tuple(y.shape[1:])))
    assert net(torch.empty(1, 3, 224, 224, device="meta")).shape == (1, 1000)
    stages = [(64 * 2**k * wider, 56 // 2**k, 56 // 2**k) for k in range(4)]
    assert shapes == [(64, 112, 112), (64, 56, 56), *stages]


def test_the_family_chooses_among_nets_of_one_name():
    with torch.device("meta"):
        assert parameters(models.build("resnet-50")) == parameters(models.build("resnet-50", family="cifar"))
        assert models.build("resnet-50").fc.weight.shape == (10, 64)
        assert models.build("resnet-50", family="imagenet").fc.weight.shape == (1000, 2048)
        assert models.build("resnet-18").fc.weight.shape == (1000, 512)
        small = models.build("plain-18", 1, 7)
    assert small.fc.weight.shape == (7, 512) and small.conv1.weight.shape == (64, 1, 7, 7)
