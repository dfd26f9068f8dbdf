"""Beyond the paper's tables: shortcut options on CIFAR-10, and runs that depart from the others in a setting."""

from __future__ import annotations

import math
from collections.abc import Callable

import pandas as pd

from repro import names, paper
from repro.claims.evidence import Evidence, departures
from repro.figures.chart import shown
from repro.figures.groups import Group, sources
from repro.records import Records
from repro.statistics import difference
from repro.tables import compare, table6
from repro.tables.table import Cell, PageLink, Table

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
    tidy, rows = [], []
    for source in sources(records):
        for depth in depths:
            cells: list[Cell] = [f"{depth} layers", source]
            for option in _OPTIONS:
                network = (
                    f"plain-{depth}" if option == "none" else str(names.parse(f"resnet-{depth}-{option}", "cifar"))
                )
                mine = table6.measured(runs, network, source)
                cells.append(table6.in_words(mine) if len(mine) else "not run")
                errors = mine["test_error"]
                tidy.append(
                    {
                        "depth": depth,
                        "option": option,
                        "source": source,
                        "mean": errors.mean() if len(mine) else math.nan,
                        "std": errors.std() if len(mine) else math.nan,
                        "n": len(mine),
                    }
                )
            rows.append(tuple(cells))
    return Table(
        name="shortcuts",
        title=f"Test error (%) by shortcut option: {group.data}, preset {group.preset}",
        frame=pd.DataFrame(tidy),
        columns=("depth", "source", "no shortcut", "option A", "option B", "option C"),
        rows=tuple(rows),
        numeric=frozenset({2, 3, 4, 5}),
        notes=(f"An extension: {_on_imagenet()}.",),
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
    tidy, rows = [], []
    images: set[int | None] = set()
    of = {name: Evidence(records, source=name, data=group.data, preset=group.preset) for name in sources(records)}
    for (source, network, variant), mine in runs.groupby(["source", "network", "variant"]):
        evidence = of[str(source)]
        altered = evidence.runs(str(network), "test_error", str(variant))
        usual = evidence.runs(str(network), "test_error")
        images |= {run.test_images for run in (*altered, *usual)}
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
        if altered and lost:
            said += f"; {lost} diverged"
        ended = mine[mine["status"] == "complete"]
        rows.append(
            (
                shown(str(network)),
                words(mine.iloc[0]),
                str(source),
                table6.in_words(ended) if len(ended) else "",
                f"{sum(run.test_error for run in usual) / len(usual):.2f} (n = {len(usual)})" if usual else "not run",
                compare.in_words(apart) if apart else "",
                said,
                tuple(
                    PageLink(str(run["seed"]), address(run), f"{network} {variant} seed {run['seed']}, {source}")
                    for _, run in mine.iterrows()
                ),
            )
        )
        tidy.append(
            {
                "source": source,
                "network": network,
                "variant": variant,
                "mean": ended["test_error"].mean() if len(ended) else math.nan,
                "n": len(ended),
                "difference": apart.effect if apart else math.nan,
                "low": apart.low if apart else math.nan,
                "high": apart.high if apart else math.nan,
                "said": said,
            }
        )
    return Table(
        name="settings",
        title=f"What a setting moves: test error (%), {group.data}, preset {group.preset}",
        frame=pd.DataFrame(tidy),
        columns=("network", "what departs", "source", "changed", "usual", "difference", "verdict", "runs"),
        rows=tuple(rows),
        numeric=frozenset({3, 4, 5}),
        notes=(_chances(int(pd.DataFrame(tidy)["difference"].notna().sum()), images),),
    )


def _chances(comparisons: int, images: set[int | None]) -> str:
    """What to make of intervals: how many there are, and what one of so many test images is worth."""
    said = "In brackets after a difference: its 95 % interval. One in twenty of such misses the truth by chance"
    said += f"; there are {comparisons} here." if comparisons > 1 else "."
    (count,) = images if len(images) == 1 else (None,)
    return f"{said} One test image is {100 / count:.2g} points." if count else said
