"""Writes the whole report into a folder: figures, tables, REPORT.md, claims.json, and pages."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pandas as pd

from repro import claims
from repro.claims import Verdict
from repro.claims.evidence import REFERENCE
from repro.errors import counted
from repro.groups import ENDED, Group, name_of, sources
from repro.site import exhibits, markdown, pages
from repro.site.content import ClaimView, GroupView, JudgedView, Kind, Report, address, slug
from repro.site.load import Gathered
from repro.tables import runs as runs_table
from repro.tables.table import Links, PageLink

#: The claims that the paper is about, for the summary.
HEADLINES = ("H1", "H2", "H5", "H6", "H10")


def build(gathered: Gathered, out: Path, kind: Kind = "pages") -> tuple[Verdict, ...]:
    """Write the report into an empty folder; give all verdicts."""
    verdicts = tuple(
        verdict
        for group in gathered.groups
        for source in sources(gathered.of(group))
        for verdict in claims.judge(gathered.of(group), source=source, data=group.data, preset=group.preset)
    )
    order = ["data", "preset", "kind", "depth", "network", "variant", "seed", "source"]
    runs = gathered.of().runs.sort_values(order, kind="stable").reset_index(drop=True)
    maker = exhibits.Maker(gathered, out, kind)
    groups = tuple(_group(gathered, group, verdicts) for group in gathered.groups)
    first = _first(gathered, groups)
    report = Report(
        gathered=gathered,
        runs=runs,
        opening=exhibits.opening(maker, first.group),
        groups=tuple(sorted(groups, key=lambda view: view.key != first.key)),
        first=first.key,
        parts=exhibits.parts(maker),
        claims=tuple(_claims(gathered, verdicts)),
        verdicts=verdicts,
        all_runs=maker.table(runs_table.table(runs, address)),
        last=exhibits.paper_alone(maker),
        troubles=_troubles(gathered, runs),
    )
    (out / "REPORT.md").write_text(markdown.render(report, kind), encoding="utf-8")
    claims.write(out / "claims.json", verdicts)
    if kind == "pages":
        pages.write(report, out)
    return verdicts


def _first(gathered: Gathered, groups: Sequence[GroupView]) -> GroupView:
    """The group to open with: of those with runs of the user's own, the nearest to the paper in which most headlines
    are judged.

    Where there is none, the one with the most complete networks, and of those the nearest to the paper.
    """
    own = [view for view in groups if any(source != REFERENCE for source, _ in view.headlines)] or list(groups)

    def tells(view: GroupView) -> bool:
        return any(
            2 * sum(verdict.verdict != "not run" for verdict in verdicts) > len(verdicts)
            for _, verdicts in view.headlines
        )

    def complete(view: GroupView) -> int:
        runs = gathered.of(view.group).runs
        return int(runs[(runs["variant"] == "") & runs["status"].isin(ENDED)]["network"].nunique())

    return next(filter(tells, own), max(own, key=complete))


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
    return GroupView(group, summary, headlines)


def _is(verdict: Verdict, group: Group, source: str) -> bool:
    return (verdict.data, verdict.preset, verdict.source) == (group.data, group.preset, source)


def _claims(gathered: Gathered, verdicts: Sequence[Verdict]) -> Iterator[ClaimView]:
    folders = {(str(run["source"]), str(run["folder"])): run for _, run in gathered.of().runs.iterrows()}
    for id_ in dict.fromkeys(verdict.id for verdict in verdicts):
        mine = [verdict for verdict in verdicts if verdict.id == id_]
        alike = len({(verdict.verdict, verdict.evidence, verdict.command) for verdict in mine}) == 1
        if alike and not mine[0].runs:
            yield ClaimView(mine[0], (JudgedView("", "", mine[0]),))
            continue
        yield ClaimView(
            mine[0],
            tuple(
                JudgedView(
                    slug(verdict.data, verdict.preset),
                    f"{Group(verdict.data, verdict.preset).title}, {verdict.source}",
                    verdict,
                    _links(verdict, folders),
                )
                for verdict in mine
            ),
        )


def _links(verdict: Verdict, folders: dict[tuple[str, str], pd.Series]) -> Links:
    behind = [folders[(verdict.source, folder)] for folder in verdict.runs if (verdict.source, folder) in folders]
    return Links(PageLink(name_of(run), address(run)) for run in behind)


def _troubles(gathered: Gathered, runs: pd.DataFrame) -> tuple[tuple[str, str, tuple[str, ...]], ...]:
    """What is not well: title, what it means, and a line for each."""
    damaged = tuple(f"{item.source}: {item.folder}: {item.reason}" for item in gathered.records.damaged)
    return (
        (
            "Unreadable records",
            "Passed over, as damaged, or of a network, setting or format that this version does not have:",
            damaged,
        ),
        (
            "Failed and diverged runs",
            "They are drawn as far as they came, and are in no table of end points:",
            tuple(_failures(runs)),
        ),
        (
            "Conflicts",
            "Equal specification, images, precision, threads, processor and torch should give equal bits:",
            gathered.conflicts,
        ),
        (
            "Copies",
            "These folders hold a run that their source has elsewhere. They were not counted:",
            gathered.repeated,
        ),
        ("Noticed while reading", "Repaired for this report, not on disk:", gathered.remarks),
    )


def _failures(runs: pd.DataFrame) -> Iterator[str]:
    for _, run in runs[runs["status"].isin(["failed", "diverged"])].iterrows():
        error = run["error"] if isinstance(run["error"], str) else ""
        yield (
            f"{run['source']}: {name_of(run)} ({run['data']}, {run['preset']}): {run['status']} at iteration "
            f"{run['iteration']:,}" + (f": {error}" if error else "")
        )
