"""Figure 7 as numbers: the mean over layers of the responses' standard deviation, per net."""

from __future__ import annotations

import pandas as pd

from repro import paper
from repro.claims.evidence import RESPONSES, Evidence
from repro.groups import Group, shown, sources
from repro.records import Records
from repro.tables.table import Table, made
from repro.tables.table6 import mean_and_std

_MODES = ("evaluation mode", "training mode")


def table(records: Records, group: Group) -> Table:
    """The paper's readings and the means of each source, over layers and then over seeds, in each mode.

    Args:
        records: of the group.
    """
    every = sources(records)
    of = {name: Evidence(records, source=name, data=group.data, preset=group.preset) for name in every}
    read = paper.responses()
    rows = []
    for network, value in read[read["layer"].isna()][["network", "value"]].itertuples(index=False):
        cells = [shown(network), f"{value} †"]
        for source in every:
            absent = "not measured" if of[source].runs(network) else "not run"
            for measure in RESPONSES:
                values = pd.Series([run.value(measure) for run in of[source].runs(network, measure)], dtype=float)
                cells.append(mean_and_std(values) if len(values) else absent)
        rows.append(cells)
    notes = [
        "† Read from the paper's Figure 7, to about 0.1. The paper does not say in which mode it measured.",
        "Ours: mean ± standard deviation over n seeds of each run's mean over its layers.",
        *([] if group.comparable else ["Other data or another schedule than the paper's: not comparable."]),
    ]
    columns = ["network", "paper", *(f"{source}, {mode}" for source in every for mode in _MODES)]
    return made("mean-responses", "Mean over layers of the standard deviation of responses", columns, rows, notes=notes)
