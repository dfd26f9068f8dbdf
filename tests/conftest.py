"""What all tests share. That this file is here also lets them say `import planted`."""

from __future__ import annotations

import pytest
from planted import plant_paper_like

from repro.records import Records, Source, collect


@pytest.fixture(scope="session")
def paper_like(tmp_path_factory: pytest.TempPathFactory) -> Records:
    """Records of a project that found exactly what the paper did: source "planted", data cifar10, preset paper."""
    return collect([Source("planted", plant_paper_like(tmp_path_factory.mktemp("paper-like")))])
