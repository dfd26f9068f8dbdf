"""One network's curve above another's: all along, or while the learning rate is still the first."""

from __future__ import annotations

import pandas as pd

from repro import paper
from repro.claims.compare import above, absent
from repro.claims.evidence import Evidence, Measure
from repro.claims.verdict import Lack, Link, Word, undecided

#: Share of the points in which an order must hold to be called lasting.
LASTING = 0.95
#: Fewer points than this show no course.
FEWEST_POINTS = 10


def all_along(evidence: Evidence, more: str, less: str) -> list[Link]:
    """Training error of one network above that of another at the end, and in the course of training."""
    end = above(evidence, "train_error", more, less)
    if end.interval is None:
        return [end]
    course = _course(evidence, more, less)
    # Of two nets that end too near to call, one may by chance lie below the other from beginning to end.
    by_chance = course.verdict == "contradicted" and end.verdict == "too close to call"
    return [end, undecided(course) if by_chance else course]


def _course(evidence: Evidence, more: str, less: str) -> Link:
    """The share of logged points at which one training error is above the other, from where both are on the plot."""
    statement = f"{more} > {less} in training error all along"
    both = _together(evidence, "train_error", more, less)
    if both.empty:
        return absent(statement, Lack("no common points of the curves of", f"{more} and {less}"))
    limit = paper.constants()["cifar"]["plot_limit"]
    first = {name: both.index[both[name] < limit].min() for name in (more, less)}
    known = [iteration for iteration in first.values() if not pd.isna(iteration)]
    if len(known) == 2:
        start, since = max(known), f"from iteration {max(known):,}, when both are below {limit:g} %,"
    elif known:
        start = known[0]
        one, other = (less, more) if pd.isna(first[more]) else (more, less)
        since = f"from iteration {start:,}, when {one} is below {limit:g} % ({other} never is),"
    else:
        start = both.index.max() // 2
        since = f"over the second half (neither is ever below {limit:g} %)"
    rows = both[both.index >= start]
    count, word = _count(rows, more, less)
    text = (
        f"The training error of {more} is the higher one in {count} of {len(rows)} logged points "
        f"({100 * count / len(rows):.0f} %) {since} to the end."
    )
    return Link(statement, word, text, runs=_folders(evidence, "train_error", more, less))


def slower(evidence: Evidence, more: str, less: str) -> Link:
    """The share of evaluations at the first learning rate in which one network's test error is above the other's."""
    statement = f"{more} > {less} in test error before the learning rate falls"
    rows = _together(evidence, "test_error", more, less, first=True)
    if rows.empty:
        return absent(statement, Lack("no common evaluations at the first learning rate of", f"{more} and {less}"))
    count, word = _count(rows, more, less)
    text = (
        f"The test error of {more} is the higher one in {count} of {len(rows)} evaluations before the learning rate "
        "first falls."
    )
    return Link(statement, word, text, runs=_folders(evidence, "test_error", more, less))


def _count(rows: pd.DataFrame, more: str, less: str) -> tuple[int, Word]:
    """In how many points one is above the other, and what that says."""
    count = int((rows[more] > rows[less]).sum())
    share = count / len(rows)
    word: Word = "holds" if share >= LASTING else "contradicted" if share <= 1 - LASTING else "too close to call"
    return count, word if len(rows) >= FEWEST_POINTS else "too close to call"


def _folders(evidence: Evidence, measure: Measure, *networks: str) -> tuple[str, ...]:
    return tuple(run.folder for network in networks for run in evidence.runs(network, measure))


def _together(evidence: Evidence, measure: Measure, *networks: str, first: bool = False) -> pd.DataFrame:
    """Errors by iteration, where each network has one: means over its complete runs; `first`: at the first rate."""
    rows = evidence.curves
    if first:
        rows = rows[rows["lr"] == rows.groupby("folder")["lr"].transform("max")]
    curves = {
        network: rows[rows["folder"].isin(_folders(evidence, measure, network))].groupby("iteration")[measure].mean()
        for network in networks
    }
    return pd.concat(curves, axis=1, join="inner").dropna()
