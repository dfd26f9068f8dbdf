"""A table as values, and its forms: Markdown, CSV, LaTeX, HTML."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import pandas as pd
from markupsafe import Markup, escape


@dataclass(frozen=True)
class PageLink:
    """A reference to another page of the report.

    Attributes:
        target: relative to the report's folder.
        name: what it leads to, if the text alone does not say.
    """

    text: str
    target: str
    name: str = ""


#: What a cell shows: a text, or references.
Cell = str | tuple[PageLink, ...]


@dataclass(frozen=True)
class Table:
    """A table.

    Attributes:
        name: of its files, such as "table-6".
        frame: the tidy data, as CSV.
        columns, rows: what is shown; the first cell of a row names it.
        numeric: indices of the columns that hold numbers, set to the right.
        notes: each a sentence, below the table.
    """

    name: str
    title: str
    frame: pd.DataFrame
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    numeric: frozenset[int] = frozenset()
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if any(len(row) != len(self.columns) for row in self.rows):
            raise ValueError(f"{self.name}: a row has not {len(self.columns)} cells")


def save(table: Table, folder: Path, root: str) -> list[Path]:
    """Write a table in all forms into a folder that is not in use yet; give the files.

    Args:
        root: the report's folder as seen from `folder`, such as "../..".
    """
    texts = {
        "md": f"**{escaped(table.title)}**\n\n{markdown(table, root)}",
        "csv": table.frame.to_csv(index=False, lineterminator="\n"),
        "tex": latex(table),
        "html": _page(table, root),
    }
    files = []
    for form, text in texts.items():
        files.append(folder / f"{table.name}.{form}")
        files[-1].write_text(text, encoding="utf-8")
    return files


#: A column with a text of more characters than this is broken into lines.
LONG = 32


def markdown(table: Table, root: str = ".") -> str:
    """The table, and its notes, as GitHub's Markdown."""

    def cell(value: Cell) -> str:
        if isinstance(value, str):
            return escaped(value)
        return ", ".join(f"[{escaped(link.text)}]({root}/{_address(link.target)})" for link in value)

    rule = ["---:" if index in table.numeric else "---" for index in range(len(table.columns))]
    lines = [[escaped(column) for column in table.columns], rule]
    lines += [[cell(value) for value in row] for row in table.rows]
    text = "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"
    return text + "".join(f"\n- {escaped(note)}" for note in table.notes) + ("\n" if table.notes else "")


def escaped(text: str) -> str:
    """A text in one line with nothing in it that Markdown would take for markup."""
    text = re.sub(r"([\\`*_{}\[\]<>|#~&$])", r"\\\1", text)
    return " ".join(text.split())


def code(text: str) -> str:
    """A text as a code span of Markdown, whatever backticks are in it."""
    text = " ".join(text.split())
    longest = max((len(run) for run in re.findall("`+", text)), default=0)
    fence = "`" * (longest + 1)
    return f"{fence} {text} {fence}" if longest else f"`{text}`"


def html(table: Table, root: str = ".") -> Markup:
    """The table as HTML, without its notes."""

    def cell(value: Cell) -> Markup:
        if isinstance(value, str):
            return escape(value)
        return Markup(", ").join(anchor(link, root) for link in value)

    long = {i for row in table.rows for i, value in enumerate(row) if isinstance(value, str) and len(value) > LONG}

    def kind(index: int) -> str:
        return ' class="number"' if index in table.numeric else ' class="long"' if index in long else ""

    head = Markup().join(
        Markup(f'<th scope="col"{kind(index)}>{{}}</th>').format(column) for index, column in enumerate(table.columns)
    )
    body = Markup()
    for row in table.rows:
        body += Markup('<tr><th scope="row">{}</th>').format(cell(row[0]))
        for index, value in enumerate(row[1:], start=1):
            body += Markup(f"<td{kind(index)}>{{}}</td>").format(cell(value))
        body += Markup("</tr>\n")
    return Markup("<table>\n<caption>{}</caption>\n<thead><tr>{}</tr></thead>\n<tbody>\n{}</tbody>\n</table>\n").format(
        table.title, head, body
    )


def anchor(link: PageLink, root: str) -> Markup:
    """A reference as HTML, from a page whose way to the report's folder is `root`."""
    name = Markup(' aria-label="{}"').format(link.name) if link.name else ""
    return Markup('<a href="{}/{}"{}>{}</a>').format(root, _address(link.target), name, link.text)


def _address(target: str) -> str:
    """A path inside the report as part of an address: only harmless characters are left as they are."""
    return quote(target, safe="/#")


def _page(table: Table, root: str) -> str:
    notes = Markup().join(Markup("<li>{}</li>\n").format(note) for note in table.notes)
    return str(
        Markup(
            '<!doctype html>\n<html lang="en">\n<meta charset="utf-8">\n<title>{}</title>\n{}<ul>\n{}</ul>\n</html>\n'
        ).format(table.title, html(table, root), notes)
    )


_LATEX = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "±": r"$\pm$", "×": r"$\times$", "−": "$-$",
    "<": r"\textless{}", ">": r"\textgreater{}", "–": "--", "≥": r"$\geq$", "≤": r"$\leq$", "†": r"$\dagger$",
}  # fmt: skip


def latex(table: Table) -> str:
    """The table as LaTeX's `tabular`, for the package booktabs; references as plain text."""

    def text(value: Cell) -> str:
        if not isinstance(value, str):
            value = ", ".join(link.text for link in value)
        return "".join(_LATEX.get(character, character) for character in " ".join(value.split()))

    form = "".join("r" if index in table.numeric else "l" for index in range(len(table.columns)))
    lines = [f"% {' '.join(table.title.split())}", rf"\begin{{tabular}}{{{form}}}", r"\toprule"]
    lines += [" & ".join(map(text, table.columns)) + r" \\", r"\midrule"]
    lines += [" & ".join(map(text, row)) + r" \\" for row in table.rows]
    lines += [r"\bottomrule", r"\end{tabular}", *(f"% {' '.join(note.split())}" for note in table.notes)]
    return "\n".join(lines) + "\n"
