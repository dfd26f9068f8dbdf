"""CUDA graphs, as far as that can be tested without CUDA: when they are used, and that a capture leaves no trace."""

import gc
import weakref

import pytest
import torch

from repro import models
from repro.train.graph import capture, forget
from repro.train.precision import Numerics

GPU = Numerics("cuda", "fp32", 1)
X = torch.randn(4, 3, 8, 8, generator=torch.Generator().manual_seed(1))


def made(name="resnet-8"):
    return models.build(name, generator=torch.Generator().manual_seed(0)).train()


@pytest.fixture
def capturing(monkeypatch):
    """Stand in for the capture: like the real one it warms up, which moves BN's statistics, and changes the module."""

    def stand_in(spoil=None, error=None):
        def make_graphed_callables(module, sample_args):
            for _ in range(4):
                module(*sample_args)
            if error:
                raise error
            usual = module.forward
            module.forward = (lambda x: spoil(usual(x))) if spoil else (lambda x: usual(x))
            return module

        monkeypatch.setattr(torch.cuda, "make_graphed_callables", make_graphed_callables)

    return stand_in


def test_a_capture_is_used_and_leaves_weights_statistics_and_gradients_as_they_were(capturing):
    capturing()
    net, untouched = made(), made()
    forward, reason = capture(net, X, GPU)
    assert forward is not net and reason is None
    for ours, theirs in zip(net.state_dict().values(), untouched.state_dict().values(), strict=True):
        assert torch.equal(ours, theirs)
    assert all(parameter.grad is None for parameter in net.parameters()) and net.training
    assert torch.equal(forward(X), untouched(X))
    # Statistics and gradients of a step through the capture go to the net.
    forward(X).sum().backward()
    assert net.bn1.num_batches_tracked == 2 and net.conv1.weight.grad is not None


def test_the_net_itself_answers_in_evaluation_and_to_hooks(capturing):
    capturing(spoil=lambda y: y * 1)
    net = made()
    forward, _ = capture(net, X, GPU)
    assert forward is not net and "forward" not in vars(net)


@pytest.mark.parametrize("spoil", [lambda y: y + 1, lambda y: y.detach() + 2 * (y - y.detach())])
def test_a_capture_that_gives_other_outputs_or_gradients_is_not_used(capturing, spoil):
    capturing(spoil)
    net, untouched = made(), made()
    forward, reason = capture(net, X, GPU)
    assert forward is net and reason == "the captured step gives other bits than the net itself"
    assert torch.equal(net.bn1.running_mean, untouched.bn1.running_mean)


def test_a_capture_that_fails_is_told_in_a_line(capturing):
    capturing(error=RuntimeError("operation not permitted\nwhen stream is capturing"))
    net, untouched = made(), made()
    assert capture(net, X, GPU) == (net, "the step cannot be captured: operation not permitted")
    assert torch.equal(net.bn1.running_var, untouched.bn1.running_var)


def test_nothing_is_captured_elsewhere_or_where_activations_are_computed_again(capturing):
    capturing(error=AssertionError("captured"))
    net = made()
    assert capture(net, X, Numerics("cpu", "fp32", 1)) == (net, None)
    assert capture(net, X, Numerics("mps", "fp32", 1)) == (net, None)
    net.layer1.segment = 5
    forward, reason = capture(net, X, GPU)
    assert forward is net and "computes activations again" in reason


def test_what_former_runs_left_in_cycles_is_freed_before_another_on_a_gpu():
    class Captured:
        pass

    gc.disable()
    try:
        left = Captured()
        left.itself = left
        alive = weakref.ref(left)
        del left
        forget(Numerics("cpu", "fp32", 1))
        assert alive() is not None, "on the CPU nothing is worth the time"
        forget(GPU)
        assert alive() is None
    finally:
        gc.enable()
