"""Whether an error of ours differs from one of the paper's by more than chance gives.

Three things move a test error: the images it is measured on (binomial), the seed, and, where the paper prints no
number, the reading of its figure. Each is taken for independent of the others and of the paper's; as both are
measured on the same test images the uncertainty is, if anything, too wide.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

#: Standard deviation over seeds where there is one seed only, percentage points. The paper's five runs of 110 layers
#: have 0.16 (Table 6); reproductions by others have 0.2 to 0.3.
SEED_STD = 0.25
#: Standard deviations on each side of what is called agreement: 95 of 100 cases if nothing but chance differs.
WIDTH = 1.96
#: Test images of CIFAR-10.
TEST_IMAGES = 10_000


@dataclass(frozen=True)
class Value:
    """A mean test error, percent, over `n` runs.

    Attributes:
        std: over the runs; NaN if unknown.
        reading: how far the number may be off because it was read from a figure, percentage points.
    """

    mean: float
    std: float = math.nan
    n: int = 1
    reading: float = 0.0

    def variance(self, images: int) -> float:
        """Square of the standard error, with its error from a test set of `images`."""
        seed = self.std if math.isfinite(self.std) and self.n > 1 else SEED_STD
        share = self.mean / 100
        return seed**2 / self.n + 100**2 * share * (1 - share) / images + self.reading**2 / 3


@dataclass(frozen=True)
class Difference:
    """Ours less the paper's, percentage points, and how much of it chance may explain."""

    value: float
    half_width: float

    @property
    def verdict(self) -> str:
        """In words."""
        if abs(self.value) <= self.half_width:
            return f"agrees within ±{self.half_width:.2f}"
        return f"{'higher' if self.value > 0 else 'lower'} by more than ±{self.half_width:.2f}"


def difference(ours: Value, paper: Value, images: int = TEST_IMAGES) -> Difference:
    """Compare two test errors measured on test sets of `images`."""
    return Difference(ours.mean - paper.mean, WIDTH * math.sqrt(ours.variance(images) + paper.variance(images)))
