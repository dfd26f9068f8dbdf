"""The training step against independent computations."""

import dataclasses
import math

import pytest
import torch
import torch.nn.functional as F
from small_training import FP32, begin, noise, run_of

from repro.data import load
from repro.data.augment import Crops, Prepared, prepare
from repro.models import build
from repro.spec import Optimiser, Run, override
from repro.train import checkpoint
from repro.train.evaluate import evaluate
from repro.train.loop import batch_of, make_optimiser, set_rate, train
from repro.train.precision import Numerics
from repro.train.randomness import generator, order


@pytest.fixture
def dataset():
    return noise()


class Exact(Prepared):
    def normalise(self, images):
        return images.double().div_(255).sub_(self.mean)


def test_eight_steps_equal_the_papers_formulas_in_float64(dataset):
    """SGD written out from Section 4.2 (v = m v + lr (g + wd w), w -= v), in float64, without torch.optim."""
    run = run_of(**{"images.augment": False, "schedule.milestones": [0.5]})
    training, data = begin(run, dataset)
    # In float32 some processors round a unit to the other side of a ReLU's edge, which moves weights by some 1e-4.
    training.net.double()
    data = Exact(**vars(data))
    reference = build(run.network, channels=1, generator=generator("init", 0)).double()
    velocity = [torch.zeros_like(p) for p in reference.parameters()]
    mean = dataset.train_images.double().div(255).mean(0)
    losses = []
    for i in range(8):
        index = order(0, 200)(i, 16)
        x = dataset.train_images[index].double() / 255 - mean
        loss = F.cross_entropy(reference(x), dataset.train_labels[index])
        losses.append(loss.item())
        gradients = torch.autograd.grad(loss, list(reference.parameters()))
        with torch.no_grad():
            for p, g, v in zip(reference.parameters(), gradients, velocity, strict=True):
                v.mul_(0.9).add_((0.1 if i < 4 else 0.01) * (g + 1e-4 * p))
                p.sub_(v)
    rows = [row for row in train(training, data, run, FP32) if row]
    assert [row.iteration for row in rows] == [2, 4, 6, 8]
    for row, pair in zip(rows, zip(losses[::2], losses[1::2], strict=True), strict=True):
        assert row.train_loss == pytest.approx(sum(pair) / 2, rel=1e-6)
    # The loss is float32 in any case.
    for ours, theirs in zip(training.net.parameters(), reference.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-6)


def test_rows_tell_iteration_epoch_rate_and_when_the_test_set_is_due(dataset):
    run = run_of(**{"schedule.iterations": 9})
    rows = [row for row in train(*begin(run, dataset), run, FP32) if row]
    assert [(row.iteration, row.epoch) for row in rows] == [(i, i * 16 / 200) for i in (2, 4, 6, 8, 9)]
    assert [row.lr for row in rows] == pytest.approx([0.1, 0.1, 0.01, 0.001, 0.001])
    assert [math.isnan(row.test_error) for row in rows] == [True, False, True, False, False]


def test_each_iteration_trains_on_crops_and_flips_of_its_own(dataset):
    """Learning rate 0: the losses are those of the untouched network, fed with crops cut by hand."""
    run = run_of(**{"log_every": 1, "schedule.lr": 0.0, "optimiser.weight_decay": 0.0})
    training, data = begin(run, dataclasses.replace(dataset, flip=True))
    twin = build(run.network, channels=1, generator=generator("init", 0)).train()
    mean = dataset.train_images.double().div(255).mean(0)
    rows = [row for row in train(training, data, run, FP32) if row]
    assert len(rows) == 8
    for i, row in enumerate(rows):
        crops = Crops.draw(16, 1, True, generator("augment", run.seed, i))
        index = order(0, 200)(i, 16)
        x = torch.zeros(16, 1, 8, 8)
        for k, (top, left, flip) in enumerate(zip(crops.top, crops.left, crops.flip, strict=True)):
            canvas = torch.zeros(1, 10, 10)
            canvas[:, 1:9, 1:9] = dataset.train_images[index[k]].double() / 255 - mean
            x[k] = canvas[:, top : top + 8, left : left + 8]
            x[k] = x[k].flip(2) if flip else x[k]
        logits, y = twin(x), dataset.train_labels[index]
        assert row.train_loss == pytest.approx(F.cross_entropy(logits, y).item(), rel=1e-4)
        assert row.train_error == pytest.approx(100 * (logits.argmax(1) != y).float().mean().item())


@pytest.mark.parametrize("every", [1, 2])
def test_warm_up_ends_when_the_logged_training_error_allows_it(dataset, every):
    until = 83.0
    warm_up = {"schedule.warm_up": "on", "schedule.warm_up_until": until, "schedule.milestones": []}
    run = run_of(**warm_up, **{"schedule.iterations": 12 * every, "log_every": every})
    training, data = begin(run, dataset)
    rows = [row for row in train(training, data, run, FP32) if row]
    first_below = next(i for i, row in enumerate(rows) if row.train_error < until)
    assert 0 < first_below < len(rows) - 1
    expected = [0.01 if i <= first_below else 0.1 for i in range(len(rows))]
    assert [row.lr for row in rows] == pytest.approx(expected)
    assert training.state.warm_until == rows[first_below].iteration


def test_the_loss_scale_is_taken_up_from_a_checkpoint(dataset):
    fp16 = Numerics("cpu", "fp16", 1)
    training, _ = begin(run_of(), dataset, fp16)
    training.scaler.scale(torch.ones(()))
    training.scaler.update(new_scale=8.0)
    other, _ = begin(run_of(), dataset, fp16)
    checkpoint.unpack(checkpoint.packed(training), other)
    assert other.scaler.get_scale() == 8.0


