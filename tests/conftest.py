"""What all tests share. That this file is here also lets them say `import planted`."""

from __future__ import annotations

import codecs
import json
import os
import signal
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path

import pytest
from filelock import FileLock
from hypothesis import settings
from planted import HOSTILE, plant, plant_paper_like

from repro import places, report
from repro.records import Records, Source, collect

# Side by side each process keeps to a core of its own, with all that it starts: two that share their cores wait for
# each other's threads many times longer than they compute.
if (worker := os.environ.get("PYTEST_XDIST_WORKER")) and hasattr(os, "sched_setaffinity"):
    cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {cores[int(worker.removeprefix("gw")) % len(cores)]})


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """Two for each core: many tests wait for processes that they started."""
    return 2 * len(os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else range(os.cpu_count() or 1))


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


@pytest.fixture(scope="session")
def whole_report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report with pages, which many tests read, made once for all processes that run tests."""
    root = tmp_path_factory.getbasetemp()
    root = (root.parent if "PYTEST_XDIST_WORKER" in os.environ else root) / "report"
    with FileLock(root.with_suffix(".lock")):
        if not (root / "whole").exists():
            _make_report(root)
            (root / "whole").touch()
    return root / "out"


def _make_report(root: Path) -> None:
    """Three groups, two sources, runs that ended in every way, markup."""
    yours, theirs = root / "yours", root / "theirs"
    plant_paper_like(yours)
    short = {"data": "cifar10-jpeg"}
    for network, train, test in (("plain-20", 16.0, 18.0), ("plain-56", 30.0, 32.0), ("resnet-20", 15.0, 17.0)):
        plant(yours, network, train_end=train, test_end=test, **short)
    plant(theirs, "plain-20", train_end=16.0, test_end=18.5, **short)
    demo = {"data": "digits", "preset": "demo"}
    plant(yours, "plain-20", **demo)
    plant(yours, "resnet-20", **demo, settings={"optimiser.nesterov": True})
    plant(theirs, "resnet-110", **demo, status="diverged", extra={"error": HOSTILE})
    plant(
        theirs, "resnet-32", **demo, status="failed", extra={"traceback": HOSTILE, "environment": {"commit": HOSTILE}}
    )
    plant(theirs, "resnet-44", **demo, status="stopped", extra={"sessions": [{"how": HOSTILE}], "hash": HOSTILE})
    broken = theirs / HOSTILE.replace("/", "")
    broken.mkdir()
    (broken / "run.json").write_text("{")
    odd = json.loads((theirs / "digits/demo/resnet-44/seed-0/run.json").read_text())
    odd["spec"] |= {"variant": HOSTILE, "preset": "../../" + HOSTILE, "data": HOSTILE}
    (theirs / "odd").mkdir()
    (theirs / "odd" / "run.json").write_text(json.dumps(odd))
    assert report.main(["--results", str(yours), "--results", f"second={theirs}", "--out", str(root / "out")]) == 0


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
    # Folders of pytest are its user's alone. They stay open: tests in other processes have those above in common.
    for folder in (tmp_path, *(path for path in tmp_path.parents if Path(tempfile.gettempdir()) in path.parents)):
        folder.chmod(folder.stat().st_mode | 0o055)
    codecs.lookup("cp437")  # which zip archives need: Python itself may lie where others may not read

    @contextmanager
    def nobody() -> Iterator[None]:
        os.seteuid(65534)
        try:
            yield
        finally:
            os.seteuid(0)

    yield nobody
