"""Writes the whole report into a folder: figures, tables, pages, REPORT.md, claims.json."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import jinja2
import pandas as pd
from markupsafe import Markup

from repro import claims
from repro.claims import Verdict, Word
from repro.claims.verdict import in_words
from repro.errors import counted
from repro.figures.chart import Chart
from repro.figures.groups import ENDED, Group, narrow, sources
from repro.site import markdown, svg
from repro.site.content import Part, Tabled, address, effect, slug
from repro.site.exhibits import parts, tabled
from repro.site.load import Gathered
from repro.site.protocol import CHOICES, title_of
from repro.site.run_page import page
from repro.tables import runs as runs_table
from repro.tables import table as tables
from repro.tables.table import PageLink

#: The claims that the paper is about, for the summary.
HEADLINES = ("H1", "H2", "H5", "H6", "H10")


@dataclass(frozen=True)
class GroupView:
    """A data set and preset on the front page."""

    group: Group
    key: str
    title: str
    summary: str
    headlines: tuple[tuple[str, tuple[Verdict, ...]], ...]


@dataclass(frozen=True)
class ClaimView:
    """A claim and what each group and source says of it.

    What is the same everywhere and rests on no run is there once, without a group.
    """

    verdict: Verdict
    every: tuple[JudgedView, ...]


@dataclass(frozen=True)
class JudgedView:
    """A verdict: key of its group, group and source in words, and links to the runs behind it."""

    key: str
    where: str
    verdict: Verdict
    runs: Markup

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
class Report:
    """What the pages show."""

    gathered: Gathered
    runs: pd.DataFrame
    groups: tuple[GroupView, ...]
    first: str
    parts: tuple[Part, ...]
    claims: tuple[ClaimView, ...]
    verdicts: tuple[Verdict, ...]
    all_runs: Tabled
    damaged: tuple[str, ...]
    failed: tuple[str, ...]
    choices: tuple[str, ...] = CHOICES

    @property
    def counted(self) -> str:
        """How many runs there are, and whose."""
        foreign = int((self.runs["status"] == "foreign").sum())
        own = f"{counted(len(self.runs) - foreign, 'training run')} of this project"
        return f"{own} and {foreign} of other programs" if foreign else own

    @property
    def trouble(self) -> str:
        """What is not well, in a few words, or nothing."""
        counts = (
            (len(self.damaged), "unreadable"),
            (len(self.failed), "failed or diverged"),
            (len(self.gathered.conflicts), "in conflict"),
            (len(self.gathered.repeated), "copied"),
            (len(self.gathered.remarks), "repaired while reading"),
        )
        said = [f"{count} {what}" for count, what in counts if count]
        return f"{', '.join(said)}" if said else ""


def build(gathered: Gathered, out: Path) -> tuple[Verdict, ...]:
    """Write the report into an empty folder; give all verdicts."""
    verdicts = tuple(
        verdict
        for group in gathered.groups
        for source in sources(gathered.of(group))
        for verdict in claims.judge(gathered.of(group), source=source, data=group.data, preset=group.preset)
    )
    order = ["data", "preset", "kind", "depth", "network", "variant", "seed", "source"]
    runs = gathered.of().runs.sort_values(order, kind="stable").reset_index(drop=True)
    groups = tuple(_group(gathered, group, verdicts) for group in gathered.groups)
    report = Report(
        gathered=gathered,
        runs=runs,
        groups=groups,
        first=_first(gathered, groups),
        parts=parts(gathered, out),
        claims=tuple(_claims(gathered, verdicts)),
        verdicts=verdicts,
        all_runs=tabled(runs_table.table(runs, address), out),
        damaged=tuple(f"{item.source}: {item.folder}: {item.reason}" for item in gathered.records.damaged),
        failed=tuple(_failures(runs)),
    )
    pages = environment()
    for name in ("index.html", "runs.html"):
        (out / name).write_text(pages.get_template(f"{name}.j2").render(report=report), encoding="utf-8")
    _write_run_pages(gathered, runs, out, pages.get_template("run.html.j2"))
    (out / "REPORT.md").write_text(markdown.render(report), encoding="utf-8")
    claims.write(out / "claims.json", verdicts)
    return verdicts


def environment() -> jinja2.Environment:
    """The templates; all text in them is escaped."""
    pages = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        finalize=_unbroken,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    pages.globals.update(html=tables.html, inline=_inline(), effect=effect)
    return pages


def _unbroken(value: object) -> object:
    """Keep numbers on a line with their percent sign."""
    return value.replace(" %", "\u00a0%") if type(value) is str else value


def _inline() -> Callable[[Chart], Markup]:
    """Draws charts under names that no two of them share."""
    numbers = itertools.count(1)
    return lambda chart: svg.chart(chart, f"chart-{next(numbers)}")


def _first(gathered: Gathered, groups: Sequence[GroupView]) -> str:
    """The group to open with: the nearest to the paper in which most headlines are judged.

    Where there is none, the one with the most complete networks, and of those the nearest to the paper.
    """

    def tells(view: GroupView) -> bool:
        return any(
            2 * sum(verdict.verdict != "not run" for verdict in verdicts) > len(verdicts)
            for _, verdicts in view.headlines
        )

    def complete(view: GroupView) -> int:
        runs = gathered.of(view.group).runs
        return int(runs[(runs["variant"] == "") & runs["status"].isin(ENDED)]["network"].nunique())

    return next(filter(tells, groups), max(groups, key=complete)).key


def _group(gathered: Gathered, group: Group, verdicts: Sequence[Verdict]) -> GroupView:
    runs = gathered.of(group).runs
    counts = runs["status"].value_counts(sort=False)
    said = ", ".join(f"{count} {status}" for status, count in counts.items())
    headlines = tuple(
        (source, tuple(verdict for verdict in verdicts if _is(verdict, group, source) and verdict.id in HEADLINES))
        for source in dict.fromkeys(runs["source"])
    )
    summary = f"{counted(len(runs), 'run')} of {counted(runs['network'].nunique(), 'network')} ({said})."
    if not group.comparable:
        summary += (
            " Its errors and the sizes of their differences are not comparable with the paper's. Which net ends higher "
            "is judged, though other images or another schedule may change that as well."
        )
    return GroupView(group, slug(group.data, group.preset), title_of(group), summary, headlines)


def _is(verdict: Verdict, group: Group, source: str) -> bool:
    return (verdict.data, verdict.preset, verdict.source) == (group.data, group.preset, source)


def _claims(gathered: Gathered, verdicts: Sequence[Verdict]) -> list[ClaimView]:
    found = []
    folders = {(run["source"], run["folder"]): run for _, run in gathered.records.runs.iterrows()}
    for name in dict.fromkeys(verdict.id for verdict in verdicts):
        mine = [verdict for verdict in verdicts if verdict.id == name]
        alike = len({(verdict.verdict, verdict.evidence, verdict.command) for verdict in mine}) == 1
        if alike and not mine[0].runs:
            every = [JudgedView("", "", mine[0], Markup())]
        else:
            every = [
                JudgedView(
                    slug(verdict.data, verdict.preset),
                    f"{title_of(Group(verdict.data, verdict.preset))}, {verdict.source}",
                    verdict,
                    _links(verdict, folders),
                )
                for verdict in mine
            ]
        found.append(ClaimView(mine[0], tuple(every)))
    return found


def _links(verdict: Verdict, folders: dict[tuple[str, str], pd.Series]) -> Markup:
    behind = [folders[(verdict.source, folder)] for folder in verdict.runs if (verdict.source, folder) in folders]
    return Markup(", ").join(tables.anchor(PageLink(runs_table.name_of(run), address(run)), ".") for run in behind)


def _failures(runs: pd.DataFrame) -> list[str]:
    lost = runs[runs["status"].isin(["failed", "diverged"])]
    return [
        f"{run['source']}: {runs_table.name_of(run)} ({run['data']}, {run['preset']}): {run['status']} at iteration "
        f"{run['iteration']:,}" + (f": {run['error']}" if isinstance(run["error"], str) else "")
        for _, run in lost.iterrows()
    ]


def _write_run_pages(gathered: Gathered, runs: pd.DataFrame, out: Path, template: jinja2.Template) -> None:
    (out / "runs").mkdir()
    records = narrow(gathered.records)
    curves = dict(list(records.curves.groupby(["source", "folder"])))
    responses = dict(list(records.responses.groupby(["source", "folder"])))
    for _, run in runs.iterrows():
        key = (run["source"], run["folder"])
        shown = page(
            run,
            records.record(*key),
            curves.get(key, records.curves.iloc[:0]),
            responses.get(key, records.responses.iloc[:0]),
        )
        (out / address(run)).write_text(template.render(run=shown), encoding="utf-8")
