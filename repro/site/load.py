"""Reads results folders for a report: each run once, and what was odd about them in words."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from repro import names, repeat, study
from repro.claims.evidence import REFERENCE
from repro.errors import RecordError, printable, unknown
from repro.groups import each, kept, name_of
from repro.records import Records, Source, bits, collect
from repro.records.tested import Tested, tested_in
from repro.repeat import Attestation


@dataclass(frozen=True)
class Gathered:
    """What a report is made from.

    Attributes:
        records: each run once per source; networks have the shortest of their names.
        troubles: what is not well, by its kind, each in words.
        discarded: runs of the sources whose records are no longer kept: source, data, preset, runs, core_hours, why.
        attestations: of reference runs that were repeated.
        tested: by source what was measured of others' weights on photographs.
    """

    records: Records
    troubles: dict[str, list[str]]
    discarded: pd.DataFrame
    attestations: list[Attestation]
    tested: dict[str, list[Tested]]


def load(folders: Sequence[Source], presets: Sequence[str] = (), attestations: Path | None = None) -> Gathered:
    """Read the runs of some sources.

    Args:
        folders: results folders; a missing one counts as empty.
        presets: only runs of these; all if empty.
        attestations: the folder of these, which may be missing.

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
        records = kept(records, lambda table: table["preset"].isin(presets))
    if not len(records.runs):
        places = ", ".join(str(source.path) for source in folders)
        of = f" of preset {' or '.join(presets)}" if presets else ""
        unreadable = f"; {len(records.damaged)} unreadable: {records.damaged[0].reason}" if records.damaged else ""
        raise RecordError(
            f"no run{of} in {places}{unreadable}: train some first, for example python -m repro.run degradation"
        )
    records, copies = _once(records)
    attested, unread = _attestations(attestations)
    photographs = {source.name: tested_in(source.path) for source in folders}
    unread += [f"{name}: {line}" for name, (_, lines) in photographs.items() for line in lines]
    troubles = {
        "unreadable": [f"{item.source}: {item.folder}: {item.reason}" for item in records.damaged] + unread,
        "failed or diverged": _failures(records.runs),
        "in conflict": _conflicts(records),
        "copied": copies,
        "repaired while reading": list(dict.fromkeys(printable(str(w.message)) for w in caught)),
    }
    tested = {name: found for name, (found, _) in photographs.items()}
    return Gathered(_named(records), troubles, _discarded(folders, presets), attested, tested)


def _attestations(folder: Path | None) -> tuple[list[Attestation], list[str]]:
    """Those that can be read, and why others cannot."""
    found, unread = [], []
    for path in sorted(folder.glob("*.json")) if folder else []:
        try:
            found.append(repeat.read(path))
        except RecordError as error:
            unread.append(f"attestations: {path.name}: {error}")
    return found, unread


def _failures(runs: pd.DataFrame) -> list[str]:
    return [
        f"{run['source']}: {name_of(run)} ({run['data']}, {run['preset']}): {run['status']} at iteration "
        f"{run['iteration']:,}" + (f": {run['error']}" if isinstance(run["error"], str) and run["error"] else "")
        for _, run in runs[runs["status"].isin(["failed", "diverged"])].iterrows()
    ]


def _discarded(folders: Sequence[Source], presets: Sequence[str]) -> pd.DataFrame:
    """What each source's discarded.csv says; whoever deletes records adds to it."""
    kinds = {"source": str, "data": str, "preset": str, "runs": int, "core_hours": float, "why": str}
    found = [pd.DataFrame(columns=list(kinds))]
    for source in folders:
        path = source.path / "discarded.csv"
        try:
            found += [pd.read_csv(path).assign(source=source.name)[list(kinds)].astype(kinds)] if path.exists() else []
        except (OSError, ValueError, KeyError) as error:
            raise RecordError(f"{path}: cannot be read as a table of discarded runs: {error}") from error
    rows = pd.concat(found[1:] or found, ignore_index=True)
    return rows[rows["preset"].isin(presets)] if presets else rows


def _named(records: Records) -> Records:
    """The records with the shortest name of each network."""
    runs = records.runs
    families = [run.family for run in runs["run"]]
    shortest = {key: str(names.parse(*key)) for key in set(zip(runs["network"], families, strict=True))}
    of = dict(zip(zip(runs["source"], runs["folder"], strict=True), families, strict=True))

    def change(table: pd.DataFrame) -> pd.DataFrame:
        keys = zip(table["network"], table["source"], table["folder"], strict=True)
        return table.assign(network=[shortest[network, of[source, folder]] for network, source, folder in keys])

    return each(records, change)


def _once(records: Records) -> tuple[Records, list[str]]:
    """Drop copies of a run that lie in other folders than its own, and say which."""
    runs = records.runs
    away = [str(run.path) != folder for run, folder in zip(runs["run"], runs["folder"], strict=True)]
    order = runs.assign(away=away).sort_values(["away", "folder"], kind="stable")
    copies = runs.loc[order.index[order.duplicated(["source", "data", "preset", "network", "variant", "seed"])]]
    dropped = sorted(zip(copies["source"], copies["folder"], strict=True))
    if dropped:
        records = kept(records, lambda table: ~table.set_index(["source", "folder"]).index.isin(dropped))
    return records, [f"{source}: {folder}: lies elsewhere too, counted once" for source, folder in dropped]


def _conflicts(records: Records) -> list[str]:
    """Runs that should have the same bits as far as both have come, and have not."""
    found: list[str] = []
    earlier: dict[str, list[bits.Key]] = {}
    for key in _keys(records):
        record = records.records[key]
        if record.status == "foreign":
            continue
        alike = earlier.setdefault(record.spec.hash, [])
        for first in alike:
            if bits.reasons(records.records[first], record):
                continue
            if at := bits.first_difference(records, first, key):
                found.append(
                    f"{first[0]}: {first[1]} and {key[0]}: {key[1]} are one specification on equal images at equal "
                    f"precision and threads on like processors, but differ in {at}"
                )
                break
        alike.append(key)
    return found


def against_reference(records: Records, source: str, folder: str) -> str:
    """Whether a run has the bits of the reference's run of the same specification, in words; empty if there is none."""
    mine = records.record(source, folder)
    if source == REFERENCE or mine.status == "foreign":
        return ""
    theirs = [key for key in _keys(records) if key[0] == REFERENCE and records.records[key].spec == mine.spec]
    if not theirs:
        return ""
    at = bits.first_difference(records, theirs[0], (source, folder))
    if at is None:
        return "the same as the reference's" + ("" if mine.status == "complete" else ", as far as it has come")
    why = "; ".join(bits.reasons(records.records[theirs[0]], mine))
    return f"other than the reference's, in {at} ({why or 'nothing that is recorded says why'})"


def _keys(records: Records) -> list[bits.Key]:
    return list(zip(records.runs["source"], records.runs["folder"], strict=True))
