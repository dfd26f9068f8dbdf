"""What a report consists of, before it is written: exhibits of the paper, and what each data set and preset shows."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal, TypeVar
from typing import Protocol as Protocol_

import pandas as pd

from repro import claims
from repro.claims import Verdict, Word
from repro.claims.verdict import deciding, in_words, lacking
from repro.errors import counted
from repro.figures.drawing import Drawing
from repro.groups import Group
from repro.site import protocol
from repro.site.load import Gathered
from repro.tables.table import Links, Table

#: A report is either for reading here, with pages and every form of its files, or what is committed of it.
Kind = Literal["pages", "committed"]


@dataclass(frozen=True)
class Download:
    """A file to download; `target` is relative to the report."""

    form: str
    target: str


@dataclass(frozen=True)
class Picture:
    """A figure of one source ("" for one of the paper's numbers alone), its SVG and its files."""

    drawing: Drawing
    source: str
    svg: str
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
        return self.group.title

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
    said: str = ""
    command: str = ""
    blocks: tuple[Block, ...] = ()
    pictures: tuple[Picture, ...] = ()
    tables: tuple[Tabled, ...] = ()
    missing: tuple[tuple[Block, str], ...] = ()
    label: str = ""


@dataclass(frozen=True)
class Part:
    """A part of the report and its exhibits."""

    anchor: str
    title: str
    said: str
    exhibits: tuple[Exhibit, ...]


@dataclass(frozen=True)
class Opening:
    """What the report opens with: what it is about in a few lines, two numbers (value and what it is), a figure."""

    lines: tuple[str, ...]
    numbers: tuple[tuple[str, str], ...]
    picture: Picture | None


@dataclass(frozen=True)
class GroupView:
    """A data set and preset on the front page."""

    group: Group
    summary: str
    headlines: tuple[tuple[str, tuple[Verdict, ...]], ...]

    @property
    def title(self) -> str:
        """The group in words."""
        return self.group.title

    @property
    def key(self) -> str:
        """The group as a word."""
        return slug(self.group.data, self.group.preset)


@dataclass(frozen=True)
class JudgedView:
    """A verdict: key of its group, group and source in words, and the pages of the runs behind it."""

    key: str
    where: str
    verdict: Verdict
    runs: Links = field(default_factory=Links)

    @property
    def note(self) -> str:
        """What the evidence says before its comparisons."""
        return self.verdict.note if self.verdict.links else self.verdict.evidence

    @property
    def findings(self) -> list[tuple[str, Word]]:
        """What its comparisons found, and the verdict on each."""
        return claims.findings(self.verdict.links)

    @property
    def mixed(self) -> bool:
        """Whether its comparisons have verdicts of their own that differ."""
        return len({link.verdict for link in self.verdict.links}) > 1

    @property
    def how(self) -> str:
        """How the intervals were found."""
        return in_words(how for link in self.verdict.links for how in link.how)


@dataclass(frozen=True)
class ClaimView:
    """A claim and what each group and source says of it.

    What is the same everywhere and rests on no run is there once, without a group.
    """

    verdict: Verdict
    every: tuple[JudgedView, ...]


@dataclass(frozen=True)
class Report:
    """What the pages show; `first` is the key of the group that they open with."""

    gathered: Gathered
    runs: pd.DataFrame
    opening: Opening
    groups: tuple[GroupView, ...]
    first: str
    parts: tuple[Part, ...]
    claims: tuple[ClaimView, ...]
    verdicts: tuple[Verdict, ...]
    all_runs: Tabled
    last: Part
    troubles: tuple[tuple[str, str, tuple[str, ...]], ...]
    choices: tuple[str, ...] = protocol.CHOICES

    @property
    def counted(self) -> str:
        """How many runs there are, and whose."""
        foreign = int((self.runs["status"] == "foreign").sum())
        own = f"{counted(len(self.runs) - foreign, 'training run')} of this project"
        return f"{own} and {foreign} of other programs" if foreign else own

    @property
    def trouble(self) -> str:
        """What is not well, in a few words, or nothing."""
        words = {
            "Unreadable records": "unreadable",
            "Failed and diverged runs": "failed or diverged",
            "Conflicts": "in conflict",
            "Copies": "copied",
            "Noticed while reading": "repaired while reading",
        }
        return ", ".join(f"{len(lines)} {words[title]}" for title, _, lines in self.troubles if lines)


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


class _Keyed(Protocol_):
    @property
    def key(self) -> str: ...


K = TypeVar("K", bound=_Keyed)


def opening_first(items: Iterable[K], first: str) -> list[K]:
    """Those of the group that the report opens with before the others."""
    return sorted(items, key=lambda item: item.key != first)
