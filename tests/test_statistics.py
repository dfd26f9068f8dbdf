"""Intervals against scipy's and against formulas by hand; error rates and power on planted seeds."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from repro.statistics import (
    Estimate,
    Goal,
    Prior,
    Side,
    difference,
    formula,
    half_width,
    in_pairs,
    moderated,
    power,
    satterthwaite,
)

numbers = st.lists(st.floats(0.5, 99.5), min_size=3, max_size=6)


def side(*values: float, std: float = 0.2, df: float = 8, pool: tuple[float, ...] = ()) -> Side:
    return Side("net", values, Prior(std, df), pool or values)


@given(numbers, numbers)
def test_with_three_seeds_a_side_welch_s_interval_is_beside_it(a, b):
    if np.ptp(a) < 1e-3 or np.ptp(b) < 1e-3:
        return
    theirs = stats.ttest_ind(a, b, equal_var=False).confidence_interval(0.95)
    assert difference(side(*a), side(*b)).welch == pytest.approx((theirs.low, theirs.high), rel=1e-6, abs=1e-9)


def test_with_fewer_there_is_none():
    assert difference(side(1.0, 2.0), side(1.0, 2.0, 3.0)).welch is None
    assert difference(8.39, side(6.4, 6.6, 6.8)).welch is not None


def test_the_interval_by_hand():
    a, b = side(10.0, 10.6, std=0.2, df=8), side(9.0, std=0.3, df=8)
    va = (8 * 0.2**2 + 1 * 0.18) / 9 / 2
    vb = 0.3**2
    # Of the 9 and 8 degrees of freedom both have the same 8 from the prior.
    df = (va + vb) ** 2 / (va**2 / 9 + vb**2 / 8 + 2 * 8 * (va / 9) * (vb / 8))
    half = stats.t.ppf(0.975, df) * math.sqrt(va + vb)
    assert difference(a, b).interval() == pytest.approx((1.3 - half, 1.3 + half))


def test_a_constant_has_no_spread_and_a_factor_scales_that_of_its_side():
    one = difference(8.39, side(6.5, 6.7, std=0.2, df=8))
    spread = (8 * 0.04 + 0.02) / 9
    assert (one.effect, one.error, one.df) == pytest.approx((1.79, math.sqrt(spread / 2), 9))
    scaled = difference(side(5.0, std=0.3), side(10.0, std=0.4), times=0.5)
    assert (scaled.effect, scaled.error) == pytest.approx((0.0, math.hypot(0.3, 0.2)))


def test_runs_from_elsewhere_tell_the_spread_around_the_mean_of_all_and_not_the_mean():
    alone, told = side(10.0), side(10.0, pool=(10.0, 9.0, 11.0))
    assert told.mean == alone.mean
    assert told.spread == pytest.approx(((8 * 0.04 + 2 * 1.0) / 10, 10))


def test_runs_that_agree_exactly_do_not_leave_nothing_to_chance():
    ours = difference(side(2.0, 2.0, 2.0), side(2.1, 2.1, 2.1))
    low, high = ours.interval()
    assert low < 0 < high


def test_the_formula_is_the_published_spread():
    assert formula(8.0, 10_000) == pytest.approx(0.20) and formula(13.0, 10_000) == pytest.approx(0.25, abs=0.005)
    assert formula(0.0, 360) == formula(100 / 360, 360) > 0


@given(st.floats(-5, 5), st.floats(0.1, 3), st.floats(2, 50))
def test_p_is_below_five_percent_where_the_interval_says_so(effect, error, df):
    found = Estimate(effect, error, df)
    low, high = found.interval()
    assert (found.p_below() < 0.05) == (high < 0)
    assert (found.p_outside(1.0) < 0.05) == (low > 1 or high < -1)


def test_pairs_of_runs_are_compared_image_by_image():
    random = np.random.default_rng(1)
    hard = random.random(400)
    more, less = (hard < level + 0.2 * random.random((runs, 400)) for level, runs in ((0.3, 3), (0.2, 2)))
    pairs = [100 * (a.astype(float) - b) for a, b in itertools.product(more, less)]
    mean = np.mean(pairs, axis=0)
    assert in_pairs(more, less) == pytest.approx((mean.mean(), stats.sem(mean)))
    # One run each is McNemar's: b and c images that only one of them had wrong.
    b, c = (np.sum(x & ~y) for x, y in ((more[0], less[0]), (less[0], more[0])))
    by_hand = 100 * math.sqrt((b + c - (b - c) ** 2 / 400) / 400 / 399)
    assert in_pairs(more[:1], less[:1]) == pytest.approx((100 * (b - c) / 400, by_hand))
    # Images that are hard for both tell nothing of which is better: in pairs the error is smaller.
    apart = 100 * math.sqrt(sum(x[0].var() for x in (more, less)) / 400)
    assert in_pairs(more[:1], less[:1])[1] < apart


TRIALS = 40_000


def planted(effect: float, runs: int, df: float = 4, std: float | str = 1.0) -> tuple:
    """Lower and upper ends of intervals of planted seeds. The prior is a spread of 1; the true one is given, or as
    uncertain as the prior says, and then the same of both networks ("one") or of each its own ("two")."""
    random = np.random.default_rng(5)
    parts, dfs, means = [], [], []
    prior = 1.0
    drawn = [np.sqrt(df / random.chisquare(df, TRIALS)) for _ in range(2)]
    for index, mean in enumerate((effect, 0.0)):
        true = {"one": drawn[0], "two": drawn[index]}[std] if isinstance(std, str) else np.full(TRIALS, std)
        values = mean + true * random.standard_normal((runs, TRIALS))
        shown = values.var(axis=0, ddof=1) if runs > 1 else np.zeros(TRIALS)
        spread, total = moderated(prior, df, shown, runs - 1)
        parts.append(spread / runs)
        dfs.append(np.full(TRIALS, total))
        means.append(values.mean(axis=0))
    error, found = satterthwaite(parts, dfs, df)
    half = half_width(error, found)
    return means[0] - means[1] - half, means[0] - means[1] + half


@pytest.mark.parametrize("runs", [1, 2, 3, 5])
@pytest.mark.parametrize("df", [4, 8])
@pytest.mark.parametrize("spread", ["one", "two"])
def test_false_verdicts_come_at_their_nominal_rate(runs, df, spread):
    """Of two equal networks whose spread is as uncertain as the prior says, one in twenty intervals misses 0."""
    low, high = planted(0.0, runs, df, spread)
    assert 0.045 < np.mean((low > 0) | (high < 0)) < 0.06


@pytest.mark.parametrize("true", [0.5, 1.0, 1.5])
@pytest.mark.parametrize("effect", [1.0, 2.0, 4.0])
def test_more_runs_give_the_firmer_verdict_and_never_fewer(effect, true):
    firm = [np.mean(planted(effect, runs, std=true)[0] > 0) for runs in (1, 2, 3, 5, 8)]
    assert all(fewer <= more + 0.01 for fewer, more in itertools.pairwise(firm))


@pytest.mark.parametrize("true", [0.5, 1.0, 1.5])
def test_less_data_does_not_contradict_more_often_what_is_not_so(true):
    """Nor of a true claim: the share of contradictions does not rise above the nominal one with fewer runs."""
    for runs in (1, 2, 3, 5):
        assert np.mean(planted(0.0, runs, std=true)[1] < 0) < (0.05 if true > 1 else 0.025)
        assert np.mean(planted(1.0, runs, std=true)[1] < 0) < 0.01


@pytest.mark.parametrize("runs", [1, 3, 8])
def test_power_is_that_of_the_intervals(runs):
    truths = {"a": (2.0, 1.0, 4.0), "b": (0.0, 1.0, 4.0)}
    found = power(truths, [Goal({"a": 1, "b": -1})], runs)
    assert found == pytest.approx(np.mean(planted(2.0, runs)[0] > 0), abs=0.02)
    margin = power(truths | {"a": (0.0, 1.0, 4.0)}, [Goal({"a": 1, "b": -1}, margin=4.0)], runs)
    low, high = planted(0.0, runs)
    assert margin == pytest.approx(np.mean((low > -4) & (high < 4)), abs=0.02)
