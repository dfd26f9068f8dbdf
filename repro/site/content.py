"""What a report consists of, before it is written: exhibits of the paper, and what each data set and preset shows."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass

import pandas as pd

from repro.claims import Verdict
from repro.claims.verdict import deciding, lacking
from repro.errors import counted
from repro.figures.chart import Chart
from repro.figures.groups import Group
from repro.site import protocol
from repro.tables.table import Table


@dataclass(frozen=True)
class Download:
    """A file to download; `target` is relative to the report."""

    form: str
    target: str


@dataclass(frozen=True)
class Picture:
    """A figure of one source ("" for one of the paper's numbers alone), with its files."""

    chart: Chart
    source: str
    files: tuple[Download, ...]

    @property
    def image(self) -> str:
        """The file that REPORT.md shows."""
        return next(file.target for file in self.files if file.form == "SVG")


@dataclass(frozen=True)
class Tabled:
    """A table with its files."""

    table: Table
    files: tuple[Download, ...]


@dataclass(frozen=True)
class Protocol:
    """What the runs of one source were made with, and how that differs from the paper."""

    source: str
    summary: str
    deviations: tuple[str, ...]
    made_with: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Block:
    """What the runs of one data set and preset show of an exhibit."""

    group: Group
    pictures: tuple[Picture, ...] = ()
    tables: tuple[Tabled, ...] = ()
    protocols: tuple[Protocol, ...] = ()
    note: str = ""

    @property
    def title(self) -> str:
        """The group in words."""
        return protocol.title_of(self.group)

    @property
    def key(self) -> str:
        """The group as a word, the same all over the report."""
        return slug(self.group.data, self.group.preset)


@dataclass(frozen=True)
class Exhibit:
    """A figure or table.

    Attributes:
        number: "Figure 1"; empty for what the paper does not have.
        said: what the paper shows there, in words; may be empty.
        command: what would fill it; empty where nothing here can.
        blocks: by data set and preset.
        pictures, tables: what needs no runs.
        missing: groups that show nothing of it, as empty blocks, and the command that would change that.
        label: its name in the contents, where it has no number.
    """

    anchor: str
    number: str
    title: str
    said: str
    command: str = ""
    blocks: tuple[Block, ...] = ()
    pictures: tuple[Picture, ...] = ()
    tables: tuple[Tabled, ...] = ()
    missing: tuple[tuple[Block, str], ...] = ()
    label: str = ""


@dataclass(frozen=True)
class Part:
    """A section of the paper and its exhibits."""

    anchor: str
    title: str
    said: str
    exhibits: tuple[Exhibit, ...]


def slug(*parts: str) -> str:
    """A harmless file name, different for different parts."""
    text = "--".join(str(part).replace("/", "--") for part in parts)
    safe = re.sub(r"[^A-Za-z0-9._=+,-]+", "_", text).lstrip(".")[:120]
    return safe if safe == text else f"{safe}~{hashlib.sha256(repr(parts).encode()).hexdigest()[:8]}"


def address(run: pd.Series) -> str:
    """The page of a run, relative to the report."""
    return f"runs/{slug(run['source'], run['folder'])}.html"


PROTOCOL = "the paper's protocol as read here"


def protocol_of(runs: pd.DataFrame) -> tuple[Protocol, ...]:
    """The protocol of some runs, by source."""
    found = []
    for source in dict.fromkeys(runs["source"]):
        mine = runs[runs["source"] == source]
        deviations = tuple(protocol.common(mine))
        made = dict(protocol.made_with(mine))
        parts = [
            f"{counted(len(deviations), 'difference')} from {PROTOCOL}" if deviations else PROTOCOL,
            made.get("precision"),
            made.get("device"),
        ]
        found.append(Protocol(source, "; ".join(part for part in parts if part), deviations, tuple(made.items())))
    return tuple(found)


def effect(verdict: Verdict) -> str:
    """The number on which a verdict turns, and of a chain of comparisons the one that it is of; or what it lacks."""
    if verdict.verdict == "not run":
        return lacking(verdict.links)
    turns = deciding(verdict.links, verdict.verdict)
    if turns is None or turns.effect is None or turns.interval is None:
        return ""
    unit = " points" if verdict.unit == "percentage points" else ""
    low, high = turns.interval
    numbers = f"{turns.effect:+.2f}{unit}, 95 % interval {low:+.2f} to {high:+.2f}".replace("-", "−")
    alone = sum(link.interval is not None for link in verdict.links) == 1
    partly = any(link.verdict == "not run" for link in verdict.links)
    where = f"Of {turns.statement} alone: " if alone and partly else "" if alone else f"It turns on {turns.statement}: "
    spread = ", with an assumed spread over seeds" if turns.assumed else ""
    return f"{where}{numbers}, {counted(len(turns.runs), 'run')}{spread}"
