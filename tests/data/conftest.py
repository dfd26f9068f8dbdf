from __future__ import annotations

import pytest
import small_cifar


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """The small CIFAR-10 is the one that is expected."""
    small_cifar.shrink(monkeypatch)
    small_cifar.publish(monkeypatch)
