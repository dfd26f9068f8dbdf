"""How every figure is drawn, with seaborn on matplotlib: one look, one key, and names for its parts.

Figures are made without pyplot's list of figures, so that any backend that a notebook sets is left alone.
"""

from __future__ import annotations

import io
import textwrap
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import LogLocator, MaxNLocator, MultipleLocator, NullLocator
from PIL import Image

from repro import names
from repro.groups import Group, shown

#: The paper's colour of each depth (Figures 1 and 6), a shade darker where it would vanish on white paper.
COLOURS = {
    "olive": "#8c8a00",
    "cyan": "#00949e",
    "green": "#1d8a1d",
    "red": "#d81e1e",
    "black": "#000000",
    "magenta": "#b300b3",
    "blue": "#2456c8",
    "grey": "#6a6a6a",
}
_OF_DEPTH = {20: "olive", 32: "cyan", 44: "green", 56: "red", 110: "black", 1202: "magenta", 18: "cyan", 34: "red"}
AXIS, GRID, PAGE = "#5a5954", "#b9b8b2", "#ffffff"
STYLE: Any = {
    "font.family": ["DejaVu Sans", "sans-serif"],
    "font.size": 9,
    "axes.edgecolor": AXIS,
    "axes.linewidth": 0.7,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "svg.fonttype": "none",
    "svg.hashsalt": "repro",
    "text.parse_math": False,  # what a record says is no formula
}
#: What matplotlib adds to a file of its own accord, such as the time: left out, so that one figure gives one file.
_UNSAID: dict[str, dict[str, Any]] = {
    "svg": {"Date": None, "Creator": None},
    "png": {},
    "pdf": {"CreationDate": None, "Creator": None, "Producer": None},
}


@dataclass(frozen=True)
class Look:
    """A quantity's line: its words in the key, its dashes ("" is solid) and its width in points."""

    said: str
    dashes: tuple[float, float] | str
    width: float

    @property
    def style(self) -> Any:
        """As matplotlib has it."""
        return {"linestyle": (0, self.dashes) if self.dashes else "-", "linewidth": self.width}


#: The same in all figures: dashed is training, bold is test.
LOOKS = {
    "train_error": Look("training error", (4, 2), 1.1),
    "test_error": Look("test error", "", 2.2),
    "plain": Look("plain net", (4, 2), 1.4),
    "resnet": Look("ResNet", "", 1.4),
    "std": Look("batch norm by running statistics", "", 1.4),
    "std_training": Look("batch norm by the batch's statistics", (1, 1.5), 1.4),
}


#: Inches of a character of the key, about, and of the line before it.
_CHARACTER, _LINE = 0.067, 0.64
#: Of single seeds, where their mean is drawn as well.
_THIN: Any = {"linewidth": 0.5, "alpha": 0.3}


@dataclass(frozen=True)
class Part:
    """A line or a mark of a figure.

    Attributes:
        gid: the id that it has in the SVG.
        label: as in the key; parts with one label are switched on and off together.
        said: what its values are, such as "test error"; empty where they are not to be read, as of single seeds.
        points: x and y of each, as drawn.
    """

    gid: str
    panel: int
    label: str
    said: str
    points: np.ndarray


@dataclass
class Drawing:
    """A figure and what is said of it.

    Attributes:
        name: of its files, such as "figure-1".
        finding: what this one shows, in a sentence with numbers: its text alternative.
        notes: how it was drawn, each a sentence.
        palette: the colour of each label, in the order of the key.
        markers: of labels that share a colour with others.
        source: whose runs it shows, in a report; empty for one of the paper's numbers alone.
        alone: its panels drawn one by one, by their titles, to be saved beside it.
        files: by form ("SVG"), relative to the report.
    """

    name: str
    title: str
    figure: Figure
    axes: list[Axes]
    finding: str = ""
    notes: tuple[str, ...] = ()
    parts: list[Part] = field(default_factory=list)
    palette: dict[str, str] = field(default_factory=dict)
    markers: dict[str, str] = field(default_factory=dict)
    source: str = ""
    alone: Mapping[str, Drawing] = field(default_factory=dict)
    files: dict[str, str] = field(default_factory=dict)

    def colour(self, label: str, network: str) -> str:
        """The colour of a label: the one that it has, or else that of the network's depth."""
        if label not in self.palette:
            self.palette[label] = colour_of(network)
        return self.palette[label]

    @property
    def data(self) -> pd.DataFrame:
        """A row per drawn point: panel (its title), label, of, x, y."""
        rows = [
            (self.axes[part.panel].get_title().split("\n")[0], part.label, part.said or "one seed", x, y)
            for part in self.parts
            for x, y in part.points.tolist()
        ]
        return pd.DataFrame(rows, columns=["panel", "label", "of", "x", "y"])


