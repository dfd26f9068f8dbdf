"""A chart as inline SVG that follows the page's colours, with its numbers beside it for the page's script to read."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence

from markupsafe import Markup

from repro.figures.chart import Chart, Mark, Panel, Series, log_text

#: Width and height of a panel, and the room around its axes, in the units of its text of 12.
SIZES = {1: (640, 300), 2: (480, 320), 3: (352, 320)}
STACKED = (480, 270)
_TOP, _BOTTOM = 10.0, 42.0
#: Left of the axes: room for a label of the axis, and for each character of a tick (on a phone, where text is larger).
_LABEL_ROOM, _CHARACTER = 20.0, 8.0
_LABEL = 12.5


def chart(chart: Chart, name: str) -> Markup:
    """The panels of a chart, their legend, and the numbers as JSON.

    Args:
        name: unique within the page; letters, digits and hyphens.
    """
    size = STACKED if chart.stacked else SIZES[min(len(chart.panels), 3)]
    widest = max((len(text) for panel in chart.panels for _, text in _y_ticks(panel)), default=0)
    # The same for all panels, so that their axes begin below one another.
    left = _LABEL_ROOM + _CHARACTER * max(widest, 3)
    panels = Markup().join(
        _panel(panel, f"{name}-{number}", size, left) for number, panel in enumerate(chart.panels, start=1)
    )
    form = "stacked" if chart.stacked else f"of-{len(chart.panels)}"
    return Markup('<div class="chart {}" data-chart="">\n<div class="panels">\n{}</div>\n{}</div>\n').format(
        form, panels, _legend(chart)
    )


class _Scale:
    """From data to the coordinates of the picture."""

    def __init__(self, panel: Panel, width: float, height: float, left: float) -> None:
        self.panel = panel
        self.left, self.top = left, _TOP
        self.right = width - (58.0 if panel.ends else 14.0)
        self.bottom = height - _BOTTOM

    def x(self, value: float) -> float:
        low, high = self.panel.x_limits
        return self.left + (value - low) / (high - low) * (self.right - self.left)

    def y(self, value: float) -> float:
        low, high = self.panel.y_limits
        if self.panel.log:
            low, high, value = (math.log10(number) for number in (low, high, value))
        return self.bottom - (value - low) / (high - low) * (self.bottom - self.top)


def _panel(panel: Panel, name: str, size: tuple[float, float], left: float) -> Markup:
    width, height = size
    scale = _Scale(panel, width, height, left)
    parts = [
        Markup('<clipPath id="{}-clip"><rect x="{}" y="{}" width="{}" height="{}"/></clipPath>').format(
            name, scale.left, scale.top, round(scale.right - scale.left, 1), round(scale.bottom - scale.top, 1)
        ),
        *_axes(panel, scale),
        Markup('<g clip-path="url(#{}-clip)">{}</g>').format(
            name, Markup().join(_line(series, scale) for series in panel.series)
        ),
        *(_mark(mark, scale) for mark in panel.marks),
        *_end_labels(panel, scale),
        Markup('<line class="cursor" y1="{}" y2="{}" visibility="hidden"/>').format(scale.top, scale.bottom),
    ]
    remarks = Markup().join(Markup('<span class="remark">{}</span>').format(remark) for remark in panel.remarks)
    numbers = Markup('<script type="application/json">{}</script>').format(Markup(_json(_numbers(panel, scale))))
    return Markup(
        '<div class="panel{}" tabindex="0" role="group" aria-label="{}: arrow keys read values">\n'
        '<p class="panel-title">{} {}</p>\n'
        '<svg viewBox="0 0 {} {}" role="img" aria-label="{}">\n{}\n</svg>\n'
        '{}\n<div class="values" role="status"></div>\n</div>\n'
    ).format(
        "" if panel.series or panel.marks else " empty",
        panel.title,
        panel.title,
        remarks,
        width,
        height,
        _said(panel),
        Markup("\n").join(parts),
        numbers,
    )


def _axes(panel: Panel, scale: _Scale) -> list[Markup]:
    parts = []
    for value, text in _y_ticks(panel):
        y = round(scale.y(value), 1)
        parts.append(
            Markup('<line class="grid" x1="{}" x2="{}" y1="{}" y2="{}"/>').format(scale.left, scale.right, y, y)
        )
        parts.append(Markup('<text class="tick y" x="{}" y="{}">{}</text>').format(scale.left - 6, y + 4, text))
    low, high = (limit / panel.x_unit for limit in panel.x_limits)
    for value in ticks(low, high):
        x = round(scale.x(value * panel.x_unit), 1)
        parts.append(
            Markup('<line class="axis" x1="{}" x2="{}" y1="{}" y2="{}"/>').format(x, x, scale.bottom, scale.bottom + 4)
        )
        parts.append(Markup('<text class="tick x" x="{}" y="{}">{}</text>').format(x, scale.bottom + 17, _short(value)))
    middle = round((scale.left + scale.right) / 2, 1)
    parts += [
        Markup('<rect class="axis" x="{}" y="{}" width="{}" height="{}"/>').format(
            scale.left, scale.top, round(scale.right - scale.left, 1), round(scale.bottom - scale.top, 1)
        ),
        Markup('<text class="label x" x="{}" y="{}">{}</text>').format(middle, scale.bottom + 35, panel.x_label),
        Markup('<text class="label y" transform="translate(12 {}) rotate(-90)">{}</text>').format(
            round((scale.top + scale.bottom) / 2, 1), panel.y_label
        ),
    ]
    return parts


def _y_ticks(panel: Panel) -> list[tuple[float, str]]:
    text = log_text if panel.log else _short
    return [(value, text(value)) for value in panel.y_ticks or ticks(*panel.y_limits)]


def ticks(low: float, high: float) -> list[float]:
    """Round numbers from `low` to `high`, nine of them at most."""
    raw = (high - low) / 8
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= raw)
    first = math.ceil(low / step - 1e-9)
    return [round(step * number, 10) for number in range(first, math.floor(high / step + 1e-9) + 1)]


def _short(value: float) -> str:
    return f"{value:g}" if abs(value) < 10_000 else f"{value:,.0f}"


def _line(series: Series, scale: _Scale) -> Markup:
    points = " ".join(f"{scale.x(x):.1f},{max(-1e4, scale.y(y)):.1f}" for x, y in zip(series.x, series.y, strict=True))
    form = f"line {series.colour} {series.width}{' dashed' if series.dashed else ''}"
    return Markup('<polyline class="{}" data-label="{}" points="{}"/>').format(form, series.label, points)


def _mark(mark: Mark, scale: _Scale) -> Markup:
    x, y = scale.x(mark.x), scale.y(mark.y)
    if not scale.top - 1 <= y <= scale.bottom + 1:
        return Markup()
    form = f"mark {mark.colour}{'' if mark.filled else ' hollow'}"
    path = f"M{x:.1f},{y - 5.5:.1f} l5.5,5.5 l-5.5,5.5 l-5.5,-5.5z"
    return Markup('<path class="{}" data-label="{}" d="{}"><title>{}: {}, {:g}</title></path>').format(
        form, mark.label, path, mark.label, mark.of, mark.y
    )


def _end_labels(panel: Panel, scale: _Scale) -> list[Markup]:
    """The depth of each line of the legend at its right end, moved apart where lines end close together."""
    if not panel.ends:
        return []
    lines = [(series.label, series.colour, series.x[-1], series.y[-1]) for series in panel.series if series.legend]
    last = {mark.label: mark for mark in panel.marks}
    lines += [(mark.label, mark.colour, mark.x, mark.y) for mark in last.values() if not panel.series]
    wanted = sorted((scale.y(y), scale.x(x), label, colour) for label, colour, x, y in lines)
    wanted = [item for item in wanted if scale.top <= item[0] <= scale.bottom]
    places = spread([y for y, *_ in wanted], _LABEL, scale.top + 4, scale.bottom - 2)
    return [
        Markup('<text class="end {}" data-label="{}" x="{}" y="{}">{}</text>').format(
            colour, label, round(x + 8, 1), round(place + 4, 1), _end_text(label)
        )
        for place, (_, x, label, colour) in zip(places, wanted, strict=True)
    ]


def _end_text(label: str) -> str:
    """What of a label stands at the end of its line: the depth, or all of it if it has none."""
    words = label.split(" ")[0].split("-")
    return f"{words[1]}-layer" if len(words) > 1 and words[1].isdigit() and int(words[1]) < 1000 else words[-1]


def spread(places: Sequence[float], gap: float, low: float, high: float) -> list[float]:
    """Move sorted places apart to `gap` at least, as little as may be, within `low` and `high` if they fit."""
    result = list(places)
    for index in range(1, len(result)):
        result[index] = max(result[index], result[index - 1] + gap)
    if result and result[-1] > high:
        result[-1] = high
        for index in range(len(result) - 2, -1, -1):
            result[index] = min(result[index], result[index + 1] - gap)
    if result and result[0] < low:
        result[0] = low
        for index in range(1, len(result)):
            result[index] = max(result[index], result[index - 1] + gap)
    return result


def _legend(chart: Chart) -> Markup:
    """A switch for each label."""
    shown: dict[str, Series] = {}
    for panel in chart.panels:
        for series in panel.series:
            if series.legend:
                shown.setdefault(series.label, series)
    if not shown:
        return Markup()
    buttons = Markup("\n").join(
        Markup('<button type="button" aria-pressed="true" data-label="{}">{}{}</button>').format(
            label, _swatch(series), label
        )
        for label, series in shown.items()
    )
    return Markup('<div class="legend" role="group" aria-label="Lines to show">\n{}\n</div>\n').format(buttons)


def _swatch(series: Series) -> Markup:
    form = f"line {series.colour} {series.width}{' dashed' if series.dashed else ''}"
    return Markup(
        '<svg class="swatch" viewBox="0 0 24 10" aria-hidden="true">'
        '<line class="{}" x1="0" x2="24" y1="5" y2="5"/></svg>'
    ).format(form)


def _said(panel: Panel) -> str:
    """A panel in words: what its lines are and where they end."""
    ends = [
        f"{line.label} {line.of.split(',')[0]} {line.y[-1]:.3g} at {line.x[-1]:,.0f}"
        for line in panel.series
        if line.width != "thin"
    ]
    text = f"{panel.title}: {panel.y_label} against {panel.x_label}. "
    return text + (f"Last values: {'; '.join(ends)}." if ends else "No line of ours.")


def _numbers(panel: Panel, scale: _Scale) -> dict[str, object]:
    lines = [line for line in panel.series if line.width != "thin"]
    return {
        "x": [*panel.x_limits, scale.left, scale.right],
        "name": "layer" if panel.x_label.startswith("layer") else "iteration",
        "lines": [
            {
                "label": line.label,
                "of": line.of.split(",")[0],
                "colour": line.colour,
                "x": [_number(x) for x in line.x],
                "y": [_number(y) for y in line.y],
            }
            for line in lines
        ],
    }


def _number(value: float) -> float | int:
    return int(value) if value == int(value) else float(f"{value:.4g}")


def _json(value: object) -> str:
    """JSON that cannot end the script element it stands in."""
    text = json.dumps(value, separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
