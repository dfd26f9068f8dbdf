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
    """The paper's readings and the means of each source, over layers and seeds, in each mode.

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
            for mode, words in figure7.MODES.items():
                seeds = int(mine[f"n_{mode}"].max()) if len(mine) else 0
                value = float(mine[mode].mean()) if seeds else math.nan
                cells.append(f"{value:.2f} (n = {seeds})" if seeds else "not run" if not len(mine) else "not measured")
                tidy.append(
                    {"network": network, "paper": read, "source": source, "mode": words, "mean": value, "n": seeds}
                )
        rows.append(tuple(cells))
    return Table(
        name="mean-responses",
        title="Mean over layers of the standard deviation of responses",
        frame=pd.DataFrame(tidy, columns=["network", "paper", "source", "mode", "mean", "n"]),
        columns=("network", "paper", *(f"{source}, {mode}" for source in every for mode in figure7.MODES.values())),
        rows=tuple(rows),
        numeric=frozenset(range(1, 2 + 2 * len(every))),
        notes=("† Read from the paper's Figure 7, to about 0.1. The paper does not say in which mode it measured.",)
        + (() if group.comparable else ("Other data or another schedule than the paper's: not comparable.",)),
    )


def _reading(network: str) -> float:
    read = paper.responses()
    return float(read[(read["network"] == network) & read["layer"].isna()]["value"].iloc[0])
