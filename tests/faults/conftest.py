"""What the tests of faults share: a study of two tiny runs, and its results when nothing goes wrong."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import commands
import pytest
from runs import trained, write_study

from repro.run import main


@pytest.fixture(scope="session")
def study(tmp_path_factory: pytest.TempPathFactory) -> str:
    return write_study(tmp_path_factory.mktemp("study"))


@pytest.fixture(scope="session")
def undisturbed(study: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    results = tmp_path_factory.mktemp("undisturbed")
    assert main(commands.arguments(study, results)) == 0
    return results


@pytest.fixture(scope="session")
def long(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    """One that is still under way when a signal arrives."""
    return trained(tmp_path_factory.mktemp("long"), 150)


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 4 MB of its own."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(place)]
    if sys.platform != "linux" or os.geteuid() != 0:
        pytest.skip("a file system of its own needs root on Linux")
    done = subprocess.run(mount, capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"mounting is not allowed here: {done.stderr.strip()}")
    yield place
    subprocess.run(["umount", "--lazy", str(place)], check=True)


@pytest.fixture
def read_only():
    """Make a folder one that may not be written to, by whoever runs this."""
    mounted, modes = [], {}

    def make(place):
        if os.geteuid() != 0:
            for path in (place, *(path for path in place.rglob("*") if path.is_dir())):
                modes[path] = path.stat().st_mode
                path.chmod(0o555)
            return
        for options in ("bind", "remount,bind,ro"):
            command = ["mount", "-o", options, str(place), str(place)]
            if sys.platform != "linux" or subprocess.run(command, capture_output=True).returncode:
                pytest.skip("root may write everywhere, and mounting is not allowed here")
            mounted.append(place)

    def undo():
        for path, mode in modes.items():
            path.chmod(mode)
        for place in dict.fromkeys(mounted):
            subprocess.run(["umount", "--lazy", str(place)], check=True)
        mounted.clear(), modes.clear()

    make.undo = undo
    yield make
    undo()
