"""Batches of photographs: the same bytes for any number of workers and ranks, and begun at any iteration."""

from __future__ import annotations

import os
import pickle
import signal
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from small_imagenet import write_folders
from torchvision.transforms.functional import resize

from repro.data.photographs import find
from repro.data.photographs.colour import statistics
from repro.data.photographs.crops import scaled
from repro.errors import DataError, UserError
from repro.spec import Images
from repro.train import photographs, randomness
from repro.train.photographs import Batches, feed, measure
from repro.train.ranks import Ranks

#: 15 photographs in batches of 4, so that iteration 3 holds the end of an epoch and the beginning of the next.
BATCH, ITERATIONS = 4, 8


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("imagenet")
    write_folders(root)
    return root


@pytest.fixture(scope="module")
def batches(folder: Path) -> Batches:
    return Batches(find(folder, "train"), Images(crop=16, shorter_side=(20, 40)), 0, BATCH, slice(0, BATCH))


def taken(batches: Batches, first: int = 0, workers: int = 0) -> list[tuple[torch.Tensor, torch.Tensor]]:
    return list(feed(batches, range(first, ITERATIONS), workers))


def same(one: list[tuple[torch.Tensor, torch.Tensor]], other: list[tuple[torch.Tensor, torch.Tensor]]) -> bool:
    return len(one) == len(other) and all(
        torch.equal(x, u) and torch.equal(y, v) for (x, y), (u, v) in zip(one, other, strict=True)
    )


@pytest.fixture(scope="module")
def whole(batches: Batches) -> list[tuple[torch.Tensor, torch.Tensor]]:
    return taken(batches)


@pytest.mark.parametrize("workers", [1, 2])
def test_workers_make_the_same_batches(
    workers: int, batches: Batches, whole: list[tuple[torch.Tensor, torch.Tensor]]
) -> None:
    assert same(taken(batches, workers=workers), whole)


@pytest.mark.parametrize(("first", "workers"), [(1, 0), (3, 2), (5, 2)])
def test_begun_in_the_middle(
    first: int, workers: int, batches: Batches, whole: list[tuple[torch.Tensor, torch.Tensor]]
) -> None:
    assert same(taken(batches, first, workers), whole[first:])


@pytest.mark.parametrize("count", [2, 4])
def test_ranks_take_their_parts(count: int, batches: Batches, whole: list[tuple[torch.Tensor, torch.Tensor]]) -> None:
    parts = [taken(replace(batches, part=Ranks(rank, count).part(BATCH)), workers=2) for rank in range(count)]
    joined = [tuple(map(torch.cat, zip(*pieces, strict=True))) for pieces in zip(*parts, strict=True)]
    assert same(joined, whole)  # type: ignore[arg-type]
    chances = [replace(batches, part=Ranks(rank, count).part(BATCH)).chances(3) for rank in range(count)]
    for piece, expected in zip(zip(*chances, strict=True), batches.chances(3), strict=True):
        assert torch.equal(torch.cat(piece), expected)


def test_each_photograph_once_an_epoch_in_the_order_of_all_runs(
    batches: Batches, whole: list[tuple[torch.Tensor, torch.Tensor]]
) -> None:
    labels = torch.cat([y for _, y in whole]).tolist()
    numbers = randomness.order(0, len(batches.index))(0, BATCH * ITERATIONS)
    assert labels == batches.index.labels[numbers.numpy()].tolist()
    assert sorted(labels[:15]) == sorted(labels[15:30]) == batches.index.labels.tolist()


