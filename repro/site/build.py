"""Writes the whole report into a folder: figures, tables, REPORT.md, claims.json, and pages."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd

from repro import claims
from repro.claims import Verdict
from repro.claims.evidence import REFERENCE
from repro.claims.verdict import deciding, in_words, lacking
from repro.ends import ends, reading
from repro.errors import counted
from repro.figures import errors
from repro.groups import ENDED, Group, address, groups, name_of, narrow, shown, slug, sources
from repro.site import protocol, render, run_page
from repro.site.exhibits import Kind, Maker, parts
from repro.site.inline import inliner
from repro.site.load import Gathered, against_reference
from repro.tables.runs import all_runs
from repro.tables.table import Links, PageLink

#: The claims that the paper is about, for the summary.
HEADLINES = ("H1", "H2", "H5", "H6", "H10")


def build(gathered: Gathered, out: Path, kind: Kind = "pages") -> list[Verdict]:
    """Write the report into an empty folder; give all verdicts."""
    verdicts = [
        verdict
        for group in groups(gathered.records)
        for source in sources(gathered.of(group))
        for verdict in claims.judge(gathered.of(group), source=source, data=group.data, preset=group.preset)
    ]
    first = opens_with(gathered, verdicts)
    # It comes first wherever groups follow each other.
    ordered = sorted(groups(gathered.records), key=lambda group: group != first)
    maker = Maker(gathered, ordered, out, kind)
    order = ["data", "preset", "kind", "depth", "network", "variant", "seed", "source"]
    runs = gathered.records.runs.sort_values(order, kind="stable").reset_index(drop=True)
    of = {(str(run["source"]), str(run["folder"])): run for _, run in runs.iterrows()}

    def links(verdict: Verdict) -> Links:
        behind = [of[verdict.source, folder] for folder in verdict.runs if (verdict.source, folder) in of]
        return Links(PageLink(name_of(run), address(run)) for run in behind)

    values = {
        "pages": kind == "pages",
        "said_runs": _counted(runs),
        "opening": _opening(maker, first),
        "groups": [_summary(gathered, group, verdicts) for group in ordered],
        "parts": parts(maker),
        "claims": _by_claim(sorted(verdicts, key=lambda verdict: group_of(verdict) != first)),
        "choices": protocol.CHOICES,
        "all_runs": maker.table(all_runs(runs)),
        "troubles": _troubles(gathered, runs),
        # What templates ask of a verdict.
        "effect": effect,
        "group_of": group_of,
        "mixed": lambda verdict: len({link.verdict for link in verdict.links}) > 1,
        "findings": lambda verdict: claims.findings(verdict.links),
        "how": lambda verdict: in_words(how for link in verdict.links for how in link.how),
        "links": links,
    }
    (out / "REPORT.md").write_text(render.report_md(**values), encoding="utf-8")
    claims.write(out / "claims.json", verdicts)
    if kind == "pages":
        for name in ("index.html", "runs.html"):
            (out / name).write_text(render.html(f"{name}.j2", inline=inliner(out), **values), encoding="utf-8")
        _write_runs(gathered, runs, out)
    return verdicts


def _write_runs(gathered: Gathered, runs: pd.DataFrame, out: Path) -> None:
    """A page for each run."""
    (out / "runs").mkdir()
    records = gathered.records
    curves, responses = (
        dict(list(table.groupby(["source", "folder"]))) for table in (records.curves, records.responses)
    )
    for _, run in runs.iterrows():
        key = (run["source"], run["folder"])
        mine = curves.get(key, records.curves[:0]), responses.get(key, records.responses[:0])
        said = run_page.page(run, records.record(*key), *mine, against_reference(records, *key))
        text = render.html("run.html.j2", run=said, inline=inliner(out))
        (out / address(run)).write_text(text, encoding="utf-8")


def group_of(verdict: Verdict) -> Group:
    """The group that a verdict is on."""
    return Group(verdict.data, verdict.preset)


def opens_with(gathered: Gathered, verdicts: Sequence[Verdict]) -> Group:
    """The group to open with: of those with runs of the user's own, the nearest to the paper in which most headlines
    are judged.

    Where there is none, the one with the most complete networks, and of those the nearest to the paper.
    """
    own = {group_of(verdict) for verdict in verdicts if verdict.source != REFERENCE}
    found = [group for group in groups(gathered.records) if group in own or not own]

    def tells(group: Group) -> bool:
        judged = [[v.verdict != "not run" for v in those] for those in _headlines(verdicts, group).values()]
        return any(2 * sum(words) > len(words) for words in judged)

    def complete(group: Group) -> int:
        runs = gathered.of(group).runs
        return int(runs[(runs["variant"] == "") & runs["status"].isin(ENDED)]["network"].nunique())

    return next(filter(tells, found), max(found, key=complete))


def _headlines(verdicts: Sequence[Verdict], group: Group) -> dict[str, list[Verdict]]:
    """Of each source of a group the verdicts that a summary has."""
    found: dict[str, list[Verdict]] = {}
    for verdict in verdicts:
        if group_of(verdict) == group and verdict.id in HEADLINES:
            found.setdefault(verdict.source, []).append(verdict)
    return found


def _opening(maker: Maker, group: Group) -> dict[str, Any]:
    """Lines, numbers and a figure on what the paper is about, by a group's first source that has something to show."""
    records = maker.gathered.of(group)
    of = {source: narrow(records, source=source) for source in sources(records)}
    drawn = {source: errors.draw(mine, None, "in-short") for source, mine in of.items()}
    source = next((source for source, figure in drawn.items() if figure), next(iter(of)))
    nets = ends(of[source], ("plain-20", "plain-56", "resnet-20", "resnet-56")).to_dict("records")
    complete = {str(end["network"]): end for end in nets if not end["note"]}
    numbers = {
        f"training error of {shown(name)}, {said}": f"{complete[name]['train_error']:.1f} %"
        for name, said in (("plain-56", "without shortcuts"), ("resnet-56", "with them, and no weight more"))
        if name in complete
    }
    figure = drawn[source]
    return {
        "lines": render.sentences("opening.txt.j2", ends=complete, group=group, reading=reading),
        "numbers": numbers,
        "picture": maker.picture(replace(figure, source=source), group.key, slug(source)) if figure else None,
    }


