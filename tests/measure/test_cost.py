"""What runs cost: the arithmetic exactly, and the measuring with a clock of our own."""

import itertools

import pytest

from repro.measure import cost as module
from repro.measure.cost import Cost, makespan, measure
from repro.study import load as load_study
from repro.train.precision import Numerics

ONE = Numerics("cpu", "fp32", 1)


def plan(*networks, preset="demo", **settings):
    return load_study("degradation").runs(preset, only=networks or None, settings=settings)


def test_a_whole_run_is_its_iterations_evaluations_and_final_measurements():
    (run,) = plan("resnet-20", preset="short")
    cost = Cost(iteration=0.25, image=0.001)
    # 8,000 iterations and 5 looks at the health; 16 evaluations of 10,000 images, and at the end 50,000 + 2 x 10,000.
    assert cost.of(run) == pytest.approx((8_000 + 10) * 0.25 + (16 * 10_000 + 70_000) * 0.001)
    # The end is evaluated also where no evaluation is due.
    (run,) = plan("resnet-20", **{"schedule.iterations": 120})
    # digits: 360 test images at 50, 100 and 120; 1,437 training images
    assert Cost(0.0, 1.0).of(run) == 3 * 360 + 1437 + 2 * 360


def test_parts_of_a_run_add_up_to_the_whole():
    (run,) = plan("resnet-20")
    cost = Cost(0.3, 0.002)
    for cut in (1, 10, 49, 50, 500, 599):
        assert cost.of(run, cut) + cost.of(run, begun_at=cut) == pytest.approx(cost.of(run))
    # at iterations 0, 1 % and 10 %; two evaluations
    assert cost.of(run, 100) == pytest.approx((100 + 2 * 3) * 0.3 + 2 * 360 * 0.002)
    assert cost.of(run, begun_at=600) == pytest.approx((1437 + 2 * 360) * 0.002)


def test_the_makespan_is_that_of_runs_side_by_side_the_longest_first():
    assert makespan([4, 1, 6, 4, 5], 2) == 10
    assert makespan([3, 3, 3], 2) == 6, "the third has to wait for one of the others"
    assert makespan([4, 1, 6], 1) == 11
    assert makespan([3, 1], 4) == 3
    assert makespan([], 2) == 0


def test_a_network_costs_what_its_iterations_take_after_the_first(monkeypatch):
    """By a clock that only training moves: half a second for the first iteration, then 0.05; an image takes 0.001."""
    now, steps = [0.0], []

    def train(*arguments):
        for step in itertools.count():
            now[0] += 0.05 if step else 0.5
            steps.append(step)
            yield None

    def evaluate(net, batches, numerics):
        now[0] += 0.5

    monkeypatch.setattr(module.time, "perf_counter", lambda: now[0])
    monkeypatch.setattr(module, "train", train)
    monkeypatch.setattr(module, "evaluate", evaluate)
    (cost,) = measure(plan("plain-20"), ONE)
    assert (cost.iteration, cost.image) == pytest.approx((0.05, 0.001))
    assert len(steps) < 100
