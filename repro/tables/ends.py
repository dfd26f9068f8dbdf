"""Where the curves of Figure 6 end: training and test error, the paper's as read from it and ours."""

from __future__ import annotations

import math
from typing import Any

from repro import paper
from repro.ends import ERRORS, ends, reading
from repro.groups import Group, shown, sources
from repro.records import Records
from repro.tables.table import Table, made


def table(records: Records, group: Group) -> Table:
    """A row per network of Figure 6; of curves that end early it says where, as they may end before a step of the
    learning rate that others have behind them.

    Args:
        records: of the group.
    """
    networks = tuple(dict.fromkeys(paper.readings(6)["network"]))
    found = ends(records, networks)
    every = sources(records)
    of = {(end["source"], end["network"]): end for end in found.to_dict("records")}
    rows = []
    for network in networks:
        cells = [shown(network)]
        for column in ERRORS:
            cells += [reading(network, column)[0], *(_cell(of.get((source, network)), column) for source in every)]
        rows.append(cells)
    columns = ["network"]
    for said in ERRORS.values():
        columns += [f"{said}: paper", *(f"{said}: {source}" for source in every)]
    early = [f"{end['source']}, {shown(end['network'])}: {end['note']}." for end in of.values() if end["note"]]
    notes = [
        "Percent. Paper: read from its Figure 6 to about 0.1; bounds are from its text and captions, that of plain-110 "
        "without saying of which error. Ours: training error over the last evaluation interval and the last test "
        "error, means over seeds.",
        *(["The paper's are of other images or another schedule: not comparable."] if not group.comparable else []),
        *(["Curves that end early: " + " ".join(early)] if early else []),
    ]
    return made("curve-ends", "Where the curves end", columns, rows, notes=notes)


def _cell(end: dict[Any, Any] | None, column: str) -> str:
    if end is None or not math.isfinite(end[column]):
        return ""
    return f"{end[column]:.2f}" + (f" (at {end['iteration']:,})" if end["note"] else "")
