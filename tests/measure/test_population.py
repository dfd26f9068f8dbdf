"""Statistics of batch normalisation over many batches, against sums by hand in float64."""

import pytest
import torch
from torch import nn

from repro.measure.population import use_population_statistics
from repro.models import build
from repro.models.norm import in_shares


def noise(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_they_are_the_means_over_batches_of_mean_and_unbiased_variance():
    net = build("resnet-8", channels=1, classes=10, family="cifar", generator=torch.Generator().manual_seed(1))
    weights = {name: value.clone() for name, value in net.named_parameters()}
    batches = [noise(8, 1, 8, 8, seed=seed) + seed for seed in range(3)]
    net(batches[2])  # what training left behind does not count
    net.eval()
    use_population_statistics(net, batches)
    # The first convolution's outputs do not depend on any statistics.
    outputs = [nn.functional.conv2d(x.double(), net.conv1.weight.double(), padding=1) for x in batches]
    mean = torch.stack([y.mean((0, 2, 3)) for y in outputs]).mean(0)
    variance = torch.stack([y.var((0, 2, 3)) for y in outputs]).mean(0)
    torch.testing.assert_close(net.bn1.running_mean.double(), mean, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(net.bn1.running_var.double(), variance, rtol=1e-5, atol=1e-6)
    assert not any(module.training for module in net.modules())
    assert all(m.momentum == 0.1 for m in net.modules() if isinstance(m, nn.BatchNorm2d))
    assert all(torch.equal(value, weights[name]) for name, value in net.named_parameters())


def test_a_batch_whose_statistics_they_are_is_normalised_as_in_training():
    net = build("plain-8", channels=1, classes=10, family="cifar", generator=torch.Generator().manual_seed(1))
    x = noise(500, 1, 8, 8)
    use_population_statistics(net, [x])
    with torch.no_grad():
        there, here = net.train()(x), net.eval()(x)
    # Apart by the unbiased variance alone: a 32,000th at the first layer, a 2,000th at the last.
    torch.testing.assert_close(here, there, rtol=0, atol=0.01 * there.std().item())


def test_nothing_to_look_at_and_shares_of_a_batch_are_errors():
    net = build("resnet-8", channels=1, classes=10, family="cifar")
    with pytest.raises(ValueError, match="at least one batch"):
        use_population_statistics(net, [])
    with pytest.raises(ValueError, match="whole batches"):
        use_population_statistics(in_shares(net, 2), [noise(4, 1, 8, 8)])
