"""A single run: its errors during training, and the responses of its layers."""

from __future__ import annotations

import math

import pandas as pd

from repro.ends import ERRORS
from repro.figures.curves import error_limit_of, errors_on
from repro.figures.drawing import LOOKS, Drawing, about, axes_of, begin, finish, iterations_on, lines
from repro.groups import Group, name_of, shown


def draw(run: pd.Series, curve: pd.DataFrame, responses: pd.DataFrame) -> Drawing | None:
    """What was measured of a run; None where nothing was.

    Args:
        run: a row of `Records.runs`.
        curve, responses: the rows of its curve and of its responses.
    """
    with_curve = bool(_known(curve, tuple(ERRORS)).any(axis=None))
    count = with_curve + bool(len(responses))
    if not count:
        return None
    drawing = begin("run", name_of(run), 1, count, (4.2, 2.8), laid_out=True)
    drawing.figure.subplots_adjust(0.16 / count, 0.24, 0.98, 0.78, wspace=0.25)
    if with_curve:
        rows = _draw(drawing, 0, run, curve.rename(columns={"iteration": "x"}), tuple(ERRORS))
        errors_on(drawing.axes[0], ["errors"], error_limit_of(rows.groupby("quantity")["y"].last()), "error (%)")
        iterations_on(drawing.axes[0], 0, float(max(run["iterations"], curve["iteration"].max())))
    if len(responses):
        _draw(drawing, count - 1, run, responses.rename(columns={"layer": "x"}), ("std", "std_training"))
        axes_of(drawing.axes[-1], ["standard deviation of responses"], "layer", "std")
        drawing.axes[-1].set_ylim(bottom=0)
    drawing.finding = (
        f"The last points: {', '.join(f'{part.said} {part.points[-1, 1]:.3g}' for part in drawing.parts)}."
    )
    drawing.notes = _rates(curve)
    looks = [name for name in LOOKS if LOOKS[name].said in {part.said for part in drawing.parts}]
    group = Group(str(run["data"]), str(run["preset"]))
    return finish(drawing, about(group, str(run["source"]), int(run["iterations"])), looks)


def _known(table: pd.DataFrame, names: tuple[str, ...]) -> pd.DataFrame:
    return table[[*names]].astype(float).map(math.isfinite)


def _draw(drawing: Drawing, panel: int, run: pd.Series, table: pd.DataFrame, names: tuple[str, ...]) -> pd.DataFrame:
    """Draw some columns against x; give the rows that were drawn."""
    rows = table.melt(["x"], [*names], "quantity", "y")
    rows = rows[_known(rows, ("y",))["y"]].astype({"x": float, "y": float})
    rows = rows.assign(label=shown(str(run["network"])), network=str(run["network"]), unit="run")
    lines(drawing, panel, rows)
    return rows


def _rates(curve: pd.DataFrame) -> tuple[str, ...]:
    """The learning rates in words, and from where each was used."""
    rates = curve[curve["lr"].notna()]
    if not len(rates):
        return ()
    drops = rates[rates["lr"].diff().fillna(0) != 0]
    before = rates["iteration"].shift(fill_value=0)[drops.index]
    said = [f"{lr:g} after iteration {at:,.0f}" for at, lr in zip(before, drops["lr"], strict=True)]
    return (f"Learning rate {', then '.join([f'{rates.lr.iloc[0]:g}', *said])}.",)
