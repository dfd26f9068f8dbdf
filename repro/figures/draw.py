"""Draw a chart with matplotlib, and write it so that the same chart gives the same bytes.

Only matplotlib's objects are used, never pyplot, so that nothing is left behind for other code of the process.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib as mpl
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MultipleLocator, NullLocator
from matplotlib.transforms import ScaledTranslation

from repro.figures.chart import COLOURS, Chart, Panel, Series, log_text

_WIDTHS = {"thin": 0.5, "normal": 1.1, "bold": 2.0}
_STYLE: Any = {
    "font.family": ["DejaVu Sans"],
    "font.size": 9,
    "axes.linewidth": 0.7,
    "svg.hashsalt": "repro",
    "path.simplify": True,
}
#: From the axes down to the legend, below their ticks and label, inches.
_LEGEND = 0.43
#: A tick per unit, but not where a record, which may be anyone's, speaks of more iterations than anyone trains.
_MOST_TICKS = 40
_METADATA: dict[str, dict[str, Any]] = {
    "png": {"Software": None},
    "svg": {"Date": None, "Creator": None},
    "pdf": {"CreationDate": None, "Creator": None, "Producer": None},
}


def drawn(chart: Chart) -> tuple[pd.DataFrame, Figure]:
    """A chart's data, a row per point, and the figure."""
    count = len(chart.panels)
    rows, columns = (count, 1) if chart.stacked else (1, count)
    size = (6.4, 2.8 * count) if chart.stacked else (3.9 * count, 3.7)
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=size, layout="constrained")
        FigureCanvasAgg(figure)
        axes = figure.subplots(rows, columns, squeeze=False)
        for axis, panel in zip(axes.flat, chart.panels, strict=True):
            _panel(figure, axis, panel, columns=5 if chart.stacked else 3)
        # The layout is the same in every format and takes as long as drawing: it is found once.
        figure.draw_without_rendering()
        figure.set_layout_engine("none")
    return chart.data(), figure


def save(chart: Chart, folder: Path) -> list[Path]:
    """Write a chart as PNG, SVG and PDF, and the CSV behind it, into a folder not in use yet; give the files."""
    data, figure = drawn(chart)
    files = []
    with mpl.rc_context(_STYLE):
        for form, metadata in _METADATA.items():
            files.append(folder / f"{chart.name}.{form}")
            figure.savefig(files[-1], format=form, dpi=150, metadata=metadata)
    files.append(folder / f"{chart.name}.csv")
    data.to_csv(files[-1], index=False, float_format="%.6g", lineterminator="\n")
    return files


def _panel(figure: Figure, axis: Axes, panel: Panel, columns: int) -> None:
    """Draw a panel, and below it its legend in so many columns: within the axes it would hide some of a line."""
    for series in panel.series:
        _line(axis, series, panel.x_unit)
    named = {series.label for series in panel.series}
    for mark in panel.marks:
        colour = COLOURS[mark.colour]
        label = None if mark.label in named else plain(mark.label)
        named.add(mark.label)
        axis.plot(
            [mark.x / panel.x_unit],
            [mark.y],
            marker="D",
            markersize=4.5,
            color=colour,
            markerfacecolor=colour if mark.filled else "white",
            linestyle="none",
            label=label,
            clip_on=False,
            zorder=5,
        )
    axis.set_xlim(panel.x_limits[0] / panel.x_unit, panel.x_limits[1] / panel.x_unit)
    # Before the scale, which would look for limits of its own, and of a stranger's numbers beyond any that exist.
    axis.set_ylim(*panel.y_limits)
    if panel.log:
        axis.set_yscale("log")
        axis.yaxis.set_minor_locator(NullLocator())
        axis.yaxis.set_major_formatter(FuncFormatter(lambda value, _: log_text(value)))
    if panel.x_unit > 1 and panel.x_limits[1] - panel.x_limits[0] <= _MOST_TICKS * panel.x_unit:
        axis.xaxis.set_major_locator(MultipleLocator(1))
    if panel.y_ticks:
        axis.set_yticks(list(panel.y_ticks))
    axis.grid(axis="y", linestyle=(0, (1, 3)), linewidth=0.6, color="#888888")
    axis.set_axisbelow(True)
    axis.set_xlabel(panel.x_label)
    axis.set_ylabel(panel.y_label)
    axis.set_title("\n".join(plain(line) for line in (panel.title, *panel.remarks)), fontsize=8.5)
    if axis.get_legend_handles_labels()[1]:
        axis.legend(
            loc="upper center",
            bbox_to_anchor=(0.5, 0.0),
            bbox_transform=axis.transAxes + ScaledTranslation(0, -_LEGEND, figure.dpi_scale_trans),
            ncols=columns,
            fontsize=7.5,
            frameon=False,
            borderaxespad=0,
            columnspacing=1.2,
        )


def _line(axis: Axes, series: Series, unit: float) -> None:
    axis.plot(
        [x / unit for x in series.x],
        list(series.y),
        color=COLOURS[series.colour],
        linewidth=_WIDTHS[series.width],
        linestyle=(0, (4, 2)) if series.dashed else "-",
        alpha=0.45 if series.width == "thin" else 1.0,
        label=plain(series.label) if series.legend else None,
    )


def plain(text: str) -> str:
    """A text with nothing in it that matplotlib would take for mathematics."""
    return text.replace("$", r"\$")