def begin(name: str, title: str, rows: int, columns: int, size: tuple[float, float], laid_out: bool = False) -> Drawing:
    """An empty figure of so many panels, each of so many inches; `laid_out` has fixed margins, found in no time."""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(size[0] * columns, size[1] * rows + 0.8), layout=None if laid_out else "constrained")
        FigureCanvasAgg(figure)
        axes = figure.subplots(rows, columns, squeeze=False)
    return Drawing(name, title, figure, list(axes.flat))


def colour_of(network: str) -> str:
    """The colour of a network's depth; depths that the paper does not draw are blue."""
    return COLOURS[_OF_DEPTH.get(names.parse(network).depth, "blue")]


def lines(drawing: Drawing, panel: int, rows: pd.DataFrame) -> None:
    """Draw tidy rows as a line per label and quantity, each the mean where there are several values of one x.

    Args:
        rows: label, network (for its colour), quantity (a key of `LOOKS`), x, y.
    """
    if not len(rows):
        return
    axis = drawing.axes[panel]
    pairs = zip(rows["label"], rows["network"], strict=True)
    palette = {label: drawing.colour(label, network) for label, network in pairs}
    there = set(zip(rows["label"], rows["quantity"], strict=True))
    quantities = [name for name in LOOKS if name in set(rows["quantity"])]
    before = len(axis.lines)
    sns.lineplot(
        data=rows, x="x", y="y", ax=axis, legend=False, errorbar=None,
        hue="label", hue_order=list(palette), palette=palette,
        style="quantity", style_order=quantities, dashes={name: LOOKS[name].dashes for name in quantities},
        size="quantity", size_order=quantities, sizes={name: LOOKS[name].width for name in quantities},
    )  # fmt: skip
    # In the order in which seaborn draws: by hue, then by style.
    drawn = [(label, quantity) for label in palette for quantity in quantities if (label, quantity) in there]
    for place, (found, (label, quantity)) in enumerate(zip(axis.lines[before:], drawn, strict=True)):
        # In steps of the panel's diagonal, no two lines from the same place on.
        found.set(marker=drawing.markers.get(label, ""), markersize=5, markevery=(0.017 * (1 + place % 5), 0.085))
        _named(drawing, panel, found, label, LOOKS[quantity].said)


def line(drawing: Drawing, panel: int, row: pd.Series, points: np.ndarray, single: bool = False) -> None:
    """Draw a line of which nothing is a mean, in a tenth of the time that seaborn takes.

    Args:
        row: label, network and quantity.
        points: x and y of each.
        single: whether it is one of several of which the mean is drawn too: it is thin, and not read.
    """
    colour, look = drawing.colour(row["label"], row["network"]), LOOKS[row["quantity"]]
    style = look.style | (_THIN if single else {})
    (drawn,) = drawing.axes[panel].plot(points[:, 0], points[:, 1], color=colour, **style)
    _named(drawing, panel, drawn, row["label"], "" if single else look.said)


def marks(drawing: Drawing, panel: int, read: pd.DataFrame) -> None:
    """Draw values of the paper as diamonds.

    Args:
        read: network, x, value, said (what the value is), hollow.
    """
    for row in read.to_dict("records"):
        label = shown(row["network"])
        colour = drawing.colour(label, row["network"])
        style = _diamond(row["hollow"], colour)
        (line,) = drawing.axes[panel].plot([row["x"]], [row["value"]], clip_on=False, zorder=5, **style)
        _named(drawing, panel, line, label, row["said"])


def _diamond(hollow: bool, colour: str) -> Any:
    inside = PAGE if hollow else colour
    return {"marker": "D", "linestyle": "none", "color": colour, "markersize": 4.5, "markerfacecolor": inside}


def _named(drawing: Drawing, panel: int, line: Line2D, label: str, said: str) -> None:
    gid = f"series-{len(drawing.parts) + 1}"
    line.set_gid(gid)
    drawing.parts.append(Part(gid, panel, label, said, np.asarray(line.get_xydata(), dtype=float)))


def axes_of(axis: Axes, title: Iterable[str], x_label: str, y_label: str) -> None:
    """Title and labels of a panel, and its grid."""
    axis.set_title("\n".join(title), fontsize=9)
    axis.set(xlabel=x_label, ylabel=y_label, axisbelow=True)
    axis.grid(axis="y", linestyle=(0, (1, 3)), linewidth=0.6, color=GRID)


def log_axis(axis: Axes, values: Iterable[float]) -> None:
    """A logarithmic y axis with room for such values above 0; whatever a record says, it stays within numbers."""
    known = np.clip(np.asarray(list(values) or [0.1, 10.0], dtype=float), 1e-150, 1e150)
    low, high = float(known.min()), float(known.max())
    axis.set_ylim(0.8 * low, 1.25 * high)
    axis.set_yscale("log")
    axis.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
    if high < 100 * low:
        axis.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axis.yaxis.set_minor_locator(NullLocator())


