"""A table is a DataFrame of texts; tabulate makes Markdown and LaTeX of it, pandas HTML and CSV."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import pandas as pd
from markupsafe import Markup, escape
from tabulate import tabulate


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


class Links(tuple[PageLink, ...]):
    """What a cell shows that is no text: references."""

    def __str__(self) -> str:
        return ", ".join(link.text for link in self)


@dataclass(frozen=True)
class Table:
    """A table.

    Attributes:
        name: of its files, such as "table-6".
        frame: what is shown; each cell is a text or `Links`, the first of a row names it.
        numeric: names of the columns that hold numbers, set to the right.
        notes: each a sentence, below the table.
    """

    name: str
    title: str
    frame: pd.DataFrame
    numeric: frozenset[str] = frozenset()
    notes: tuple[str, ...] = ()

    @property
    def columns(self) -> list[str]:
        """The headings."""
        return [str(column) for column in self.frame.columns]


def made(
    name: str,
    title: str,
    columns: Sequence[str],
    rows: Iterable[Sequence[str | Links]],
    *,
    words: Iterable[str] = (),
    notes: Iterable[str] = (),
) -> Table:
    """A table of rows; all columns hold numbers but the first and those that are named as `words`."""
    cells = [list(row) for row in rows]
    if any(len(row) != len(columns) for row in cells):
        raise ValueError(f"{name}: a row has not {len(columns)} cells")
    frame = pd.DataFrame(cells, columns=list(columns), dtype=object)
    return Table(name, title, frame, frozenset(columns[1:]) - set(words), tuple(notes))


def save(table: Table, folder: Path, root: str, forms: Iterable[str] = ("md", "csv", "tex", "html")) -> list[Path]:
    """Write a table in some forms; give the files.

    Args:
        root: the report's folder as seen from `folder`, such as "../..".
    """
    files = []
    for form in forms:
        files.append(folder / f"{table.name}.{form}")
        files[-1].write_text(_FORMS[form](table, root), encoding="utf-8")
    return files


def markdown(table: Table, root: str = ".", pages: bool = True) -> str:
    """The table, and its notes, as GitHub's Markdown; references are texts alone where there are no `pages`."""

    def cell(value: str | Links) -> str:
        if isinstance(value, Links) and pages:
            return ", ".join(f"[{escaped(link.text)}]({root}/{_address(link.target)})" for link in value)
        return escaped(str(value))

    align = ["right" if column in table.numeric else "left" for column in table.columns]
    text = tabulate(
        table.frame.map(cell).to_numpy().tolist(), [escaped(column) for column in table.columns], "pipe",
        disable_numparse=True, colalign=align if len(table.frame) else None,
    )  # fmt: skip
    return f"{text}\n" + "".join(f"\n- {escaped(note)}" for note in table.notes) + ("\n" if table.notes else "")


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


#: A column with a text of more characters than this is broken into lines.
LONG = 32


def html(table: Table, root: str = ".") -> Markup:
    """The table as HTML, without its notes."""

    def shown(column: str) -> list[Markup]:
        cells = table.frame[column]
        long = any(not isinstance(value, Links) and len(value) > LONG for value in cells)
        kind = "number" if column in table.numeric else "long" if long else ""
        form = Markup('<span class="{}">{{}}</span>').format(kind) if kind else Markup("{}")
        return [form.format(anchors(value, root) if isinstance(value, Links) else value) for value in cells]

    first, *others = table.columns
    frame = pd.DataFrame(
        {escape(column): shown(column) for column in others}, dtype=object, index=range(len(table.frame))
    )
    frame.index = pd.Index(shown(first), dtype=object)
    frame.columns.name = escape(first)
    with pd.option_context("display.max_colwidth", None):
        text = frame.to_html(escape=False, border=0, justify="unset", index_names=True)
    _, head, body = re.split("<table[^>]*>|(?<=</thead>)", text)
    caption = Markup("<table>\n<caption>{}</caption>").format(table.title)
    head = re.sub("<tr[^>]*>", "<tr>", head).replace("<th>", '<th scope="col">')
    return caption + Markup(head) + Markup(body.replace("<th>", '<th scope="row">'))


def anchors(links: Iterable[PageLink], root: str = ".") -> Markup:
    """References as HTML, from a page whose way to the report's folder is `root`."""

    def anchor(link: PageLink) -> Markup:
        name = Markup(' aria-label="{}"').format(link.name) if link.name else ""
        return Markup('<a href="{}/{}"{}>{}</a>').format(root, _address(link.target), name, link.text)

    return Markup(", ").join(map(anchor, links))


def _address(target: str) -> str:
    """A path inside the report as part of an address: only harmless characters are left as they are."""
    return quote(target, safe="/#")


def _page(table: Table, root: str) -> str:
    notes = Markup().join(Markup("<li>{}</li>\n").format(note) for note in table.notes)
    page = '<!doctype html>\n<html lang="en">\n<meta charset="utf-8">\n<title>{}</title>\n{}<ul>\n{}</ul>\n</html>\n'
    return str(Markup(page).format(table.title, html(table, root), notes))


#: What LaTeX's fonts lack as characters.
_SIGNS: dict[str, str | int | None] = {
    "±": r"$\pm$",
    "×": r"$\times$",
    "−": "$-$",
    "†": r"$\dagger$",
    "≥": r"$\geq$",
    "≤": r"$\leq$",
    "–": "--",
}


def latex(table: Table, root: str = ".") -> str:
    """The table as LaTeX's `tabular`, for the package booktabs; references as plain text."""

    def line(text: object) -> str:
        return " ".join(str(text).split())

    align = ["right" if column in table.numeric else "left" for column in table.columns]
    text = tabulate(
        table.frame.map(line).to_numpy().tolist(), list(map(line, table.columns)), "latex_booktabs",
        disable_numparse=True, colalign=align if len(table.frame) else None,
    )  # fmt: skip
    notes = "".join(f"\n% {line(note)}" for note in table.notes)
    return f"% {line(table.title)}\n{text.translate(str.maketrans(_SIGNS))}{notes}\n"


_FORMS = {
    "md": lambda table, root: f"**{escaped(table.title)}**\n\n{markdown(table, root)}",
    "csv": lambda table, _: table.frame.to_csv(index=False, lineterminator="\n"),
    "tex": latex,
    "html": _page,
}
