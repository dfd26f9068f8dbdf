"""A figure's own SVG within a page: in the page's colours, with values to read and series to switch off."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Callable

import numpy as np
from markupsafe import Markup

from repro.figures.drawing import AXIS, COLOURS, GRID, PAGE, Drawing

#: The figure's colours, and the page's that take their place: they follow light and dark.
_PAGES = {
    **{value: f"var(--{name})" for name, value in COLOURS.items()},
    AXIS: "var(--soft)",
    GRID: "var(--rule)",
    PAGE: "var(--page)",
}
_POINTS = 72.0


def inliner() -> Callable[[Drawing, str], Markup]:
    """A function that gives figures as HTML, under names that no two of a page share."""
    numbers = itertools.count(1)
    return lambda drawing, svg: _inline(drawing, svg, f"f{next(numbers)}")


def _inline(drawing: Drawing, svg: str, name: str) -> Markup:
    """A drawing as HTML.

    Args:
        svg: as the drawing was saved.
        name: a word, unique within the page.
    """
    width = drawing.figure.get_figwidth() * _POINTS
    picture = svg[svg.index("<svg") :]
    # Another tool may take the metadata as its own; a page has no use for it.
    picture = re.sub(r"<metadata>.*?</metadata>\s*", "", picture, flags=re.DOTALL)
    picture = re.sub(r'(\bid="|url\(#|href="#)', rf"\g<1>{name}-", picture)
    picture = re.sub("#[0-9a-f]{6}", lambda match: _PAGES.get(match[0], match[0]), picture)
    head = Markup('<svg role="img" aria-label="{}" tabindex="0" ').format(drawing.finding)
    numbers = json.dumps({"name": name, "panels": _panels(drawing), "series": _series(drawing)})
    return Markup(
        '<div class="chart" data-chart="">\n<div class="drawn"><div style="min-width:{}px">\n{}</div></div>\n'
        '<div class="values" aria-live="polite"></div>\n{}<script type="application/json">{}</script>\n</div>\n'
    ).format(
        round(0.9 * width),
        Markup(picture.replace("<svg ", head, 1)),
        _switches(drawing),
        # The end of a script is all that HTML looks for in it.
        Markup(numbers.replace("<", "\\u003c")),
    )


def _switches(drawing: Drawing) -> Markup:
    """A button for each label, if there are several."""
    labels = list(dict.fromkeys(part.label for part in drawing.parts))
    if len(labels) < 2:
        return Markup()
    names = {value: name for name, value in COLOURS.items()}
    buttons = Markup("").join(
        Markup('<button type="button" aria-pressed="true" data-label="{}" class="{}"><i></i>{}</button>\n').format(
            label, names.get(drawing.palette[label], ""), label
        )
        for label in labels
    )
    return Markup('<div class="legend" role="group" aria-label="Series shown">\n{}</div>\n').format(buttons)


def _panels(drawing: Drawing) -> list[dict[str, object]]:
    """Of each panel: its place in the picture (points from the top left), its limits, and what x is."""
    width, height = drawing.figure.get_size_inches() * _POINTS
    found: list[dict[str, object]] = []
    for axis in drawing.axes:
        box = axis.get_position()
        low, high = axis.get_xlim()
        place = [box.x0 * width, (1 - box.y1) * height, box.x1 * width, (1 - box.y0) * height]
        found.append(
            {
                "place": [round(float(value), 2) for value in place],
                "x": [float(low), float(high)],
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
