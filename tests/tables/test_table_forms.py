"""A table in each of its forms, with texts that want to be markup."""

from __future__ import annotations

import csv
import io
from html.parser import HTMLParser
from pathlib import Path

import pandas as pd
import pytest

from repro.tables.table import PageLink, Table, html, latex, markdown, save

HOSTILE = "<script>alert(1)</script> | `x` [a](b) 50 % & $1_0$ *b* \\end{tabular}"
TABLE = Table(
    name="odd",
    title=f"Title {HOSTILE}",
    frame=pd.DataFrame({"name": [HOSTILE], "value": [1.5]}),
    columns=("name", "value ± std", "runs"),
    rows=(
        (
            HOSTILE,
            "1.50 ± 0.10",
            (PageLink("seed 0", "runs/a b/c?d.html"), PageLink("<b>", 'x"y.html', '" onclick="x')),
        ),
    ),
    numeric=frozenset({1}),
    notes=(HOSTILE,),
)


class Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.hrefs: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.hrefs += [value or "" for key, value in attrs if key == "href"]

    def handle_data(self, data: str) -> None:
        self.text += data


def test_html_shows_markup_as_text() -> None:
    page = Tags()
    page.feed(str(html(TABLE, "..")))
    assert set(page.tags) == {"table", "caption", "thead", "tbody", "tr", "th", "td", "a"}
    assert HOSTILE in page.text
    assert page.hrefs == ["../runs/a%20b/c%3Fd.html", "../x%22y.html"]


def test_markdown_shows_markup_as_text() -> None:
    text = markdown(TABLE)
    header, rule, row = text.splitlines()[:3]
    assert rule == "| --- | ---: | --- |"
    assert header.count("|") == 4
    unescaped = row.replace("\\\\", "").replace("\\|", "")
    assert unescaped.count("|") == 4, "a bar in a cell must not open another cell"
    assert "<script" not in row.replace("\\<", "")
    assert "[seed 0](./runs/a%20b/c%3Fd.html)" in row


def test_latex_escapes_what_is_special() -> None:
    text = latex(TABLE)
    assert r"\textbackslash{}end\{tabular\}" in text
    assert text.count(r"\end{tabular}") == 3, "of the table itself, and in the comments of title and note"
    assert [line for line in text.splitlines() if r"\end{tabular}" in line and not line.startswith("%")] == [
        r"\end{tabular}"
    ]
    assert r"1.50 $\pm$ 0.10" in text
    assert r"50 \% \& \$1\_0\$" in text


def test_all_forms_are_written_and_csv_reads_back(tmp_path: Path) -> None:
    files = save(TABLE, tmp_path, "..")
    assert [file.name for file in files] == ["odd.md", "odd.csv", "odd.tex", "odd.html"]
    rows = list(csv.reader(io.StringIO((tmp_path / "odd.csv").read_text())))
    assert rows == [["name", "value"], [HOSTILE, "1.5"]]
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(file.name for file in files)


def test_a_reference_has_the_name_it_is_given() -> None:
    assert 'aria-label="&#34; onclick=&#34;x"' in str(html(TABLE))


def test_a_row_of_another_length_is_refused() -> None:
    with pytest.raises(ValueError, match="odd: a row has not 2 cells"):
        Table("odd", "", pd.DataFrame(), ("a", "b"), (("1", "2"), ("1",)))


def test_long_texts_may_wrap_and_numbers_may_not() -> None:
    table = Table("t", "", pd.DataFrame(), ("a", "b", "c"), (("x", "1", "words " * 10),), frozenset({1}))
    assert '<td class="number">1</td><td class="long">words' in str(html(table))
