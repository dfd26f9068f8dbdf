"""How far a difference between two networks could be chance: intervals, and how they were found in plain words.

Two things move a measured error. The seed: the same network, begun and fed in another order, ends elsewhere. And, for a
test error, the images: another test set of the same size would give another number. With three seeds or more on both
sides the first is measured: Welch's t interval over seeds says how far the difference would move if both were trained
again and tested on the same images. With fewer on a side, too little there tells luck from effect; both sources are
then put in, the images by the binomial formula, the seed by what runs of like networks show or, if there are none, by
an assumption. Two runs count as too few, because Welch's interval of two is so wide that a second run would take back
what a first one showed.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean, variance
from typing import NamedTuple

from scipy import stats

#: Every interval is of this probability.
CONFIDENCE = 0.95
#: So many runs of a network tell its own spread over seeds.
ENOUGH = 3


@dataclass(frozen=True)
class Spread:
    """Standard deviation over seeds: `points`, or `relative` to the mean, whichever is more.

    Attributes:
        points: in the unit of what is measured.
        relative: as a fraction of the mean.
        df: degrees of freedom behind it; infinite where it is assumed.
        of: what it is the spread of, in words.
        known: how it is known, in words.
    """

    points: float
    relative: float
    df: float = math.inf
    of: str = "networks"
    known: str = "assumed"

    def std(self, mean: float) -> float:
        """The standard deviation of one run whose expected result is `mean`."""
        return max(self.points, self.relative * abs(mean))


def pooled(groups: Iterable[Sequence[float]]) -> Spread | None:
    """The common spread of groups of runs that differ in their seed alone; None where no group has two.

    The relative spread is the root of the summed variances over the summed squares of the means, so that a group whose
    mean is near zero cannot blow it up.
    """
    groups = [group for group in groups if len(group) > 1]
    df = sum(len(group) - 1 for group in groups)
    if not df:
        return None
    squares = math.fsum((len(group) - 1) * variance(group) for group in groups)
    means = math.fsum((len(group) - 1) * fmean(group) ** 2 for group in groups)
    return Spread(math.sqrt(squares / df), math.sqrt(squares / means) if means else 0.0, df)


@dataclass(frozen=True)
class Side:
    """One side of a comparison: the results of a network's runs.

    Attributes:
        name: of the network.
        values: one per run.
        spread: over seeds, for when a side has fewer than three runs.
        images: on which each value, an error in percent, was counted; None for what is no count.
    """

    name: str
    values: tuple[float, ...]
    spread: Spread
    images: int | None = None

    @property
    def mean(self) -> float:
        """Over the runs."""
        return fmean(self.values)

    @property
    def counting(self) -> float:
        """Variance that the choice of images gives to one error: binomial, with two hits and two misses added.

        Without these (Agresti and Coull 1998) an error of 0 would be called certain.
        """
        if self.images is None:
            return 0.0
        share = (self.mean / 100 * self.images + 2) / (self.images + 4)
        return 100**2 * share * (1 - share) / (self.images + 4)

    @property
    def rounding(self) -> float:
        """Variance of a number that is a whole count of images: what runs that agree exactly may still differ by."""
        return 0.0 if self.images is None else (100 / self.images) ** 2 / 12


@dataclass(frozen=True)
class Fixed:
    """A published number as the other side, with its standard error."""

    name: str
    mean: float
    error: float = 0.0


class How(NamedTuple):
    """How an interval was found: of which comparisons, and what."""

    where: str
    what: str


def in_words(how: Iterable[How]) -> str:
    """What several comparisons say of their intervals, for a reader who knows what a standard deviation is."""
    grouped: dict[str, dict[str, None]] = {}
    for where, what in how:
        grouped.setdefault(where, {})[what] = None
    return " ".join(f"{where}, {'; '.join(found)}." for where, found in grouped.items())


@dataclass(frozen=True)
class Estimate:
    """A difference, its interval, the degrees of freedom behind it, and how it was found (`in_words`)."""

    effect: float
    low: float
    high: float
    df: float
    how: tuple[How, ...]


def difference(more: Side | Fixed, less: Side | Fixed) -> Estimate:
    """`more` less `less`, with its 95 % interval by Welch and Satterthwaite.

    Raises:
        ValueError: both are published numbers.
    """
    sides = [side for side in (more, less) if isinstance(side, Side)]
    if not sides:
        raise ValueError("at least one side must have runs")
    over_seeds = all(len(side.values) >= ENOUGH for side in sides)
    parts = [(side.error**2, math.inf) for side in (more, less) if isinstance(side, Fixed)]
    parts += [_seeds(side) for side in sides] if over_seeds else _few(sides)
    total = math.fsum(v for v, _ in parts)
    shares = math.fsum(v**2 / df for v, df in parts)
    df = total**2 / shares if shares else math.inf
    half = float(stats.t.ppf(0.5 + CONFIDENCE / 2, df)) * math.sqrt(total)
    effect = more.mean - less.mean
    return Estimate(effect, effect - half, effect + half, df, _how(sides, over_seeds))


def _seeds(side: Side) -> tuple[float, float]:
    n = len(side.values)
    return max(variance(side.values), side.rounding) / n, n - 1


def _few(sides: Sequence[Side]) -> list[tuple[float, float]]:
    """Variances by their source; two sides that share one measured spread share its degrees of freedom."""
    seeds: dict[Spread, float] = {}
    for side in sides:
        own = max(side.spread.std(side.mean) ** 2, side.rounding) / len(side.values)
        seeds[side.spread] = seeds.get(side.spread, 0.0) + own
    return [(v, spread.df) for spread, v in seeds.items()] + [(side.counting, math.inf) for side in sides]


#: A standard error in points that is too small to be worth a sentence.
SLIGHT = 0.1


def _how(sides: Sequence[Side], over_seeds: bool) -> tuple[How, ...]:
    if over_seeds:
        what = "the interval is Welch's t interval over seeds: how far the number would move if they were trained again"
        return (How("Where each network has three runs or more", what),)
    counted = [side for side in sides if math.sqrt(side.counting) >= SLIGHT]
    images = [
        f"the interval allows for the choice of the {side.images:,} images or crops that its error was counted on, by "
        "the binomial formula"
        for side in counted[:1]
    ]
    return tuple(How("Where one has fewer than three runs", what) for what in (*images, *map(_seed, sides)))


def _seed(side: Side) -> str:
    unit = "" if side.images is None else " points"
    amounts = [f"{side.spread.points:.2g}{unit}"] if side.spread.points else []
    amounts += [f"{100 * side.spread.relative:.2g} % of the value"] if side.spread.relative else []
    most = f"{' or '.join(amounts) or '0'}{', whichever is more' if len(amounts) > 1 else ''}"
    return f"the seed is taken to move {side.spread.of} by a standard deviation of {most} ({side.spread.known})"
