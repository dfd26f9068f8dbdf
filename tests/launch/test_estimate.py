"""Estimates: the arithmetic exactly, the measuring with a clock of our own, and the processes that keep it company."""

import itertools
import multiprocessing as mp

import pytest
from hypothesis import given
from hypothesis import strategies as st

from repro.launch import estimate
from repro.launch.estimate import Cost, by_depth, makespan, measure
from repro.run import main
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


def test_the_end_is_evaluated_also_where_no_evaluation_is_due():
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


@given(st.lists(st.floats(0, 1e4), max_size=12), st.integers(1, 5))
def test_the_makespan_lies_between_what_nothing_can_beat_and_the_bound_of_longest_first(seconds, jobs):
    found = makespan(seconds, jobs)
    least = max([sum(seconds) / jobs, *seconds])
    assert least - 1e-6 <= found <= (4 / 3) * max(least, _best(seconds, jobs)) + 1e-6


def _best(seconds, jobs):
    """The best that any order reaches, for few runs; a bound of it for more."""
    if len(seconds) > 6:
        return sum(seconds) / jobs + max(seconds)
    return min((_listed(order, jobs) for order in itertools.permutations(seconds)), default=0.0)


def _listed(order, jobs):
    places = [0.0] * jobs
    for each in order:
        places[places.index(min(places))] += each
    return max(places)


def test_the_makespan_of_longest_first_by_hand():
    # 6 | 5, then 4 to the second (9), 4 to the first (10), 1 to the second (10)
    assert makespan([4, 1, 6, 4, 5], 2) == 10
    assert makespan([4, 1, 6], 1) == 11
    assert makespan([3], 4) == 3
    assert makespan([], 2) == 0


def test_an_iteration_is_the_median_after_the_first(monkeypatch):
    clock = iter([0.0, 7.0, 7.5, 8.0, 8.7, 13.0, 13.5])
    monkeypatch.setattr(estimate.time, "perf_counter", lambda: next(clock))
    # 0.5, 0.5, 0.7 and 4.3: long enough, and enough of them
    assert estimate._iteration(iter([None] * 9)) == pytest.approx(0.6)


def test_a_very_deep_net_is_measured_once_after_the_first(monkeypatch):
    clock = iter([0.0, 20.0, 33.0])
    monkeypatch.setattr(estimate.time, "perf_counter", lambda: next(clock))
    assert estimate._iteration(iter([None] * 9)) == 13


@pytest.mark.parametrize(("ends", "expected"), [([0, 0.9, 1.0, 1.2], 0.2), ([0, 5.0], 5.0)])
def test_what_is_quick_is_timed_a_second_time(monkeypatch, ends, expected):
    clock = iter(ends)
    monkeypatch.setattr(estimate.time, "perf_counter", lambda: next(clock))
    assert estimate._timed(lambda: None) == pytest.approx(expected)


def test_what_does_the_same_in_an_iteration_is_measured_once_and_no_schedule_ends_it(monkeypatch):
    measured = []

    def record(run, numerics):
        measured.append(run.network)
        return Cost(len(measured), 0.0)

    monkeypatch.setattr(estimate, "_measure", record)
    runs = [*plan("plain-20"), *plan("resnet-20"), *plan("plain-20", **{"schedule.iterations": 7})]
    assert [cost.iteration for cost in measure(runs, ONE, 1)] == [1, 2, 1]
    assert measured == ["plain-20", "resnet-20"]


def test_depths_between_and_beyond_those_measured_lie_on_a_line(monkeypatch):
    def known(runs, numerics, jobs):
        assert [run.network for run in runs] == ["plain-20", "plain-56"]
        return [Cost(20.0 + 1, 0.0), Cost(56.0 + 1, 0.0)]

    monkeypatch.setattr(estimate, "measure", known)
    runs = plan("plain-20", "plain-32", "plain-56", "resnet-110")
    per_iteration = [seconds / (600 + 10) for seconds in by_depth(runs, ONE, 2)]
    assert per_iteration == pytest.approx([21, 33, 57, 111])


@pytest.mark.parametrize(("ranks", "expected"), [(1, ["captured", "called"]), (2, [])])
def test_what_is_measured_is_the_captured_step_where_runs_are_captured(monkeypatch, ranks, expected):
    done = []

    def capture(net, example, numerics):
        done.append("captured")
        assert example.shape == (128, 1, 8, 8)

        def forward(x):
            done.append("called")
            return net(x)

        return forward, None

    monkeypatch.setattr(estimate, "capture", capture)
    (run,) = plan("plain-20")
    numerics = Numerics("cpu", "fp32", 1, ranks)
    training, data = estimate._begin(run, numerics)
    next(estimate._iterations(training, data, run, numerics))
    assert done == expected


def test_one_iteration_is_measured_in_the_company_of_others_that_end_with_it():
    (run,) = plan("plain-20")
    seen = []

    def look(run, numerics):
        seen.extend((process, process.is_alive()) for process in mp.active_children())
        raise RuntimeError("something fails")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(estimate, "_measure", look)
        with pytest.raises(RuntimeError, match="something fails"):
            measure([run], ONE, 2)
    ((process, was_alive),) = seen
    assert was_alive and not process.is_alive()


def test_a_dry_run_prints_the_plan_and_writes_nothing(tmp_path, capsys):
    arguments = ["degradation", "--only", "plain-20,resnet-20", "--jobs", "1", "--threads", "1", "--dry-run"]
    assert main([*arguments, "--results", str(tmp_path / "results")]) == 0
    output = capsys.readouterr().out
    assert "digits/demo/resnet-20/seed-0" in output
    assert "nothing was written" in output
    assert not list(tmp_path.iterdir())
