"""reports/PROTOCOL.md: its computed parts are those of the code, and its power that of an independent simulation."""

from __future__ import annotations

import re

import numpy as np
import pytest
from scipy import stats

from repro.claims import load, power

PROTOCOL = power.PROTOCOL.read_text(encoding="utf-8")


def part(name: str) -> str:
    return re.search(rf"<!-- {name} -->\n\n(.*?)\n\n<!-- /{name} -->", PROTOCOL, re.DOTALL)[1]


def test_the_rules_are_those_of_the_claims():
    assert part("rules") == power.tables()["rules"]


def test_the_committed_table_is_what_the_code_computes():
    """To a point: another version of numpy may draw other numbers."""
    committed, computed = (re.findall(r"[^|\n]+", text) for text in (part("power"), power.tables()["power"]))
    assert len(committed) == len(computed)
    for ours, theirs in zip(committed, computed, strict=True):
        if re.fullmatch(r"\s*\d+\s*", ours):
            assert int(ours) == pytest.approx(int(theirs), abs=1)
        else:
            assert ours == theirs


def test_power_of_a_single_comparison_is_that_of_a_t_test():
    """H2, by drawing runs one by one and judging each trial by hand."""
    random = np.random.default_rng(7)
    d0, n, trials = 8, 3, 4_000
    scenario = power.scenarios()["H2"]
    wins = 0
    apart = 0.45  # smaller than the paper's, so that the power is not 1
    (low, s_low, _), (_, s_high, _) = (scenario.results[name] for name in ("plain-20", "plain-56"))
    for _ in range(trials):
        a, b = random.normal(low + apart, s_high, n), random.normal(low, s_low, n)
        va, vb = ((d0 * s**2 + (n - 1) * x.var(ddof=1)) / (d0 + n - 1) / n for s, x in ((s_high, a), (s_low, b)))
        df = (va + vb) ** 2 / ((va**2 + vb**2) / (d0 + n - 1) + 2 * d0 * va * vb / (d0 + n - 1) ** 2)
        wins += a.mean() - b.mean() > stats.t.ppf(0.975, df) * np.sqrt(va + vb)
    results = {"plain-20": (low, s_low, d0), "plain-56": (low + apart, s_high, d0)}
    assert power.power(results, scenario.goals, n) == pytest.approx(wins / trials, abs=0.03)


def test_planned_seeds_reach_the_power_asked_for_or_the_protocol_says_not():
    rows = power.table().set_index("claim")
    short = [name for name, row in rows.iterrows() if row["fewest"] and int(row["planned"]) < int(row["fewest"])]
    said = PROTOCOL.partition("<!-- /power -->")[2]
    assert all(name in said for name in short)
    assert all(claim.seeds >= 3 for claim in load() if claim.plan)
