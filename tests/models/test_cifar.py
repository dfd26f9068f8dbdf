from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from handmade import by_hand, normalised, randomised
from torch import nn

from repro import models
from repro.names import parse


def built(name: str, seed: int = 0, **settings) -> nn.Module:
    torch.manual_seed(seed)
    return models.build(name, **settings)


def on_meta(name: str, **settings) -> nn.Module:
    with torch.device("meta"):
        return models.build(name, **settings)


def test_parameters_are_named_as_in_the_public_networks():
    block = [f"{m}.{p}" for k in (1, 2) for m, p in ((f"conv{k}", "weight"), (f"bn{k}", "weight"), (f"bn{k}", "bias"))]
    names = ["conv1.weight", "bn1.weight", "bn1.bias"]
    names += [f"layer{s}.{b}.{key}" for s in (1, 2, 3) for b in range(3) for key in block]
    names += ["fc.weight", "fc.bias"]
    for net in ("plain-20", "resnet-20"):
        assert [key for key, _ in on_meta(net).named_parameters()] == names
    extra = {
        f"layer{s}.0.downsample.{key}" for s in (2, 3) for key in ("0.weight", "1.weight", "1.bias")
    }  # fmt: skip
    assert {key for key, _ in on_meta("resnet-20-B").named_parameters()} == {*names, *extra}


def test_twins_differ_in_nothing_but_the_shortcut():
    plain, residual = built("plain-20", seed=3), built("resnet-20", seed=3)
    ours, theirs = plain.state_dict(), residual.state_dict()
    assert list(ours) == list(theirs)
    assert all(torch.equal(ours[key], theirs[key]) for key in ours)
    x = torch.randn(4, 3, 16, 16)
    assert not torch.allclose(plain(x), residual(x))
    for module in residual.modules():
        if hasattr(module, "downsample"):
            module.downsample = None
    assert [(key, repr(m)) for key, m in leaves(plain)] == [(key, repr(m)) for key, m in leaves(residual)]
    assert torch.equal(plain(x), residual(x))


def leaves(net: nn.Module) -> list[tuple[str, nn.Module]]:
    return [(key, module) for key, module in net.named_modules() if not list(module.children())]


@pytest.mark.parametrize("option", ["B", "C"])
def test_nets_of_one_seed_begin_alike_wherever_they_have_the_same_layers(option):
    def weights(name: str, seed: int = 5) -> dict[str, torch.Tensor]:
        return models.build(name, generator=torch.Generator().manual_seed(seed)).state_dict()

    before = torch.get_rng_state()
    plain, projected, other = weights("plain-20"), weights(f"resnet-20-{option}"), weights("plain-20", seed=6)
    assert set(projected) > set(plain)
    assert all(torch.equal(plain[key], projected[key]) for key in plain)
    assert not torch.equal(plain["conv1.weight"], other["conv1.weight"])
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("mode", ["fan-in", "fan-out"])
def test_weights_begin_with_the_standard_deviation_of_he(mode):
    net = built("resnet-32-C", initialisation=mode)
    layers = [m for m in net.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    assert len(layers) == 32 + 15
    for layer in layers:
        out, into, *kernel = layer.weight.shape
        area = kernel[0] * kernel[1] if kernel else 1
        expected = (2 / ((into if mode == "fan-in" else out) * area)) ** 0.5
        weights, count = layer.weight.detach().double(), layer.weight.numel()
        # Five standard errors of a normal sample's standard deviation and mean.
        assert weights.std().item() == pytest.approx(expected, rel=5 / (2 * count) ** 0.5)
        assert abs(weights.mean().item()) < 5 * expected / count**0.5
    assert net.fc.bias.count_nonzero() == 0
    for norm in (m for m in net.modules() if isinstance(m, nn.BatchNorm2d)):
        assert torch.equal(norm.weight, torch.ones_like(norm.weight)) and norm.bias.count_nonzero() == 0
        assert norm.running_mean.count_nonzero() == 0 and norm.num_batches_tracked == 0
        assert torch.equal(norm.running_var, torch.ones_like(norm.running_var))


#: Table 1's nets for small images: another first layer and no pooling, of fewer filters.
SMALL = {"family": "imagenet", "stem": "3x3"}
NETS = [(name, {}) for name in ("plain-14", "resnet-14", "resnet-14-B", "resnet-14-C")]
NETS += [(name, {**SMALL, "width": 16}) for name in ("plain-18", "resnet-18-A", "resnet-34-B")]
NETS += [("resnet-50-B", {**SMALL, "width": 8, "stride_on_3x3": True}), ("resnet-18-B", SMALL)]


@pytest.mark.parametrize(("name", "choice"), NETS)
@pytest.mark.parametrize("training", [True, False])
def test_a_whole_net_is_its_formula(name, choice, training):
    net = randomised(built(name, **choice)).train(training)
    state = {key: value.clone() for key, value in net.state_dict().items()}
    x = torch.randn(4, 3, 16, 16, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    y = F.conv2d(x, state["conv1.weight"], padding=1)
    y = normalised(y, state, "bn1", training).clamp(min=0)
    named = parse(name, choice.get("family", "cifar"))
    for stage, blocks in enumerate(named.stages, start=1):
        for block in range(blocks):
            prefix = f"layer{stage}.{block}."
            own = {key.removeprefix(prefix): value for key, value in state.items() if key.startswith(prefix)}
            stride = 2 if stage > 1 and block == 0 else 1
            y = by_hand(y, own, named.option, stride, training, choice.get("stride_on_3x3", False))
    expected = y.mean((2, 3)) @ state["fc.weight"].T + state["fc.bias"]
    assert expected.abs().max() > 0.1
    torch.testing.assert_close(net(x), expected, rtol=1e-8, atol=1e-8)


def test_the_deepest_net_is_initialised_and_computes_again():
    net = models.build("resnet-1202")
    assert net.layer1.segment and built("resnet-110").layer1.segment is None
    assert all(p.device.type == "cpu" and p.isfinite().all() for p in net.parameters())


def test_a_net_of_one_layer_blocks_is_the_plain_net_with_a_shortcut_around_each_layer():
    """Section 3.2, y = W1 x + x: as many layers and parameters, and from the same seed the same weights at first."""
    plain, single = (
        models.build(name, generator=torch.Generator().manual_seed(0), block="one-layer").eval()
        for name in ("plain-14", "resnet-14")
    )
    ours, theirs = (list(net.parameters()) for net in (single, plain))
    assert len(ours) == len(theirs) and all(map(torch.equal, ours, theirs))
    x = torch.randn(2, 3, 16, 16)
    block = single.layer1[0]
    y = single.relu(single.bn1(single.conv1(x)))
    assert torch.equal(block(y), torch.relu(block.bn1(block.conv1(y)) + y))
    assert [len(stage) for stage in (single.layer1, single.layer2, single.layer3)] == [4, 4, 4]
    assert not torch.equal(single(x), plain(x))
