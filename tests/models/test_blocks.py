from __future__ import annotations

import pytest
import torch
from handmade import by_hand, randomised
from torch import nn

from repro.models import registry
from repro.models.blocks import BasicBlock, Bottleneck
from repro.models.shortcuts import ZeroPadded

BLOCKS = [(BasicBlock, shape, {}) for shape in ((16, 16, 1), (16, 32, 2), (6, 9, 2), (4, 8, 1))]
BLOCKS += [
    (Bottleneck, shape, {"stride_on_3x3": on_3x3})
    for shape in ((16, 4, 1), (16, 8, 2), (8, 4, 1))
    for on_3x3 in (False, True)
]


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("option", [None, "A", "B", "C"])
@pytest.mark.parametrize(("kind", "shape", "choice"), BLOCKS)
def test_a_block_is_its_formula(kind, shape, choice, option, training):
    """Of channels, width and stride."""
    block = randomised(kind(*shape, option, **choice)).train(training)
    state = {key: value.clone() for key, value in block.state_dict().items()}
    x = torch.randn(3, shape[0], 7, 10, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    kept = x.clone()
    expected = by_hand(x, state, option, shape[2], training, **choice)
    torch.testing.assert_close(block(x), expected, rtol=1e-10, atol=1e-10)
    assert torch.equal(x, kept)


@pytest.mark.parametrize(("height", "width"), [(4, 6), (5, 7), (1, 1)])
def test_option_a_can_average_instead(height, width):
    x = torch.randn(2, 3, height, width)
    y = ZeroPadded(3, 6, 2, "average")(x)
    assert y.shape == (2, 6, (height + 1) // 2, (width + 1) // 2)
    for i in range(y.shape[2]):
        for j in range(y.shape[3]):
            pixels = x[:, :, 2 * i : 2 * i + 2, 2 * j : 2 * j + 2]
            torch.testing.assert_close(y[:, 1:4, i, j], pixels.mean((2, 3)))
    assert y[:, 0].count_nonzero() == 0 and y[:, 4:].count_nonzero() == 0


def test_a_blocks_own_parameters_keep_what_its_constructor_gave_and_the_global_generator_is_left_alone(monkeypatch):
    class Own(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.norm, self.prelu = nn.Conv2d(3, 2, 1), nn.GroupNorm(1, 2), nn.PReLU()
            self.scale, self.noise = nn.Parameter(torch.full((1,), 0.25)), nn.Parameter(torch.randn(4))
            self.register_buffer("count", torch.full((2,), 7.0))

    monkeypatch.setattr(registry, "_net", lambda *arguments: Own())
    before = torch.get_rng_state()
    one, again, other = (
        registry.build("resnet-8", generator=torch.Generator().manual_seed(seed)).state_dict() for seed in (1, 1, 2)
    )
    assert torch.equal(torch.get_rng_state(), before)
    assert all(torch.equal(one[key], again[key]) for key in one)
    assert not torch.equal(one["noise"], other["noise"])
    told = {"scale": [0.25], "count": [7, 7], "norm.weight": [1, 1], "norm.bias": [0, 0], "prelu.weight": [0.25]}
    assert {key: one[key].tolist() for key in told} == told
