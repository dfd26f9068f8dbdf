"""What may be drawn or tabled together: the runs of one source, on one data set, at one preset; and their names."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import pandas as pd

from repro.data.table import DATA_SETS
from repro.records import Records

#: Runs that came to the end of what they were to do; a foreign curve is as long as its author made it.
ENDED = ("complete", "foreign")
#: Presets and data sets from the nearest to the paper to the farthest.
_NEAREST = {
    "preset": (
        "paper", "short", "demo", "imagenet", "imagenet-90", "imagenet-short", "imagenette",
        "table-1-wide", "table-1-short", "table-1-demo",
    ),
    "data": tuple(DATA_SETS),
}  # fmt: skip


@dataclass(frozen=True)
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

    @property
    def key(self) -> str:
        """The group as a word, the same all over a report."""
        return slug(self.data, self.preset)


@dataclass(frozen=True)
class Trained:
    """A network, in a variant of its preset or in none, as one source trained it."""

    source: str
    network: str
    variant: str = ""

    @property
    def name(self) -> str:
        """As `python -m repro.report --compare` takes it: local/resnet-56, with a variant local/resnet-56+VARIANT."""
        return f"{self.source}/{self.network}{self.variant and f'+{self.variant}'}"


def all_trained(runs: pd.DataFrame) -> list[Trained]:
    """What some runs are of, in their order."""
    return [Trained(*names) for names in runs[["source", "network", "variant"]].drop_duplicates().to_numpy().tolist()]


def runs_of(records: Records, trained: Trained) -> Records:
    """The records of what was trained, its variant taken off: for what shows the usual runs of a network alone."""
    columns = {name: getattr(trained, name) for name in ("source", "network", "variant")}
    mine = kept(records, lambda table: (table[list(columns)] == pd.Series(columns)).all(axis=1))
    return each(mine, lambda table: table.assign(variant=""))


def groups(records: Records) -> list[Group]:
    """The groups that have runs, nearest to the paper's own first."""
    found = {Group(data, preset) for data, preset in zip(records.runs["data"], records.runs["preset"], strict=True)}
    # Others follow in alphabetical order.
    presets, data = ([*known, *sorted({getattr(group, name) for group in found})] for name, known in _NEAREST.items())
    return sorted(found, key=lambda group: (presets.index(group.preset), data.index(group.data)))


def sources(records: Records) -> list[str]:
    """The names of the sources that have runs, in the order in which they were read."""
    return list(dict.fromkeys(records.runs["source"].astype(str)))


def each(records: Records, change: Callable[[pd.DataFrame], pd.DataFrame]) -> Records:
    """The records with a change in each of their tables."""
    tables: Any = {name: change(getattr(records, name)) for name in ("runs", "curves", "responses", "health")}
    return replace(records, **tables)


def kept(records: Records, keep: Callable[[pd.DataFrame], Any]) -> Records:
    """The records of some runs: in each table the rows that `keep` marks."""
    return each(records, lambda table: table[keep(table)].reset_index(drop=True))


def narrow(records: Records, group: Group | None = None, source: str | None = None) -> Records:
    """The records of a group, of a source, or of both."""
    if group is not None:
        records = kept(records, lambda table: (table["data"] == group.data) & (table["preset"] == group.preset))
    return records if source is None else kept(records, lambda table: table["source"] == source)


def group_of(runs: pd.DataFrame) -> Group:
    """The group of runs that are of one.

    Raises:
        ValueError: they are of several, which must not be compared.
    """
    found = sorted(set(zip(runs["data"], runs["preset"], strict=True)))
    if len(found) > 1:
        raise ValueError(f"runs of several data sets or presets must not be mixed: {found}")
    return Group(*found[0]) if found else Group("", "")


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


def slug(*parts: str) -> str:
    """A harmless file name, different for different parts."""
    text = "--".join(str(part).replace("/", "--") for part in parts)
    safe = re.sub(r"[^A-Za-z0-9._=+,-]+", "_", text).lstrip(".")[:120]
    return safe if safe == text else f"{safe}~{hashlib.sha256(repr(parts).encode()).hexdigest()[:8]}"


def address(run: pd.Series) -> str:
    """The page of a run, relative to the report."""
    return f"runs/{slug(run['source'], run['folder'])}.html"
