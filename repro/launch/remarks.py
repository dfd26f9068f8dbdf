"""What a plan's runs have to be told of before they train: where bits, or code, are others than those on record."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path

import torch

from repro.errors import RecordError, counted
from repro.models import build
from repro.models.source import source_hash
from repro.names import Family
from repro.places import reference
from repro.records import RunFolder
from repro.spec import Model, Run


def other_bits(plan: Sequence[Run], device: str, threads: int) -> str | None:
    """That the reference ran this plan, on such a device, with other numbers of threads, by which bits differ."""
    theirs = set()
    for run in plan:
        with suppress(RecordError):
            record = RunFolder(reference(), run).read()
            if record and record.numerics.device == device and record.numerics.threads:
                theirs.add(record.numerics.threads)
    if not (theirs := theirs - {threads}):
        return None
    others = " or ".join(map(str, sorted(theirs)))
    return f"{counted(threads, 'thread')}: other bits than the reference's {others} (--threads {others})"


def other_source(done: Sequence[Run], results: Path) -> str | None:
    """That networks of complete runs have other source code by now than when they were trained; which."""
    changed = []
    for run in done:
        record = RunFolder(results, run).read()
        if record and record.network_sha256 not in (None, _source_now(run.network, run.family, run.model)):
            changed.append(str(run.path))
    if not changed:
        return None
    return f"the code of their networks has changed since: {', '.join(changed)} (remove a folder to train it anew)"


@cache
def _source_now(network: str, family: Family, model: Model) -> str | None:
    with torch.device("meta"):
        net = build(network, family=family, **vars(model))
    return source_hash(net)
