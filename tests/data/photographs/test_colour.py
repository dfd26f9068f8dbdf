"""Means, covariance and colour augmentation against numpy on all pixels at once, and against published numbers."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from repro.data.photographs.colour import Statistics, statistics

#: What fb.resnet.torch computed from ImageNet: eigenvalues, and eigenvectors as columns.
FB_VALUES = np.array([0.2175, 0.0188, 0.0045])
FB_VECTORS = np.array([[-0.5675, 0.7192, 0.4009], [-0.5808, -0.0045, -0.8140], [-0.5836, -0.6948, 0.4203]])


@pytest.fixture
def crops() -> NDArray[np.uint8]:
    random = np.random.default_rng(0)
    grey = random.integers(0, 200, (30, 1, 8, 8))
    return (grey + random.integers(0, 56, (30, 3, 8, 8)) * np.array([1.0, 0.5, 0.2])[:, None, None]).astype(np.uint8)


@pytest.fixture
def of_imagenet() -> Statistics:
    return Statistics(np.zeros((3, 1, 1)), FB_VECTORS @ np.diag(FB_VALUES) @ FB_VECTORS.T)


def test_against_numpy(crops: NDArray[np.uint8]) -> None:
    found = statistics([crops])
    pixels = crops / 255
    np.testing.assert_allclose(found.mean, pixels.mean(0), rtol=1e-12)
    np.testing.assert_allclose(found.covariance, np.cov(pixels.swapaxes(0, 1).reshape(3, -1), bias=True), rtol=1e-9)


def test_the_same_bits_however_they_are_split(crops: NDArray[np.uint8]) -> None:
    whole, split = statistics([crops]), statistics([crops[:1], crops[1:18], crops[18:]])
    assert np.array_equal(whole.mean, split.mean) and np.array_equal(whole.covariance, split.covariance)


def test_principal_components(of_imagenet: Statistics) -> None:
    values, vectors = of_imagenet.principal()
    np.testing.assert_allclose(values, FB_VALUES, atol=1e-4)
    np.testing.assert_allclose(np.abs(vectors), np.abs(FB_VECTORS), atol=2e-3)
    assert (vectors[np.abs(vectors).argmax(0), range(3)] > 0).all()


def test_shifts_are_the_formula_of_the_paper(of_imagenet: Statistics) -> None:
    values, vectors = of_imagenet.principal()
    drawn = np.random.default_rng(1).normal(size=(4, 3))
    found = of_imagenet.shifts(drawn, "eigenvalues", 0.2)
    for image, alphas in enumerate(drawn):
        expected = sum(0.2 * alphas[i] * values[i] * vectors[:, i] for i in range(3))
        np.testing.assert_allclose(found[image], expected, rtol=1e-12)


@pytest.mark.parametrize(("scale", "levels"), [("eigenvalues", 5.5), ("deviations", 11.9)])
def test_grey_levels_along_the_first_axis(scale: str, levels: float, of_imagenet: Statistics) -> None:
    shift = of_imagenet.shifts(np.array([[1.0, 0, 0]]), scale)[0]  # type: ignore[arg-type]
    assert 255 * np.linalg.norm(shift) == pytest.approx(levels, abs=0.05)
    # Nearly grey: the first axis is brightness, which a transposed matrix would not give.
    assert np.ptp(shift) / np.abs(shift).max() < 0.05


def test_shifts_spread_as_the_covariance(of_imagenet: Statistics) -> None:
    """Of deviations, the covariance of the shifts is that of the pixels times strength squared."""
    shifts = of_imagenet.shifts(np.random.default_rng(2).normal(size=(200_000, 3)), "deviations")
    np.testing.assert_allclose(np.cov(shifts.T), 0.01 * of_imagenet.covariance, rtol=0.02)


def test_grey_photographs_have_one_axis() -> None:
    grey = np.random.default_rng(3).integers(0, 256, (5, 1, 8, 8)).astype(np.uint8).repeat(3, axis=1)
    shifts = statistics([grey]).shifts(np.ones((1, 3)), "deviations")
    assert np.isfinite(shifts).all() and np.ptp(shifts) < 1e-6
