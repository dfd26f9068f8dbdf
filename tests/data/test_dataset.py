"""The names that --data takes, the folder they are read from, and the fingerprint of what was read."""

from __future__ import annotations

import dataclasses
import hashlib
import struct
import subprocess
import sys
from pathlib import Path

import pytest
import small_cifar
import torch

from repro import data
from repro.data.dataset import Dataset
from repro.errors import DataError, UserError


def tiny() -> Dataset:
    return Dataset(
        name="tiny",
        train_images=torch.arange(12, dtype=torch.uint8).reshape(2, 3, 1, 2),
        train_labels=torch.tensor([1, 0]),
        test_images=torch.full((1, 3, 1, 2), 255, dtype=torch.uint8),
        test_labels=torch.tensor([258]),
        classes=("a", "b"),
        pad=4,
        flip=True,
        source="nowhere",
    )


def test_fingerprint_is_the_hash_of_shapes_pixels_and_labels() -> None:
    by_hand = hashlib.sha256(
        b"(2, 3, 1, 2)"
        + bytes(range(12))
        + b"(2,)"
        + struct.pack("<qq", 1, 0)
        + b"(1, 3, 1, 2)"
        + b"\xff" * 6
        + b"(1,)"
        + struct.pack("<q", 258)
    )
    assert tiny().fingerprint == by_hand.hexdigest()
    strided = tiny().train_images.to(memory_format=torch.channels_last)
    assert not strided.is_contiguous()
    assert dataclasses.replace(tiny(), train_images=strided).fingerprint == by_hand.hexdigest()


def test_data_folder_is_the_argument_then_the_variable_then_data(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REPRO_DATA", "/elsewhere")
    monkeypatch.setenv("HOME", "/home/somebody")
    assert data.data_folder(Path("here")) == Path("here")
    assert data.data_folder(Path("~/images")) == Path("/home/somebody/images")
    assert data.data_folder(None) == Path("/elsewhere")
    monkeypatch.setenv("REPRO_DATA", "")
    assert data.data_folder(None) == Path("data")
    monkeypatch.delenv("REPRO_DATA")
    assert data.data_folder(None) == Path("data")


@pytest.mark.parametrize("call", [data.identify, data.load])
def test_an_unknown_name_gives_the_nearest(call, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="unknown data set 'cifar': did you mean 'cifar10'") as caught:
        call("cifar", tmp_path)
    assert caught.value.status == 2 and not isinstance(caught.value, DataError)
    with pytest.raises(UserError, match="did you mean 'cifar10-jpeg'"):
        call("cifar10-jpg", tmp_path)


def test_identify_imports_no_torch(tmp_path: Path) -> None:
    """So that a plan is made at once: torch alone takes seconds."""
    small_cifar.write_parquet(tmp_path, "jpeg")
    code = (
        "import sys; from pathlib import Path; from repro import data; "
        f"print(data.identify('cifar10', Path({str(tmp_path)!r})), data.identify('digits')); "
        "assert not {'torch', 'torchvision', 'sklearn'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "cifar10-jpeg digits\n"
