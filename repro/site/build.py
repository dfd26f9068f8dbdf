"""Writes the whole report into a folder: figures, tables, REPORT.md, claims.json, and pages."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd

from repro import claims
from repro.claims import Verdict
from repro.claims.evidence import REFERENCE
from repro.claims.verdict import Link, deciding, in_words, lacking
from repro.ends import ends, reading
from repro.errors import counted
from repro.figures import errors
from repro.groups import Group, Trained, address, groups, name_of, narrow, shown, slug, sources
from repro.places import LOCAL
from repro.site import protocol, render, run_page, side_by_side
from repro.site.exhibits import TEXTS, Kind, Maker, parts
from repro.site.inline import inliner
from repro.site.load import Gathered, against_reference
from repro.tables.runs import all_runs
from repro.tables.table import PageLink

#: The claims that the paper is about, for the summary.
DEGRADATION = "H1"
HEADLINES = (DEGRADATION, "H2", "H5", "H6", "H10", "H18", "H19")


def build(gathered: Gathered, out: Path, kind: Kind = "pages", compare: Sequence[Trained] = ()) -> list[Verdict]:
    """Write the report into an empty folder; give all verdicts.

    Args:
        gathered: what it is made from.
        out: the folder.
        kind: of report.
        compare: networks to be shown side by side, first of all; two at least of one group.
    """
    of = {group: narrow(gathered.records, group) for group in groups(gathered.records)}
    verdicts = [
        verdict
        for group, records in of.items()
        for source in sources(records)
        for verdict in claims.judge(records, source=source, data=group.data, preset=group.preset)
    ]
    near = side_by_side.compared_in(gathered.records, compare) or list(of)
    first = opens_with(near, [verdict for verdict in verdicts if group_of(verdict) in near])
    # It comes first wherever groups follow each other.
    ordered = sorted(of, key=lambda group: group != first)
    maker = Maker(gathered, ordered, out, kind)
    order = ["data", "preset", "kind", "depth", "network", "variant", "seed", "source"]
    runs = gathered.records.runs.sort_values(order, kind="stable").reset_index(drop=True)
    pages = {(run["source"], run["folder"]): PageLink(name_of(run), address(run)) for _, run in runs.iterrows()}
    mine = int((runs["source"] == LOCAL.name).sum())
    values = {
        "pages": kind == "pages",
        "said_runs": counted(len(runs), "training run") + (f", {mine} of them yours," if 0 < mine < len(runs) else ""),
        "whose": render.text(TEXTS["whose"], mine=mine, seeds=runs["seed"][runs["source"] == REFERENCE].nunique()),
        "opening": _opening(maker, first),
        "groups": [_summary(of[group].runs, group, verdicts) for group in ordered],
        "compared": side_by_side.part(maker, compare),
        "parts": parts(maker),
        "claims": _by_claim(sorted(verdicts, key=lambda verdict: group_of(verdict) != first)),
        "choices": protocol.CHOICES,
        "all_runs": maker.table(all_runs(runs)),
        "troubles": {kind: lines for kind, lines in gathered.troubles.items() if lines},
        # What templates ask of a verdict.
        "effect": effect,
        "group_of": group_of,
        "mixed": lambda verdict: len({link.verdict for link in verdict.links}) > 1,
        "findings": lambda verdict: claims.findings(verdict.links),
        "how": lambda verdict: in_words(how for link in verdict.links for how in link.how),
        "links": lambda verdict: [pages[key] for folder in verdict.runs if (key := (verdict.source, folder)) in pages],
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


def opens_with(groups: Sequence[Group], verdicts: Sequence[Verdict]) -> Group:
    """The group to open with, of those with runs of the user's own: the first, which is the nearest to the paper, that
    shows what a report opens with, or else the first in which most headlines are judged.
    """
    own = {group_of(verdict) for verdict in verdicts if verdict.source != REFERENCE}

    def judged(group: Group) -> float:
        of = [[one.id for one in mine if one.verdict != "not run"] for mine in _headlines(verdicts, group).values()]
        return math.inf if any(DEGRADATION in ids for ids in of) else max(map(len, of))

    return max((group for group in groups if group in own or not own), key=judged)


def _headlines(verdicts: Sequence[Verdict], group: Group) -> dict[str, list[Verdict]]:
    """Of each source of a group the verdicts that a summary has."""
    found: dict[str, list[Verdict]] = {}
    for verdict in verdicts:
        if group_of(verdict) == group and verdict.id in HEADLINES:
            found.setdefault(verdict.source, []).append(verdict)
    return found


def _opening(maker: Maker, group: Group) -> dict[str, Any]:
    """Lines, numbers and a figure on what the paper is about, by a group's first source that has something to show."""
    records = narrow(maker.gathered.records, group)
    for source in sources(records):
        mine = narrow(records, source=source)
        if figure := errors.draw(mine, None, "in-short"):
            break
    nets = ends(mine, (*errors.networks_of("in-short"), "resnet-110")).to_dict("records")
    # Of other programs' curves some have test errors alone.
    complete = {str(end["network"]): end for end in nets if not end["note"] and math.isfinite(end["train_error"])}
    numbers = {
        f"training error of {shown(name)}, {said}": f"{complete[name]['train_error']:.2f} %"
        for name, said in (("plain-56", "without shortcuts"), ("resnet-56", "with shortcuts and as many weights"))
        if name in complete
    }
    known = {"ends": complete, "shown": shown, "group": group, "figure": figure, "reading": reading}
    return {
        "lines": render.text(TEXTS["opening"], **known).strip().split("\n"),
        "numbers": numbers,
        "picture": maker.picture(replace(figure, source=source), group.key, slug(source)) if figure else None,
    }


