"""A figure's own SVG within a page: in the page's colours, with values to read and series to switch off."""

from __future__ import annotations

import io
import itertools
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from markupsafe import Markup, escape

from repro.figures.drawing import AXIS, COLOURS, GRID, PAGE, STYLE, Drawing

#: The figure's colours, and the page's that take their place: they follow light and dark.
_PAGES = {
    **{value: f"var(--{name})" for name, value in COLOURS.items()},
    AXIS: "var(--soft)",
    GRID: "var(--rule)",
    PAGE: "var(--page)",
}
_POINTS = 72.0


def inliner(out: Path) -> Callable[[Drawing], dict[str, Any]]:
    """What a template makes a chart of: the drawing's SVG under ids that no two of a page share, its width in points,
    a colour's name for each label, and what script.js has to know of it.

    Args:
        out: the report's folder, where the drawing's files are if it has any.
    """
    numbers = itertools.count(1)

    def inline(drawing: Drawing) -> dict[str, Any]:
        name = f"f{next(numbers)}"
        colours = {value: colour for colour, value in COLOURS.items()}
        known = json.dumps({"name": name, "panels": _panels(drawing), "series": _series(drawing)})
        return {
            "svg": _svg(drawing, name, out),
            "width": round(0.9 * drawing.figure.get_figwidth() * _POINTS),
            "labels": {part.label: colours.get(drawing.palette[part.label], "") for part in drawing.parts},
            # The end of a script is all that HTML looks for in it.
            "known": Markup(known.replace("<", "\\u003c")),
        }

    return inline


def _svg(drawing: Drawing, name: str, out: Path) -> Markup:
    if drawing.files:
        svg = (out / drawing.files["SVG"]).read_text(encoding="utf-8")
    else:
        file = io.StringIO()
        with mpl.rc_context(STYLE):
            drawing.figure.savefig(file, format="svg", metadata={"Date": None, "Creator": None})
        svg = file.getvalue()
    svg = svg[svg.index("<svg") :]
    # Another tool may take the metadata as its own; a page has no use for it.
    svg = re.sub(r"<metadata>.*?</metadata>\s*", "", svg, flags=re.DOTALL)
    svg = re.sub(r'(\bid="|url\(#|href="#)', rf"\g<1>{name}-", svg)
    svg = re.sub("#[0-9a-f]{6}", lambda match: _PAGES.get(match[0], match[0]), svg)
    return Markup(svg.replace("<svg ", f'<svg role="img" aria-label="{escape(drawing.finding)}" tabindex="0" ', 1))


def _panels(drawing: Drawing) -> list[dict[str, object]]:
    """Of each panel: its place in the picture (points from the top left), its limits, and what x is."""
    width, height = drawing.figure.get_size_inches() * _POINTS
    found: list[dict[str, object]] = []
    for axis in drawing.axes:
        box = axis.get_position()
        place = [box.x0 * width, (1 - box.y1) * height, box.x1 * width, (1 - box.y0) * height]
        found.append(
            {
                "place": [round(float(value), 2) for value in place],
                "x": list(map(float, axis.get_xlim())),
                "name": "iteration" if axis.get_xlabel().startswith("iteration") else "layer",
            }
        )
    return found


def _series(drawing: Drawing) -> list[dict[str, object]]:
    """Of each line or mark: its id, panel and label, and where it can be read what it is and its values."""
    return [
        {
            "id": part.gid,
            "panel": part.panel,
            "label": part.label,
            "said": part.said,
            "x": _short(part.points[:, 0]) if part.said else [],
            "y": _short(part.points[:, 1]) if part.said else [],
        }
        for part in drawing.parts
    ]


def _short(values: np.ndarray) -> list[float]:
    return [float(f"{value:.5g}") for value in values]
