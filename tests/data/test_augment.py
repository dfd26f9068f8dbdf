import itertools

import pytest
import torch

from repro.data.augment import Crops, memory_format, prepare
from repro.data.dataset import Dataset
from repro.spec import Images
from repro.train.randomness import generator
from repro.train.ranks import Ranks

CPU = torch.device("cpu")


@pytest.fixture
def dataset():
    g = torch.Generator().manual_seed(1)
    images = torch.randint(1, 256, (40, 3, 32, 32), generator=g, dtype=torch.uint8)
    labels = torch.arange(40) % 10
    return Dataset("cifar10", images, labels, images[:20], labels[:20], tuple("0123456789"), 4, True, "made up")


def test_all_81_crops_and_both_flips_are_drawn_equally_often():
    crops = Crops.draw(81 * 2 * 400, 4, True, generator("augment", 0))
    counts = torch.bincount((crops.top * 9 + crops.left) * 2 + crops.flip.long(), minlength=162)
    assert len(counts) == 162
    # 400 expected in each of 162 cells: chi-squared of 161 degrees of freedom is below 250 but once in 100,000 draws
    assert ((counts - 400) ** 2 / 400).sum() < 250


def test_without_flip_none_is_drawn():
    assert not Crops.draw(1000, 1, False, generator("augment", 0)).flip.any()


@pytest.mark.parametrize("padding", ["after-mean", "before-mean"])
def test_every_crop_equals_padding_and_slicing_by_hand(dataset, padding):
    data = prepare(dataset, Images(padding=padding), CPU)
    cases = list(itertools.product(range(9), range(9), (False, True)))
    index = torch.arange(len(cases)) % 40
    top, left, flip = (torch.tensor(values) for values in zip(*cases, strict=True))
    x, y = data.batch(index, Crops(top, left, flip))
    assert torch.equal(y, dataset.train_labels[index])
    mean = dataset.train_images.double().div(255).mean(0)
    for k, (t, begin, f) in enumerate(cases):
        image = dataset.train_images[index[k]].double() / 255
        canvas = torch.zeros(3, 40, 40, dtype=torch.float64)
        canvas[:, 4:36, 4:36] = image - mean if padding == "after-mean" else image
        expected = canvas[:, t : t + 32, begin : begin + 32]
        expected = expected.flip(2) if f else expected
        expected = expected if padding == "after-mean" else expected - mean
        torch.testing.assert_close(x[k].double(), expected, atol=1e-6, rtol=0)


def test_test_images_are_seen_as_they_are_once_in_order(dataset):
    data = prepare(dataset, Images(), CPU)
    pieces = list(data.batches("test", size=7))
    x, y = torch.cat([a for a, _ in pieces]), torch.cat([b for _, b in pieces])
    mean = dataset.train_images.double().div(255).mean(0)
    torch.testing.assert_close(x.double(), dataset.test_images.double() / 255 - mean, atol=1e-6, rtol=0)
    assert torch.equal(y, dataset.test_labels)
    for rank in range(2):
        mine = torch.cat([labels for _, labels in data.batches("test", Ranks(rank, 2).turns, size=7)])
        assert torch.equal(mine, torch.cat([labels for _, labels in pieces[rank::2]]))


def test_normalised_training_images_have_mean_zero_at_each_pixel_and_unit_spread_per_channel(dataset):
    data = prepare(dataset, Images(normalise="pixel-mean-std", augment=False), CPU)
    x = torch.cat([a for a, _ in data.batches("train")])
    assert x.mean(0).abs().max() < 1e-5
    torch.testing.assert_close(x.double().square().mean((0, 2, 3)).sqrt(), torch.ones(3).double(), atol=1e-5, rtol=0)
    plain = prepare(dataset, Images(augment=False), CPU)
    assert plain.std is None


def test_without_augmentation_a_batch_is_the_images_themselves(dataset):
    data = prepare(dataset, Images(augment=False), CPU)
    index = torch.tensor([3, 3, 17])
    crops = Crops.draw(3, data.pad, data.flip, generator("augment", 0))
    x, _ = data.batch(index, crops)
    assert torch.equal(x, data.normalise(dataset.train_images[index]))


def test_mean_and_spread_are_those_of_all_images_however_many_parts_they_are_summed_in():
    g = torch.Generator().manual_seed(2)
    images = torch.randint(0, 256, (2_345, 1, 4, 4), generator=g, dtype=torch.uint8)
    labels = torch.arange(2_345) % 10
    many = Dataset("digits", images, labels, images[:20], labels[:20], tuple("0123456789"), 1, False, "made up")
    pixels = images.numpy().astype("float64") / 255
    data = prepare(many, Images(normalise="pixel-mean-std"), CPU)
    torch.testing.assert_close(data.mean, torch.from_numpy(pixels.mean(0)).float(), atol=0, rtol=1e-7)
    assert data.std.shape == (1, 1, 1)
    assert data.std.item() == pytest.approx(((pixels - pixels.mean(0)) ** 2).mean() ** 0.5, rel=1e-7)


@pytest.mark.parametrize(
    ("device", "form"),
    [("cpu", torch.channels_last), ("cuda", torch.contiguous_format), ("mps", torch.contiguous_format)],
)
def test_channels_lie_last_on_the_cpu_alone(device, form):
    assert memory_format(torch.device(device)) == form


def test_held_out_images_are_the_last_of_each_class_and_in_nothing_that_is_trained_on(dataset):
    data = prepare(dataset, Images(held_out=10, evaluate_on="held-out"), CPU)
    assert torch.equal(data.images, dataset.train_images[:30])
    assert torch.equal(data.test_images, dataset.train_images[30:])
    torch.testing.assert_close(data.mean, data.images.double().div(255).mean(0).float(), atol=0, rtol=1e-6)
    usual = prepare(dataset, Images(held_out=10), CPU)
    assert torch.equal(usual.images, data.images)
    assert torch.equal(usual.test_images, dataset.test_images)
