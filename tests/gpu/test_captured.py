"""Captured steps against the net itself, and what may go on around them. On a CPU both are the net itself."""

import gc

import pytest
import torch
from on_device import DEVICE, begin, iterate, numerics, precisions, record, same, state

from repro.measure.cost import measure
from repro.measure.health import signal_health
from repro.models import cifar
from repro.train import begin as beginning
from repro.train import checkpoint
from repro.train.evaluate import evaluate
from repro.train.graph import forget
from repro.train.loop import batch_of

MIB = 2**20
#: Iterations; fewer where the tests themselves are tried on a CPU.
MANY = 4 if DEVICE == "cpu" else 25

pytestmark = pytest.mark.skipif(DEVICE == "mps", reason="of CUDA alone")


@pytest.mark.parametrize("precision", precisions())
@pytest.mark.parametrize(
    ("network", "shares"), [("resnet-20", 1), ("resnet-20", 2), ("resnet-20-B", 1), ("plain-56", 1)]
)
def test_a_captured_run_has_the_bits_of_one_that_is_not(network, shares, precision):
    """Through a change of the rate, and the end of a warm-up."""
    how, states = numerics(precision), []
    settings = {"model.norm_shares": shares, "schedule.warm_up": "on", "schedule.warm_up_until": 100.1, "log_every": 2}
    settings |= {"schedule.iterations": MANY, "schedule.milestones": [0.75], "evaluate_every": 2}
    for captured in ("whole", "net", None):
        training, data, run = begin(network, how, captured, **settings)
        iterate(training, data, run, how, 10**6)
        assert training.state.iteration == MANY and training.state.warm_until == 2
        states.append(state(training))
    assert same(states[0], states[2]) and same(states[1], states[2])


def test_what_is_done_between_iterations_changes_none(tmp_path):
    how = numerics(precisions()[-1])
    undisturbed, data, run = begin(how=how)
    iterate(undisturbed, data, run, how, 20)
    training, data, run = begin(how=how)
    for act in (
        lambda: evaluate(training.net, data.batches("test"), how),
        lambda: signal_health(training.net, *batch_of(data, run, training.state.iteration)),
        lambda: checkpoint.save(tmp_path / "checkpoint.pt", run.hash, training, {}),
        lambda: None,
    ):
        iterate(training, data, run, how, 5)
        act()
    assert same(state(training), state(undisturbed))


def test_an_iteration_that_cannot_be_captured_leaves_no_trace(cuda):
    how = numerics()
    training, data, run = begin(how=how, captured=None)
    before = [tensor.clone() for tensor in training.net.state_dict().values()]
    stream, chance = torch.cuda.current_stream(), torch.cuda.get_rng_state()
    waiting = training.net.register_forward_hook(lambda module, inputs, y: y * 2 if y.sum().item() > 1e30 else y)
    said = beginning.capture_step(training, data, run, how)
    assert said.startswith("not as a CUDA graph: ") and training.whole is None and training.forward is training.net
    assert same(list(training.net.state_dict().values()), before) and not any(training.optimiser.state.values())
    assert torch.cuda.current_stream() == stream and torch.equal(torch.cuda.get_rng_state(), chance)
    waiting.remove()
    record(training, data, run, how)
    iterate(training, data, run, how, 5)
    eager, data, run = begin(how=how, captured=None)
    iterate(eager, data, run, how, 5)
    assert same(state(training), state(eager))


def test_garbage_collected_at_every_turn_spoils_nothing_and_memory_is_given_back(cuda):
    how, held = numerics(), []
    former = gc.get_threshold()
    gc.set_threshold(1)
    try:
        for turn in range(3):
            training, data, run = begin(how=how)
            iterate(training, data, run, how, 3)
            if turn == 1:
                measure([run], how)
            del training, data
            forget(how)
            torch.cuda.synchronize()
            held.append(torch.cuda.memory_allocated())
    finally:
        gc.set_threshold(*former)
    assert max(held) - min(held) < 50 * MIB


@pytest.mark.parametrize("precision", precisions())
@pytest.mark.parametrize("captured", ["whole", "net", None])
def test_no_iteration_waits_for_the_gpu(captured, precision, cuda):
    how = numerics(precision)
    training, data, run = begin(how=how, captured=captured)
    iterate(training, data, run, how, 5)
    torch.cuda.set_sync_debug_mode("error")
    try:
        iterate(training, data, run, how, 50)
    finally:
        torch.cuda.set_sync_debug_mode("default")


@pytest.mark.parametrize("precision", precisions())
def test_activations_computed_again_have_the_same_bits(precision, monkeypatch):
    how, states = numerics(precision), []
    for deep in (1, 10**6):
        monkeypatch.setattr(cifar, "DEEP", deep)
        training, data, run = begin("resnet-26", how, captured=None)
        assert bool(training.net.layer1.segment) == (deep == 1)
        iterate(training, data, run, how, 3)
        states.append(state(training))
    assert same(*states)


def test_1202_layers_that_compute_again_fit_into_3_gib(cuda):
    how = numerics(precisions()[-1])
    training, data, run = begin("resnet-1202", how, captured=None)
    torch.cuda.reset_peak_memory_stats()
    iterate(training, data, run, how, 2)
    assert torch.cuda.max_memory_allocated() < (3 if how.precision == "bf16" else 6) * 2**30
