from __future__ import annotations

from contextlib import nullcontext

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from repro import models
from repro.models import cifar
from repro.models.recompute import activation_bytes


@pytest.mark.parametrize(
    ("name", "shares", "segment"), [("plain-26", 1, 1), ("resnet-26", 1, 5), ("resnet-26-C", 2, 2)]
)
def test_computing_again_changes_neither_results_nor_gradients_nor_statistics(name, shares, segment, monkeypatch):
    images, labels = torch.randn(6, 3, 12, 12, dtype=torch.float64), torch.arange(6)
    usual = made(name, shares)
    monkeypatch.setattr(cifar, "DEEP", 1)
    monkeypatch.setattr(cifar, "SEGMENT", segment)
    economical = made(name, shares)
    assert economical.layer1.segment == segment and usual.layer1.segment is None
    for _ in range(2):
        outputs = [net(images) for net in (usual, economical)]
        assert torch.equal(*outputs)
        for output in outputs:
            F.cross_entropy(output, labels).backward()
    for ours, theirs in zip(economical.parameters(), usual.parameters(), strict=True):
        torch.testing.assert_close(ours.grad, theirs.grad, rtol=1e-12, atol=1e-12)
    ours, theirs = economical.state_dict(), usual.state_dict()
    assert list(ours) == list(theirs)
    assert all(torch.equal(ours[key], theirs[key]) for key in ours)
    assert economical.layer2[1].bn2.num_batches_tracked == 2
    assert torch.equal(economical.eval()(images), usual.eval()(images))


def made(name: str, shares: int) -> nn.Module:
    return models.build(name, norm_shares=shares, generator=torch.Generator().manual_seed(0)).double().train()


def test_computing_again_is_as_precise_as_the_first_time(monkeypatch):
    images, labels = torch.randn(6, 3, 12, 12, generator=torch.Generator().manual_seed(1)), torch.arange(6)

    def gradients():
        net = models.build("resnet-14", generator=torch.Generator().manual_seed(0)).train()
        with torch.autocast("cpu", torch.bfloat16, cache_enabled=False):
            logits = net(images)
        F.cross_entropy(logits.float(), labels).backward()
        return [parameter.grad for parameter in net.parameters()]

    usual = gradients()
    monkeypatch.setattr(cifar, "DEEP", 1)
    for ours, theirs in zip(gradients(), usual, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("precision", "width", "shares"), [(None, 4, 1), (torch.bfloat16, 2, 1), (None, 4, 2)])
def test_what_the_backward_pass_keeps_is_two_maps_a_layer(precision, width, shares):
    """Each convolution's input, and its output, which batch normalisation reads; a ReLU overwrites what it is given."""
    net, images = models.build("plain-14", norm_shares=shares).train(), torch.randn(12, 3, 16, 16)
    with torch.autocast("cpu", precision, cache_enabled=False) if precision else nullcontext():
        found = activation_bytes(net, images)
    maps = {16: (5, 16), 8: (4, 32), 4: (4, 64)}
    expected = 12 * sum(2 * layers * channels * size**2 * width for size, (layers, channels) in maps.items())
    # Images come in 3 channels, and stages 2 and 3 begin with a larger map; pooling and classifier keep a little.
    assert found == pytest.approx(expected, rel=0.15)
    assert all(parameter.grad is None for parameter in net.parameters())