def _counted(runs: pd.DataFrame) -> str:
    """How many runs there are, and whose."""
    foreign = int((runs["status"] == "foreign").sum())
    own = f"{counted(len(runs) - foreign, 'training run')} of this project"
    return f"{own} and {foreign} of other programs" if foreign else own


def _summary(gathered: Gathered, group: Group, verdicts: Sequence[Verdict]) -> dict[str, Any]:
    runs = gathered.of(group).runs
    said = ", ".join(f"{count} {status}" for status, count in runs["status"].value_counts(sort=False).items())
    summary = f"{counted(len(runs), 'run')} of {counted(runs['network'].nunique(), 'network')} ({said})."
    if not group.comparable:
        summary += (
            " Its errors and the sizes of their differences are not comparable with the paper's. Which net ends higher "
            "is judged, though other images or another schedule may change that as well."
        )
    return {"group": group, "summary": summary, "headlines": _headlines(verdicts, group)}


def _by_claim(verdicts: Sequence[Verdict]) -> list[list[Verdict]]:
    """The verdicts on each claim; what is the same everywhere and rests on no run is there once."""
    found: dict[str, list[Verdict]] = {}
    for verdict in verdicts:
        found.setdefault(verdict.id, []).append(verdict)
    return [
        mine[:1] if not mine[0].runs and len({(v.verdict, v.evidence, v.command) for v in mine}) == 1 else mine
        for mine in found.values()
    ]


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


def _troubles(gathered: Gathered, runs: pd.DataFrame) -> list[tuple[str, str, Sequence[str]]]:
    """What is not well: in a word or two, what it means, and a line for each."""
    failed = [
        f"{run['source']}: {name_of(run)} ({run['data']}, {run['preset']}): {run['status']} at iteration "
        f"{run['iteration']:,}" + (f": {run['error']}" if isinstance(run["error"], str) and run["error"] else "")
        for _, run in runs[runs["status"].isin(["failed", "diverged"])].iterrows()
    ]
    return [
        (
            "Unreadable",
            "Passed over, as damaged, or of a network, setting or format that this version does not have:",
            [f"{item.source}: {item.folder}: {item.reason}" for item in gathered.records.damaged],
        ),
        (
            "Failed or diverged",
            "They are drawn as far as they came, and are in no table of end points:",
            failed,
        ),
        (
            "In conflict",
            "Equal specification, images, precision, threads, processor and torch should give equal bits:",
            gathered.conflicts,
        ),
        (
            "Copied",
            "These folders hold a run that their source has elsewhere. They were not counted:",
            gathered.repeated,
        ),
        ("Repaired while reading", "Repaired for this report, not on disk:", gathered.remarks),
    ]
