"""Beyond the paper's tables: shortcut options on CIFAR-10, and runs that depart from the others in a setting."""

from __future__ import annotations

from collections.abc import Callable

import pandas as pd

from repro import names, paper
from repro.claims.evidence import Ended, Evidence, departures
from repro.groups import Group, shown, sources
from repro.records import Records
from repro.statistics import Estimate, difference
from repro.tables import compare, table6
from repro.tables.table import Links, Table, made

_OPTIONS = ("none", "A", "B", "C")


def shortcuts(records: Records, group: Group) -> Table | None:
    """Test errors by depth and shortcut option; None where no option but the default was run.

    Args:
        records: of the group.
    """
    runs = records.runs[records.runs["variant"] == ""]
    depths = sorted(runs[runs["option"].isin(["B", "C"])]["depth"].unique())
    if not depths:
        return None
    rows = []
    for source in sources(records):
        for depth in depths:
            cells = [f"{depth} layers", source]
            for option in _OPTIONS:
                network = "plain" if option == "none" else "resnet"
                named = names.parse(f"{network}-{depth}{'' if option == 'none' else f'-{option}'}", "cifar")
                mine = table6.measured(runs, str(named), source)
                cells.append(table6.in_words(mine) if len(mine) else "not run")
            rows.append(cells)
    return made(
        "shortcuts",
        f"Test error (%) by shortcut option: {group.data}, preset {group.preset}",
        ["depth", "source", "no shortcut", "option A", "option B", "option C"],
        rows,
        words=["source"],
        notes=[f"An extension: {_on_imagenet()}."],
    )


def _on_imagenet() -> str:
    errors = paper.table(3).set_index("network")["top1"]
    said = ", ".join(f"{label} {errors[name]:.2f}" for label, name in (
        ("none", "plain-34"), ("A", "resnet-34"), ("B", "resnet-34-B"), ("C", "resnet-34-C")
    ))  # fmt: skip
    return f"the paper compares the options on ImageNet only (Table 3, 34 layers, top-1 error %: {said})"


def settings(
    records: Records, group: Group, address: Callable[[pd.Series], str], words: Callable[[pd.Series], str]
) -> Table | None:
    """What each setting moves, against the runs without it; None where there are no such runs.

    Args:
        records: of the group.
        address: the page of a run, relative to the report.
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
        altered = evidence.runs(str(network), "test_error", str(variant))
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
                table6.in_words(ended) if len(ended) else "",
                f"{sum(run.test_error for run in usual) / len(usual):.2f} (n = {len(usual)})" if usual else "not run",
                compare.in_words(apart) if apart else "",
                said,
                table6.links_to(mine, address),
            ]
        )
    return made(
        "settings",
        f"What a setting moves: test error (%), {group.data}, preset {group.preset}",
        ["network", "what departs", "source", "changed", "usual", "difference", "verdict", "runs"],
        rows,
        words=["what departs", "source", "verdict", "runs"],
        notes=[_chances(compared, images)],
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


def _chances(comparisons: int, images: set[int | None]) -> str:
    """What to make of intervals: how many there are, and what one of so many test images is worth."""
    said = "In brackets after a difference: its 95 % interval. One in twenty of such misses the truth by chance"
    said += f"; there are {comparisons} here." if comparisons > 1 else "."
    (count,) = images if len(images) == 1 else (None,)
    return f"{said} One test image is {100 / count:.2g} points." if count else said
