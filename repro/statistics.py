"""How far a difference between two means could be chance: moderated variances, intervals, differences in pairs.

One rule for every number of runs. A spread that is known beforehand, `Prior`, counts as much as some runs would, and
what the runs themselves show is added to it (Smyth 2004, doi:10.2202/1544-6115.1027):

    variance = (d0 s0^2 + d s^2) / (d0 + d),   of d0 + d degrees of freedom,

s0 and d0 the prior's standard deviation and degrees of freedom, s^2 and d those of the runs. The difference of two
means then has Satterthwaite's interval, with the prior counted once. A third run adds to what is known, as the second
did; none makes a jump.

Numbers may be arrays: the same formulas judge a simulation of many thousand trials.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, variance
from typing import Any

import numpy as np
from scipy import stats

#: The probability of intervals.
LEVEL = 0.95


def formula(error: Any, images: int) -> Any:
    """Standard deviation over seeds of the test error of a converged net, in percentage points: 100 sqrt(e / 2N).

    Args:
        error: percent.
        images: N, on which it is counted. An error of fewer than one image counts as one.
    """
    return 100 * np.sqrt(np.maximum(np.asarray(error) / 100, 1 / images) / (2 * images))


def moderated(std: Any, prior_df: Any, shown: Any, df: Any) -> tuple[Any, Any]:
    """Variance of one run and its degrees of freedom, from a prior (`std`, `prior_df`) and a variance shown by runs."""
    total = prior_df + df
    return (prior_df * std**2 + df * shown) / total, total


def satterthwaite(variances: Sequence[Any], dfs: Sequence[Any], prior_df: float = 0.0) -> tuple[Any, Any]:
    """Standard error of a sum of independent parts, and its degrees of freedom.

    Args:
        variances: of the parts; arrays have the parts first.
        dfs: theirs, likewise.
        prior_df: how many of these each has from one prior. If it is wrong it is wrong for all, and so it must not
            count once for each: intervals would miss the truth in 9 % of cases, not 5.
    """
    parts = np.asarray(variances, dtype=float)
    total = parts.sum(axis=0)
    weights = parts / np.asarray(dfs, dtype=float)
    shares = (parts * weights).sum(axis=0) + prior_df * (weights.sum(axis=0) ** 2 - (weights**2).sum(axis=0))
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.sqrt(total), np.where(shares > 0, total**2 / shares, np.inf)


def half_width(error: Any, df: Any, level: float = LEVEL) -> Any:
    """Half of a t interval."""
    return stats.t.ppf(0.5 + level / 2, df) * error


@dataclass(frozen=True)
class Prior:
    """A spread over seeds as known before the runs: standard deviation of one run, what it is worth in degrees of
    freedom, and how it is known, in words.
    """

    std: float
    df: float
    known: str = "assumed"


@dataclass(frozen=True)
class Side:
    """One side of a comparison: a network's results, one per seed.

    Attributes:
        name: of the network.
        values: of its own runs, whose mean is compared.
        prior: the spread over seeds as known beforehand.
        pool: all results that show its spread, around their mean: these, and those of other seeds from elsewhere.
    """

    name: str
    values: tuple[float, ...]
    prior: Prior
    pool: tuple[float, ...]

    @property
    def mean(self) -> float:
        """Over its own runs."""
        return fmean(self.values)

    @property
    def spread(self) -> tuple[float, float]:
        """Moderated variance of one run, and its degrees of freedom."""
        df = len(self.pool) - 1
        both = moderated(self.prior.std, self.prior.df, variance(self.pool) if df else 0.0, df)
        return float(both[0]), float(both[1])


@dataclass(frozen=True)
class Estimate:
    """A difference.

    Attributes:
        effect: the difference.
        error: its standard error.
        df: degrees of freedom.
        welch: the interval by Welch, from the runs' own variances alone; None where a side has fewer than three.
    """

    effect: float
    error: float
    df: float
    welch: tuple[float, float] | None = None

    def interval(self, level: float = LEVEL) -> tuple[float, float]:
        """Its t interval."""
        half = float(half_width(self.error, self.df, level))
        return self.effect - half, self.effect + half

    def p_below(self, bound: float = 0.0) -> float:
        """How surely the difference lies below a bound: 2 P(T < t), which is below 0.05 where the interval does."""
        return min(1.0, 2 * float(stats.t.cdf(_ratio(self.effect - bound, self.error), self.df)))

    def p_outside(self, margin: float) -> float:
        """Likewise, that it lies outside -margin to margin."""
        return min(1.0, 2 * float(stats.t.sf(_ratio(abs(self.effect) - margin, self.error), self.df)))


def _ratio(distance: float, error: float) -> float:
    return distance / error if error else math.copysign(math.inf, distance) if distance else 0.0


#: So many runs a side show a spread of their own.
ENOUGH = 3


def difference(more: Side | float, less: Side | float, times: float = 1.0) -> Estimate:
    """`more` less `times` times `less`, of which one may be a constant."""
    terms = [(side, factor) for side, factor in ((more, 1.0), (less, -times)) if isinstance(side, Side)]
    means = [side.mean if isinstance(side, Side) else side for side in (more, less)]
    effect = means[0] - times * means[1]
    scales = [factor**2 / len(side.values) for side, factor in terms]
    spreads = [side.spread for side, _ in terms]
    parts = [scale * found for scale, (found, _) in zip(scales, spreads, strict=True)]
    prior_df = min(side.prior.df for side, _ in terms)
    error, df = satterthwaite(parts, [df for _, df in spreads], prior_df)
    if any(len(side.values) < ENOUGH for side, _ in terms):
        return Estimate(effect, float(error), float(df))
    own = [scale * variance(side.values) for scale, (side, _) in zip(scales, terms, strict=True)]
    raw, raw_df = satterthwaite(own, [len(side.values) - 1 for side, _ in terms])
    half = float(half_width(raw, raw_df)) if raw else 0.0
    return Estimate(effect, float(error), float(df), (effect - half, effect + half))


def agreement(values: Sequence[float], printed: float, prior: Prior, runs: int = 1, reading: float = 0.0) -> Estimate:
    """Our mean less a printed number; the two agree where the interval includes 0.

    Args:
        values: ours, one per seed.
        printed: the number.
        prior: spread of one run over seeds, theirs and ours alike.
        runs: behind the printed number.
        reading: how far it may be off, either way, for having been read from a figure.
    """
    error = math.sqrt(prior.std**2 * (1 / runs + 1 / len(values)) + reading**2 / 3)
    return Estimate(fmean(values) - printed, error, prior.df)


def in_pairs(more: np.ndarray, less: np.ndarray) -> tuple[float, float]:
    """The difference of two error rates on the same images, and its standard error by the choice of images.

    The mean over all pairs of a run here and a run there of their differences image by image, as McNemar's test counts
    them.

    Args:
        more: (runs, images) of bool, whether a run was wrong on an image.
        less: likewise, of as many images.

    Returns:
        Percentage points, both.
    """
    apart = 100 * (more.mean(axis=0) - less.mean(axis=0))
    return float(apart.mean()), float(apart.std(ddof=1) / math.sqrt(len(apart)))


@dataclass(frozen=True)
class Goal:
    """What a simulated comparison should find: a sum of means, each times its coefficient, above `bound`, or, given a
    `margin`, with its whole interval within that of zero.
    """

    coefficients: Mapping[str, float]
    bound: float = 0.0
    margin: float | None = None


def power(
    truths: Mapping[str, tuple[float, float, float]], goals: Sequence[Goal], runs: int, trials: int = 20_000
) -> float:
    """How often all goals are found by `runs` runs of each network, as `difference` would judge them.

    Args:
        truths: by network its expected result, the standard deviation of one run, and the degrees of freedom with which
            that is known beforehand.
        goals: all of which must be found.
        runs: of each network.
        trials: of the simulation, which begins from the same random numbers each time.
    """
    random = np.random.default_rng(0)
    means, parts, dfs = {}, {}, {}
    priors = {name: truth[2] for name, truth in truths.items()}
    for name, (mean, std, prior_df) in truths.items():
        df = runs - 1
        shown = std**2 * random.chisquare(df, trials) / df if df else np.zeros(trials)
        spread, dfs[name] = moderated(std, prior_df, shown, df)
        parts[name] = spread / runs
        means[name] = random.normal(mean, std / math.sqrt(runs), trials)
    found = np.ones(trials, dtype=bool)
    for goal in goals:
        used = goal.coefficients
        effect = sum(factor * means[name] for name, factor in used.items()) - goal.bound
        error, df = satterthwaite(
            [factor**2 * parts[name] for name, factor in used.items()],
            [np.full(trials, dfs[name]) for name in used],
            min(priors[name] for name in used),
        )
        half = half_width(error, df)
        found &= (np.abs(effect) + half < goal.margin) if goal.margin is not None else effect - half > 0
    return float(found.mean())
