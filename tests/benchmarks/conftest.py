from __future__ import annotations

import bench_support
import pytest


@pytest.fixture(scope="session")
def cifar(tmp_path_factory):
    """A folder with what has the form and the size of CIFAR-10."""
    return bench_support.write_cifar(tmp_path_factory.mktemp("cifar"))
