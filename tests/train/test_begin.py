"""The network that a run begins with is made by the run's settings."""

import pytest
import torch

from repro.data import load
from repro.models import build
from repro.spec import Run, override
from repro.train.begin import make_net
from repro.train.randomness import generator


@pytest.fixture(scope="module")
def digits():
    return load("digits")


@pytest.mark.parametrize(
    ("key", "value"),
    [("seed", 1), ("model.initialisation", "fan-out"), ("model.norm_shares", 2), ("model.subsample", "average")],
)
def test_settings_of_a_run_are_those_of_its_network(key, value, digits):
    usual, run = Run("resnet-8", data="digits"), override(Run("resnet-8", data="digits"), {key: value})
    settings = {} if key == "seed" else {key.removeprefix("model."): value}
    expected = build("resnet-8", channels=1, generator=generator("init", run.seed), **settings)
    x = digits.train_images[:16].float() / 255
    outputs = [net.train()(x) for net in (make_net(run, digits, x.device), expected, make_net(usual, digits, x.device))]
    assert torch.equal(outputs[0], outputs[1])
    assert not torch.equal(outputs[0], outputs[2]), "it matters"
