"""Final errors of any networks, whoever trained them, and their differences to one of them."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from repro.claims.compare import is_assumed
from repro.claims.evidence import Evidence, Measure, departures
from repro.ends import ERRORS
from repro.groups import Trained, group_of, runs_of
from repro.records import Records
from repro.statistics import difference
from repro.tables.compare import in_words, links_to, mean_and_std
from repro.tables.table import Links, Table, made

_MEASURES: tuple[Measure, ...] = ("train_error", "test_error")


def table(records: Records, chosen: Sequence[Trained]) -> Table:
    """A row for each of some networks, with its differences to the last of them.

    Args:
        records: of one data set and preset.
        chosen: networks that have runs there.

    Raises:
        ValueError: the records are of several data sets or presets.
    """
    sides = _Sides(records)
    rows: list[list[str | Links]] = []
    for trained in chosen:
        errors = [text for measure in _MEASURES for text in sides.cells(trained, chosen[-1], measure)]
        rows.append([trained.name, *errors, links_to(runs_of(records, trained).runs)])
    said = [ERRORS[measure] for measure in _MEASURES]
    chance = f" One in twenty of such misses the truth by chance; there are {sides.count} here." if sides.count else ""
    return made(
        "compared",
        f"Final errors (%), and their differences to {chosen[-1].name}, the last that was named",
        ["network", *(column for error in said for column in (error, f"{error}: difference")), "runs"],
        rows,
        words=["runs"],
        notes=[
            "Training error over the last evaluation interval and the last test error, of runs that came to their end.",
            f"In brackets after a difference: its 95 % interval, by the rules that claims are judged by.{chance}",
            "Spread assumed: the runs alone, by Welch's interval, do not show the difference.",
        ],
    )


class _Sides:
    """The runs of each source that came to their end, and how many differences were taken."""

    def __init__(self, records: Records) -> None:
        group = group_of(records.runs)
        self.count = 0
        self.of = {
            source: Evidence(records, source=source, data=group.data, preset=group.preset)
            for source in records.runs["source"].unique()
        }

    def cells(self, trained: Trained, last: Trained, measure: Measure) -> tuple[str, str]:
        """An error, and its difference to that of the last or why there is none."""
        mine, theirs = (self.of[one.source].runs(f"{one.network}+{one.variant}", measure) for one in (trained, last))
        if not mine:
            return "none yet", ""
        error = mean_and_std(pd.Series([run.value(measure) for run in mine]), " foreign" if mine[0].foreign else "")
        if trained == last or not theirs:
            return error, ""
        # What departs from the preset is what is compared; images, or what trained them, must be alike.
        unlike = departures([*mine, *theirs], [key for run in (*mine, *theirs) for key in run.settings])
        if unlike:
            return error, f"not comparable: they differ in {', '.join(unlike)}"
        self.count += 1
        a, b = (self.of[one.source].side(runs, measure) for one, runs in ((trained, mine), (last, theirs)))
        found = difference(a, b)
        return error, in_words(found) + (" (spread assumed)" if is_assumed(found) else "")
