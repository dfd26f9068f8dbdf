import os

import pytest
from on_device import DEVICE


def test_there_is_a_gpu():
    if DEVICE is None:
        (pytest.fail if os.environ.get("REPRO_NEED_GPU") else pytest.skip)("the tests of tests/gpu/ need a GPU")
