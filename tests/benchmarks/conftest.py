from __future__ import annotations

import os
import time
from pathlib import Path

import bench_support
import pytest

from repro.train.precision import cores


@pytest.fixture(scope="session")
def cifar(tmp_path_factory):
    """A folder with what has the form and the size of CIFAR-10."""
    return bench_support.write_cifar(tmp_path_factory.mktemp("cifar"))


def pytest_configure(config):
    config.stash[BEGAN] = _times()


def pytest_benchmark_update_json(config, benchmarks, output_json):
    """Add which share of the processors others took meanwhile, so that a disturbed measurement can be told by it."""
    before, after = config.stash[BEGAN], _times()
    if before is None or after is None:
        return
    passed, busy, own = (b - a for a, b in zip(before, after, strict=True))
    output_json["others"] = max(0.0, busy - own) / (passed * cores())


BEGAN = pytest.StashKey()


def _times():
    """Seconds: the clock, all processors' at work for anybody, and those of this process and its ended children."""
    try:
        first = Path("/proc/stat").read_text().splitlines()[0].split()[1:9]
    except OSError:
        return None
    user, nice, system, _idle, _waiting, hardware, software, stolen = map(int, first)
    busy = (user + nice + system + hardware + software + stolen) / os.sysconf("SC_CLK_TCK")
    return time.monotonic(), busy, sum(os.times()[:4])
