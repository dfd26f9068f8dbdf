"""The network that a run begins with, by its settings."""

import pytest
import torch
import torch.nn.functional as F

from repro.data import load
from repro.spec import Run, override
from repro.train.begin import make_net


@pytest.fixture(scope="module")
def digits():
    return load("digits")


def nets(digits, **setting):
    """The network of a run as it is, and with a setting changed."""
    base = Run("resnet-8", data="digits")
    return [make_net(run, digits, torch.device("cpu")) for run in (base, override(base, setting))]


def test_initialisation_by_fan_out(digits):
    base, changed = nets(digits, **{"model.initialisation": "fan-out"})
    # 16 channels to 32: the same draws, of half the variance.
    torch.testing.assert_close(changed.layer2[0].conv1.weight, base.layer2[0].conv1.weight / 2**0.5)


def test_batch_normalisation_in_shares(digits):
    base, changed = nets(digits, **{"model.norm_shares": 2})
    x = digits.train_images[:16].float() / 255
    halves = torch.cat([base(x[:8]), base(x[8:])])
    torch.testing.assert_close(changed(x), halves, rtol=1e-4, atol=1e-5)
    assert (base(x) - halves).abs().max() > 0.01, "it matters"


def test_subsampling_of_option_a(digits):
    x = torch.rand(2, 16, 8, 8)
    base, changed = nets(digits, **{"model.subsample": "average"})
    for net, expected in ((base, x[:, :, ::2, ::2]), (changed, F.avg_pool2d(x, 2))):
        block = net.layer2[0].eval()
        block.bn2.weight.data.zero_()  # the residual, so that the shortcut is left
        torch.testing.assert_close(block(x).sum(1), expected.sum(1))


def test_the_seed(digits):
    base, changed = nets(digits, seed=1)
    assert not torch.equal(base.conv1.weight, changed.conv1.weight)
    (same,) = {tuple(net.conv1.weight.shape) for net in (base, changed)}
    assert same == (16, 1, 3, 3), "grey images"
