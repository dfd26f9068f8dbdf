from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from count import count
from torch import Tensor, nn

from repro import models
from repro.measure.complexity import Layer


def test_a_net_known_by_hand():
    net = nn.Sequential(
        nn.Conv2d(3, 8, kernel_size=3, stride=2, padding=1),
        nn.BatchNorm2d(8),
        nn.Conv2d(8, 6, kernel_size=(1, 3), groups=2, bias=False),
        nn.Flatten(),
        nn.Linear(6 * 4 * 3, 5),
    )
    # 7x10 pixels become 4x5, and those 4x3.
    assert count(net, 3, 7, 10).layers == (
        Layer("0", 8 * (3 * 9 + 1), 8 * 3 * 9 * 4 * 5),
        Layer("1", 16, 0),
        Layer("2", 6 * 4 * 3, 6 * 4 * 3 * 4 * 3),
        Layer("4", 5 * 73, 5 * 72),
    )


def test_the_net_stays_as_it_is():
    net = models.build("resnet-8-B").double().train()
    before = {key: value.clone() for key, value in net.state_dict().items()}
    count(net, 3, 16, 16)
    after = net.state_dict()
    assert all(torch.equal(before[key], after[key]) for key in before)
    assert all(module.training and not module._forward_hooks for module in net.modules())


class Outside(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 3, kernel_size=1)

    def forward(self, x: Tensor) -> Tensor:
        return F.conv2d(x, self.conv.weight)


def test_multiply_adds_that_belong_to_no_layer_are_not_lost_silently():
    with pytest.raises(ValueError, match="36 multiply-adds"):
        count(Outside(), 3, 2, 2)
