"""How far a difference between two networks could be chance: intervals, and how they were found in plain words.

Two things move a measured error. The seed: the same network, begun and fed in another order, ends elsewhere. And, for a
test error, the images: another test set of the same size would give another number. With three seeds or more on both
sides the first is measured: Welch's t interval over seeds says how far the difference would move if both were trained
again and tested on the same images. With fewer on a side, too little there tells luck from effect; both sources are
then put in, the images by the binomial formula, the seed by an assumption that counts as much as a few runs would and
gives way to what runs of the same network show (`moderated`). Two runs alone are too few: Welch's interval of two is so
wide that a second run would take back what a first one showed, or, where they happen to agree, so narrow that nothing
is left to chance. Nor do other networks tell: seeds move a deep plain net many times as far as a shallow one.
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
        df: degrees of freedom that it is worth.
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


def moderated(assumed: Spread, groups: Iterable[Sequence[float]]) -> Spread:
    """An assumed spread, scaled to what runs show that differ in their seed alone.

    Each group of runs has a variance in units of the assumed one at its mean. The mean of these, weighted by degrees of
    freedom, with the assumption's own 1 among them, is the square of the scale. (Moderated variances as in Smyth 2004,
    doi:10.2202/1544-6115.1027.)

    Args:
        assumed: its `df` says with how much weight.
        groups: results of runs; those of a single run say nothing.
    """
    total, df = assumed.df, assumed.df
    for group in groups:
        unit = assumed.std(fmean(group))
        if len(group) > 1 and unit:
            total += (len(group) - 1) * variance(group) / unit**2
            df += len(group) - 1
    scale = math.sqrt(total / df)
    return Spread(scale * assumed.points, scale * assumed.relative, df)


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
    """A difference, its interval and the degrees of freedom behind it, how it was found (`in_words`), and whether a
    spread over seeds was assumed.
    """

    effect: float
    low: float
    high: float
    df: float
    how: tuple[How, ...]
    assumed: bool = False


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
    return Estimate(effect, effect - half, effect + half, df, _how(sides, over_seeds), not over_seeds)


def _seeds(side: Side) -> tuple[float, float]:
    n = len(side.values)
    return max(variance(side.values), side.rounding) / n, n - 1


def _few(sides: Sequence[Side]) -> list[tuple[float, float]]:
    """Variances by their source. Spreads rest on one assumption: together they are worth no more than the lesser."""
    seeds = math.fsum(max(side.spread.std(side.mean) ** 2, side.rounding) / len(side.values) for side in sides)
    return [(seeds, min(side.spread.df for side in sides)), *((side.counting, math.inf) for side in sides)]


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
