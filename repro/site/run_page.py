"""The page of one run: its curves and results, the command that repeats it, and its record."""

from __future__ import annotations

import json
import math
import shlex
from typing import Any

import pandas as pd

from repro import repeat
from repro.figures import one_run
from repro.groups import name_of
from repro.records import Record
from repro.site import protocol
from repro.tables.runs import duration, percent

#: What the page shows elsewhere, or is no reading.
_NOT_SHOWN = ("error", "traceback", "final", "wrong_test_images")


def page(run: pd.Series, record: Record, curve: pd.DataFrame, responses: pd.DataFrame, bits: str) -> dict[str, Any]:
    """What the template of a run's page needs.

    Args:
        run: a row of `Records.runs`.
        record: its record.
        curve, responses: the rows of its curve and of its responses.
        bits: whether they are those of the reference's run, in words; may be empty.
    """
    shown = {key: value for key, value in record.to_dict().items() if key not in _NOT_SHOWN}
    return {
        "name": name_of(run),
        "source": run["source"],
        "lead": f"{_ended(run)} Source {run['source']}: {run['folder']}.",
        "error": "\n".join(filter(None, (record.error, record.traceback))),
        "results": {name: said for name, said in {**_results(run, record), "bits": bits}.items() if said},
        "drawing": one_run.draw(run, curve, responses),
        "deviations": protocol.departures(run),
        "foreign": record.status == "foreign",
        "command": _command(record),
        "record": json.dumps(shown, indent=1, ensure_ascii=False),
    }


def _command(record: Record) -> str:
    words = None if record.status == "foreign" else repeat.words(record.spec, record.numerics)
    if words is None:
        return ""
    ranks = record.numerics.ranks
    start = ["torchrun", "--nproc-per-node", str(ranks)] if ranks > 1 else ["python"]
    return shlex.join([*start, "-m", "repro.run", *words])


def _ended(run: pd.Series) -> str:
    reached = f"{run['iteration']:,} of {run['iterations']:,} iterations"
    return {
        "complete": f"Complete, {run['iterations']:,} iterations.",
        "diverged": f"Diverged after {reached}: its loss was no longer finite.",
        "failed": f"Failed after {reached}.",
        "stopped": f"Stopped after {reached}; the same command carries it on.",
        "running": f"Running, or killed, after {reached}.",
        "foreign": f"Foreign: curves of another program, {reached}.",
    }[run["status"]]


def _results(run: pd.Series, record: Record) -> dict[str, str]:
    return {
        "training error, last evaluation interval": _percent(run["train_error"]),
        "test error, final iterate": _percent(run["test_error"]),
        "training error in evaluation mode, without augmentation": _percent(run["clean_train_error"]),
        "warm-up ended after iteration": f"{record.warm_up_ended:,}" if record.warm_up_ended else "",
        "time in training": duration(run["seconds"]),
    }


def _percent(value: float) -> str:
    return f"{percent(value)} %" if math.isfinite(value) else ""
