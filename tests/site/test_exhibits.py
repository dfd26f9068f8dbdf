"""What the report says of verdicts and of gaps, and whose protocol it tells."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from repro.claims import Verdict
from repro.claims.verdict import Lack, Link
from repro.ends import reading
from repro.groups import Group, shown
from repro.records import Source
from repro.records.foreign import Target, bring_in
from repro.site import render
from repro.site.build import _opening, effect
from repro.site.exhibits import TEXTS, Maker
from repro.site.load import load


def verdict_on(*links: Link, turns: Link) -> Verdict:
    texts = dict.fromkeys(
        ("id", "section", "statement", "paper", "form", "caveats", "note", "evidence", "source", "data", "preset"), ""
    )
    judged = {"verdict": turns.verdict, "effect": turns.effect, "interval": turns.interval}
    return Verdict(**texts, **judged, unit="percentage points", n=9, runs=(), links=links, command=None)


def test_the_number_behind_a_chain_is_told_with_the_comparison_that_it_is_of() -> None:
    weak = Link("a > b in error", "too close to call", "", -0.5, (-2.0, 1.0), ("1", "2", "3"))
    strong = Link("b > c in error", "holds", "", 4.0, (3.0, 5.0), ("3",))
    missing = Link("c > d in error", "not run", "", lacks=(Lack("no run of", "c"), Lack("no run of", "d")))
    course = Link("b > c all along", "holds", "")
    number = "+4.00 points, 95 % interval +3.00 to +5.00, 1 run"
    assert effect(verdict_on(strong, course, turns=strong)) == number
    assert (
        effect(verdict_on(strong, missing, turns=strong))
        == f"Only one comparison could be made, whether b is above c in error: {number}"
    )
    assert effect(verdict_on(missing, strong, turns=missing)) == "No run of c or d."
    few = replace(verdict_on(replace(strong, assumed=True), turns=strong), provisional=True)
    assert effect(few).endswith("1 run, provisional: fewer seeds than planned, with an assumed spread over seeds")
    chain = effect(verdict_on(strong, weak, turns=weak))
    decides = "What decides is whether a is above b in error: −0.50 points, 95 % interval −2.00 to +1.00, 3 runs"
    assert chain == f"What holds clearly is that b is above c in error: +4.00 points. {decides}"
    weaker = Link("c > d in error", "holds", "", 3.0, (0.5, 5.5), ("4",))
    assert effect(verdict_on(weaker, strong, weak, turns=weak)) == chain
    assert effect(verdict_on(weaker, strong, turns=strong)).startswith(
        "Least sure is that c is above d in error: +3.00"
    )


def test_of_curves_without_training_errors_the_opening_names_none(tmp_path: Path) -> None:
    for network in ("plain-20", "plain-56", "resnet-20", "resnet-56"):
        (tmp_path / "c.csv").write_text("iteration,test_error\n391,75\n64000,10\n")
        bring_in([tmp_path / "c.csv"], tmp_path / "theirs", Target(network))
    group = Group("cifar10", "paper")
    gathered = load([Source("theirs", tmp_path / "theirs")])
    opening = _opening(Maker(gathered, [group], tmp_path / "out", "committed"), group)
    assert opening["picture"] and not opening["numbers"]
    assert not any("nan" in line or "At the end plain-56" in line for line in opening["lines"])


@pytest.mark.parametrize(
    ("deep", "said"),
    [
        (0.5, "no worse with 56 layers than with 20."),
        (3.0, "here more layers make a residual net worse too, but less so than a plain net."),
        (80.0, "here more layers make a residual net worse too."),
    ],
)
def test_the_opening_says_of_the_runs_at_hand_whether_depth_costs_a_residual_net(deep: float, said: str) -> None:
    errors = {"plain-20": 2.0, "plain-56": 60.0, "resnet-20": 1.0, "resnet-56": deep}
    ends = {name: {"train_error": error, "test_error": error} for name, error in errors.items()}
    known = {"group": Group("digits", "demo"), "figure": None, "reading": reading, "shown": shown}
    lines = render.text(TEXTS["opening"], ends=ends, **known).strip().split("\n")
    assert f"With shortcuts the training error ends at 1.00 % (ResNet-20), {deep:.2f} % (ResNet-56): {said}" in lines
