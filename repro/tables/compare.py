"""Results over seeds, and whether they differ from others by more than chance gives: the numbers and the words."""

from __future__ import annotations

import pandas as pd

from repro.groups import ENDED, address, name_of, usual
from repro.statistics import Estimate
from repro.tables.table import Links, PageLink


def measured(runs: pd.DataFrame, network: str, source: str) -> pd.DataFrame:
    """The runs of a network that came to their end and have a test error; without variants."""
    mine = usual(runs[runs["source"] == source], (network,))
    return mine[mine["status"].isin(ENDED) & mine["test_error"].notna()].sort_values("seed")


def links_to(runs: pd.DataFrame) -> Links:
    """References to the pages of runs, each shown as its seed."""
    return Links(
        PageLink(str(run["seed"]), address(run), f"{name_of(run)}, {run['source']}") for _, run in runs.iterrows()
    )


def errors_in_words(runs: pd.DataFrame, best: bool = False) -> str:
    """Test errors as mean ± standard deviation (n); with `best` as Table 6 has 110 layers: best (mean ± std)."""
    errors = runs["test_error"]
    foreign = " foreign" if (runs["status"] == "foreign").any() else ""
    if best and len(runs) > 1:
        return f"{errors.min():.2f} ({errors.mean():.2f} ± {errors.std():.2f}, n = {len(runs)}{foreign})"
    return mean_and_std(errors, foreign)


def mean_and_std(values: pd.Series[float], more: str = "") -> str:
    """Mean ± standard deviation (n) of runs that differ in their seed; of a single one there is no deviation."""
    spread = f" ± {values.std():.2f}" if len(values) > 1 else ""
    return f"{values.mean():.2f}{spread} (n = {len(values)}{more})"


def verdict(estimate: Estimate) -> str:
    """What a difference says, in a word."""
    low, high = estimate.interval()
    if low <= 0 <= high:
        return "no difference shown"
    return "higher" if low > 0 else "lower"


def in_words(estimate: Estimate) -> str:
    """A difference and its 95 % interval."""
    low, high = map(_signed, estimate.interval())
    return f"{_signed(estimate.effect)} ({low} to {high})"


def _signed(points: float) -> str:
    text = f"{points:+.2f}".replace("-", "−")
    return "0.00" if text[1:] == "0.00" else text
