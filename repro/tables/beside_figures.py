"""Figures 6 and 7 as numbers: where the curves end, and the mean over layers of the responses."""

from __future__ import annotations

import math
from typing import Any

import pandas as pd

from repro import paper
from repro.claims.evidence import RESPONSES, Evidence
from repro.ends import ERRORS, ends, reading
from repro.groups import Group, shown, sources
from repro.records import Records
from repro.tables.compare import mean_and_std
from repro.tables.table import Table, made

_OTHER = "The paper's are of other images or another schedule: not comparable."


def curve_ends(records: Records, group: Group) -> Table:
    """A row per network of Figure 6; of curves that end early it says where, as they may end before a step of the
    learning rate that others have behind them.

    Args:
        records: of the group.
    """
    networks = tuple(dict.fromkeys(paper.readings(6)["network"]))
    of = {(end["source"], end["network"]): end for end in ends(records, networks).to_dict("records")}
    rows, columns = [[shown(network)] for network in networks], ["network"]
    for error, said in ERRORS.items():
        columns += [f"{said}: {of_whom}" for of_whom in ("paper", *sources(records))]
        for row, network in zip(rows, networks, strict=True):
            row.append(reading(network, error)[0])
            row += [_cell(of.get((source, network)), error) for source in sources(records)]
    early = [f"{end['source']}, {shown(end['network'])}: {end['note']}." for end in of.values() if end["note"]]
    notes = [
        "Percent. Paper: read from its Figure 6 to about 0.1; bounds are from its text and captions, that of plain-110 "
        "without saying of which error. Ours: training error over the last evaluation interval and the last test "
        "error, means over seeds.",
        *([] if group.comparable else [_OTHER]),
        *(["Curves that end early: " + " ".join(early)] if early else []),
    ]
    return made("curve-ends", "Where the curves end", columns, rows, notes=notes)


def _cell(end: dict[Any, Any] | None, column: str) -> str:
    if end is None or not math.isfinite(end[column]):
        return ""
    return f"{end[column]:.2f}" + (f" (at {end[f'{column}_at']:,.0f})" if end["note"] else "")


def mean_responses(records: Records, group: Group) -> Table:
    """The paper's readings and the means of each source, over layers and then over seeds, in each mode.

    Args:
        records: of the group.
    """
    every = [Evidence(records, source=name, data=group.data, preset=group.preset) for name in sources(records)]
    read = paper.responses()
    rows = []
    for network, value in read[read["layer"].isna()][["network", "value"]].itertuples(index=False):
        cells = [shown(network), f"{value} †"]
        for evidence in every:
            absent = "not measured" if evidence.runs(network) else "not run"
            for measure in RESPONSES:
                values = pd.Series([run.value(measure) for run in evidence.runs(network, measure)], dtype=float)
                cells.append(mean_and_std(values) if len(values) else absent)
        rows.append(cells)
    notes = [
        "† Read from the paper's Figure 7, to about 0.1. The paper does not say in which mode it measured.",
        "Ours: mean ± standard deviation over n seeds of each run's mean over its layers.",
        *([] if group.comparable else [_OTHER]),
    ]
    modes = [f"{evidence.source}, {mode} mode" for evidence in every for mode in ("evaluation", "training")]
    title = "Mean over layers of the standard deviation of responses"
    return made("mean-responses", title, ["network", "paper", *modes], rows, notes=notes)
