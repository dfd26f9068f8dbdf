"""What all tests share. That this file is here also lets them say `import planted`."""

from __future__ import annotations

import os
import signal
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path

import pytest
from hypothesis import settings
from planted import plant_paper_like

from repro import places
from repro.records import Records, Source, collect

# Nothing timed is asserted, not even by hypothesis: a busy machine is no failure.
settings.register_profile("unhurried", deadline=None)
settings.load_profile("unhurried")
# A shell that starts something in the background has it ignore Ctrl-C, and all that this starts ignores it too.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def paper_like(tmp_path_factory: pytest.TempPathFactory) -> Records:
    """Records of a project that found exactly what the paper did: source "planted", data cifar10, preset paper."""
    return collect([Source("planted", plant_paper_like(tmp_path_factory.mktemp("paper-like")))])


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working folder, from which the project's own records are not seen, as from an installed package."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(places, "PACKAGE", tmp_path / "site-packages" / "repro")
    return tmp_path


@pytest.fixture
def unprivileged(tmp_path: Path) -> Iterator[Callable[[], AbstractContextManager[None]]]:
    """A context in which permissions hold, for root as for everyone."""
    if os.geteuid() != 0:
        yield nullcontext
        return
    # Folders of pytest are its user's alone.
    ours = [folder for folder in tmp_path.parents if Path(tempfile.gettempdir()) in folder.parents]
    modes = {folder: folder.stat().st_mode for folder in (tmp_path, *ours)}

    @contextmanager
    def nobody() -> Iterator[None]:
        os.seteuid(65534)
        try:
            yield
        finally:
            os.seteuid(0)

    for folder, mode in modes.items():
        folder.chmod(mode | 0o055)
    yield nobody
    for folder, mode in modes.items():
        folder.chmod(mode)
