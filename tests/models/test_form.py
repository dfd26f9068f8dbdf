"""What the public networks take, against numpy and torchvision; Caffe's max pooling against a loop."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torchvision.models import ResNet18_Weights, ResNet50_Weights, ResNet152_Weights

from repro.errors import UserError
from repro.models.form import FORMS

PIXELS = np.random.default_rng(0).integers(0, 256, (2, 3, 5, 4), dtype=np.uint8)


def test_torchvisions_networks_take_what_torchvisions_presets_give():
    prepared = FORMS["torchvision"].prepare(torch.from_numpy(PIXELS)).double().numpy()
    for weights in (ResNet18_Weights.IMAGENET1K_V1, ResNet50_Weights.IMAGENET1K_V1, ResNet152_Weights.IMAGENET1K_V1):
        preset = weights.transforms()
        expected = PIXELS / 255
        for channel in range(3):
            expected[:, channel] = (expected[:, channel] - preset.mean[channel]) / preset.std[channel]
        np.testing.assert_allclose(prepared, expected, atol=1e-6)


def test_caffes_networks_take_blue_first_from_0_to_255_with_the_mean_taken_off():
    prepared = FORMS["caffe"].prepare(torch.from_numpy(PIXELS)).double().numpy()
    mean = {"red": 123.152, "green": 115.903, "blue": 103.063}
    for place, (channel, of_this) in enumerate(((2, mean["blue"]), (1, mean["green"]), (0, mean["red"]))):
        np.testing.assert_allclose(prepared[:, place], PIXELS[:, channel] - of_this, atol=1e-3)


def test_a_network_of_caffes_form_has_other_strides_and_pooling():
    with torch.device("meta"):
        theirs, authors = (FORMS[form].build("resnet-50", classes=7) for form in ("torchvision", "caffe"))
    assert (theirs.layer2[0].conv1.stride, theirs.layer2[0].conv2.stride) == ((1, 1), (2, 2))
    assert (authors.layer2[0].conv1.stride, authors.layer2[0].conv2.stride) == ((2, 2), (1, 1))
    assert (theirs.maxpool.padding, authors.maxpool.padding) == (1, 0)
    assert theirs.fc.out_features == authors.fc.out_features == 7


@pytest.mark.parametrize("size", [3, 4, 7, 8, 56, 57])
def test_max_pooling_of_caffes_form_is_caffes(size):
    """pooling_layer.cpp: ceil((size - 3) / 2) + 1 windows from 0, 2, 4, ..., each cut off at the border."""
    with torch.device("meta"):
        pool = FORMS["caffe"].build("resnet-50").maxpool
    x = np.random.default_rng(size).normal(size=(size, size + 1))
    counts = [-(-(length - 3) // 2) + 1 for length in x.shape]
    expected = [[x[2 * i : 2 * i + 3, 2 * j : 2 * j + 3].max() for j in range(counts[1])] for i in range(counts[0])]
    np.testing.assert_array_equal(pool(torch.from_numpy(x)[None, None])[0, 0].numpy(), expected)


def test_a_depth_that_table_1_lacks_is_refused():
    with pytest.raises(UserError, match=r"resnet-20.*resnet-18"):
        FORMS["caffe"].build("resnet-20")
