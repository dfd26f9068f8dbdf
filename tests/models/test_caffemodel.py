"""Caffe's files, written by the rules of protobuf's wire format, and read back."""

from __future__ import annotations

import contextlib
import struct
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from caffe_files import BLOCKS, blob, caffemodel, field, layer, varint
from hypothesis import example, given, settings
from hypothesis import strategies as st
from torch import nn

from repro.errors import RecordError
from repro.models import form
from repro.models.caffemodel import read_caffemodel
from repro.models.form import FORMS
from repro.models.public import load_weights
from repro.models.weights import networks, read

FILE = Path("folder") / "ResNet-50-model.caffemodel"


@pytest.fixture
def narrow(monkeypatch):
    """Networks of few filters."""
    monkeypatch.setattr(form, "Model", partial(form.Model, width=3))

    def build(network: str, seed: int = 0) -> nn.Module:
        net = FORMS["caffe"].build(network, classes=7)
        generator = torch.Generator().manual_seed(seed)
        with torch.no_grad():
            for key, value in net.state_dict().items():
                if value.ndim:
                    value.uniform_(0.5, 1.5, generator=generator)
                if not key.endswith("running_var") and value.ndim:
                    value -= 1
        return net.eval()

    return build


@pytest.mark.parametrize("old", [False, True], ids=["layer", "V1 layers"])
@pytest.mark.parametrize("depth", BLOCKS)
def test_the_authors_networks_are_read_back(narrow, depth, old):
    net = narrow(f"resnet-{depth}-B")
    found = read_caffemodel(FILE, caffemodel(net, depth, old=old))
    expected = {key: value for key, value in net.state_dict().items() if not key.endswith("num_batches_tracked")}
    assert sorted(found) == sorted(expected)
    for key, value in expected.items():
        torch.testing.assert_close(found[key], value, rtol=1e-5, atol=1e-6)


def test_the_bias_of_conv1_changes_no_output(narrow):
    """The authors' ResNet-50 has one, which Caffe adds before it normalises."""
    theirs, ours = narrow("resnet-50"), narrow("resnet-50", seed=1)
    theirs.conv1.bias = nn.Parameter(torch.linspace(-4, 5, 3))
    read_back = {"state": read_caffemodel(FILE, caffemodel(theirs, 50))}
    load_weights(ours, networks(read_back), "resnet-50")
    x = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        torch.testing.assert_close(ours.bn1(ours.conv1(x)), theirs.bn1(theirs.conv1(x)), rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(ours(x), theirs(x), rtol=1e-4, atol=1e-4)


def test_a_factor_of_zero_is_statistics_of_zero():
    """As Caffe has it for statistics of nothing."""
    content = layer("bn2a_branch1", torch.ones(3), torch.ones(3), torch.zeros(1))
    found = read_caffemodel(FILE, content)
    assert all(torch.equal(value, torch.zeros(3)) for value in found.values()) and len(found) == 2


def test_a_blob_may_be_in_several_pieces():
    """A packed field "may be split": its pieces follow one another; and numbers may come unpacked."""
    pieces = field(5, struct.pack("<2f", 1, 2)) + varint(8 * 5 + 5) + struct.pack("<f", 3)
    blobs = [field(7, field(1, varint(3))) + pieces, blob(torch.zeros(3))]
    content = field(100, field(1, b"scale_conv1") + b"".join(field(7, one) for one in blobs))
    assert read_caffemodel(FILE, content)["bn1.weight"].tolist() == [1, 2, 3]


W, B = torch.ones(3, 3, 7, 7), torch.ones(3)
#: What each has and what the message has to name.
REFUSED = {
    "another network": (layer("conv1_1", W, B), "conv1_1"),
    "a name with a line": (layer("a\nb\x1b[2J", W), "conv1"),
    "a batch norm with one blob": (layer("bn_conv1", B), "bn_conv1"),
    "a bias within a block": (layer("res2a_branch2a", W, B), "res2a_branch2a"),
    "fewer numbers than its shape": (
        field(100, field(1, b"conv1") + field(7, field(7, field(1, varint(4))) + field(5, b"\0" * 12))), "12 bytes"
    ),
    "many dimensions": (field(100, field(1, b"conv1") + field(7, field(7, field(1, b"\1" * 9_999)))), "conv1"),
    "a number without end": (b"\xff" * 20, "ten bytes"),
    "a million fields": (field(3, 0) * 1_000_000, "fields"),
    "a page": (b"<!DOCTYPE html><html><body>Sign in</body></html>", "caffemodel"),
}  # fmt: skip


@pytest.mark.parametrize("what", REFUSED)
def test_what_is_no_network_of_the_authors_is_told_in_a_line(what):
    content, named = REFUSED[what]
    with pytest.raises(RecordError) as caught:
        read_caffemodel(FILE, content)
    text = str(caught.value)
    assert text.startswith(f"{FILE}: ") and named in text and text.isprintable() and len(text) < 300


SHORT = (
    field(1, b"ResNet-50")
    + layer("conv1", torch.ones(2, 3, 1, 1), torch.ones(2))
    + layer("bn_conv1", torch.ones(2), torch.ones(2), torch.ones(1))
    + layer("scale_conv1", torch.ones(2), torch.ones(2), old=True)
    + layer("fc1000", torch.ones(2, 2), torch.ones(2))
)


def loads(content: bytes) -> None:
    net = nn.Module()
    net.conv1, net.bn1, net.fc = nn.Conv2d(3, 2, 1, bias=False), nn.BatchNorm2d(2), nn.Linear(2, 2)
    try:
        load_weights(net, networks(read_caffemodel(FILE, content)), "resnet-50")
    except RecordError as error:
        assert str(error).isprintable()
        raise


@settings(max_examples=100)
@given(st.integers(0, len(SHORT)), st.integers(0, 8), st.binary(max_size=12))
@example(len(SHORT), 0, field(100, b""))
def test_a_damaged_file_is_read_or_told_in_a_line(start, dropped, inserted):
    loads(SHORT)
    with contextlib.suppress(RecordError):
        loads(SHORT[:start] + inserted + SHORT[start + dropped :])


def test_a_file_of_luas_torch_is_refused_with_the_reason(tmp_path):
    """Its first object: number 4 (an object), index 1, version "V 1", class nn.Sequential."""
    file = tmp_path / "resnet-50.t7"
    lengths = [np.int32(value).tobytes() for value in (4, 1, 3, 13)]
    file.write_bytes(b"".join(lengths[:3]) + b"V 1" + lengths[3] + b"nn.Sequential" + bytes(100))
    with pytest.raises(RecordError, match=r"Torch.*batch normalisation.*torchvision"):
        read(file)
