"""An iteration as one CUDA graph, as far as that can be tested without CUDA: the same bits as its steps, or not used.

What stands in for the graph keeps to what a graph does: it reads and writes the memory that there was when it was
recorded, the learning rate among it, and is recorded after iterations that move all that training changes.
"""

import itertools

import pytest
import torch
from small_training import begin, noise, run_of

from repro.models import cifar
from repro.train import begin as beginning
from repro.train import loop, whole
from repro.train.graph import NO_GRAPH
from repro.train.loop import train
from repro.train.precision import Numerics
from repro.train.whole import capture_whole, moving

CPU, GPU = Numerics("cpu", "fp32", 1), Numerics("cuda", "fp32", 1)


@pytest.fixture
def recording(monkeypatch):
    """Stand in for a graph; `spoil` changes what a replay does."""
    put_back = []

    def stand_in(spoil=lambda one, replay: replay, error=None):
        def record(body):
            one = body.__self__
            groups = one.training.optimiser.param_groups
            rates = [group["lr"] for group in groups]
            assert all(isinstance(rate, torch.Tensor) for rate in rates), "a number would be part of the graph"
            for _ in range(4):
                body()
            if error:
                raise error
            there = [tensor.data_ptr() for tensor in moving(one.training)]

            def replay():
                assert [tensor.data_ptr() for tensor in moving(one.training)] == there
                former = [group["lr"] for group in groups]
                assert not any(isinstance(rate, torch.Tensor) for rate in former), "to compare it, Python would wait"
                for group, rate in zip(groups, rates, strict=True):
                    group["lr"] = rate
                body()
                for group, rate in zip(groups, former, strict=True):
                    group["lr"] = rate

            return spoil(one, replay)

        monkeypatch.setattr(whole, "_record", record)
        return put_back

    monkeypatch.setattr(whole, "place", lambda: lambda: put_back.append("stream and random state"))
    monkeypatch.setattr(torch.cuda, "synchronize", lambda: None)
    # As on CUDA, where a rate is float32 with a graph and without.
    monkeypatch.setattr(loop, "rounded", lambda rate, device: torch.tensor(rate, dtype=torch.float32).item())
    monkeypatch.delenv(NO_GRAPH, raising=False)
    return stand_in


def made(**settings):
    """A training, its data and its run."""
    run = run_of(log_every=3, evaluate_every=6, **{"schedule.iterations": 9, **settings})
    return *begin(run, noise(flip=True)), run


def same(ours, theirs):
    return all(map(torch.equal, ours, theirs))


def state(training):
    """All that training changes, where it may not have begun."""
    momentum = [training.optimiser.state[p].get("momentum_buffer") for p in training.net.parameters()]
    rates = [group["lr"] for group in training.optimiser.param_groups]
    sums = training.state.loss_sum, training.state.wrong
    tensors = [*training.net.state_dict().values(), *sums, *(p.grad for p in training.net.parameters()), *momentum]
    return rates, [None if tensor is None else tensor.clone() for tensor in tensors]


def unchanged(training, before):
    (rates, tensors), (former, others) = state(training), before
    pairs = zip(tensors, others, strict=True)
    return rates == former and all(
        (one is None) == (other is None) and (one is None or torch.equal(one, other)) for one, other in pairs
    )


@pytest.mark.parametrize(
    "settings",
    [
        {"schedule.milestones": [0.5, 0.8]},
        {"schedule.milestones": [0.5], "optimiser.momentum_form": "torch", "optimiser.nesterov": True},
        # A warm-up that ends with the first row of the curve.
        {"schedule.warm_up": "on", "schedule.warm_up_until": 100.1},
        {"images.augment": False, "images.held_out": 20, "images.evaluate_on": "held-out"},
        {"images.padding": "before-mean", "model.norm_shares": 2},
    ],
    ids=["milestones", "torch's momentum", "warm-up", "no augmentation", "shares"],
)
def test_a_run_has_the_bits_of_one_whose_steps_go_one_by_one(recording, settings):
    recording()
    (plain, data, run), (training, _, _) = made(**settings), made(**settings)
    training.whole, reason = capture_whole(training, data, run, GPU)
    assert training.whole and reason is None
    rows = [list(train(each, data, run, CPU)) for each in (training, plain)]
    assert len(rows[0]) == 12 and str(rows[0]) == str(rows[1])
    assert same(moving(training), moving(plain))
    # Zeroed in place they would be the memory that the next replay writes, and be added to themselves.
    assert all(parameter.grad is None for each in (training, plain) for parameter in each.net.parameters())


def test_what_is_carried_on_is_recorded_where_it_stands(recording):
    recording()
    (plain, data, run), (training, _, _) = made(), made()
    list(train(plain, data, run, CPU))
    for _ in itertools.islice(train(training, data, run, CPU), 5):
        pass
    before = state(training)
    training.whole, _ = capture_whole(training, data, run, GPU)
    assert training.whole and unchanged(training, before)
    list(train(training, data, run, CPU))
    assert same(moving(training), moving(plain))


def stale(one, replay):
    """As where the images do not arrive: those of the first replay stay."""
    kept = []

    def spoiled():
        kept.append(one.row.clone())
        one.row.copy_(kept[0])
        replay()

    return spoiled


def fixed(one, replay):
    """As where the rate is part of the graph."""

    def spoiled():
        one.rate.fill_(0.1)
        replay()

    return spoiled


def uncounted(one, replay):
    """As where the curve's sums are left out."""

    def spoiled():
        before = one.training.state.wrong.clone()
        replay()
        one.training.state.wrong.copy_(before)

    return spoiled


@pytest.mark.parametrize("spoil", [stale, fixed, uncounted])
def test_a_graph_that_gives_other_bits_is_not_used(recording, spoil):
    put_back = recording(spoil)
    training, data, run = made()
    before = state(training)
    found, reason = capture_whole(training, data, run, GPU)
    assert found is None and reason == "it gives other bits than its steps one by one"
    assert unchanged(training, before) and put_back


def test_a_capture_that_fails_is_told_in_a_line_and_the_net_s_own_graphs_are_tried(recording, monkeypatch):
    put_back = recording(error=RuntimeError("operation not permitted\nwhen stream is capturing"))
    training, data, run = made()
    before, told = state(training), []
    monkeypatch.setattr(beginning, "capture", lambda net, example, numerics: (told.append(len(example)) or net, None))
    said = beginning.capture_step(training, data, run, GPU)
    assert said.endswith("not all of an iteration: it cannot be captured: operation not permitted")
    assert training.whole is None and told == [16] and unchanged(training, before) and put_back
    recording()
    assert beginning.capture_step(training, data, run, GPU) is None and training.whole and told == [16]


def test_where_it_is_not_tried(recording, monkeypatch):
    recording(error=AssertionError("recorded"))
    assert capture_whole(*made(), CPU) == (None, None)
    scaled, data, run = made()
    scaled.scaler = torch.amp.GradScaler("cpu", enabled=True)
    assert "fp16" in capture_whole(scaled, data, run, GPU)[1]
    monkeypatch.setattr(cifar, "DEEP", 1)
    assert "activations" in capture_whole(*made(network="plain-14"), GPU)[1]
    monkeypatch.setenv(NO_GRAPH, "1")
    assert capture_whole(*made(), GPU) == (None, None)
