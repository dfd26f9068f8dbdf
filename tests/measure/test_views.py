"""Views and errors, against torchvision's transforms and networks, and loops in float64."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from handmade import randomised
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from torch import nn
from torchvision.models import ResNet50_Weights
from torchvision.transforms import Resize, TenCrop

from repro.errors import RecordError
from repro.measure import views
from repro.measure.views import center, dense, error, places, probabilities, ten
from repro.models.form import FORMS
from repro.train.precision import Numerics

FP32 = Numerics("cpu", "fp32", 1)
THEIRS, AUTHORS = FORMS["torchvision"], FORMS["caffe"]
#: Height and width: wide, high, square, smaller than a view, of odd sizes, and already at the shorter side of 256.
SIZES = [(375, 500), (500, 333), (300, 300), (100, 141), (257, 301), (256, 400)]


def photograph(height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def small():
    """A resnet-18 of seven classes."""
    return randomised(THEIRS.build("resnet-18-B", classes=7)).float().eval()


@pytest.mark.parametrize("size", SIZES)
def test_center_is_that_of_torchvisions_preset_pixel_by_pixel(size):
    image = photograph(*size)
    (view,) = center(image)
    expected = ResNet50_Weights.IMAGENET1K_V1.transforms()(Image.fromarray(image))
    assert torch.equal(THEIRS.prepare(view[None])[0], expected)


@pytest.mark.parametrize("size", SIZES)
def test_ten_is_torchvisions_ten_crop(size):
    image = Image.fromarray(photograph(*size))
    expected = [np.asarray(view) for view in TenCrop(224)(Resize(256)(image))]
    found = [view.permute(1, 2, 0).numpy() for view in ten(np.asarray(image))]
    np.testing.assert_array_equal(found, expected)


def test_dense_is_the_whole_image_at_each_size_and_its_mirror_image():
    image = photograph(120, 90)
    found = [view.permute(1, 2, 0).numpy() for view in dense(image)]
    expected = []
    # torchvision drops what is left of a pixel: 224 x 120 / 90 is 298.67.
    for height, width in ((298, 224), (341, 256), (512, 384), (640, 480), (853, 640)):
        resized = np.asarray(Image.fromarray(image).resize((width, height), Image.Resampling.BILINEAR))
        expected += [resized, resized[:, ::-1]]
    assert [view.shape for view in found] == [view.shape for view in expected]
    assert all(np.array_equal(one, other) for one, other in zip(found, expected, strict=True))


def test_dense_averages_the_softmax_of_every_window_of_every_view(small):
    image = photograph(70, 100)
    exact = copy.deepcopy(small).double()
    weight, bias = exact.fc.weight.detach().numpy(), exact.fc.bias.detach().numpy()
    before_pooling = nn.Sequential(*list(exact.children())[:-2])
    of_views = []
    for view in dense(image, 64):
        with torch.no_grad():
            maps = before_pooling(THEIRS.prepare(view[None]).double())[0].numpy()
        windows = []
        for top in range(maps.shape[1] - 1):
            for left in range(maps.shape[2] - 1):
                logits = weight @ maps[:, top : top + 2, left : left + 2].mean((1, 2)) + bias
                windows.append(np.exp(logits) / np.exp(logits).sum())
        of_views.append(np.mean(windows, axis=0))
    found = probabilities([small], [dense(image, 64)], THEIRS, FP32, crop=64)
    assert np.std(of_views, axis=0).max() > 1e-3, "the views differ"
    np.testing.assert_allclose(found[0].numpy(), np.mean(of_views, axis=0), atol=1e-5)


def test_an_images_probabilities_do_not_depend_on_those_beside_it(small, monkeypatch):
    images = [dense(photograph(*size, seed), 64) for seed, size in enumerate(((64, 80), (80, 64), (64, 80)))]
    images.append(center(photograph(64, 64, 3), 64))
    alone = torch.cat([probabilities([small], [image], THEIRS, FP32, crop=64) for image in images])
    together = probabilities([small], images, THEIRS, FP32, crop=64)
    monkeypatch.setattr(views, "_PIXELS_AT_ONCE", 64 * 80)
    apart = probabilities([small], images, THEIRS, FP32, crop=64)
    torch.testing.assert_close(together, alone, rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(apart, alone, rtol=1e-4, atol=1e-6)
    assert (alone[0] - alone[2]).abs().max() > 1e-3


def test_networks_are_set_to_evaluation_mode(small):
    images = [center(photograph(80, 70), 64)]
    expected = probabilities([small], images, THEIRS, FP32, crop=64)
    assert torch.equal(probabilities([copy.deepcopy(small).train()], images, THEIRS, FP32, crop=64), expected)


@given(st.lists(st.lists(st.integers(0, 3), min_size=8, max_size=8), min_size=1, max_size=6), st.data())
def test_top_1_and_top_5_errors_are_those_of_a_stable_sort(rows, data):
    labels = data.draw(st.lists(st.integers(0, 7), min_size=len(rows), max_size=len(rows)))
    found = places(torch.tensor(rows) / 4, torch.tensor(labels))
    for top in (1, 5):
        best = [sorted(range(8), key=lambda label: (-row[label], label))[:top] for row in rows]
        wrong = sum(label not in those for label, those in zip(labels, best, strict=True))
        assert error(found, top) == pytest.approx(100 * wrong / len(rows))


def test_outputs_that_are_not_finite_are_no_errors_of_a_network():
    with pytest.raises(RecordError, match="fp32"):
        places(torch.tensor([[0.5, torch.nan]]), torch.tensor([0]))