def test_crops_differ_by_photograph_iteration_and_seed(
    batches: Batches, whole: list[tuple[torch.Tensor, torch.Tensor]]
) -> None:
    crops = [x.numpy().tobytes() for batch, _ in whole for x in batch]
    assert len(set(crops)) == len(crops)
    assert not torch.equal(taken(replace(batches, seed=1))[0][0], whole[0][0])
    uniform, normal = (torch.cat(drawn) for drawn in zip(*(batches.chances(i) for i in range(3000)), strict=True))
    assert uniform.shape == (12_000, 4) and normal.shape == (12_000, 3)
    assert uniform.min() >= 0 and uniform.max() < 1
    # Of 12,000 numbers the means are known to 0.003 and 0.009, of which 5 times is allowed.
    assert (uniform.mean(0) - 0.5).abs().max() < 0.014 and normal.mean(0).abs().max() < 0.046
    assert (normal.std(0) - 1).abs().max() < 0.033
    correlations = np.corrcoef(torch.cat([uniform, normal], 1).T.numpy()) - np.eye(7)
    assert np.abs(correlations).max() < 0.046


def test_nothing_is_drawn_from_torchs_own_generator(batches: Batches) -> None:
    before = torch.get_rng_state()
    taken(batches, workers=1)
    assert torch.equal(torch.get_rng_state(), before)


def test_a_copy_in_another_process_gives_the_same(
    batches: Batches, whole: list[tuple[torch.Tensor, torch.Tensor]]
) -> None:
    assert same(taken(pickle.loads(pickle.dumps(batches))), whole)


@pytest.mark.parametrize("workers", [0, 2])
def test_a_damaged_photograph_is_told_in_a_line(workers: int, tmp_path: Path, batches: Batches) -> None:
    write_folders(tmp_path)
    path = tmp_path / "train" / "n01751748" / "n01751748_2.JPEG"
    damaged = replace(batches, index=find(tmp_path, "train"))
    path.write_bytes(b"x" * path.stat().st_size)
    with pytest.raises(DataError) as caught:
        taken(damaged, workers=workers)
    assert str(caught.value) == f"{path}: cannot be decoded (it is no JPEG or PNG image): fetch it again"


class Dying(Batches):
    def __getitem__(self, iteration: int) -> tuple[torch.Tensor, torch.Tensor] | DataError:
        os.kill(os.getpid(), signal.SIGKILL)
        raise AssertionError


class Buggy(Batches):
    def __getitem__(self, iteration: int) -> tuple[torch.Tensor, torch.Tensor] | DataError:
        raise RuntimeError("a bug")


def test_a_worker_that_is_killed_is_told_and_a_bug_in_one_stays_a_bug(batches: Batches) -> None:
    fields = (batches.index, batches.how, batches.seed, batches.batch_size, batches.part)
    with pytest.raises(DataError, match=r"ended by the system.*fewer workers"):
        taken(Dying(*fields), workers=1)
    with pytest.raises(RuntimeError, match="a bug"):
        taken(Buggy(*fields), workers=1)


def test_shared_memory_that_is_too_small(batches: Batches, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(photographs, "_SHARED_MEMORY", tmp_path)
    monkeypatch.setattr(photographs.shutil, "disk_usage", lambda _: type("Usage", (), {"free": 3 * 16 * 16 * 15}))
    with pytest.raises(UserError, match="fewer workers"):
        taken(batches, workers=2)  # each has two batches of four ready
    assert len(taken(batches, workers=1)) == ITERATIONS


def test_statistics_are_of_the_runs_first_crops(
    batches: Batches, whole: list[tuple[torch.Tensor, torch.Tensor]]
) -> None:
    first = torch.cat([x for x, _ in whole])[:30].numpy()
    expected = statistics([first])
    for part, workers in ((slice(0, BATCH), 0), (slice(2, BATCH), 2)):
        found = measure(replace(batches, part=part), workers, crops=30)
        assert np.array_equal(found.mean, expected.mean) and np.array_equal(found.covariance, expected.covariance)


def test_scaled_sizes_are_torchvisions() -> None:
    for width, height in ((500, 375), (333, 500), (7, 299), (100, 100), (4288, 2848)):
        for shorter in range(20, 60, 7):
            assert scaled(width, height, shorter) == resize(Image.new("L", (width, height)), shorter).size
