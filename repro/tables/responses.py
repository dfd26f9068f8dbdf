"""Figure 7 as numbers: the mean over layers of the responses' standard deviation, per net."""

from __future__ import annotations

import pandas as pd

from repro import paper
from repro.figures import figure7
from repro.figures.chart import shown
from repro.figures.groups import Group, narrow, sources
from repro.records import Records
from repro.tables.table import Cell, Table


def table(records: Records, group: Group) -> Table:
    """The paper's readings and the means of each source, over layers and then over seeds, in each mode.

    Args:
        records: of the group.
    """
    every = sources(records)
    means = {source: _by_seed(narrow(records, source=source)) for source in every}
    tidy, rows = [], []
    for network in figure7.NETWORKS:
        read = _reading(network)
        cells: list[Cell] = [shown(network), f"{read} †"]
        for source in every:
            mine = means[source][means[source]["network"] == network]
            for mode, words in figure7.MODES.items():
                values = mine[mode].dropna()
                cells.append(_in_words(values) if len(values) else "not measured" if len(mine) else "not run")
                of = {"network": network, "paper": read, "source": source, "mode": words}
                tidy.append({**of, "mean": values.mean(), "std": values.std(), "n": len(values)})
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


def _by_seed(records: Records) -> pd.DataFrame:
    """Network, folder, and in each mode a run's mean over its layers; NaN where it was not measured."""
    rows = figure7.measured(records)
    return rows.groupby(["network", "folder"], observed=True, as_index=False)[list(figure7.MODES)].mean()


def _in_words(values: pd.Series) -> str:
    spread = f" ± {values.std():.2f}" if len(values) > 1 else ""
    return f"{values.mean():.2f}{spread} (n = {len(values)})"


def _reading(network: str) -> float:
    read = paper.responses()
    return float(read[(read["network"] == network) & read["layer"].isna()]["value"].iloc[0])
