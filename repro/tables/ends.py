"""Where the curves of Figure 6 end: training and test error, the paper's as read from it and ours."""

from __future__ import annotations

import math

import pandas as pd

from repro import paper
from repro.figures import figure6
from repro.figures.chart import shown
from repro.figures.curves import ERRORS, NetworkCurve, network_curves
from repro.figures.groups import Group, narrow, sources
from repro.records import Records
from repro.tables.table import Cell, Table


def table(records: Records, group: Group) -> Table:
    """A row per network of Figure 6; of curves that end early it says where, as they may end before a step of the
    learning rate that others have behind them.

    Args:
        records: of the group.
    """
    every = {source: _curves(narrow(records, source=source)) for source in sources(records)}
    tidy, rows = [], []
    for network in figure6.NETWORKS:
        cells: list[Cell] = [shown(network)]
        for column in ERRORS:
            printed, value = reading(network, column)
            cells.append(printed)
            for source, curves in every.items():
                curve = curves.get(network)
                end = curve.end(column) if curve else math.nan
                cells.append(_cell(curve, end) if curve and math.isfinite(end) else "")
                tidy.append(
                    {
                        "network": network,
                        "quantity": column,
                        "paper": value,
                        "source": source,
                        "ours": end,
                        "seeds": len(curve.seeds) if curve else 0,
                        "note": curve.note if curve else "not run",
                    }
                )
        rows.append(tuple(cells))
    columns = ["network"]
    for said in ERRORS.values():
        columns += [f"{said}: paper", *every] if len(every) else [f"{said}: paper"]
    early = [f"{source}, {shown(name)}: {c.note}." for source, cs in every.items() for name, c in cs.items() if c.note]
    notes = [
        "Percent. Paper: read from its Figure 6 to about 0.1; bounds are from its text and captions, that of plain-110 "
        "without saying of which error. Ours: the last drawn point, the mean over seeds. Claims and the table of runs "
        "take the training error over a whole evaluation interval, which is longer.",
        *(["The paper's are of other images or another schedule: not comparable."] if not group.comparable else []),
        *(["Curves that end early: " + " ".join(early)] if early else []),
    ]
    return Table(
        name="curve-ends",
        title="Where the curves end",
        frame=pd.DataFrame(tidy),
        columns=tuple(columns),
        rows=tuple(rows),
        numeric=frozenset(range(1, len(columns))),
        notes=tuple(notes),
    )


def _cell(curve: NetworkCurve, end: float) -> str:
    return f"{end:.2f} (at {int(curve.mean['iteration'].max()):,})" if curve.note else f"{end:.2f}"


def _curves(records: Records) -> dict[str, NetworkCurve]:
    return {curve.network: curve for curve in network_curves(records.runs, records.curves, figure6.NETWORKS)}


def reading(network: str, column: str) -> tuple[str, float]:
    """The paper's end point of a curve as a text, empty where it drew none, and as a number where it is no bound.

    Args:
        column: train_error or test_error.
    """
    read = paper.readings(6)
    found = read[(read["network"] == network) & (read["quantity"] == column)]
    if not len(found):
        return "", math.nan
    item = found.iloc[0]
    value = float(item["value"])
    if math.isfinite(value):
        return f"{value:g}", value
    return (f"< {item['high']:g}" if item["low"] == 0 else f"> {item['low']:g}"), math.nan
