"""How many seeds would settle each claim, if the paper's numbers are the truth: `python -m repro.claims.power` writes
the tables of reports/PROTOCOL.md anew.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pandas as pd
from tabulate import tabulate

from repro import paper
from repro.claims.claim import Claim, load
from repro.claims.evidence import FORMULA_DF, RELATIVE, RELATIVE_DF
from repro.claims.rules import NO_ADVANTAGE, ORDERS, SIMILAR_ACCURACY, SIMILAR_TRAINING
from repro.data.table import DATA_SETS
from repro.disk import write_text
from repro.statistics import Goal, formula, power

PROTOCOL = Path(__file__).resolve().parents[2] / "reports" / "PROTOCOL.md"
#: Numbers of seeds in the table, and the power that is asked for.
SEEDS, ENOUGH = (1, 2, 3, 5, 8, 10), 0.8
Truth = tuple[float, float, float]


@dataclass(frozen=True)
class Scenario:
    """A claim as simulated: what is taken to be true, in words, the networks' results, and what must be found."""

    truth: str
    results: dict[str, Truth]
    goals: tuple[Goal, ...]


def scenarios() -> dict[str, Scenario]:
    """Of each claim for which the paper gives numbers; with what it leaves open as said in `truth`."""
    train, test, responses = _train_errors(), _test_errors(), _responses()
    resnet, highway = test["resnet-110"], _printed("Highway", "mean")
    alike = {"with": resnet, "without": resnet}
    long = "Figure 6's readings, unchanged by longer training"
    single = {f"{kind}-{depth}": train[f"plain-{depth}"] for depth in (20, 56) for kind in ("one-layer", "plain")}
    depths = (20, 32, 44, 56)
    return {
        "H1": _order("Figure 6's readings", train, [("plain-56", "plain-20")]),
        "H2": _order("Figure 6's readings", test, ORDERS["H2"]),
        "H3": _order("Figure 6's readings", train, ORDERS["H3"]),
        "H5": _order("Table 6, the mean at 110 layers", test, ORDERS["H5"]),
        "H6": _order("Figure 6's readings", train, [(f"plain-{n}", f"resnet-{n}") for n in depths]),
        "H7": Scenario("no difference at all", alike, (Goal({"with": 1, "without": -1}, margin=SIMILAR_ACCURACY),)),
        "H8": Scenario("0.05 %", train, (Goal({"resnet-1202": -1}, bound=-0.1),)),
        "H9": Scenario(
            "Table 6; training errors 0.05 and 0.1 %",
            {**{f"{name}'s test": test[name] for name in ("resnet-1202", "resnet-110")}, **train},
            (
                Goal({"resnet-1202's test": 1, "resnet-110's test": -1}),
                Goal({"resnet-1202": 1, "resnet-110": -1}, margin=SIMILAR_TRAINING),
            ),
        ),
        "H10": _order("Figure 7's readings", responses, ORDERS["H10"]),
        "H11": _order("Figure 7's readings", responses, ORDERS["H11"]),
        "H13": Scenario("Table 6's means", {"resnet-110": resnet}, (Goal({"resnet-110": -1}, bound=-highway),)),
        "H15": _order(long, train, [("plain-56", "plain-20")]),
        "H16": Scenario(
            "no difference from Figure 6's plain nets",
            single,
            tuple(Goal({f"one-layer-{n}": 1, f"plain-{n}": -NO_ADVANTAGE}) for n in (20, 56)),
        ),
    }


def _order(truth: str, results: dict[str, Truth], pairs: Iterable[tuple[str, str]]) -> Scenario:
    goals = tuple(Goal({more: 1, less: -1}) for more, less in pairs)
    used = dict.fromkeys(name for goal in goals for name in goal.coefficients)
    return Scenario(truth, {name: results[name] for name in used}, goals)


def _relative(value: float) -> Truth:
    return value, RELATIVE * value, RELATIVE_DF


def _train_errors() -> dict[str, Truth]:
    rows = paper.readings(6).query("quantity == 'train_error'")
    # Of some the paper says only within which bounds they are.
    middle = rows["value"].fillna((rows["low"] + rows["high"]) / 2)
    return {name: _relative(value) for name, value in zip(rows["network"], middle, strict=True)}


def _test_errors() -> dict[str, Truth]:
    read = paper.readings(6).query("quantity == 'test_error' and iteration == 64000").set_index("network")["value"]
    printed = paper.table(6).query("network != ''").set_index("network")
    values = {**read, **printed["mean"].fillna(printed["error"])}
    return {
        str(name): (value, float(formula(value, DATA_SETS["cifar10"].test_images)), FORMULA_DF)
        for name, value in values.items()
    }


def _responses() -> dict[str, Truth]:
    rows = paper.responses()
    means = rows[rows["layer"].isna()]
    return {name: _relative(value) for name, value in zip(means["network"], means["value"], strict=True)}


def _printed(method: str, column: str) -> float:
    rows = paper.table(6)
    return float(rows.loc[rows["method"] == method, column].dropna().iloc[0])


@cache
def table() -> pd.DataFrame:
    """Claim, what is taken to be true, chance in percent that it is found by so many seeds, the fewest that find it in
    80 % of cases, and the number planned.
    """
    known = scenarios()
    return pd.DataFrame([_row(claim, known.get(claim.id)) for claim in load() if claim.seeds])


def _row(claim: Claim, scenario: Scenario | None) -> dict[str, str]:
    if scenario is None:
        chances, fewest = dict.fromkeys(map(str, SEEDS), ""), ""
        truth = {"H4": "a bound alone", "H14": "no error rate exists"}.get(claim.id, "nothing outside ImageNet")
    else:
        found = {n: power(scenario.results, scenario.goals, n) for n in SEEDS}
        chances, truth = {str(n): f"{100 * chance:.0f}" for n, chance in found.items()}, scenario.truth
        fewest = str(next(n for n in range(1, 100) if power(scenario.results, scenario.goals, n) >= ENOUGH))
    return {"claim": claim.id, "taken to be true": truth, **chances, "fewest": fewest, "planned": str(claim.seeds)}


def rules() -> str:
    """Each claim, how it is judged, and the seeds of the runs that judge it."""
    return "\n".join(f"- **{claim.id}.** {claim.statement}{_seeds(claim)}\n  {claim.form}" for claim in load())


def _seeds(claim: Claim) -> str:
    if not claim.seeds:
        return ""
    return f" *{claim.seeds} runs of each network: seeds {', '.join(map(str, range(claim.seeds)))}.*"


def tables() -> dict[str, str]:
    """What is computed in PROTOCOL.md, by the name between its marks."""
    rows = table()
    cells = tabulate(rows.to_numpy().tolist(), headers=list(rows.columns), tablefmt="github", disable_numparse=True)
    return {"rules": rules(), "power": cells}


def fill(text: str, found: dict[str, str]) -> str:
    """A text with tables put between their marks, `<!-- NAME -->` and `<!-- /NAME -->`."""
    for name, new in found.items():
        begin, end = f"<!-- {name} -->\n", f"<!-- /{name} -->"
        before, marked, rest = text.partition(begin)
        _, ended, after = rest.partition(end)
        if not (marked and ended):
            raise ValueError(f"there must be a place for the table {name}, from <!-- {name} --> to {end}")
        text = f"{before}{begin}\n{new}\n\n{end}{after}"
    return text


def main() -> None:
    """Write the tables of PROTOCOL.md anew."""
    write_text(PROTOCOL, fill(PROTOCOL.read_text(encoding="utf-8"), tables()))


if __name__ == "__main__":
    main()
