"""The paper's tables as it prints them, to the last printed zero."""

from __future__ import annotations

import csv
from importlib import resources

from repro import paper
from repro.figures.chart import shown
from repro.tables.table import Table

#: Headings of columns; the head of each CSV file says more.
_HEADINGS = {
    "top1": "top-1 error (%)",
    "top5": "top-5 error (%)",
    "map": "mAP (%)",
    "map_50": "mAP@.5 (%)",
    "map_50_95": "mAP@[.5, .95] (%)",
    "val_50": "val: mAP@.5",
    "val_50_95": "val: mAP@[.5, .95]",
    "test_dev_50": "test-dev: mAP@.5",
    "test_dev_50_95": "test-dev: mAP@[.5, .95]",
    "val2": "val2 (mAP, %)",
    "error_true_class": "LOC error on the true class (%)",
    "top5_error_predicted_class": "top-5 LOC error on predicted classes (%)",
    "flops": "multiply-adds",
}
#: Columns whose heading is explained below the table.
_EXPLAINED = ("map", "map_50", "map_50_95", "val_50", "val_50_95", "test_dev_50", "test_dev_50_95", "val2")
#: Columns of this project's names, where another one has the paper's.
_HIDDEN = {3: ("network",), 4: ("network",)}


def table(number: int) -> Table:
    """One table of the paper.

    Raises:
        UserError: no such table.
    """
    about, frame = paper.about(number), paper.table(number)
    kept = [column for column in frame.columns if column not in _HIDDEN.get(number, ())]
    return Table(
        name=f"table-{number}",
        title=f"Table {number} of the paper: {about.title}",
        frame=frame,
        columns=tuple(_HEADINGS.get(column, column) for column in kept),
        rows=tuple(tuple(shown(row[column]) for column in kept) for row in printed(number)),
        numeric=frozenset(i for i, column in enumerate(kept) if frame[column].dtype.kind in "if"),
        notes=tuple(f"{_HEADINGS[column]}: {about.columns[column]}." for column in kept if column in _EXPLAINED),
    )


def printed(number: int) -> list[dict[str, str]]:
    """The rows of a table as texts, with the digits that the paper prints."""
    text = resources.files(paper).joinpath(f"table-{number}.csv").read_text(encoding="utf-8")
    return list(csv.DictReader(line for line in text.splitlines() if not line.startswith("# ")))