def test_the_batch_whose_signals_are_looked_at_is_the_one_trained_on(dataset):
    mirrored, run = dataclasses.replace(dataset, flip=True), dataclasses.replace(run_of(), seed=1)
    data = prepare(mirrored, run.images, torch.device("cpu"))
    crops = Crops.draw(16, 1, True, generator("augment", 1, 3))
    for ours, theirs in zip(batch_of(data, run, 3), data.batch(order(1, 200)(3, 16), crops), strict=True):
        assert torch.equal(ours, theirs)


def test_bf16_follows_fp32_within_its_rounding_and_repeats_its_bits(dataset):
    run = run_of(**{"log_every": 1, "schedule.lr": 0.01})

    def losses(precision):
        numerics = Numerics("cpu", precision, 1)
        return [row.train_loss for row in train(*begin(run, dataset, numerics), run, numerics) if row]

    found = losses("bf16")
    assert found == losses("bf16")
    assert found == pytest.approx(losses("fp32"), rel=0.03) and found != losses("fp32")


@pytest.fixture
def fresh_memory_is_nan(monkeypatch):
    """Whatever reads memory that nobody wrote gets NaN."""
    monkeypatch.setattr(torch.utils.deterministic, "fill_uninitialized_memory", True)
    before = torch.are_deterministic_algorithms_enabled()
    torch.use_deterministic_algorithms(True)
    yield
    torch.use_deterministic_algorithms(before)


def test_fp16_that_skips_its_first_step_follows_fp32_from_the_second(fresh_memory_is_nan):
    """The loss scale to begin with is too large for these nets, so the first gradient overflows."""
    settings = {"schedule.iterations": 4, "schedule.lr": 0.01, "log_every": 1, "evaluate_every": 4}
    run = override(Run("resnet-20", data="digits"), settings | {"optimiser.batch_size": 32})
    digits = load("digits")
    fp16 = Numerics("cpu", "fp16", 1)
    training, data = begin(run, digits, fp16)
    before = [p.clone() for p in training.net.parameters()]
    steps = train(training, data, run, fp16)
    losses = [next(steps).train_loss]
    assert next(steps) is None
    assert training.scaler.get_scale() < 2**16, "it was skipped"
    assert all(map(torch.equal, training.net.parameters(), before))
    held = (training.optimiser.state[p].get("momentum_buffer") for p in training.net.parameters())
    assert all(buffer is None or not buffer.any() for buffer in held)
    losses += [row.train_loss for row in steps if row]

    twin, data = begin(run, digits)
    twin.state.iteration = 1
    expected = [row.train_loss for row in train(twin, data, run, FP32) if row]
    assert losses[1:] == pytest.approx(expected, rel=0.01)


@pytest.mark.parametrize("form", ["caffe", "torch"])
@pytest.mark.parametrize("nesterov", [False, True])
def test_momentum_across_a_change_of_rate(form, nesterov):
    """A parabola, three steps at each of two rates, against the two forms of momentum written out."""
    choice = Optimiser(momentum_form=form, nesterov=nesterov, weight_decay=0.0)
    net = torch.nn.Linear(1, 1, bias=False).double()
    with torch.no_grad():
        net.weight.fill_(1.0)
    optimiser = make_optimiser(net, choice, "fp32")
    w, v = 1.0, 0.0
    for rate in (0.1, 0.1, 0.1, 0.01, 0.01, 0.01):
        set_rate(optimiser, rate, choice)
        (0.5 * net.weight**2).sum().backward()
        optimiser.step()
        optimiser.zero_grad()
        if form == "caffe":
            v = 0.9 * v + rate * w
            w -= rate * w + 0.9 * v if nesterov else v
        else:
            v = 0.9 * v + w
            w -= rate * (w + 0.9 * v) if nesterov else rate * v
        assert net.weight.item() == pytest.approx(w, rel=1e-12)


def test_weight_decay_on_all_or_on_weights_alone():
    net = build("resnet-8")
    norms = {id(p) for m in net.modules() if isinstance(m, torch.nn.BatchNorm2d) for p in m.parameters()}
    for choice, decayed in (("all", True), ("weights", False)):
        groups = make_optimiser(net, Optimiser(decay=choice), "fp32").param_groups
        rates = {id(p): group["weight_decay"] for group in groups for p in group["params"]}
        assert len(rates) == len(list(net.parameters()))
        assert all((rates[p] == 1e-4) is decayed for p in norms)
        assert rates[id(net.conv1.weight)] == rates[id(net.fc.weight)] == 1e-4
        assert (rates[id(net.fc.bias)] == 1e-4) is decayed


def test_evaluation_counts_every_image_once_and_leaves_the_net_as_found(dataset):
    run = run_of()
    training, data = begin(run, dataset)
    training.net.train()
    before = {k: v.clone() for k, v in training.net.state_dict().items()}
    loss, error = evaluate(training.net, data.batches("test", size=7), FP32)
    assert training.net.training
    assert all(torch.equal(v, before[k]) for k, v in training.net.state_dict().items())
    training.net.eval()
    logits = training.net(data.normalise(dataset.test_images))
    assert error == pytest.approx(100 * (logits.argmax(1) != dataset.test_labels).float().mean().item())
    assert loss == pytest.approx(F.cross_entropy(logits, dataset.test_labels).item(), rel=1e-5)
