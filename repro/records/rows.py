"""The rows of a file of curves, CSV, JSON or a table of Markdown, as cells of text below a header."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import get_args

from repro.disk import read_text
from repro.errors import RecordError, UserError
from repro.records.columns import QUANTITIES, What, is_quantity, meaning_of, option, splits_of, words_of

#: A file beyond this is no file of curves.
LARGEST_FILE = 50_000_000
#: What to do with what is none.
TABLE = "write its numbers as a table, CSV say: a header, then a row an epoch, a column for each number"
Table = tuple[list[str], dict[int, list[str]]]


def read_rows(path: Path) -> Table:
    """The header, and the cells of each row below it by the number of its line.

    Raises:
        RecordError: it cannot be read, or is no table.
    """
    text = read_text(path, "file of curves", LARGEST_FILE).removeprefix("\ufeff")
    text = re.sub(r'^\w+ (?=\{")', "", text, flags=re.MULTILINE)  # a logger's own mark before each object
    return (_of_json if re.match(r"\s*(\{|\[\s*([\[{\]]|$))", text) else _of_csv)(text, path)


def _of_csv(text: str, path: Path) -> Table:
    lines, comments = text.splitlines() or [""], 0
    # Comments may stand above the header, and numpy.savetxt makes one of the header itself.
    while len(lines) > 1 and lines[0][:1] in ("#", "%") and not re.match(r"\s*[\d.]", lines[1]):
        lines, comments = lines[1:], comments + 1
    lines[0] = lines[0].removeprefix("# ")
    if len(lines) > 1 and all(re.match(r"(- )?[\w ]*[:=\[]", line) for line in lines[:2]):
        raise RecordError(f"{path}: seems to be what a program prints, or YAML: {TABLE}")
    mark = max(",;\t|", key=lines[0].count)
    if mark not in lines[0] and len(lines[0].split()) == len("".join(lines[1:2]).split()):
        mark, lines = " ", [line.strip() for line in lines]
    elif mark not in lines[0]:  # columns some spaces apart, whose names have one space within
        mark, lines = "\t", [re.sub(" {2,}", "\t", line.strip()) for line in lines]
    if mark == "|":  # Markdown's, with a row of dashes below the header
        lines = ["" if re.fullmatch(r"[\s|:-]*", line) else line.strip().strip("|") for line in lines]
    reader = csv.reader(lines, delimiter=mark, skipinitialspace=True)
    header: list[str] = []
    rows = {}
    try:
        for cells in reader:
            cells = [cell.strip() for cell in cells]
            if not header:
                header = cells
                if any(re.fullmatch(r"\d*\.\d+([eE][+-]?\d+)?", cell) for cell in cells):
                    names = "(MLflow's: timestamp value step)"
                    raise RecordError(f"{path}: line 1 holds numbers: put the columns' names above them {names}")
            elif any(cells) and cells != header:  # a job that is started again may append its header
                rows[comments + reader.line_num] = cells
    except csv.Error as error:
        raise RecordError(f"{path}: cannot be read as a table: {error}") from error
    for line, cells in rows.items():
        if len(cells) != len(header):
            raise RecordError(f"{path}: line {line} has {len(cells)} cells, not {len(header)}: {TABLE}")
    if len({*header}) < len(header) and not any(re.search(r"\d", cell) for cell in [*rows.values(), ["0"]][0]):
        raise RecordError(f"{path}: line 2 is a second header: join the two to one, with names such as 'train acc'")
    return header, _with_points(rows, path) if mark == ";" else rows


def _with_points(rows: dict[int, list[str]], path: Path) -> dict[int, list[str]]:
    """The same where a semicolon parts the cells, as in half of Europe, and a comma is the decimal point."""
    has_commas = any(re.fullmatch(r"\d+,\d+\s*%?", cell) for cells in rows.values() for cell in cells)
    for line, cells in rows.items():
        for cell in cells:
            if has_commas and re.fullmatch(r"\d{1,3}(\.\d{3})+", cell):
                raise RecordError(
                    f"{path}: line {line}: {cell!r} has a point, others a decimal comma: write no mark of thousands"
                )
    return {line: [cell.replace(",", ".") for cell in cells] for line, cells in rows.items()}


def _of_json(text: str, path: Path) -> Table:
    """A list of objects, alone or among other things, an object a line, or an object of lists, as Keras' history is."""
    import pandas as pd  # it takes a second

    try:
        try:
            found = json.loads(text)
        except ValueError:
            found = [json.loads(line) for line in text.splitlines() if line.strip()]
        if isinstance(found, list) and all(isinstance(row, list) and len(row) == 3 for row in found):
            found = [dict(zip(("Wall time", "Step", "Value"), row, strict=True)) for row in found]  # TensorBoard's
        lists = [one for one in found.values() if isinstance(one, list)] if isinstance(found, dict) else []
        of_objects = [one for one in lists if one and all(isinstance(row, dict) for row in one)]
        if len(of_objects) == 1:  # as the log_history of Hugging Face's trainer_state.json
            found = of_objects[0]
        elif of_objects and len({*map(len, of_objects)}) == 1:  # as MatConvNet has them, a list a split
            lists = [[(key, one) for one in rows] for key, rows in found.items() if rows in of_objects]
            found = [dict(row) for row in zip(*lists, strict=True)]
        table = pd.DataFrame(found) if isinstance(found, dict) else pd.json_normalize(found, sep="/")
    # pandas documents none of its exceptions for what is no table.
    except (ValueError, TypeError, AttributeError, NotImplementedError, RecursionError) as error:
        if re.match(r"\s*[\[{]\s*'", text):
            raise RecordError(
                f"{path}: is what Python prints of its objects, no JSON: write them by json.dump"
            ) from error
        raise RecordError(
            f"{path}: is JSON, or looks like it, but no list of objects, object a line, or object of lists of one "
            f"length: {TABLE}"
        ) from error
    names = table.columns.map(str).to_list()
    curves = [name for name in names if is_quantity(name)]
    if curves and all(
        any(isinstance(cell, list | dict) for cell in table.iloc[:, names.index(name)]) for name in curves
    ):
        raise RecordError(f"{path}: {curves[0]!r} holds lists or objects, not numbers: {TABLE}")
    cells = table.astype(object).where(table.notna(), "").map(str).to_numpy().tolist()
    return names, dict(enumerate(cells, start=1))


