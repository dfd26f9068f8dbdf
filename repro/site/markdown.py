"""REPORT.md: the report's content for reading on a code host."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import quote

from repro.claims import Word
from repro.site.content import (
    Block,
    ClaimView,
    Download,
    Exhibit,
    Kind,
    Opening,
    Part,
    Picture,
    Report,
    Tabled,
    effect,
    opening_first,
)
from repro.tables.table import code, escaped, markdown


def render(report: Report, kind: Kind) -> str:
    """The whole report as one page of Markdown."""
    whole = "As a page with curves that can be read and switched: "
    whole += "[index.html](index.html)." if kind == "pages" else "run `python -m repro.report`."
    parts = [
        "# Deep Residual Learning, rerun",
        *_opening(report.opening),
        "## In short",
        f"What {report.counted} found of He, Zhang, Ren and Sun's *Deep Residual Learning for Image Recognition* "
        "(arXiv:1512.03385), beside the paper's own numbers. For each of its claims there is a verdict, or what one "
        f"would take. {whole}",
    ]
    for group in report.groups:
        parts += [f"### {escaped(group.title)}", escaped(group.summary)]
        for source, verdicts in group.headlines:
            lines = [f"- **{v.verdict}** ({v.id}): {escaped(f'{v.statement} {effect(v)}')}" for v in verdicts]
            parts += [f"Source **{escaped(source)}**:", "\n".join(lines)]
    if report.trouble:
        parts.append(f"Not all is well: {report.trouble} (see the end).")
    for part in report.parts:
        parts += _part(part, report.first, kind)
    parts.append("## What the paper claims, and what the evidence says")
    for claim in report.claims:
        parts += _claim(claim, report.first)
    parts += ["## Choices that the paper leaves open", _listed(report.choices)]
    parts += ["## Runs", *_table(report.all_runs, kind)]
    for title, said, troubles in report.troubles:
        if troubles:
            parts += [f"### {title}", escaped(said), _listed(troubles)]
    parts += _part(report.last, report.first, kind)
    return "\n\n".join(part.rstrip("\n") for part in parts if part) + "\n"


def _opening(opening: Opening) -> list[str]:
    numbers = [f"- **{escaped(value)}** {escaped(said)}" for value, said in opening.numbers]
    picture = (
        [f"![{escaped(opening.picture.drawing.finding)}]({quote(opening.picture.image)})"] if opening.picture else []
    )
    return [_listed(opening.lines), *picture, "\n".join(numbers)]


def _part(part: Part, first: str, kind: Kind) -> list[str]:
    found = [f"## {escaped(part.title)}", escaped(part.said)]
    for exhibit in part.exhibits:
        found += _exhibit(exhibit, first, kind)
    return found


def _exhibit(exhibit: Exhibit, first: str, kind: Kind) -> list[str]:
    number = f"{exhibit.number}. " if exhibit.number else ""
    parts = [f"### {number}{escaped(exhibit.title)}", escaped(exhibit.said)]
    for picture in exhibit.pictures:
        parts += _picture(picture)
    for block in opening_first(exhibit.blocks, first):
        parts += _block(block, kind)
    for block, command in exhibit.missing:
        parts.append(f"Not run with {escaped(block.title)}. {f'To fill it: {code(command)}' if command else ''}")
    if exhibit.command and not exhibit.blocks and not exhibit.missing:
        parts.append(f"Not run yet. To fill it: {code(exhibit.command)}")
    for table in exhibit.tables:
        parts += _table(table, kind)
    return parts


def _block(block: Block, kind: Kind) -> list[str]:
    parts = [f"#### {escaped(block.title)}"]
    for picture in block.pictures:
        parts += _picture(picture)
    parts.append(escaped(block.note))
    for table in block.tables:
        parts += _table(table, kind)
    for item in block.protocols:
        said = [f"Differs from the paper as read here: {text}" for text in item.deviations]
        said += [f"{name}: {text}" for name, text in item.made_with]
        parts += [f"Protocol of **{escaped(item.source)}**:", _listed(said)]
    return parts


def _picture(picture: Picture) -> list[str]:
    finding = escaped(picture.drawing.finding)
    source = f"**{escaped(picture.source)}**: " if picture.source else ""
    return [
        f"![{finding}]({quote(picture.image)})",
        f"{source}{finding}",
        _listed(picture.drawing.notes),
        _files(picture.files),
    ]


def _table(table: Tabled, kind: Kind) -> list[str]:
    shown = markdown(table.table, pages=kind == "pages")
    return [f"**{escaped(table.table.title)}**", shown, _files(table.files)]


def _claim(claim: ClaimView, first: str) -> list[str]:
    verdict = claim.verdict
    head = f"Section {verdict.section}. In the paper: {verdict.paper}. {verdict.form} {verdict.caveats}"
    lines = []
    for item in opening_first(claim.every, first):
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
