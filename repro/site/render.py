"""The templates of the report, with all text in them escaped: as HTML, as Markdown, or as plain sentences."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup, escape

from repro.tables.table import code, escaped, markdown


def html(template: str, **values: Any) -> str:
    """A page."""
    return _environment("html").get_template(template).render(**values)


def report_md(**values: Any) -> str:
    """REPORT.md. Its template may leave as many spaces and empty lines as it likes."""
    text = _environment("markdown").get_template("REPORT.md.j2").render(**values)
    return re.sub(r"\n{3,}", "\n\n", re.sub(r" +$", "", text, flags=re.MULTILINE)).strip() + "\n"


def text(template: str, **values: Any) -> str:
    """A text that is a template itself."""
    return _environment("plain").from_string(template).render(**values)


@cache
def _environment(form: str) -> jinja2.Environment:
    made = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=form != "plain",
        undefined=jinja2.StrictUndefined,
        finalize={"html": _unbroken, "markdown": _as_markdown}.get(form),
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {"code": code, "whole": _whole}
    made.globals["markdown"] = lambda table, pages: Markup(markdown(table, pages=pages))
    return made


def _unbroken(value: object) -> object:
    """Keep numbers on a line with their percent sign."""
    return value.replace(" %", "\u00a0%") if type(value) is str else value


def _whole(text: str) -> Markup:
    """Keep names of networks on a line as well."""
    return Markup(re.sub(r"((?:plain|ResNet)-\w+)", r'<span class="name">\1</span>', str(escape(_unbroken(text)))))


def _as_markdown(value: object) -> object:
    return value if isinstance(value, Markup) else escaped(str(value))
