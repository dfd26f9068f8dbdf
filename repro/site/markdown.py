"""REPORT.md: the report's content for reading on a code host."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING
from urllib.parse import quote

from repro.site.load import Evidence
from repro.tables.table import escaped, markdown

if TYPE_CHECKING:
    from repro.site.build import Block, Download, Exhibit


def report(evidence: Evidence, exhibits: Sequence[Exhibit], runs: Sequence[Block]) -> str:
    """The whole report as one page of Markdown."""
    parts = [
        "# Deep Residual Learning, rerun",
        "The CIFAR-10 experiments of He, Zhang, Ren and Sun (arXiv:1512.03385), the paper's numbers beside those of "
        "this project's runs. The same as a page: [index.html](index.html).",
    ]
    for exhibit in exhibits:
        parts.append(f"## {exhibit.number}. {escaped(exhibit.title)}")
        for block in exhibit.blocks:
            parts += _block(block)
        if not exhibit.blocks:
            parts.append(f"Nothing was run yet. To fill it: `{exhibit.command}`")
    parts.append("## Runs")
    for block in runs:
        parts += _block(block)
    for title, lines in (
        ("Damaged records", [f"{item.source}: {item.folder}: {item.reason}" for item in evidence.records.damaged]),
        ("Conflicts", evidence.conflicts),
        ("Copies, not counted", evidence.repeated),
        ("Noticed while reading", evidence.remarks),
    ):
        if lines:
            parts += [f"### {title}", _listed(lines)]
    return "\n\n".join(part.rstrip("\n") for part in parts) + "\n"


def _block(block: Block) -> list[str]:
    parts = [f"### {escaped(block.title)}"]
    for picture in block.pictures:
        finding = escaped(picture.chart.finding)
        parts += [
            f"![{finding}]({quote(picture.image)})",
            f"**{escaped(picture.source)}**: {finding}",
            _listed(picture.chart.notes),
            _files(picture.files),
        ]
    if block.table is not None:
        parts += [markdown(block.table), _files(block.files)]
    return parts


def _files(files: Sequence[Download]) -> str:
    return " · ".join(f"[{file.form}]({quote(file.target)})" for file in files)


def _listed(lines: Sequence[str]) -> str:
    return "\n".join(f"- {escaped(line)}" for line in lines)
