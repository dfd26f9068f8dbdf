"""What complete runs have to be told of: where the code of their networks has changed since."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path

import torch

from repro.models import build
from repro.models.source import source_hash
from repro.names import Family
from repro.records import RunFolder
from repro.spec import Model, Run


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
