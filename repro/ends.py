"""Where training ended: the one definition of a network's final errors that figures and tables share."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pandas as pd

from repro import paper
from repro.groups import ENDED, group_of, sources
from repro.records import Records

ERRORS = {"train_error": "training error", "test_error": "test error"}


def ends(records: Records, networks: Iterable[str]) -> pd.DataFrame:
    """Where the runs of some networks end, a row per source and network, in that order; without variants.

    The errors are means over the runs that ended; where none has, over those that came farthest.

    Returns:
        source, network, depth; train_error (percent, mean over the last evaluation interval, as in run.json's `final`)
        and test_error (the last measured one), NaN where there is none; train_error_at and test_error_at, the
        iterations that these are of; iteration, where they end; seeds, how many are in the mean; note, why they end
        early, or ""; folders of those runs.

    Raises:
        ValueError: the records are of several data sets or presets.
    """
    group_of(records.runs)
    curves = dict(list(records.curves.groupby(["source", "folder"])))
    runs = records.runs[records.runs["variant"] == ""]
    runs = runs[np.array([key in curves for key in zip(runs["source"], runs["folder"], strict=True)], dtype=bool)]
    rows = []
    for source in sources(records):
        for network in networks:
            mine = runs[(runs["source"] == source) & (runs["network"] == network)].sort_values(["seed", "folder"])
            if len(mine):
                rows.append(_end(mine, curves))
    ends = [*ERRORS, *(f"{column}_at" for column in ERRORS)]
    columns = ["source", "network", "depth", *ends, "iteration", "seeds", "note", "folders"]
    return pd.DataFrame(rows, columns=columns)


def _end(runs: pd.DataFrame, curves: Mapping[Any, pd.DataFrame]) -> dict[Any, Any]:
    counted = runs[runs["status"].isin(ENDED)]
    note = ""
    if not len(counted):
        counted = runs[runs["iteration"] == runs["iteration"].max()]
        first = counted.iloc[0]
        how = {"diverged": "diverged", "failed": "failed", "running": "so far"}.get(first["status"], "stopped")
        note = f"incomplete: {how} at iteration {first['iteration']:,} of {first['iterations']:,}"
    errors = pd.DataFrame([_errors(run, curves[run["source"], run["folder"]]) for _, run in counted.iterrows()])
    return {
        **counted.iloc[0][["source", "network", "depth"]].to_dict(),
        **errors.mean().to_dict(),
        "iteration": int(counted["iteration"].max()),
        "seeds": len(counted),
        "note": note,
        "folders": tuple(counted["folder"]),
    }


def _errors(run: pd.Series, curve: pd.DataFrame) -> dict[str, float]:
    """A run's final errors and at which iteration they are; where it has not ended, of its last evaluation interval."""
    if run["status"] in ENDED:
        errors = {column: float(run[column]) for column in ERRORS}
        return errors | {f"{column}_at": float(run["iteration"]) for column in ERRORS}
    train, test = (curve[np.isfinite(curve[column])] for column in ("train_error", "test_error"))
    last = train["iteration"] > curve["iteration"].max() - run["run"].evaluate_every
    return {
        "train_error": float(train["train_error"][last].mean()),
        "train_error_at": float(train["iteration"].max()),
        "test_error": float(test["test_error"].iloc[-1]) if len(test) else math.nan,
        "test_error_at": float(test["iteration"].max()),
    }


def reading(network: str, column: str) -> tuple[str, float]:
    """The paper's end point of a curve as a text, empty where it drew none, and as a number where it is no bound.

    Args:
        column: train_error or test_error.
    """
    read = paper.readings(6)
    for item in read[(read["network"] == network) & (read["quantity"] == column)].to_dict("records"):
        if math.isfinite(item["value"]):
            return f"{item['value']:g}", float(item["value"])
        return (f"< {item['high']:g}" if item["low"] == 0 else f"> {item['low']:g}"), math.nan
    return "", math.nan
