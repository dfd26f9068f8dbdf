"""Reads results folders for a report: each run once, and what was odd about them in words."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace

import pandas as pd

from repro import study
from repro.errors import RecordError, printable, unknown
from repro.groups import Group, groups, narrow
from repro.records import Records, Source, collect

#: A run's identity within its source.
IDENTITY = ["source", "data", "preset", "network", "variant", "seed"]


@dataclass(frozen=True)
class Gathered:
    """What a report is made from.

    Attributes:
        records: each run once per source.
        repeated: folders that hold a run that another folder of the source holds too; not counted.
        conflicts: runs of one specification and equal numerics whose curves differ, each in words.
        remarks: what was noticed while reading, such as torn lines.
    """

    records: Records
    repeated: tuple[str, ...]
    conflicts: tuple[str, ...]
    remarks: tuple[str, ...]

    @property
    def groups(self) -> list[Group]:
        """The data sets and presets, nearest to the paper's own first."""
        return groups(self.records)

    def of(self, group: Group | None = None, source: str | None = None) -> Records:
        """The records of a group, of a source, or of both."""
        return narrow(self.records, group, source)


def load(folders: Sequence[Source], presets: Sequence[str] = ()) -> Gathered:
    """Read the runs of some sources.

    Args:
        folders: results folders; a missing one counts as empty.
        presets: only runs of these; all if empty.

    Raises:
        UserError: a preset that is neither known here nor that of any run.
        RecordError: there is no run at all.
    """
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        records = collect([source for source in folders if source.path.is_dir()])
    for preset in presets:
        known = {*study.presets(), *records.runs["preset"]}
        if preset not in known:
            raise unknown("preset", preset, sorted(known))
    if presets:
        records = replace(
            records,
            runs=_where(records.runs, presets),
            curves=_where(records.curves, presets),
            responses=_where(records.responses, presets),
            health=_where(records.health, presets),
        )
    if not len(records.runs):
        places = ", ".join(str(source.path) for source in folders)
        of = f" of preset {' or '.join(presets)}" if presets else ""
        unreadable = f"; {len(records.damaged)} unreadable: {records.damaged[0].reason}" if records.damaged else ""
        raise RecordError(
            f"no run{of} in {places}{unreadable}: train some first, for example python -m repro.run degradation"
        )
    records, repeated = _once(records)
    return Gathered(
        records, repeated, _conflicts(records), tuple(dict.fromkeys(printable(str(w.message)) for w in caught))
    )


def _where(table: pd.DataFrame, presets: Sequence[str]) -> pd.DataFrame:
    return table[table["preset"].isin(presets)].reset_index(drop=True)


def _once(records: Records) -> tuple[Records, tuple[str, ...]]:
    """Drop copies of a run that lie in other folders than its own."""
    runs = records.runs
    away = [str(run.path) != folder for run, folder in zip(runs["run"], runs["folder"], strict=True)]
    order = runs.assign(away=away).sort_values(["away", "folder"], kind="stable")
    copies = runs.loc[order.index[order.duplicated(IDENTITY)]]
    dropped = set(zip(copies["source"], copies["folder"], strict=True))

    def keep(table: pd.DataFrame) -> pd.DataFrame:
        mask = [key not in dropped for key in zip(table["source"], table["folder"], strict=True)]
        return table[pd.Series(mask, index=table.index, dtype=bool)].reset_index(drop=True)

    kept = replace(
        records,
        runs=keep(runs),
        curves=keep(records.curves),
        responses=keep(records.responses),
        health=keep(records.health),
    )
    return kept, tuple(f"{source}: {folder}" for source, folder in sorted(dropped))


def _conflicts(records: Records) -> tuple[str, ...]:
    """Runs that should have the same bits as far as both have come, and have not."""
    found = []
    curves = dict(list(records.curves.groupby(["source", "folder"])))
    seen: dict[str, tuple[str, str]] = {}
    for _, run in records.runs.iterrows():
        key = (str(run["source"]), str(run["folder"]))
        if key not in curves or run["status"] == "foreign":
            continue
        first = seen.setdefault(_same_bits(run), key)
        at = _first_difference(curves[first], curves[key]) if first != key else None
        if at is not None:
            found.append(
                f"{first[0]}: {first[1]} and {key[0]}: {key[1]} are one specification on equal data at equal "
                f"precision and threads on like processors, but their curves differ from iteration {at:,} on"
            )
    return tuple(found)


def _same_bits(run: pd.Series) -> str:
    """What decides a run's bits, as one text: like runs on like processors with the same torch have the same."""
    decide = ["device", "precision", "threads", "ranks", "fingerprint", "hardware", "processor", "torch"]
    return " ".join([run["run"].hash, *(str(run[key]) for key in decide)])


def _first_difference(one: pd.DataFrame, other: pd.DataFrame) -> int | None:
    """The first iteration at which two curves differ, of those that both have."""
    numbers = ["train_loss", "train_error", "test_loss", "test_error"]
    both = one.merge(other, on="iteration")
    differs = pd.Series(False, index=both.index)
    for name in numbers:
        mine, theirs = both[f"{name}_x"], both[f"{name}_y"]
        differs |= (mine != theirs) & ~(mine.isna() & theirs.isna())
    return int(both["iteration"][differs].iloc[0]) if differs.any() else None
