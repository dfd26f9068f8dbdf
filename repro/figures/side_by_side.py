"""Any networks' errors during training on one axis, whoever trained them."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from repro.ends import ERRORS, ends
from repro.figures import curves
from repro.figures.drawing import Drawing, about, axes_of, begin, colour_of, finish, iterations_on
from repro.figures.errors import VIEWS, at_the_end, errors_on, networks_of
from repro.groups import Trained, all_trained, group_of, runs_of, shown
from repro.records import Records

OTHERS = "Other networks"
#: Inches of the panel.
_SIZE = (8.4, 3.9)
#: Of networks of one colour, which is that of their depth, in turn.
_MARKERS = ("", "o", "s", "^", "v", "X", "P")


def draw(name: str, title: str, records: Records, labels: Mapping[Trained, str]) -> Drawing | None:
    """Curves of some networks; None where none of them has any.

    Args:
        name: of the figure's files.
        title: of the figure.
        records: of one data set and preset.
        labels: the networks, with what each is called in the key.

    Raises:
        ValueError: the records are of several data sets or presets.
    """
    group = group_of(records.runs)
    drawing = begin(name, title, 1, 1, _SIZE)
    found, last = [], 0
    for trained, label in labels.items():
        mine = runs_of(records, trained)
        end = ends(mine, [trained.network])
        rows = curves.points(mine, (trained.network,), end)
        if not len(rows):
            continue
        known = label + (" (incomplete)" if end["note"].iloc[0] else "")
        colour = colour_of(trained.network)
        drawing.markers[known] = _MARKERS[[*drawing.palette.values()].count(colour) % len(_MARKERS)]
        drawing.palette[known] = colour
        curves.draw(drawing, 0, rows.assign(label=known))
        found.append(end.assign(label=label))
        last = max(last, curves.last_iteration(mine.runs))
    if not found:
        return None
    together = pd.concat(found, ignore_index=True)
    top = curves.error_limit_of(together[list(ERRORS)].to_numpy(dtype=float).ravel())
    axes_of(drawing.axes[0], ["errors during training"], "", "error (%)")
    errors_on(drawing.axes[0], top)
    iterations_on(drawing.axes[0], 0, last)
    told = "; ".join(at_the_end(end, end["label"]) for end in together.to_dict("records"))
    drawing.finding = f"Training / test error at the end of the curves, in percent: {told}."
    drawing.notes = (f"The axis of errors ends at {top:.0f} %, chosen from the data.",)
    sources = ", ".join(dict.fromkeys(together["source"]))
    said = about(group, sources, last) + curves.seeds(together["label"], together["seeds"])
    return finish(drawing, said, ERRORS)


def others(runs: pd.DataFrame) -> pd.DataFrame:
    """The runs of networks that are in no figure of the paper's."""
    return runs[~runs["network"].isin({network for name in VIEWS for network in networks_of(name)})]


def draw_others(records: Records, _: Records) -> Drawing | None:
    """Those of one source, data set and preset, in each variant; None where there are none."""
    found = all_trained(others(records.runs).sort_values(["depth", "network", "variant"], kind="stable"))
    labels = {one: shown(one.network) + (f" ({one.variant})" if one.variant else "") for one in found}
    return draw("others", "Networks that are in none of the paper's figures", records, labels)
