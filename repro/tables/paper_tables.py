"""The paper's tables as it prints them, to the last printed zero."""

from __future__ import annotations

from repro import paper
from repro.groups import shown
from repro.tables.table import Table, made

#: Those of which nothing here is a rerun.
NUMBERS = (5, *range(7, 15))
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
#: Columns of this project's names, where another one has the paper's.
_HIDDEN = {3: ("network",), 4: ("network",)}


def table(number: int) -> Table:
    """One table of the paper.

    Raises:
        UserError: no such table.
    """
    about, printed = paper.about(number), paper.printed(number)
    headings = {name: _HEADINGS.get(name, name) for name in map(str, printed) if name not in _HIDDEN.get(number, ())}
    numbers = paper.table(number).select_dtypes("number").columns
    return made(
        f"table-{number}",
        f"Table {number} of the paper: {about.title}",
        list(headings.values()),
        printed[list(headings)].map(shown).to_numpy().tolist(),
        words=[heading for name, heading in headings.items() if name not in numbers],
        notes=[f"{heading}: {about.columns[name]}." for name, heading in headings.items() if "mAP" in heading],
    )
