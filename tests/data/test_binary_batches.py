"""The binary version of CIFAR-10: what is no batch is refused in a line."""

from __future__ import annotations

from pathlib import Path

import pytest
from small_cifar import shrink, write_binary

from repro.data import load
from repro.errors import DataError


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda path: path.unlink(), "No such file"),
        (lambda path: path.write_bytes(path.read_bytes()[:-1]), "its 12,291 bytes are no rows of 3,073"),
        (lambda path: path.write_bytes(b""), "its 0 bytes are no rows of 3,073"),
    ],
)
def test_a_damaged_batch_is_named(change, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shrink(monkeypatch)
    path = write_binary(tmp_path) / "data_batch_3.bin"
    change(path)
    with pytest.raises(DataError) as caught:
        load("cifar10", tmp_path)
    assert str(path) in str(caught.value) and said in str(caught.value) and "\n" not in str(caught.value)
