"""Any networks' errors during training on one axis, whoever trained them."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from repro.ends import ERRORS, ends
from repro.figures import curves
from repro.figures.drawing import COLOURS, Drawing, about, axes_of, begin, colour_of, finish, iterations_on
from repro.figures.errors import VIEWS, at_the_end, errors_on, networks_of
from repro.groups import Trained, all_trained, group_of, runs_of, shown
from repro.records import Records

OTHERS = "Other networks"
#: Inches of the panel.
_SIZE = (8.4, 3.9)
#: Those of networks; grey is the key's own.
_COLOURS = tuple(colour for name, colour in COLOURS.items() if name != "grey")


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
    of_depth = [colour_of(trained.network) for trained in labels]
    for place, (trained, label) in enumerate(labels.items()):
        mine = runs_of(records, trained)
        end = ends(mine, [trained.network])
        rows = curves.points(mine, (trained.network,), end)
        if not len(rows):
            continue
        known = label + (" (incomplete)" if end["note"].iloc[0] else "")
        # The first network of a depth has its colour, another one that fewest have.
        taken = of_depth[place] in of_depth[:place]
        fewest = min(_COLOURS, key=[*of_depth, *drawing.palette.values()].count)
        drawing.palette[known] = fewest if taken else of_depth[place]
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
    drawing.notes = (
        f"The axis of errors ends at {top:.0f} %, chosen from the data.",
        *([curves.SEVERAL] if (together["seeds"] > 1).any() else []),
    )
    sources = ", ".join(dict.fromkeys(together["source"]))
    return finish(drawing, about(group, sources, last), ERRORS)


def others(runs: pd.DataFrame) -> pd.DataFrame:
    """The runs of networks that are in no figure of the paper's."""
    return runs[~runs["network"].isin({network for name in VIEWS for network in networks_of(name)})]


def draw_others(records: Records, _: Records) -> Drawing | None:
    """Those of one source, data set and preset, in each variant; None where there are none."""
    found = all_trained(others(records.runs).sort_values(["depth", "network", "variant"], kind="stable"))
    labels = {one: shown(one.network) + (f" ({one.variant})" if one.variant else "") for one in found}
    return draw("others", "Networks that are in none of the paper's figures", records, labels)
