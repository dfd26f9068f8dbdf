"""Tests that only a GPU decides. Without one they are skipped in one line, which REPRO_NEED_GPU=1 makes a failure.

REPRO_GPU_TESTS_ON=cpu tries what can be tried of the tests themselves.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from on_device import DEVICE

if DEVICE is None:
    collect_ignore_glob = ["test_[!h]*.py"]  # all but test_here.py


def pytest_collection_modifyitems(items):
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.gpu)
            if DEVICE != "cuda" and "cuda" in item.fixturenames:
                item.add_marker(pytest.mark.skip(reason="of CUDA alone"))


@pytest.fixture
def cuda():
    """Asked for by tests that mean nothing on other devices."""
