"""Figure 7 as numbers: the mean over layers of the responses' standard deviation, per net."""

from __future__ import annotations

import math

import pandas as pd

from repro import paper
from repro.figures import figure7
from repro.figures.chart import shown
from repro.figures.groups import Group, narrow, sources
from repro.records import Records
from repro.tables.table import Cell, Table


def table(records: Records, group: Group) -> Table:
    """The paper's readings and the means of each source, over layers and seeds.

    Args:
        records: of the group.
    """
    every = sources(records)
    means = {source: figure7.mean_responses(narrow(records, source=source)) for source in every}
    tidy, rows = [], []
    for network in figure7.NETWORKS:
        read = _reading(network)
        cells: list[Cell] = [shown(network), f"{read} †"]
        for source in every:
            mine = means[source][means[source]["network"] == network]
            value, seeds = (float(mine["std"].mean()), int(mine["seeds"].max())) if len(mine) else (math.nan, 0)
            cells.append(f"{value:.2f} (n = {seeds})" if seeds else "not run")
            tidy.append({"network": network, "paper": read, "source": source, "mean": value, "n": seeds})
        rows.append(tuple(cells))
    return Table(
        name="mean-responses",
        title="Mean over layers of the standard deviation of responses",
        frame=pd.DataFrame(tidy, columns=["network", "paper", "source", "mean", "n"]),
        columns=("network", "paper", *every),
        rows=tuple(rows),
        numeric=frozenset(range(1, 2 + len(every))),
        notes=("† Read from the paper's Figure 7, to about 0.1.",)
        + (() if group.comparable else ("Other data or another schedule than the paper's: not comparable.",)),
    )


def _reading(network: str) -> float:
    read = paper.responses()
    return float(read[(read["network"] == network) & read["layer"].isna()]["value"].iloc[0])
