"""What may be drawn or tabled together: the runs of one source, on one data set, at one preset; and their names."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pandas as pd

from repro import names
from repro.data.table import DATA_SETS
from repro.records import Records

#: Runs that came to the end of what they were to do; a foreign curve is as long as its author made it.
ENDED = ("complete", "foreign")
#: Data sets and presets from the nearest to the paper to the farthest; others follow in alphabetical order.
_DATA = tuple(DATA_SETS)
_PRESETS = ("paper", "short", "demo")


@dataclass(frozen=True, order=True)
class Group:
    """A data set and a preset. Runs of two groups are never compared."""

    data: str
    preset: str

    @property
    def comparable(self) -> bool:
        """Whether the paper's CIFAR-10 numbers may stand beside this group's: its images, its schedule."""
        return (self.data, self.preset) == ("cifar10", "paper")

    @property
    def title(self) -> str:
        """The group in a few words."""
        return f"{DATA_SETS[self.data].title if self.data in DATA_SETS else self.data} · preset {self.preset}"


def groups(records: Records) -> list[Group]:
    """The groups that have runs, nearest to the paper's own first."""
    pairs = records.runs[["data", "preset"]].drop_duplicates().itertuples(index=False)
    found = [Group(str(data), str(preset)) for data, preset in pairs]
    return sorted(found, key=lambda group: (_rank(_PRESETS, group.preset), _rank(_DATA, group.data), group))


def _rank(order: tuple[str, ...], name: str) -> int:
    return order.index(name) if name in order else len(order)


def sources(records: Records) -> list[str]:
    """The names of the sources that have runs, in the order in which they were read."""
    return list(dict.fromkeys(records.runs["source"].astype(str)))


def narrow(records: Records, group: Group | None = None, source: str | None = None) -> Records:
    """The records of a group, of a source, or of both. Networks take the shortest of their names."""

    def keep(table: pd.DataFrame) -> pd.DataFrame:
        if group is not None:
            table = table[(table["data"] == group.data) & (table["preset"] == group.preset)]
        if source is not None:
            table = table[table["source"] == source]
        shortest = {name: str(names.parse(name)) for name in table["network"].unique()}
        return table.assign(network=table["network"].map(shortest)).reset_index(drop=True)

    return replace(
        records,
        runs=keep(records.runs),
        curves=keep(records.curves),
        responses=keep(records.responses),
        health=keep(records.health),
        damaged=tuple(item for item in records.damaged if source in (None, item.source)),
    )


def require_one(table: pd.DataFrame, *columns: str) -> None:
    """Refuse a table in which runs are mixed that must not be compared.

    Raises:
        ValueError: a column holds more than one value.
    """
    for column in columns:
        values = table[column].unique()
        if len(values) > 1:
            raise ValueError(f"runs of several {column} values must not be mixed: {', '.join(map(str, values))}")


def usual(runs: pd.DataFrame, networks: tuple[str, ...]) -> pd.DataFrame:
    """The runs of some networks as their preset has them, without variants."""
    return runs[runs["network"].isin(networks) & (runs["variant"] == "")]


def shown(network: str) -> str:
    """A network's name as the paper prints it: ResNet-56."""
    return network.replace("resnet-", "ResNet-")


def name_of(run: pd.Series) -> str:
    """A run in a few words: network, what departs from its preset, seed."""
    variant = f" ({run['variant']})" if run["variant"] else ""
    return f"{run['network']}{variant}, seed {run['seed']}"
