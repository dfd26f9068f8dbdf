"""Whether a test error of ours differs from the paper's by more than chance gives."""

from __future__ import annotations

import math
from dataclasses import dataclass

from repro.claims.evidence import FORMULA_DF
from repro.data.table import DATA_SETS
from repro.statistics import Estimate, Prior, agreement, formula


@dataclass(frozen=True)
class Printed:
    """A test error of the paper, percent.

    Attributes:
        std, n: over its runs; the paper gives them for 110 layers alone.
        reading: how far the number may be off because it was read from a figure, percentage points.
    """

    mean: float
    std: float = math.nan
    n: int = 1
    reading: float = 0.0


def against(values: tuple[float, ...], paper: Printed, images: int = DATA_SETS["cifar10"].test_images) -> Estimate:
    """Our test errors, percent, less the paper's (`repro.statistics.agreement`)."""
    prior = Prior(float(formula(paper.mean, images)), FORMULA_DF)
    return agreement(values, paper.mean, prior, paper.n, paper.reading)


def verdict(estimate: Estimate) -> str:
    """What a difference says, in a word."""
    if estimate.low <= 0 <= estimate.high:
        return "no difference shown"
    return "higher" if estimate.low > 0 else "lower"


def signed(points: float) -> str:
    """A difference with its sign."""
    text = f"{points:+.2f}".replace("-", "−")
    return "0.00" if text[1:] == "0.00" else text


def in_words(estimate: Estimate) -> str:
    """A difference and its interval."""
    return f"{signed(estimate.effect)} ({signed(estimate.low)} to {signed(estimate.high)})"
