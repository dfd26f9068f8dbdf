"""The exact command that repeats a run."""

from __future__ import annotations

import shlex
from dataclasses import replace
from functools import cache

from repro import study as studies
from repro.errors import UserError
from repro.records.record import Numerics
from repro.spec import Run


def repeat(run: Run, numerics: Numerics) -> str | None:
    """What to type to train a run again, to the same bits on like machines; None where no study plans its network.

    CIFAR-10 is found by --data-dir, for which the command has DIR.

    Args:
        numerics: device, precision, threads and ranks, as recorded.
    """
    name = _study_of(replace(run, seed=0))
    if name is None:
        return None
    words = ["torchrun", "--nproc-per-node", str(numerics.ranks)] if numerics.ranks > 1 else ["python"]
    words += ["-m", "repro.run", name, "--preset", run.preset]
    words += studies.data_words(run.preset, run.data)
    words += ["--only", run.network, "--seeds", str(run.seed)]
    for key, value in studies.settings_of(run).items():
        words += ["--set", f"{key}={_text(value)}"]
    for key in ("device", "precision", "threads"):
        if (value := getattr(numerics, key)) is not None:
            words += [f"--{key}", str(value)]
    return shlex.join(words)


@cache
def _study_of(run: Run) -> str | None:
    """The study that plans a run and the fewest others, if it is asked for this network and these settings."""
    plans = {name: _plan(run, name) for name in studies.names()}
    found = [name for name, plan in plans.items() if run in plan]
    return min(found, key=lambda name: len(plans[name]), default=None)


def _plan(run: Run, name: str) -> list[Run]:
    try:
        study = _study(name, run.preset)
        if run.network not in study.networks:
            return []
        return study.runs(
            run.preset, seeds=[run.seed], only=[run.network], settings=studies.settings_of(run), data=run.data
        )
    except UserError:
        return []


@cache
def _study(name: str, preset: str) -> studies.Study:
    return studies.load(name).for_preset(preset)


def _text(value: object) -> str:
    """A value as TOML has it."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return f"[{', '.join(str(item) for item in value)}]"
    return str(value)
