"""The page of one run: its curves, responses, specification, environment, and the command that repeats it."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from repro.figures import one_run
from repro.figures.drawing import Drawing
from repro.groups import name_of
from repro.records import Record
from repro.site import command, protocol
from repro.spec import fields_of
from repro.tables.runs import duration, percent

#: What differs between runs without being a choice of protocol.
_OWN = ("network", "preset", "seed", "variant", "data", "log_every", "evaluate_every")


@dataclass(frozen=True)
class RunPage:
    """What the page of a run shows."""

    name: str
    source: str
    lead: str
    error: str
    results: tuple[tuple[str, str], ...]
    drawing: Drawing | None
    deviations: tuple[str, ...]
    command: str
    no_command: str
    spec: tuple[tuple[str, str, str], ...]
    environment: tuple[tuple[str, str], ...]


def page(run: pd.Series, record: Record, curve: pd.DataFrame, responses: pd.DataFrame, bits: str) -> RunPage:
    """The page of a run.

    Args:
        run: a row of `Records.runs`.
        record: its record.
        curve, responses: the rows of its curve and of its responses.
        bits: whether they are those of the reference's run, in words; may be empty.
    """
    spec = record.spec
    foreign, usual = run["status"] == "foreign", fields_of(protocol.PAPER)
    repeat = None if foreign else command.repeat(spec, record.numerics)
    return RunPage(
        name=name_of(run),
        source=str(run["source"]),
        lead=f"{_ended(run)} Source {run['source']}: {run['folder']}.",
        error="\n".join(text for text in (record.error, record.traceback) if text),
        results=(*_results(run, record), *([("bits", bits)] if bits else [])),
        drawing=one_run.draw(run, curve, responses),
        deviations=tuple(protocol.departures(run)),
        command=repeat or "",
        no_command="Its curves are another program's; nothing here repeats it."
        if foreign
        else "No study of this version plans this run; an experiment file of your own can (see experiments/).",
        spec=tuple(
            (key, _text(value), "" if key in _OWN else _text(usual[key])) for key, value in fields_of(spec).items()
        ),
        environment=tuple(_environment(record)),
    )


def _ended(run: pd.Series) -> str:
    reached = f"{run['iteration']:,} of {run['iterations']:,} iterations"
    return {
        "complete": f"Complete, {run['iterations']:,} iterations.",
        "diverged": f"Diverged after {reached}: its loss was no longer finite.",
        "failed": f"Failed after {reached}.",
        "stopped": f"Stopped after {reached}; the same command carries it on.",
        "running": f"Running, or killed, after {reached}.",
        "foreign": f"Foreign: curves of another program, {reached}.",
    }[run["status"]]


def _results(run: pd.Series, record: Record) -> list[tuple[str, str]]:
    rows = [
        ("training error, last evaluation interval", _percent(run["train_error"])),
        ("test error, final iterate", _percent(run["test_error"])),
        ("training error in evaluation mode, without augmentation", _percent(run["clean_train_error"])),
        ("warm-up ended after iteration", _text(record.warm_up_ended or None)),
        ("time in training", duration(run["seconds"])),
    ]
    return [(name, said) for name, said in rows if said]


def _percent(value: float) -> str:
    return f"{percent(value)} %" if math.isfinite(value) else ""


def _environment(record: Record) -> list[tuple[str, str]]:
    rows = []
    for part in ("data", "numerics", "environment"):
        inside = getattr(record, part).to_dict()
        rows += [(f"{part}: {key}", _text(value)) for key, value in inside.items() if value is not None]
    for number, session in enumerate(record.sessions, start=1):
        rows.append((f"session {number}", _text(session.to_dict())))
    return rows


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {_text(item)}" for key, item in value.items())
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, str):
        return value
    return f"{value:,}" if isinstance(value, int) else json.dumps(value, default=str)
