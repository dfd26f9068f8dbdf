"""REPORT.md: the report's content for reading on a code host."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Protocol, TypeVar
from urllib.parse import quote

from repro.site.content import Block, Download, Exhibit, Picture, Tabled, effect
from repro.tables.table import code, escaped, markdown

if TYPE_CHECKING:
    from repro.claims import Word
    from repro.site.build import ClaimView, Report


def render(report: Report) -> str:
    """The whole report as one page of Markdown."""
    parts = [
        "# Deep Residual Learning, rerun",
        "Every table of He, Zhang, Ren and Sun's *Deep Residual Learning for Image Recognition* (arXiv:1512.03385) and "
        f"every figure of its results, beside what {report.counted} found. For each of its claims there is a verdict, "
        "or what one would take. As a page with curves that can be read and switched: "
        "[index.html](index.html).",
        "## In short",
    ]
    for group in _opening(report.groups, report.first):
        parts += [f"### {escaped(group.title)}", escaped(group.summary)]
        for source, verdicts in group.headlines:
            lines = [f"- **{v.verdict}** ({v.id}): {escaped(f'{v.statement} {effect(v)}')}" for v in verdicts]
            parts += [f"Source **{escaped(source)}**:", "\n".join(lines)]
    if report.trouble:
        parts.append(f"Not all is well: {report.trouble} (see the end).")
    for part in report.parts:
        parts += [f"## {escaped(part.title)}", escaped(part.said)]
        for exhibit in part.exhibits:
            parts += _exhibit(exhibit, report.first)
    parts.append("## What the paper claims, and what the evidence says")
    for claim in report.claims:
        parts += _claim(claim, report.first)
    parts += ["## Choices that the paper leaves open", _listed(report.choices)]
    parts += ["## Runs", *_table(report.all_runs)]
    for title, found in (
        ("Unreadable records, passed over", report.damaged),
        ("Failed and diverged runs", report.failed),
        ("Conflicts", report.gathered.conflicts),
        ("Copies, not counted", report.gathered.repeated),
        ("Noticed while reading", report.gathered.remarks),
    ):
        if found:
            parts += [f"### {title}", _listed(found)]
    return "\n\n".join(part.rstrip("\n") for part in parts if part) + "\n"


class _Keyed(Protocol):
    @property
    def key(self) -> str: ...


K = TypeVar("K", bound=_Keyed)


def _opening(items: Iterable[K], first: str) -> list[K]:
    """Those of the group that the page opens with before the others."""
    return sorted(items, key=lambda item: item.key != first)


def _exhibit(exhibit: Exhibit, first: str) -> list[str]:
    number = f"{exhibit.number}. " if exhibit.number else ""
    parts = [f"### {number}{escaped(exhibit.title)}", escaped(exhibit.said)]
    for picture in exhibit.pictures:
        parts += _picture(picture)
    for block in _opening(exhibit.blocks, first):
        parts += _block(block)
    for block, command in exhibit.missing:
        parts.append(f"Not run with {escaped(block.title)}. {f'To fill it: {code(command)}' if command else ''}")
    if exhibit.command and not exhibit.blocks and not exhibit.missing:
        parts.append(f"Not run yet. To fill it: {code(exhibit.command)}")
    for table in exhibit.tables:
        parts += _table(table)
    return parts


def _block(block: Block) -> list[str]:
    parts = [f"#### {escaped(block.title)}"]
    for picture in block.pictures:
        parts += _picture(picture)
    parts.append(escaped(block.note))
    for table in block.tables:
        parts += _table(table)
    for item in block.protocols:
        said = [f"Differs from the paper as read here: {text}" for text in item.deviations]
        said += [f"{name}: {text}" for name, text in item.made_with]
        parts += [f"Protocol of **{escaped(item.source)}**:", _listed(said)]
    return parts


def _picture(picture: Picture) -> list[str]:
    finding = escaped(picture.chart.finding)
    source = f"**{escaped(picture.source)}**: " if picture.source else ""
    return [
        f"![{finding}]({quote(picture.image)})",
        f"{source}{finding}",
        _listed(picture.chart.notes),
        _files(picture.files),
    ]


def _table(table: Tabled) -> list[str]:
    return [f"**{escaped(table.table.title)}**", markdown(table.table), _files(table.files)]


def _claim(claim: ClaimView, first: str) -> list[str]:
    verdict = claim.verdict
    head = f"Section {verdict.section}. In the paper: {verdict.paper}. {verdict.form} {verdict.caveats}"
    lines = []
    for item in _opening(claim.every, first):
        judged = item.verdict
        head_of = f"- **{judged.verdict}**{f' ({escaped(item.where)})' if item.where else ''}:"
        to_get = f" To get it: {code(judged.command)}" if judged.command else ""
        if item.mixed:
            said = [f"  - {escaped(text)}{_badge(word)}" for text, word in item.findings]
            last = f"{escaped(item.how)}{to_get}".strip()
            lines += [f"{head_of} {escaped(item.note)}".rstrip(), *said, *([f"  - {last}"] if last else [])]
        else:
            lines.append(f"{head_of} {escaped(judged.evidence)}{to_get}")
    return [f"### {verdict.id}. {escaped(verdict.statement)}", escaped(head), "\n".join(lines)]


def _badge(word: Word) -> str:
    return "" if word == "not run" else f" **{word}**"


def _files(files: Sequence[Download]) -> str:
    return " · ".join(f"[{file.form}]({quote(file.target)})" for file in files)


def _listed(lines: Sequence[str]) -> str:
    return "\n".join(f"- {escaped(line)}" for line in lines)
