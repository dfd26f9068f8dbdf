"""The report as pages of HTML: each a file of its own that asks for no other."""

from __future__ import annotations

import io
from pathlib import Path

import jinja2
import matplotlib as mpl

from repro.figures.drawing import STYLE, Drawing
from repro.groups import narrow
from repro.site.content import Report, address, effect
from repro.site.inline import inliner
from repro.site.load import against_reference
from repro.site.run_page import page
from repro.tables import table as tables


def write(report: Report, out: Path) -> None:
    """Write the front page, that of the runs, and one for each run."""
    pages = environment()
    for name in ("index.html", "runs.html"):
        (out / name).write_text(pages.get_template(f"{name}.j2").render(report=report), encoding="utf-8")
    (out / "runs").mkdir()
    records = narrow(report.gathered.records)
    curves, responses = (
        dict(list(table.groupby(["source", "folder"]))) for table in (records.curves, records.responses)
    )
    template = pages.get_template("run.html.j2")
    for _, run in report.runs.iterrows():
        key = (run["source"], run["folder"])
        shown = page(
            run,
            records.record(*key),
            curves.get(key, records.curves.iloc[:0]),
            responses.get(key, records.responses.iloc[:0]),
            against_reference(report.gathered.records, *key),
        )
        (out / address(run)).write_text(template.render(run=shown), encoding="utf-8")


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
    pages.globals.update(html=tables.html, anchors=tables.anchors, inline=inliner(), effect=effect, svg_of=svg_of)
    return pages


def svg_of(drawing: Drawing) -> str:
    """A drawing as SVG."""
    file = io.StringIO()
    with mpl.rc_context(STYLE):
        drawing.figure.savefig(file, format="svg", metadata={"Date": None, "Creator": None})
    return file.getvalue()


def _unbroken(value: object) -> object:
    """Keep numbers on a line with their percent sign."""
    return value.replace(" %", "\u00a0%") if type(value) is str else value
