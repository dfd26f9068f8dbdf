"""The mean to subtract, and "the standard color augmentation in [21]", Krizhevsky et al. 2012 (Section 3.4)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Statistics:
    """Of crops as a run trains on them, of pixels in [0, 1], float64.

    Attributes:
        mean: of each pixel, (3, H, W) (A25).
        covariance: of RGB values over all pixels, (3, 3); each channel's variance is on its diagonal.
    """

    mean: NDArray[np.float64]
    covariance: NDArray[np.float64]

    def principal(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Eigenvalues of the covariance, the largest first, (3,), and eigenvectors as columns, (3, 3).

        Of the two signs of each it takes that whose largest component is positive, so that machines agree.
        """
        values, vectors = np.linalg.eigh(self.covariance)
        values, vectors = values[::-1], vectors[:, ::-1]
        return values, vectors * np.sign(vectors[np.abs(vectors).argmax(0), range(3)])

    def shifts(
        self, drawn: NDArray[np.float64], scale: Literal["eigenvalues", "deviations"], strength: float = 0.1
    ) -> NDArray[np.float64]:
        """What to add to all pixels of each image, (N, 3), neither rounded nor clipped.

        Args:
            drawn: standard normal numbers, (N, 3), one for each principal component.
            scale: what they are multiplied by: the eigenvalues, as [21] says, or their roots, as its code does (A26).
            strength: standard deviation that they are given before.
        """
        values, vectors = self.principal()
        scales = values if scale == "eigenvalues" else np.sqrt(values.clip(min=0))
        shifts: NDArray[np.float64] = (strength * drawn * scales) @ vectors.T
        return shifts


def statistics(batches: Iterable[NDArray[np.uint8]]) -> Statistics:
    """Statistics of crops (N, 3, H, W), the same however they are split: sums of bytes are exact, even in float64."""
    sums, products, number = np.zeros((), dtype=np.int64), np.zeros((3, 3)), 0
    for batch in batches:
        sums = sums + batch.sum(0, dtype=np.int64)
        number += len(batch)
        for image in batch:
            values = image.reshape(3, -1).astype(np.float64)
            products += values @ values.T
    mean = sums / (255 * number)
    channels = mean.mean((1, 2))
    return Statistics(mean, products / (255**2 * number * mean[0].size) - np.outer(channels, channels))
