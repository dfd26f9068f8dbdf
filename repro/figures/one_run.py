"""A single run: its errors during training, and the responses of its layers."""

from __future__ import annotations

import numpy as np
import pandas as pd

from repro.ends import ERRORS
from repro.figures.curves import error_limit_of
from repro.figures.drawing import LOOKS, Drawing, about, axes_of, begin, finish, iterations_on, layers_on, line
from repro.figures.errors import errors_on
from repro.groups import Group, name_of, shown

_RESPONSES = ("std", "std_training")


def draw(run: pd.Series, curve: pd.DataFrame, responses: pd.DataFrame) -> Drawing | None:
    """What was measured of a run; None where nothing was.

    Args:
        run: a row of `Records.runs`.
        curve, responses: the rows of its curve and of its responses.
    """
    found = {name: _points(curve, "iteration", name) for name in ERRORS}
    found |= {name: _points(responses, "layer", name) for name in _RESPONSES}
    panels = [[name for name in names if len(found[name])] for names in (tuple(ERRORS), _RESPONSES)]
    panels = [names for names in panels if names]
    if not panels:
        return None
    drawing = begin("run", name_of(run), 1, len(panels), (8.4 / len(panels), 2.8), laid_out=True)
    drawing.figure.subplots_adjust(0.08, 0.24, 0.98, 0.78, wspace=0.25)
    said = {"label": shown(run["network"]), "network": run["network"]}
    for panel, (axis, names) in enumerate(zip(drawing.axes, panels, strict=True)):
        for name in names:
            line(drawing, panel, pd.Series({**said, "quantity": name}), found[name])
        if names[0] in ERRORS:
            axes_of(axis, ["errors"], "", "error (%)")
            errors_on(axis, error_limit_of(found[name][-1, 1] for name in names))
            iterations_on(axis, 0, float(max(run["iterations"], curve["iteration"].max())))
        else:
            axes_of(axis, ["responses"], "layer index", "standard deviation of responses")
            axis.set_ylim(bottom=0)
            layers_on(axis, responses["layer"].max())
    drawing.finding = (
        f"The last points: {', '.join(f'{part.said} {part.points[-1, 1]:.3g}' for part in drawing.parts)}."
    )
    about_it = about(Group(run["data"], run["preset"]), run["source"], run["iterations"])
    return finish(drawing, about_it, [name for name in LOOKS if len(found.get(name, ()))])


def _points(table: pd.DataFrame, x: str, y: str) -> np.ndarray:
    points = table[[x, y]].to_numpy(dtype=float)
    return np.asarray(points[np.isfinite(points).all(axis=1)])
