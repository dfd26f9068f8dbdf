"""All runs, complete or not; what they took, discarded ones too; and who repeated them with what result."""

from __future__ import annotations

import math
from collections.abc import Iterable

import pandas as pd

from repro.errors import counted, printable
from repro.groups import Group, address, name_of
from repro.repeat import Attestation
from repro.tables.table import Links, PageLink, Table, made


def all_runs(runs: pd.DataFrame) -> Table:
    """A row per run, in the order given.

    Args:
        runs: rows of `Records.runs`.
    """
    reached, whole = runs["iteration"], runs["iterations"]
    columns = {
        "run": [Links([PageLink(name_of(run), address(run))]) for _, run in runs.iterrows()],
        **{name: runs[name] for name in ("data", "preset", "source", "status")},
        "iterations": [f"{n:,}" + ("" if n == of else f" of {of:,}") for n, of in zip(reached, whole, strict=True)],
        "training (%)": runs["train_error"].map(percent),
        "test (%)": runs["test_error"].map(percent),
        "clean (%)": runs["clean_train_error"].map(percent),
        "precision": runs["precision"].fillna(""),
        "time": runs["seconds"].map(duration),
    }
    return made(
        "runs",
        "All runs",
        list(columns),
        zip(*columns.values(), strict=True),
        words=("data", "preset", "source", "status", "precision"),
        notes=[
            "Training error: mean over the last evaluation interval, in training mode on augmented "
            "crops; of another program's curves, like their test error, the last value. Clean: of the final network in "
            "evaluation mode on the training images as they are. "
            "Time in training: hours, minutes, seconds."
        ],
    )


def percent(value: float) -> str:
    """An error with two decimals, or nothing."""
    return f"{value:.2f}" if math.isfinite(value) else ""


def duration(seconds: float) -> str:
    """A time as hours:minutes:seconds, or nothing."""
    if not math.isfinite(seconds):
        return ""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02}:{rest:02}"


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
    rows = []
    for (source, data, preset), found in mine.groupby(["source", "data", "preset"], sort=False):
        short = int((found["status"] != "complete").sum())
        kept = counted(len(found), "run") + (f", {short} of them not complete" if short else "")
        rows.append((str(source), Group(str(data), str(preset)).title, kept, found["cores"].sum(), found["gpus"].sum()))
    for item in discarded.to_dict("records"):
        what = f"{counted(item['runs'], 'discarded run')}: {item['why']}"
        rows.append((item["source"], Group(item["data"], item["preset"]).title, what, item["core_hours"], 0.0))
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
    rows = []
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
