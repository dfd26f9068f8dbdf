"""Freed memory is kept on glibc, and nothing is done or broken elsewhere."""

import platform
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from repro.train import allocator

ROOT = Path(__file__).resolve().parents[2]

#: Allocate and free blocks of 4 MB as a step does its feature maps, and count the pages faulted in, block by block.
STEP = """
import ctypes, resource, sys
ctypes.CDLL(None).prctl(41, 1, 0, 0, 0)  # PR_SET_THP_DISABLE: a huge page would make one fault of 512
from repro.train.allocator import keep_memory
if sys.argv[1] == "kept":
    assert keep_memory() and keep_memory()
import numpy as np

def step():
    blocks = []
    for _ in range(20):
        blocks.append(np.empty(2**22, np.uint8))
        blocks[-1].fill(1)

for _ in range(3):
    step()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(5):
    step()
print((resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before) / 100)
"""


def glibc():
    return platform.system() == "Linux" and platform.libc_ver()[0] == "glibc"


def faults(how):
    command = [sys.executable, "-c", STEP, how]
    result = subprocess.run(command, cwd=ROOT, env={"PATH": ""}, capture_output=True, text=True, timeout=60, check=True)
    return float(result.stdout)


@pytest.mark.skipif(not glibc(), reason="only glibc takes these settings")
def test_a_step_finds_the_memory_of_the_one_before():
    # 4 MB are 1,024 pages of 4 kB, or 64 of 64 kB.
    assert faults("stock") > 30
    assert faults("kept") < 1


def test_with_another_c_library_or_system_nothing_is_done(monkeypatch):
    monkeypatch.setattr(allocator.platform, "system", lambda: "Linux")
    monkeypatch.setattr(allocator.ctypes, "CDLL", lambda _: SimpleNamespace())
    assert allocator.keep_memory() is False, "it has neither glibc's version nor its parameters"
    monkeypatch.setattr(allocator.platform, "system", lambda: "Darwin")
    monkeypatch.setattr(allocator.ctypes, "CDLL", lambda _: pytest.fail("called"))
    assert allocator.keep_memory() is False
