"""A table in each of its forms, with texts that want to be markup."""

from __future__ import annotations

import csv
import io
import re
from pathlib import Path

from test_report import Page

from repro.site import render
from repro.site.exhibits import _FORMS
from repro.tables.table import Links, PageLink, Table, latex, made, markdown

HOSTILE = "<script>alert(1)</script> | `x` [a](b) 50 % & $1_0$ *b* \\end{tabular}"
LINKS = Links([PageLink("seed 0", "runs/a b/c?d.html"), PageLink("<b>", 'x"y.html', '" onclick="x')])
TABLE = made(
    "odd",
    f"Title {HOSTILE}",
    ("name", "value ± std", "runs"),
    [(HOSTILE, "1.50 ± 0.10", LINKS)],
    words=("runs",),
    notes=(HOSTILE,),
)


def html(table: Table) -> str:
    return render.html("table.html.j2", table=table, root="..")


def test_html_shows_markup_as_text(tmp_path: Path) -> None:
    (tmp_path / "t.html").write_text(html(TABLE), encoding="utf-8")
    page = Page(tmp_path / "t.html")
    assert set(page.tags) == {
        "html", "meta", "title", "table", "caption", "thead", "tbody", "tr", "th", "td", "a", "ul", "li",
    }  # fmt: skip
    assert HOSTILE in page.text.replace("\u00a0", " ")
    assert 'aria-label="&#34; onclick=&#34;x"' in html(TABLE), "the name that a reference is given"
    assert page.addresses == ["../runs/a%20b/c%3Fd.html", "../x%22y.html"]


def test_markdown_shows_markup_as_text() -> None:
    text = markdown(TABLE)
    header, rule, row = text.splitlines()[:3]
    assert re.fullmatch(r"\|:-+\|-+:\|:-+\|", rule)
    assert header.count("|") == 4
    unescaped = row.replace("\\\\", "").replace("\\|", "")
    assert unescaped.count("|") == 4, "a bar in a cell must not open another cell"
    assert "<script" not in row.replace("\\<", "")
    assert "[seed 0](./runs/a%20b/c%3Fd.html)" in row


def test_latex_escapes_what_is_special() -> None:
    text = latex(TABLE)
    assert r"\textbackslash{}end\{tabular\}" in text
    code = [line for line in text.splitlines() if r"\end{tabular}" in line and not line.startswith("%")]
    assert code == [r"\end{tabular}"]
    assert r"1.50 $\pm$ 0.10" in text and r"50 \% \& \$1\_0\$" in text


def test_csv_reads_back() -> None:
    rows = list(csv.reader(io.StringIO(_FORMS["csv"](TABLE, ".."))))
    assert rows == [["name", "value ± std", "runs"], [HOSTILE, "1.50 ± 0.10", "seed 0, <b>"]]
