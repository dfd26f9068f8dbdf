from math import nan

import pytest
from hypothesis import given
from hypothesis import strategies as st

from repro.records import Row
from repro.spec import Run, Schedule
from repro.train.schedule import learning_rate, plateaus_of, warms_up

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


#: Training errors, a row per half an epoch, and by how many rows before each the rate has been divided: worked out by
#: hand. Two epochs (four rows) are compared with two, and a point has to be lost between them.
SERIES = [
    *[(80, 0), (70, 0), (60, 0), (50, 0), (50, 0), (50, 0), (50, 0), (50, 0)],  # 65 to 50
    *[(49, 0), (49, 0), (49, 0)],  # 57.5 to 49.75, 52.5 to 49.5, 50 to 49.25: less than a point
    *[(49, 1), (40, 1), (49, 1), (40, 1), (49, 1), (40, 1), (49, 1)],  # too few rows at this rate until there are eight
    *[(40, 1), (30, 2), (30, 2), (30, 2), (30, 2), (29, 2), (29, 2), (29, 2), (29, 2)],  # by just a point: it goes on
    *[(29, 2), (29, 2), (29, 2), (29, 2)],  # as often as there are milestones, and no more
]
PLATEAU = Schedule(iterations=1000, plateau=(2.0, 1.0))


def curve(errors, schedule=PLATEAU, warm_until=0):
    """The rows that training would write, 25 iterations and half an epoch each."""
    rows = []
    for error in errors:
        at = 25 * len(rows)
        rate = learning_rate(schedule, at, warm_until, plateaus_of(schedule, rows, warm_until))
        rows.append(Row(at + 25, (at + 25) / 50, rate, 1.0, float(error), nan, nan))
    return rows


def test_the_rate_falls_where_the_error_plateaus():
    errors, falls = zip(*SERIES, strict=True)
    rates = [row.lr for row in curve(errors)]
    assert rates == pytest.approx([0.1 / 10**number for number in falls])
    assert {row.lr for row in curve(errors, Schedule(iterations=1000))} == {0.1, 0.1 * 0.1, 0.1 * 0.1**2}
    assert [row.lr for row in curve(errors, Schedule(iterations=1000))] != rates


def test_a_warm_up_is_no_part_of_a_plateau():
    errors = [90.0] * 40
    rates = [row.lr for row in curve(errors, warm_until=10 * 25)]
    # Eight rows at 0.1 and eight at 0.01, as much as a warm-up at 0.01 would be.
    assert rates == pytest.approx([0.01] * 10 + [0.1] * 8 + [0.01] * 8 + [0.001] * 14)
    assert {row.lr for row in curve(errors, warm_until=None)} == {0.01}
