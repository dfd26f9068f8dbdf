import pytest
from hypothesis import given
from hypothesis import strategies as st

from repro.spec import Run, Schedule
from repro.train.schedule import learning_rate, warms_up

PAPER = Schedule()
#: The paper's steps after a warm-up, if there is one.
LATER = [(31_999, 0.1), (32_000, 0.01), (47_999, 0.01), (48_000, 0.001), (63_999, 0.001)]


@pytest.mark.parametrize(
    ("warm_until", "rates"),
    [
        (0, [(0, 0.1), (399, 0.1), (400, 0.1), *LATER]),
        (400, [(0, 0.01), (399, 0.01), (400, 0.1), *LATER]),
        # A warm-up that never ends does not raise the rate.
        (None, [(0, 0.01), (31_999, 0.01), (32_000, 0.01), (48_000, 0.001)]),
    ],
)
def test_the_papers_schedule(warm_until, rates):
    for iteration, rate in rates:
        assert learning_rate(PAPER, iteration, warm_until) == pytest.approx(rate)


@given(st.integers(4, 100_000))
def test_the_schedule_scales_with_its_length(iterations):
    schedule = Schedule(iterations=iterations)
    rates = {i: learning_rate(schedule, i, 0) for i in (0, iterations - 1, round(iterations / 2))}
    assert rates[0] == 0.1
    assert rates[iterations - 1] == pytest.approx(0.001)
    assert rates[round(iterations / 2)] == pytest.approx(0.01)


def test_only_the_very_deep_warm_up_by_default():
    assert not any(warms_up(Run(name)) for name in ("plain-56", "resnet-56", "resnet-104"))
    assert all(warms_up(Run(name)) for name in ("resnet-110", "plain-110", "resnet-1202", "resnet-152"))
    assert not warms_up(Run("resnet-110", schedule=Schedule(warm_up="off")))
    assert warms_up(Run("resnet-20", schedule=Schedule(warm_up="on")))


def test_table_1_has_no_warm_up_but_where_it_is_asked_for():
    assert not warms_up(Run("resnet-152", family="imagenet"))
    assert warms_up(Run("resnet-18", family="imagenet", schedule=Schedule(warm_up="on")))