def iterations_on(axis: Axes, first: float, last: float) -> None:
    """Iterations on the x axis: in the paper's unit of 1e4 where they are that many."""
    unit, said = (1e4, " (1e4)") if last >= 20_000 else (1e3, " (thousands)") if last >= 4_000 else (1.0, "")
    axis.set(xlim=(first, last), xlabel=f"iterations{said}")
    if unit > 1:
        if last - first <= 40 * unit:  # more ticks are thinned out
            axis.xaxis.set_major_locator(MultipleLocator(unit))
        axis.xaxis.set_major_formatter(lambda value, _: f"{value / unit:g}")


def layers_on(axis: Axes, last: float) -> None:
    """Layers on the x axis, from the first to the last."""
    axis.set_xlim(0, last + 1)
    axis.xaxis.set_major_locator(MaxNLocator(integer=True, steps=[1, 2, 5, 10]))


def finish(drawing: Drawing, about: str, looks: Iterable[str], diamonds: Mapping[str, bool] | None = None) -> Drawing:
    """Add what makes the figure stand alone: title, data set and source, and the key.

    Args:
        about: data set, schedule and source in words.
        looks: keys of `LOOKS` that the key explains beside the labels.
        diamonds: what marks of the paper are in words, and whether they are hollow.
    """
    with mpl.rc_context(STYLE):
        width = drawing.figure.get_figwidth()
        texts = [textwrap.fill(text, int(width / _CHARACTER), break_on_hyphens=False) for text in about.split("\n")]
        drawing.figure.suptitle("\n".join([drawing.title, *texts]), x=0.01, ha="left", fontsize=9.5)
        key = {label: _entry(drawing, label) for label in drawing.palette}
        grey = COLOURS["grey"]
        for look in (LOOKS[name] for name in looks):
            key[look.said] = Line2D([], [], color=grey, **look.style)
        if any(not part.said for part in drawing.parts):
            key["single seeds"] = Line2D([], [], color=grey, **_THIN)
        for said, hollow in (diamonds or {}).items():
            key[said] = Line2D([], [], **_diamond(hollow, grey))
        place: Any = "outside lower center" if drawing.figure.get_layout_engine() else "lower center"
        columns = _columns(list(key), width)
        order = [said for column in columns for said in column]
        drawing.figure.legend(
            [key[said] for said in order], order, loc=place, ncols=len(columns),
            frameon=False, fontsize=8.5, handlelength=2.6,
        )  # fmt: skip
        # The layout is the same in every format and takes as long as drawing: it is found once.
        if drawing.figure.get_layout_engine():
            drawing.figure.draw_without_rendering()
            drawing.figure.set_layout_engine("none")
    return drawing


def _entry(drawing: Drawing, label: str) -> Line2D:
    """A label in the key: like its line where all of its lines are alike, a mark where it has no line."""
    colour = drawing.palette[label]
    said = {part.said for part in drawing.parts if part.label == label}
    looks = [look for look in LOOKS.values() if look.said in said]
    if not looks:
        return Line2D([], [], **_diamond(False, colour))
    style = looks[0].style if len(looks) == 1 else {"linewidth": 2.2}
    return Line2D([], [], color=colour, marker=drawing.markers.get(label, ""), markersize=5, **style)


def _columns(key: list[str], width: float) -> list[list[str]]:
    """The columns of a key, as many as so many inches have room for; it is read row by row."""
    for count in range(len(key), 1, -1):
        columns = [key[first::count] for first in range(count)]
        if sum(_LINE + _CHARACTER * max(map(len, column)) for column in columns) <= width:
            return columns
    return [key]


def about(group: Group, source: str, iterations: int) -> str:
    """Data set, schedule and source in words, as they stand in a figure."""
    return f"{group.title}, {iterations:,} iterations · source: {source} · rerun of arXiv:1512.03385"


def save(drawing: Drawing, folder: Path, forms: Iterable[str] = tuple(_UNSAID)) -> list[Path]:
    """Write a figure as SVG, PNG and PDF, or its points as CSV; the same figure gives the same bytes."""
    files = []
    with mpl.rc_context(STYLE):
        for form in forms:
            files.append(folder / f"{drawing.name}.{form}")
            if form == "csv":
                drawing.data.to_csv(files[-1], index=False, float_format="%.6g", lineterminator="\n")
            elif form == "png":
                _save_png(drawing.figure, files[-1])
            else:
                drawing.figure.savefig(files[-1], format=form, metadata=_UNSAID[form])
    return files


def _save_png(figure: Figure, file: Path) -> None:
    """Write a figure in 256 colours, a third of the size; this way of choosing them keeps those of the lines."""
    dpi, buffer = 130, io.BytesIO()
    figure.savefig(buffer, format="png", dpi=dpi)
    with Image.open(buffer) as image:
        few = image.convert("RGB").quantize(256, Image.Quantize.MAXCOVERAGE, kmeans=3, dither=Image.Dither.NONE)
        few.save(file, optimize=True, dpi=(dpi, dpi))