def apart(header: list[str], rows: dict[int, list[str]], told: Mapping[str, str], where: str) -> Table:
    """Where a column says what a row is of, put its words before the others' names: accuracy becomes train accuracy.

    In a long table, where one column has the names of numbers and one the numbers, the value becomes train accuracy.

    Raises:
        UserError: such a column is said to tell runs apart, which would make training a run, and the test another.
    """
    values = [name for name in header if words_of(name)[-1:] == ["value"]]
    is_long = len(values) == 1 and not any(map(is_quantity, header))
    kinds = []
    for at, name in enumerate(header):
        cells = sorted({row[at] for row in rows.values() if row[at]})
        splits = [splits_of(cell) for cell in cells]
        says = is_long and any(map(is_quantity, cells))
        says |= bool(cells) and all(splits) and all(len(words_of(cell)) == 1 for cell in cells)
        differ = len({found[0] for found in splits if len(found) == 1}) > 1
        if (says or differ) and told.get(name) in ("seed", "network"):
            raise UserError(
                f"{where}: column {name!r} says what a row is of ({', '.join(cells[:4])}), no run: "
                f"give {option(name, 'split')}"
            )
        if told.get(name, "split" if says else "") == "split":
            kinds.append(at)
    if not kinds or len(set(header)) < len(header):
        return header, rows
    of_run = get_args(What)[:4]
    shared = {name for name in header if {meaning_of(name), told.get(name)} & {*of_run}}
    shared |= {*header} - {*values} if is_long else set()
    # A row's words may be those of a count, as of an epoch: they go before errors and accuracies alone.
    of_row = {name for name in header if is_long or is_quantity(name) or told.get(name) in QUANTITIES} - shared
    found: dict[int, dict[str, str]] = {}
    for line, cells in rows.items():
        words = " ".join(cells[at] for at in kinds)
        named = found[line] = {}
        for at, (name, cell) in enumerate(zip(header, cells, strict=True)):
            new = words if is_long else f"{words} {name}"
            takes = name in of_row or (name not in shared and told.get(new) in QUANTITIES)
            if cell and at not in kinds:
                named[new if takes else name] = cell
    names = list(dict.fromkeys(name for row in found.values() for name in row))
    return names, {line: [row.get(name, "") for name in names] for line, row in found.items()}
