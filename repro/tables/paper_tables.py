"""The paper's tables as it prints them, to the last printed zero, and beside these what others' weights have here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from repro import names, paper
from repro.groups import shown
from repro.records.tested import Tested
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
#: By which protocol the errors of a table are (`repro.measure.views`).
_PROTOCOLS = {2: "ten", 3: "ten", 4: "dense"}


def table(number: int, tested: Mapping[str, Sequence[Tested]] | None = None) -> Table:
    """One table of the paper.

    Args:
        tested: by source what was measured of weights; on ILSVRC2012's validation images it stands beside the paper's.

    Raises:
        UserError: no such table.
    """
    about, printed = paper.about(number), paper.printed(number)
    headings = {name: _HEADINGS.get(name, name) for name in map(str, printed) if name not in _HIDDEN.get(number, ())}
    numbers = paper.table(number).select_dtypes("number").columns
    cells = printed[list(headings)].map(shown)
    notes = [f"{heading}: {about.columns[name]}." for name, heading in headings.items() if "mAP" in heading]
    for source, found in (tested or {}).items() if number in _PROTOCOLS else ():
        mine = [one for one in found if _PROTOCOLS[number] in one.errors]
        beside = {str(names.parse(one.network, "imagenet")): one for one in mine if one.comparable}
        networks = [name for name in printed["network"] if name in beside]
        for top in (name for name in ("top1", "top5") if name in headings and networks):
            errors = {name: getattr(beside[name].errors[_PROTOCOLS[number]], top) for name in networks}
            column = f"{_HEADINGS[top]}, measured here: {source}"
            cells[column] = [f"{errors[name]:.2f}" if name in errors else "" for name in printed["network"]]
        notes += [f"{source}: {name} of form {beside[name].form}, {beside[name].weights}." for name in networks]
        notes += [
            f"{source}: {one.network} is left out, of {one.images:,} photographs and crops of {one.crop} pixels."
            for one in mine
            if not one.comparable
        ]
    columns = [*headings.values(), *map(str, cells.columns[len(headings) :])]
    return made(
        f"table-{number}",
        f"Table {number} of the paper: {about.title}",
        columns,
        cells.to_numpy().tolist(),
        words=[heading for name, heading in headings.items() if name not in numbers],
        notes=notes,
    )