def _summary(runs: pd.DataFrame, group: Group, verdicts: Sequence[Verdict]) -> dict[str, Any]:
    said = ", ".join(f"{count} {status}" for status, count in runs["status"].value_counts(sort=False).items())
    summary = f"{counted(len(runs), 'run')} of {counted(runs['network'].nunique(), 'network')} ({said})."
    if not group.comparable:
        summary += (
            " Its errors and the sizes of their differences are not comparable with the paper's. Which net ends higher "
            "is judged, though other images or another schedule may change that as well."
        )
    # A verdict without comparisons is about other networks than the group's.
    found = _headlines([verdict for verdict in verdicts if verdict.links], group)
    return {"group": group, "summary": summary, "headlines": found}


def _by_claim(verdicts: Sequence[Verdict]) -> list[list[Verdict]]:
    """The verdicts on each claim; what is the same everywhere and rests on no run is there once.

    Groups of other networks than the claim's are left out where another group has them.
    """
    found: dict[str, list[Verdict]] = {}
    for verdict in verdicts:
        found.setdefault(verdict.id, []).append(verdict)
    found = {name: [v for v in mine if v.links or v.command] or mine for name, mine in found.items()}
    return [
        mine[:1] if not mine[0].runs and len({(v.verdict, v.evidence, v.command) for v in mine}) == 1 else mine
        for mine in found.values()
    ]


def _plainly(link: Link) -> str:
    """A comparison as a clause of a sentence."""
    return shown(link.statement).replace(" > ", " is above ").replace(" < ", " is below ")


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
    said = _plainly(turns)
    where = f"Only one comparison could be made, whether {said}: " if partly else ""
    if not alone:
        where = f"Least sure is that {said}: " if turns.verdict == "holds" else f"What decides is whether {said}: "
    clear = [(link.effect, link) for link in verdict.links if link.verdict == "holds" and link.effect is not None]
    if clear and turns.verdict == "too close to call":
        most, link = max(clear, key=lambda item: item[0])
        where = f"What holds clearly is that {_plainly(link)}: {most:+.2f}{unit}. {where}"
    spread = ", provisional: fewer seeds than planned" if verdict.provisional else ""
    spread += ", with an assumed spread over seeds" if turns.assumed else ""
    return f"{where}{numbers}, {counted(len(turns.runs), 'run')}{spread}"
