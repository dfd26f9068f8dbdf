"""What the runs took, discarded ones too, and who repeated them with what result."""

from __future__ import annotations

from collections.abc import Iterable

import pandas as pd

from repro.errors import counted, printable
from repro.groups import Group
from repro.repeat import Attestation
from repro.tables.table import Links, Table, made


def compute(runs: pd.DataFrame, discarded: pd.DataFrame) -> Table:
    """Hours of training by source, data set and preset.

    Args:
        runs: rows of `Records.runs`.
        discarded: source, data, preset, runs, core_hours and why, of runs whose records are no longer kept.
    """
    mine = runs[runs["status"] != "foreign"]
    hours = mine["seconds"].fillna(0) / 3600 * mine["ranks"]
    on_cpu = mine["device"].fillna("cpu") == "cpu"
    mine = mine.assign(
        cores=(hours * mine["threads"].fillna(1).astype(float)).where(on_cpu, 0.0), gpus=hours.mask(on_cpu, 0.0)
    )
    rows: list[tuple[str, str, str, float, float]] = []
    for (source, data, preset), found in mine.groupby(["source", "data", "preset"], sort=False):
        short = int((found["status"] != "complete").sum())
        kept = counted(len(found), "run") + (f", {short} of them not complete" if short else "")
        title = Group(str(data), str(preset)).title
        rows.append((str(source), title, kept, float(found["cores"].sum()), float(found["gpus"].sum())))
    for _, item in discarded.iterrows():
        what = f"{counted(int(item['runs']), 'discarded run')}: {item['why']}"
        rows.append((item["source"], Group(item["data"], item["preset"]).title, what, float(item["core_hours"]), 0.0))
    rows.append(("all", "", "", sum(row[3] for row in rows), sum(row[4] for row in rows)))
    return made(
        "compute",
        "Computing time",
        ["source", "data and preset", "runs", "core-hours", "GPU-hours"],
        [[*map(printable, row[:3]), f"{row[3]:.2f}", f"{row[4]:.2f}"] for row in rows],
        words=["data and preset", "runs"],
        notes=[
            "Time in training, with its measurements on test images, times threads and ranks; as the records have it. "
            "Discarded: trained, but replaced; their records are no longer kept."
        ],
    )


def attested(attestations: Iterable[Attestation]) -> Table:
    """A row per repeated run of each attestation, newest first, disagreements included."""
    rows: list[list[str | Links]] = []
    for found in sorted(attestations, key=lambda one: one.date, reverse=True):
        on = ", ".join(filter(None, (found.environment.processor, f"torch {found.environment.torch}")))
        about = (found.date, found.by or "not named", on, Group(found.data, found.preset).title)
        for item in found.repeats:
            rows.append([*map(printable, (*about, f"{item.network}, seed {item.seed}", item.verdict, item.why))])
    columns = ["date", "by", "on", "data and preset", "run", "verdict", "because"]
    return made(
        "attestations",
        "Reference runs that were repeated",
        columns,
        rows,
        words=columns[1:],
        notes=[
            "Same bits: every logged number and the final weights are equal. Consistent: bits differ, and each result "
            "lies where another seed is expected to. Those by this project are no independent repetition. To add "
            "yours: python -m repro.attest."
        ],
    )
