"""Figure 7 as numbers: the mean over layers of the responses' standard deviation, per net."""

from __future__ import annotations

import pandas as pd

from repro import paper
from repro.claims.evidence import RESPONSES, Evidence
from repro.figures import figure7
from repro.figures.chart import shown
from repro.figures.groups import Group, sources
from repro.records import Records
from repro.tables.table import Cell, Table
from repro.tables.table6 import mean_and_std


def table(records: Records, group: Group) -> Table:
    """The paper's readings and the means of each source, over layers and then over seeds, in each mode.

    Args:
        records: of the group.
    """
    every = sources(records)
    of = {name: Evidence(records, source=name, data=group.data, preset=group.preset) for name in every}
    tidy, rows = [], []
    for network in figure7.NETWORKS:
        read = _reading(network)
        cells: list[Cell] = [shown(network), f"{read} †"]
        for source in every:
            for measure, mode in zip(RESPONSES, figure7.MODES.values(), strict=True):
                values = pd.Series([run.value(measure) for run in of[source].runs(network, measure)], dtype=float)
                absent = "not measured" if of[source].runs(network) else "not run"
                cells.append(mean_and_std(values) if len(values) else absent)
                row = {"network": network, "paper": read, "source": source, "mode": mode}
                tidy.append({**row, "mean": values.mean(), "std": values.std(), "n": len(values)})
        rows.append(tuple(cells))
    return Table(
        name="mean-responses",
        title="Mean over layers of the standard deviation of responses",
        frame=pd.DataFrame(tidy, columns=["network", "paper", "source", "mode", "mean", "std", "n"]),
        columns=("network", "paper", *(f"{source}, {mode}" for source in every for mode in figure7.MODES.values())),
        rows=tuple(rows),
        numeric=frozenset(range(1, 2 + 2 * len(every))),
        notes=(
            "† Read from the paper's Figure 7, to about 0.1. The paper does not say in which mode it measured.",
            "Ours: mean ± standard deviation over n seeds of each run's mean over its layers.",
        )
        + (() if group.comparable else ("Other data or another schedule than the paper's: not comparable.",)),
    )


def _reading(network: str) -> float:
    read = paper.responses()
    return float(read[(read["network"] == network) & read["layer"].isna()]["value"].iloc[0])
