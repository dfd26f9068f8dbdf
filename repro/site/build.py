"""Writes the whole report into a folder: figures, tables, pages, REPORT.md."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import jinja2
import pandas as pd

from repro.figures import draw, figure1, figure6, figure7
from repro.figures.chart import Chart
from repro.figures.groups import Group
from repro.records import write_text
from repro.site import markdown
from repro.site.load import Evidence
from repro.tables import runs as runs_table
from repro.tables import table as tables
from repro.tables import table6
from repro.tables.table import Table


@dataclass(frozen=True)
class Download:
    """A file to download."""

    form: str
    target: str


@dataclass(frozen=True)
class Picture:
    """A figure of one source."""

    chart: Chart
    source: str
    files: tuple[Download, ...]

    @property
    def image(self) -> str:
        """The file that pages show."""
        return next(file.target for file in self.files if file.form == "SVG")


@dataclass(frozen=True)
class Block:
    """What one group shows of an exhibit."""

    group: Group
    pictures: tuple[Picture, ...] = ()
    table: Table | None = None
    files: tuple[Download, ...] = ()

    @property
    def title(self) -> str:
        """The group in words."""
        return title_of(self.group)


@dataclass(frozen=True)
class Exhibit:
    """A figure or table of the paper."""

    anchor: str
    number: str
    title: str
    section: str
    command: str
    blocks: tuple[Block, ...]


def build(evidence: Evidence, out: Path) -> None:
    """Write the report into an empty folder."""
    exhibits = (
        _figure(evidence, out, figure1, "Figure 1", "Section 1"),
        _table(evidence, out, "Table 6", "Section 4.2"),
        _figure(evidence, out, figure6, "Figure 6", "Section 4.2"),
        _figure(evidence, out, figure7, "Figure 7", "Section 4.2"),
    )
    runs = tuple(_runs(evidence, out, group) for group in evidence.groups)
    pages = environment()
    page = {"evidence": evidence, "exhibits": exhibits, "runs": runs, "html": tables.html}
    write_text(out / "index.html", pages.get_template("index.html.j2").render(page))
    write_text(out / "REPORT.md", markdown.report(evidence, exhibits, runs))


def environment() -> jinja2.Environment:
    """The templates; all text in them is escaped."""
    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def title_of(group: Group) -> str:
    """A group in words."""
    data = {
        "cifar10": "CIFAR-10",
        "cifar10-jpeg": "CIFAR-10, JPEG copy",
        "digits": "8×8 digits of scikit-learn",
    }.get(group.data, group.data)
    return f"{data} · preset {group.preset}"


def address(run: pd.Series) -> str:
    """The page of a run."""
    return f"index.html#{slug(run['source'], run['folder'])}"


def slug(*parts: str) -> str:
    """A harmless file name, different for different parts."""
    text = "--".join(str(part).replace("/", "--") for part in parts)
    safe = re.sub(r"[^A-Za-z0-9._=+,-]+", "_", text).strip(".")[:120]
    return safe if safe == text else f"{safe}~{hashlib.sha256(repr(parts).encode()).hexdigest()[:8]}"


def _figure(evidence: Evidence, out: Path, module: ModuleType, number: str, section: str) -> Exhibit:
    blocks = []
    for group in evidence.groups:
        pictures = []
        for source in evidence.sources:
            chart: Chart = module.chart(evidence.of(group, source))
            if chart.empty:
                continue
            folder = out / "figures" / slug(group.data, group.preset) / slug(source)
            folder.mkdir(parents=True, exist_ok=True)
            pictures.append(Picture(chart, source, _downloads(draw.save(chart, folder), out)))
        if pictures:
            blocks.append(Block(group, tuple(pictures)))
    anchor = number.lower().replace(" ", "-")
    command = f"python -m repro.run {'responses' if number == 'Figure 7' else 'degradation'}"
    return Exhibit(anchor, number, module.TITLE, section, command, tuple(blocks))


def _downloads(files: list[Path], out: Path) -> tuple[Download, ...]:
    names = {"md": "Markdown", "tex": "LaTeX"}
    return tuple(
        Download(names.get(file.suffix[1:], file.suffix[1:].upper()), file.relative_to(out).as_posix())
        for file in files
    )


def _table(evidence: Evidence, out: Path, number: str, section: str) -> Exhibit:
    blocks = [_saved(table6.table(evidence.of(group).runs, group, address), group, out) for group in evidence.groups]
    return Exhibit("table-6", number, table6.TITLE, section, "python -m repro.run degradation", tuple(blocks))


def _runs(evidence: Evidence, out: Path, group: Group) -> Block:
    runs = evidence.of(group).runs.sort_values(["kind", "depth", "network", "variant", "seed", "source"])
    return _saved(runs_table.table(runs, f"Runs: {title_of(group)}", address), group, out)


def _saved(table: Table, group: Group, out: Path) -> Block:
    folder = out / "tables" / slug(group.data, group.preset)
    folder.mkdir(parents=True, exist_ok=True)
    return Block(group, table=table, files=_downloads(tables.save(table, folder, "../.."), out))
