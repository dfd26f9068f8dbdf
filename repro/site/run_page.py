"""The page of one run: its curves, responses, specification, environment, and the command that repeats it."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from repro.figures.chart import Chart, Panel, Series, colour_of
from repro.figures.curves import error_limit_of, error_ticks, iteration_axis
from repro.figures.figure7 import MODES
from repro.records import Record
from repro.site import command, protocol
from repro.spec import fields_of
from repro.tables.runs import duration, name_of, percent

_QUANTITIES = {
    "errors": (("train_error", "training error"), ("test_error", "test error")),
    "losses": (("train_loss", "training loss"), ("test_loss", "test loss")),
}
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
    charts: tuple[Chart, ...]
    deviations: tuple[str, ...]
    command: str
    no_command: str
    spec: tuple[tuple[str, str, str], ...]
    environment: tuple[tuple[str, str], ...]


def page(run: pd.Series, record: Record, curve: pd.DataFrame, responses: pd.DataFrame) -> RunPage:
    """The page of a run.

    Args:
        run: a row of `Records.runs`.
        record: its record.
        curve, responses: the rows of its curve and of its responses.
    """
    spec = record.spec
    foreign, usual = run["status"] == "foreign", fields_of(protocol.PAPER)
    repeat = None if foreign else command.repeat(spec, record.numerics)
    charts = [_curves(run, curve)] if len(curve) else []
    charts += [_responses(run, responses)] if len(responses) else []
    return RunPage(
        name=name_of(run),
        source=str(run["source"]),
        lead=f"{_ended(run)} Source {run['source']}: {run['folder']}.",
        error="\n".join(text for text in (record.error, record.traceback) if text),
        results=tuple(_results(run, record)),
        charts=tuple(charts),
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


def _curves(run: pd.Series, curve: pd.DataFrame) -> Chart:
    unit, x_label = iteration_axis(int(run["iterations"]))
    panels = []
    for title, quantities in _QUANTITIES.items():
        if not np.isfinite(curve[[column for column, _ in quantities]]).any(axis=None):
            continue
        lines = tuple(
            _line(curve, column, said, colour_of(int(run["depth"])))
            for column, said in quantities
            if np.isfinite(curve[column]).any()
        )
        ends = [line.y[-1] for line in lines]
        top = error_limit_of(ends) if title == "errors" else max(1.0, 1.5 * max(ends, default=1.0))
        panels.append(
            Panel(
                title=title,
                x_label=x_label,
                y_label="error (%)" if title == "errors" else "cross-entropy (nats)",
                x_limits=(0.0, float(max(run["iterations"], curve["iteration"].max()))),
                y_limits=(0.0, top),
                y_ticks=error_ticks(top) if title == "errors" else (),
                x_unit=unit,
                series=lines,
                ends=False,
            )
        )
    rates = curve[curve["lr"].notna()]
    drops = rates[rates["lr"].diff().fillna(0) != 0]
    before = rates["iteration"].shift(fill_value=0)[drops.index]
    said = [f"{lr:g} after iteration {at:,.0f}" for at, lr in zip(before, drops["lr"], strict=True)]
    notes = [f"Learning rate {', then '.join([f'{rates.lr.iloc[0]:g}', *said])}."] if len(rates) else []
    finding = "Training error, dashed: running, on augmented crops. Test error, bold."
    return Chart("curves", "Curves", finding, tuple(panels), tuple(notes))


def _line(curve: pd.DataFrame, column: str, said: str, colour: str) -> Series:
    points = curve[np.isfinite(curve[column])]
    training = column.startswith("train")
    return Series(
        label=said,
        of="",
        column=column,
        colour=colour,
        x=tuple(points["iteration"].astype(float)),
        y=tuple(points[column].astype(float)),
        dashed=training,
        width="normal" if training else "bold",
    )


def _responses(run: pd.Series, responses: pd.DataFrame) -> Chart:
    lines = [line for line in (_response(run, responses, mode) for mode in MODES) if line.x]
    panel = Panel(
        title="standard deviation of the layers' responses",
        x_label="layer",
        y_label="std",
        x_limits=(0.0, max([1.0, *(x for line in lines for x in line.x)]) + 1.0),
        y_limits=(0.0, 1.08 * max([0.1, *(y for line in lines for y in line.y)])),
        series=tuple(lines),
        ends=False,
    )
    means = [f"{line.label} {sum(line.y) / len(line.y):.2f}" for line in lines]
    finding = f"Mean over layers: {', '.join(means)}." if means else "No finite value."
    return Chart("responses", "Responses", finding, (panel,), stacked=True)


def _response(run: pd.Series, responses: pd.DataFrame, mode: str) -> Series:
    rows = responses[np.isfinite(responses[mode].astype(float))]
    return Series(
        label=MODES[mode],
        of="standard deviation",
        column=mode,
        colour=colour_of(int(run["depth"])) if mode == "std" else "grey",
        x=tuple(rows["layer"].astype(float)),
        y=tuple(rows[mode].astype(float)),
        dashed=run["kind"] == "plain",
    )
