from __future__ import annotations

import os

import pytest


@pytest.fixture(autouse=True)
def _unflushed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hundreds of planted runs need not survive a loss of power, and are written faster without."""
    monkeypatch.setattr(os, "fsync", lambda _: None)
