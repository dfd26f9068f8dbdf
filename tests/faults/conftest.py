"""What the tests of faults share: a study of two tiny runs, and its results when nothing goes wrong."""

from __future__ import annotations

from pathlib import Path

import commands
import pytest

from repro.run import main


@pytest.fixture(scope="session")
def study(tmp_path_factory: pytest.TempPathFactory) -> str:
    return commands.study(tmp_path_factory.mktemp("study"))


@pytest.fixture(scope="session")
def undisturbed(study: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    results = tmp_path_factory.mktemp("undisturbed")
    assert main(commands.arguments(study, results)) == 0
    return results
