"""The page of one run: its curves and results, the command that repeats it, and its record."""

from __future__ import annotations

import json
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
    """What the template needs of a run: a row of `Records.runs`, the rows of its curve and responses, and in words
    whether its bits are those of the reference's run.
    """
    shown = {key: value for key, value in record.to_dict().items() if key not in _NOT_SHOWN}
    of_training, of_test = "last evaluation interval", "final iterate"
    if record.status == "foreign":
        of_training = of_test = "last value"
    results = {
        f"training error (%), {of_training}": percent(run["train_error"]),
        f"test error (%), {of_test}": percent(run["test_error"]),
        "training error (%) in evaluation mode, without augmentation": percent(run["clean_train_error"]),
        "warm-up ended after iteration": f"{record.warm_up_ended:,}" if record.warm_up_ended else "",
        "time in training": duration(run["seconds"]),
        "bits": bits,
    }
    return {
        "name": name_of(run),
        "source": run["source"],
        "lead": f"{run['status'].capitalize()}, {run['iteration']:,} of {run['iterations']:,} iterations. "
        f"Source {run['source']}: {run['folder']}.",
        "error": "\n".join(filter(None, (record.error, record.traceback))),
        "results": {name: said for name, said in results.items() if said},
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
