"""A table is a DataFrame of texts; tabulate makes Markdown and LaTeX of it, pandas CSV, and a template HTML."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from urllib.parse import quote

import pandas as pd
from markupsafe import Markup
from tabulate import tabulate

#: A column with a text of more characters than this is broken into lines on a page.
LONG = 32


@dataclass(frozen=True)
class PageLink:
    """A reference to a page, relative to the report's folder; `name` says what it is, if the text alone does not."""

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
        files: by form ("CSV"), relative to the report.
    """

    name: str
    title: str
    frame: pd.DataFrame
    numeric: frozenset[str] = frozenset()
    notes: tuple[str, ...] = ()
    files: dict[str, str] = field(default_factory=dict)

    @property
    def columns(self) -> list[str]:
        """The headings."""
        return [str(column) for column in self.frame.columns]

    @property
    def rows(self) -> list[tuple[str | Links, ...]]:
        """The cells, row by row."""
        return list(self.frame.itertuples(index=False, name=None))

    @property
    def kinds(self) -> list[str]:
        """Of each column: "number", "long" or ""."""
        long = self.frame.map(lambda cell: isinstance(cell, str) and len(cell) > LONG).any()
        return ["number" if name in self.numeric else "long" if long[name] else "" for name in self.columns]


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
    frame = pd.DataFrame([list(row) for row in rows], columns=list(columns), dtype=object)
    return Table(name, title, frame, frozenset(columns[1:]) - set(words), tuple(notes))


def markdown(table: Table, root: str = ".", pages: bool = True) -> str:
    """The table, and its notes, as GitHub's Markdown; references are texts alone where there are no `pages`."""

    def cell(value: str | Links) -> str:
        if isinstance(value, Links) and pages:
            return ", ".join(f"[{escaped(link.text)}]({root}/{quote(link.target)})" for link in value)
        return escaped(str(value))

    text = _tabulated(table.frame.map(cell), [escaped(column) for column in table.columns], table, "pipe")
    return "\n".join([text, *(["", *(f"- {escaped(note)}" for note in table.notes)] if table.notes else []), ""])


def _tabulated(cells: pd.DataFrame, columns: Sequence[str], table: Table, form: str) -> str:
    align = ["right" if column in table.numeric else "left" for column in table.columns]
    return tabulate(
        cells.to_numpy().tolist(), columns, form, disable_numparse=True, colalign=align if len(cells) else None
    )


def escaped(text: str) -> Markup:
    """A text in one line with nothing in it that Markdown would take for markup."""
    text = re.sub(r"([\\`*_{}\[\]<>|#~&$])", r"\\\1", text)
    return Markup(" ".join(text.split()))


def code(text: str) -> Markup:
    """A text as a code span of Markdown; none of ours has a backtick."""
    return Markup("`{}`").format(Markup(" ".join(text.split()).replace("`", "'")))


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


def latex(table: Table) -> str:
    """The table as LaTeX's `tabular`, for the package booktabs; references as plain text."""

    def line(text: object) -> str:
        return " ".join(str(text).split())

    text = _tabulated(table.frame.map(line), list(map(line, table.columns)), table, "latex_booktabs")
    notes = "".join(f"\n% {line(note)}" for note in table.notes)
    return f"% {line(table.title)}\n{text.translate(str.maketrans(_SIGNS))}{notes}\n"
