"""Which runs should have the same bits, and where two of them first differ."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from repro.records.collect import Records
from repro.records.record import Record

if TYPE_CHECKING:
    import pandas as pd

#: The source and the folder of a run.
Key = tuple[str, str]
#: What of a session decides bits; a session has it where it is not as in the one before.
MACHINE = ("device", "instructions", "torch", "torch_build", "cuda", "cudnn", "driver")
#: Records of early versions lack these; what one of two runs does not know is taken to be equal.
_NEWER = ("torch_build", "instructions", "cuda", "cudnn", "driver")
#: The tables of a run, and the column in which each says where a row belongs.
_TABLES = (("curves", "iteration"), ("responses", "layer"), ("health", "iteration"))


def reasons(reference: Record, mine: Record) -> list[str]:
    """What decides bits and is not the same in two records, in words; empty where the bits should be equal."""
    its, own = _decide(reference), _decide(mine)
    found = [
        f"{name} {own[name] or 'unknown'}, the reference's {its[name] or 'unknown'}"
        for name in its
        if name in own and its[name] != own[name] and not (name in _NEWER and None in (its[name], own[name]))
    ]
    for whose, record in (("the reference's", reference), ("its own", mine)):
        if moved(record):
            found.append(f"{whose} training moved to another machine")
    return found


def moved(record: Record) -> bool:
    """Whether a run was carried on with something else that decides its bits."""
    return any(set(MACHINE) & set(session.model_extra or {}) for session in record.sessions[1:])


def _decide(record: Record) -> dict[str, Any]:
    numerics, made = record.numerics, record.environment
    more = made.model_extra or {}
    found = {name: getattr(numerics, name) for name in ("device", "precision", "ranks")}
    found |= {"images": record.data.fingerprint, "torch": made.torch, "torch_build": more.get("torch_build")}
    if numerics.device == "cpu":
        by_cpu = {name: getattr(made, name) for name in ("processor", "instructions")}
        return {**found, "threads": numerics.threads, **by_cpu}
    return {**found, "card": made.device, **{name: more.get(name) for name in ("cuda", "cudnn", "driver")}}


def first_difference(records: Records, one: Key, other: Key) -> str | None:
    """The first table, and the iteration or layer, in which two runs differ in a bit, or their final weights.

    Where only one of the two is complete, they are compared as far as both have come.
    """
    known = [records.records[key] for key in (one, other)]
    whole = all(record.status == "complete" for record in known)
    for name, at in _TABLES:
        mine, theirs = (_rows(getattr(records, name), key) for key in (one, other))
        if not whole:
            shared = set(mine[at]) & set(theirs[at])
            mine, theirs = (table[table[at].isin(shared)].reset_index(drop=True) for table in (mine, theirs))
        if len(mine) != len(theirs):
            return f"the number of rows of {name}"
        same = ((mine == theirs) | (mine.isna() & theirs.isna())).all(axis=1).astype(bool)
        if not same.all():
            return f"{name} from {at} {mine[at][~same].iloc[0]:,} on"
    hashes = {record.weights_sha256 for record in known if record.weights_sha256}
    return "the final weights" if len(hashes) > 1 else None


def _rows(table: pd.DataFrame, key: Key) -> pd.DataFrame:
    mine = table[(table["source"] == key[0]) & (table["folder"] == key[1])]
    # How a run ended, and the name that it was asked for by, are not of its bits.
    return mine.drop(columns=["source", "folder", "status", "network"]).reset_index(drop=True)
