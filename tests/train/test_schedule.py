import pytest
from hypothesis import given
from hypothesis import strategies as st

from repro.spec import Schedule
from repro.train.schedule import learning_rate, warms_up

PAPER = Schedule()


@pytest.mark.parametrize(
    ("iteration", "rate"),
    [(0, 0.1), (399, 0.1), (400, 0.1), (31_999, 0.1), (32_000, 0.01), (47_999, 0.01), (48_000, 0.001), (63_999, 0.001)],
)
def test_the_papers_schedule(iteration, rate):
    assert learning_rate(PAPER, iteration, warm_until=0) == pytest.approx(rate)


@pytest.mark.parametrize(
    ("iteration", "rate"),
    [
        (0, 0.01),
        (399, 0.01),
        (400, 0.1),
        (31_999, 0.1),
        (32_000, 0.01),
        (47_999, 0.01),
        (48_000, 0.001),
        (63_999, 0.001),
    ],
)
def test_a_warm_up_that_ended_after_400_iterations(iteration, rate):
    assert learning_rate(PAPER, iteration, warm_until=400) == pytest.approx(rate)


@pytest.mark.parametrize(("iteration", "rate"), [(0, 0.01), (31_999, 0.01), (32_000, 0.01), (48_000, 0.001)])
def test_a_warm_up_that_never_ends_does_not_raise_the_rate(iteration, rate):
    assert learning_rate(PAPER, iteration, warm_until=None) == pytest.approx(rate)


@given(st.integers(4, 100_000))
def test_the_schedule_scales_with_its_length(iterations):
    schedule = Schedule(iterations=iterations)
    rates = {i: learning_rate(schedule, i, 0) for i in (0, iterations - 1, round(iterations / 2))}
    assert rates[0] == 0.1
    assert rates[iterations - 1] == pytest.approx(0.001)
    assert rates[round(iterations / 2)] == pytest.approx(0.01)


def test_only_the_very_deep_warm_up_by_default():
    found = {
        name: warms_up(PAPER, name)
        for name in ("plain-56", "resnet-56", "resnet-104", "resnet-110", "plain-110", "resnet-1202")
    }
    assert found == {
        "plain-56": False,
        "resnet-56": False,
        "resnet-104": False,
        "resnet-110": True,
        "plain-110": True,
        "resnet-1202": True,
    }
    assert not warms_up(Schedule(warm_up="off"), "resnet-110")
    assert warms_up(Schedule(warm_up="on"), "resnet-20")
