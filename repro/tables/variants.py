"""Beyond the paper's tables: shortcut options on CIFAR-10, and runs that depart from the others in a setting."""

from __future__ import annotations

from collections.abc import Callable

import pandas as pd

from repro import names, paper
from repro.claims.evidence import Ended, Evidence, departures
from repro.groups import Group, shown, sources
from repro.records import Records
from repro.statistics import Estimate, difference
from repro.tables import compare
from repro.tables.table import Links, Table, made

#: Networks of Table 3 by their shortcuts.
_ON_IMAGENET = {"none": "plain-34", "A": "resnet-34", "B": "resnet-34-B", "C": "resnet-34-C"}


def of_options(runs: pd.DataFrame) -> pd.DataFrame:
    """The runs of options B and C, and of the other nets of their depths; Table 1's are in Tables 2 to 4."""
    runs = runs[(runs["variant"] == "") & (runs["run"].map(lambda run: run.family) == "cifar")]
    return runs[runs["depth"].isin(runs[runs["option"].isin(["B", "C"])]["depth"])]


def shortcuts(records: Records, group: Group) -> Table | None:
    """Test errors by depth and shortcut option; None where no option but the default was run.

    Args:
        records: of the group.
    """
    runs = of_options(records.runs)
    if not len(runs):
        return None
    rows = []
    for source in sources(records):
        for depth in sorted(runs["depth"].unique()):
            cells = [f"{depth} layers", source]
            for name in (f"plain-{depth}", *(f"resnet-{depth}-{option}" for option in "ABC")):
                mine = compare.measured(runs, str(names.parse(name, "cifar")), source)
                cells.append(compare.errors_in_words(mine) if len(mine) else "not run")
            rows.append(cells)
    errors = paper.table(3).set_index("network")["top1"]
    theirs = ", ".join(f"{option} {errors[name]:.2f}" for option, name in _ON_IMAGENET.items())
    said = "An extension: the paper compares the options on ImageNet only (Table 3, 34 layers, top-1 error %:"
    return made(
        "shortcuts",
        f"Test error (%) by shortcut option: {group.data}, preset {group.preset}",
        ["depth", "source", "no shortcut", "option A", "option B", "option C"],
        rows,
        words=["source"],
        notes=[f"{said} {theirs})."],
    )


def settings(records: Records, group: Group, words: Callable[[pd.Series], str]) -> Table | None:
    """What each setting moves, against the runs without it; None where there are no such runs.

    Args:
        records: of the group.
        words: how a run departs from those of its preset.
    """
    runs = records.runs[records.runs["variant"] != ""]
    if not len(runs):
        return None
    rows: list[list[str | Links]] = []
    images, compared = set[int | None](), 0
    of = {name: Evidence(records, source=name, data=group.data, preset=group.preset) for name in sources(records)}
    for (source, network, variant), mine in runs.groupby(["source", "network", "variant"]):
        evidence = of[str(source)]
        altered = evidence.runs(f"{network}+{variant}", "test_error")
        usual = evidence.runs(str(network), "test_error")
        images |= {run.test_images for run in (*altered, *usual)}
        apart, said = _compared(evidence, altered, usual, mine)
        compared += apart is not None
        ended = mine[mine["status"] == "complete"]
        rows.append(
            [
                shown(str(network)),
                words(mine.iloc[0]),
                str(source),
                compare.errors_in_words(ended) if len(ended) else "",
                f"{sum(run.test_error for run in usual) / len(usual):.2f} (n = {len(usual)})" if usual else "not run",
                compare.in_words(apart) if apart else "",
                said,
                compare.links_to(mine),
            ]
        )
    chances = "In brackets after a difference: its 95 % interval. One in twenty of such misses the truth by chance"
    chances += f"; there are {compared} here." if compared > 1 else "."
    (count,) = images if len(images) == 1 else (None,)
    return made(
        "settings",
        f"What a setting changes: test error (%), {group.data}, preset {group.preset}",
        ["network", "what departs", "source", "changed", "usual", "difference", "verdict", "runs"],
        rows,
        words=["what departs", "source", "verdict", "runs"],
        notes=[f"{chances} One test image is {100 / count:.2g} points." if count else chances],
    )


def _compared(
    evidence: Evidence, altered: list[Ended], usual: list[Ended], mine: pd.DataFrame
) -> tuple[Estimate | None, str]:
    """What a variant moves, where it can be compared, and the verdict in words."""
    apart, said = None, ", ".join(mine["status"].unique())
    unlike = departures([*altered, *usual], [key for run in altered for key in run.settings])
    if altered and usual and unlike:
        said = f"not comparable: they also differ in {', '.join(unlike)}"
    elif altered and usual:
        apart = difference(evidence.side(altered, "test_error"), evidence.side(usual, "test_error"))
        said = compare.verdict(apart)
    elif altered:
        said = "nothing to compare with"
    lost = int((mine["status"] == "diverged").sum())
    return apart, f"{said}; {lost} diverged" if altered and lost else said
