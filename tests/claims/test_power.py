"""reports/PROTOCOL.md: its computed parts are those of the code."""

from __future__ import annotations

import re

import pytest

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


def test_planned_seeds_reach_the_power_asked_for_or_the_protocol_says_not():
    rows = power.table().set_index("claim")
    short = [name for name, row in rows.iterrows() if row["fewest"] and int(row["planned"]) < int(row["fewest"])]
    said = PROTOCOL.partition("<!-- /power -->")[2]
    assert all(name in said for name in short)
    assert all(claim.seeds >= 3 for claim in load() if claim.plan)
