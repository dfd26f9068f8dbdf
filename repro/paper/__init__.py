"""The numbers of the paper (arXiv:1512.03385v1), read from the CSV and TOML files beside this one; nothing is computed.

Each CSV file opens with lines of the form `# title: ...`, `# section: ...`, `# checked: ...` (where its numbers were
read and how that was checked) and one `# column NAME: ...` per column, which `about` gives. Errors are percent.
"""

from __future__ import annotations

import io
import tomllib
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any, Literal

import pandas as pd

from repro.errors import unknown

#: Tables of the paper.
TABLES = tuple(range(1, 15))
#: Further files: readings of curves (Figures 1, 4, 6), of responses (Figure 7), reproductions by others, and the
#: errors of the models that the authors published.
OTHERS = ("readings-curves", "readings-responses", "third-party", "released-models")


@dataclass(frozen=True)
class About:
    """What the head of a file says of it."""

    name: str
    title: str
    section: str
    checked: str
    columns: dict[str, str]


def table(which: int | str) -> pd.DataFrame:
    """The numbers of one table, by its number in the paper or by a name of `OTHERS`.

    Empty cells are NaN in columns of numbers and "" in columns of text. `about` describes the columns.

    Raises:
        UserError: no such table.
    """
    return _read(_name(which))[1].copy()


def printed(number: int) -> pd.DataFrame:
    """The numbers of one table as texts, with the digits that the paper prints.

    Raises:
        UserError: no such table.
    """
    return pd.read_csv(io.StringIO(_text(f"{_name(number)}.csv")), comment="#", dtype=str, keep_default_na=False)


def about(which: int | str) -> About:
    """Title, section of the paper, how the numbers were checked, and what each column means.

    Raises:
        UserError: no such table.
    """
    return _read(_name(which))[0]


def readings(figure: Literal[4, 6]) -> pd.DataFrame:
    """What was read off the curves of Figure 4 or 6, whose plain-20 and plain-56 are Figure 1 too.

    Columns: figure, network, quantity, iteration, value, low, high, how (see `about("readings-curves")`). `value` is
    NaN where only the bounds `low` and `high` are known.
    """
    return table("readings-curves").query("figure == @figure").reset_index(drop=True)


def responses() -> pd.DataFrame:
    """What was read off Figure 7. Columns: network, layer (NaN: mean over all layers), value, low, high, how."""
    return table("readings-responses")


@cache
def constants() -> dict[str, dict[str, Any]]:
    """Numbers that the paper gives in its text, by the tables cifar, imagenet and detection of constants.toml."""
    return tomllib.loads(_text("constants.toml"))


def _name(which: int | str) -> str:
    name = f"table-{which}" if isinstance(which, int) else which
    known = [*(f"table-{number}" for number in TABLES), *OTHERS]
    if name not in known:
        raise unknown("table of the paper", str(which), known)
    return name


@cache
def _read(name: str) -> tuple[About, pd.DataFrame]:
    lines = _text(f"{name}.csv").splitlines(keepends=True)
    head = [line[2:].rstrip("\n").partition(": ") for line in lines if line.startswith("# ")]
    said = {key: value for key, _, value in head}
    columns = {key.removeprefix("column "): value for key, value in said.items() if key.startswith("column ")}
    body = io.StringIO("".join(lines[len(head) :]))
    frame = pd.read_csv(body, dtype={"params": "object", "option": "object"})
    for column in frame.columns:
        if not pd.api.types.is_numeric_dtype(frame[column]):
            frame[column] = frame[column].astype("object").fillna("")
    return About(name, said["title"], said["section"], said["checked"], columns), frame


def _text(file: str) -> str:
    return resources.files(__name__).joinpath(file).read_text(encoding="utf-8")
