"""Photographs as a network sees them, against numpy and torchvision."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from small_imagenet import write_folders
from torchvision.transforms import functional

from repro.data.photographs import find
from repro.data.photographs.crops import center, decode
from repro.data.photographs.dataset import Photographs
from repro.spec import Run, override
from repro.train.photographs import Shown, show
from repro.train.ranks import Ranks

BATCH = 4
RUN = override(
    Run("resnet-18", family="imagenet"),
    {"images.crop": 16, "images.shorter_side": [20, 40], "optimiser.batch_size": BATCH, "schedule.iterations": 8},
)


def shown(folder: Path, **changes: object) -> Shown:
    write_folders(folder)
    photographs = Photographs("imagenet", find(folder, "train"), find(folder, "validation"))
    run = override(RUN, {f"images.{key}": value for key, value in changes.items()})
    return show(photographs, run, torch.device("cpu"), 0)


@pytest.mark.parametrize("normalise", ["pixel-mean", "pixel-mean-std", "channel-mean", "channel-mean-std"])
@pytest.mark.parametrize("colour", ["off", "eigenvalues", "deviations"])
def test_against_numpy(normalise: str, colour: str, tmp_path: Path) -> None:
    data = shown(tmp_path, normalise=normalise, colour=colour, colour_strength=0.3)
    # 15 photographs, so that of the first 16 crops the last is not of the statistics.
    first = np.concatenate([data.crops[number][0].numpy() for number in range(4)])[:15].astype(np.float64) / 255
    mean = first.mean(0)
    pixels = first.transpose(1, 0, 2, 3).reshape(3, -1)
    centred = pixels - pixels.mean(1, keepdims=True)
    values, vectors = np.linalg.eigh(centred @ centred.T / pixels.shape[1])
    drawn = data.crops.chances(5)[1].numpy()
    scale = {"off": 0 * values, "eigenvalues": values, "deviations": np.sqrt(values)}[colour]
    if normalise.startswith("channel"):
        mean = mean.mean((1, 2), keepdims=True)
    for place, crop in enumerate(data.crops[5][0].numpy()):
        signs = np.sign([vector[np.abs(vector).argmax()] for vector in vectors.T])
        # The largest axis is drawn for first.
        shift = (vectors * signs) @ (0.3 * drawn[place][::-1] * scale)
        expected = crop / 255 - mean + shift[:, None, None]
        if normalise.endswith("std"):
            expected /= centred.std(1)[:, None, None]
        found = data.batch(5)[0][place]
        np.testing.assert_allclose(found.numpy(), expected, atol=2e-6)


def test_what_is_tested_is_the_middle_in_order_with_the_mean_subtracted(tmp_path: Path) -> None:
    data = shown(tmp_path, colour="eigenvalues")
    ((x, y),) = data.batches("test")
    index = data.test_images
    assert y.tolist() == index.labels.tolist()
    mean = data.statistics.mean
    for number in range(len(index)):
        image = decode(index.read(number), index.name(number))
        expected = (
            functional.pil_to_tensor(functional.center_crop(functional.resize(image, 18), 16)).numpy() / 255 - mean
        )
        np.testing.assert_allclose(x[number].numpy(), expected, atol=1e-6)
    assert len(next(iter(data.batches("train")))[1]) == 15


@pytest.mark.parametrize("size", [(96, 131), (131, 96), (97, 97), (150, 99)])
def test_the_middle_is_torchvisions(size: tuple[int, int]) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
    image = Image.fromarray(noise)
    theirs = functional.pil_to_tensor(functional.center_crop(functional.resize(image, 73), 64))
    assert np.array_equal(center(image, 64), theirs.numpy())


def test_each_rank_reads_the_batches_that_are_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("repro.train.photographs.BATCH", 2)
    data = shown(tmp_path)
    whole = list(data.batches("train"))
    assert [len(y) for _, y in whole] == [2] * 7 + [1]
    for rank in range(3):
        mine = list(data.batches("train", Ranks(rank, 3).turns))
        assert len(mine) == len(whole[rank::3])
        assert all(torch.equal(x, z) for (x, _), (z, _) in zip(mine, whole[rank::3], strict=True))


def test_a_feed_gives_parts_of_the_batches_from_any_iteration_on(tmp_path: Path) -> None:
    data = shown(tmp_path, colour="eigenvalues")
    for iteration, (x, y) in enumerate(data.feed(3, 6, slice(2, 4)), 3):
        whole, labels = data.batch(iteration)
        assert torch.equal(x, whole[2:4]) and torch.equal(y, labels[2:4])
    assert iteration == 5
