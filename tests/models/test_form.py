"""What the public networks take, against numpy and torchvision; Caffe's max pooling against a loop."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from repro.models.form import FORMS

PIXELS = np.random.default_rng(0).integers(0, 256, (2, 3, 5, 4), dtype=np.uint8)


def test_caffes_networks_take_blue_first_from_0_to_255_with_the_mean_taken_off():
    prepared = FORMS["caffe"].prepare(torch.from_numpy(PIXELS)).double().numpy()
    mean = {"red": 123.152, "green": 115.903, "blue": 103.063}
    for place, (channel, of_this) in enumerate(((2, mean["blue"]), (1, mean["green"]), (0, mean["red"]))):
        np.testing.assert_allclose(prepared[:, place], PIXELS[:, channel] - of_this, atol=1e-3)


@pytest.mark.parametrize("size", [3, 4, 7, 8, 56, 57])
def test_max_pooling_of_caffes_form_is_caffes(size):
    """pooling_layer.cpp: ceil((size - 3) / 2) + 1 windows from 0, 2, 4, ..., each cut off at the border."""
    with torch.device("meta"):
        pool = FORMS["caffe"].build("resnet-50").maxpool
    x = np.random.default_rng(size).normal(size=(size, size + 1))
    counts = [-(-(length - 3) // 2) + 1 for length in x.shape]
    expected = [[x[2 * i : 2 * i + 3, 2 * j : 2 * j + 3].max() for j in range(counts[1])] for i in range(counts[0])]
    np.testing.assert_array_equal(pool(torch.from_numpy(x)[None, None])[0, 0].numpy(), expected)


@pytest.mark.parametrize(("form", "strides"), [("caffe", (2, 1)), ("torchvision", (1, 2))])
def test_the_stride_of_a_bottleneck_is_on_the_layer_that_its_form_has_it_on(form, strides):
    with torch.device("meta"):
        block = FORMS[form].build("resnet-50").layer2[0]
    assert [block.conv1.stride, block.conv2.stride] == [(stride, stride) for stride in strides]
