"""CUDA graphs, as far as that can be tested without CUDA: when they are used, and that a capture leaves no trace."""

import gc

import pytest
import torch

from repro import models
from repro.errors import UserError
from repro.models import cifar
from repro.models.norm import Spread, set_spread
from repro.train import graph
from repro.train.graph import capture, equal
from repro.train.precision import Numerics

GPU = Numerics("cuda", "fp32", 1)
X = torch.randn(4, 3, 8, 8, generator=torch.Generator().manual_seed(1))


def made(name="resnet-8", **settings):
    return models.build(name, generator=torch.Generator().manual_seed(0), **settings).train()


@pytest.fixture
def capturing(monkeypatch):
    """Stand in for the capture: like the real one it warms up, which moves BN's statistics, and changes the module."""
    put_back = []

    def stand_in(spoil=lambda net, usual: lambda x: usual(x), error=None):
        def make_graphed_callables(module, sample_args):
            assert not gc.isenabled(), "a collection would spoil the capture"
            for _ in range(4):
                module(*sample_args)
            if error:
                raise error
            module.forward = spoil(module.net, module.forward)
            return module

        monkeypatch.setattr(torch.cuda, "make_graphed_callables", make_graphed_callables)
        return put_back

    monkeypatch.setattr(graph, "place", lambda: lambda: put_back.append("stream and random state"))
    monkeypatch.setattr(torch.cuda, "synchronize", lambda: None)
    monkeypatch.delenv(graph.NO_GRAPH, raising=False)
    yield stand_in
    assert gc.isenabled()


def unchanged(net, **settings):
    """Whether weights, statistics and gradients are those of a net that has just been made."""
    ours, theirs = net.state_dict(), made(**settings).state_dict()
    return all(torch.equal(ours[key], theirs[key]) for key in theirs) and all(p.grad is None for p in net.parameters())


def test_a_capture_is_used_and_leaves_weights_statistics_and_gradients_as_they_were(capturing):
    put_back = capturing()
    net, untouched = made(), made()
    forward, why = capture(net, X, GPU)
    assert forward is not net and why is None and not put_back
    assert "forward" not in vars(net), "it answers itself in evaluation and to hooks"
    assert unchanged(net) and net.training
    assert torch.equal(forward(X), untouched(X))
    # Statistics and gradients of a step through the capture go to the net.
    forward(X).sum().backward()
    assert net.bn1.num_batches_tracked == 2 and net.conv1.weight.grad is not None


def stale():
    """As a capture whose input does not arrive: it gives what it gave first."""
    kept = []

    def spoil(y):
        kept.append(y.detach())
        return kept[0] + (y - y.detach())

    return spoil


def of_outputs(spoil):
    return lambda net, usual: lambda x: spoil(usual(x))


def of_statistics(net, usual):
    return lambda x: (usual(x), net.bn1.num_batches_tracked.add_(1))[0]


def of_weights(net, usual):
    """As autocast's cache would: weights once cast are not cast again."""
    cast = {name: parameter.detach().clone() for name, parameter in net.named_parameters()}

    def forward(x):
        # The gradients go to the net's own weights, by way of the values that they had.
        weights = {name: cast[name] + (p - p.detach()) for name, p in net.named_parameters()}
        return torch.func.functional_call(net, weights, (x,))

    return forward


@pytest.mark.parametrize(
    "spoil",
    [
        of_outputs(lambda y: y.detach() + 2 * (y - y.detach())),
        of_outputs(stale()),
        of_statistics,
        of_weights,
    ],
    ids=["gradients", "another batch", "other statistics", "weights as they were"],
)
def test_a_capture_that_gives_other_bits_is_not_used(capturing, spoil):
    put_back = capturing(spoil)
    net = made()
    forward, why = capture(net, X, GPU)
    assert forward is net and why == "the captured step gives other bits than the net itself"
    assert unchanged(net) and put_back


def test_what_overflows_is_equal_to_what_overflows(capturing):
    """In fp16 deep nets may, before the loss is scaled for them."""
    capturing()
    net = made()
    net.fc.register_forward_hook(lambda module, inputs, y: y * float("inf") - y * float("inf"))
    forward, why = capture(net, X, GPU)
    assert forward(X).isnan().any() and forward is not net and why is None
    number, none = torch.tensor([1.0, 0.0]), torch.tensor([1.0, float("nan")])
    assert equal([none], [none.clone()]) and not equal([none], [number]) and not equal([number], [none])


def test_a_gpu_that_does_not_repeat_itself_is_not_taken_for_a_graph_that_fails(capturing, monkeypatch):
    capturing()
    net, chance = made(), torch.Generator().manual_seed(0)
    net.fc.register_forward_hook(lambda module, inputs, y: y * (1 + 1e-6 * torch.rand(1, generator=chance)))
    forward, why = capture(net, X, GPU)
    assert forward is net and "other bits each time for the same step" in why and unchanged(net)


def test_a_gpu_that_computes_nothing_after_a_capture_ends_the_run(capturing, monkeypatch):
    """An error that comes late belongs to the capture."""

    def broken():
        raise RuntimeError("CUDA error: unspecified launch failure\nCompile with TORCH_USE_CUDA_DSA")

    capturing()
    monkeypatch.setattr(torch.cuda, "synchronize", broken)
    with pytest.raises(UserError, match=r"launch failure.*REPRO_NO_GRAPH=1") as caught:
        capture(made(), X, GPU)
    assert "\n" not in str(caught.value)


def test_a_net_that_normalises_over_several_ranks_is_not_captured(capturing):
    """Were one rank to fail at it, the others would wait for its part."""
    capturing(error=AssertionError("captured"))
    net = made(norm_shares=2)
    set_spread(net, Spread(1, gather=lambda own: pytest.fail("gathered")))
    forward, why = capture(net, X, GPU)
    assert forward is net and "several ranks" in why


def test_nothing_is_captured_elsewhere_or_unasked(capturing, monkeypatch):
    capturing(error=AssertionError("captured"))
    net = made()
    assert capture(net, X, Numerics("cpu", "fp32", 1)) == (net, None)
    assert capture(net, X, Numerics("mps", "fp32", 1)) == (net, None)
    monkeypatch.setenv(graph.NO_GRAPH, "1")
    assert capture(net, X, GPU) == (net, "REPRO_NO_GRAPH is set")


@pytest.mark.parametrize(
    ("free", "error", "whole"),
    [(2**40, None, True), (2**20, None, False), (2**40, torch.OutOfMemoryError("CUDA out of memory"), False)],
)
def test_a_net_computes_activations_again_only_where_there_is_no_room_for_them(
    capturing, monkeypatch, free, error, whole
):
    capturing(error=error)
    monkeypatch.setattr(cifar, "DEEP", 1)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda: (free, 2**40))
    net = made("resnet-14")
    forward, why = capture(net, X, GPU)
    assert (forward is not net) == whole == (why is None) and unchanged(net, name="resnet-14")
    assert [net.layer1.segment, net.layer3.segment] == [None if whole else cifar.SEGMENT] * 2
