"""claims.toml: complete, consistent with the paper's numbers, and with commands that give what the rules look for."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from planted import plant

from repro import claims, paper, study
from repro.claims.exact import EXACT
from repro.claims.rules import RULES
from repro.records import Source, collect
from repro.spec import fields_of

ROOT = Path(__file__).resolve().parents[2]
CLAIMS = {claim.id: claim for claim in claims.load()}


def test_each_has_a_place_in_the_paper_and_one_way_to_be_judged_or_says_what_it_would_take():
    assert list(CLAIMS) == [f"H{number}" for number in range(1, 26)]
    for claim in CLAIMS.values():
        assert re.match(r"\d", claim.section) and claim.statement and claim.paper and claim.form
        assert claim.scope in ("any", "paper", "imagenet", "none")
        assert [claim.id in RULES, claim.id in EXACT, bool(claim.needs)].count(True) == 1
        assert bool(claim.plan) == (claim.id in RULES) == (claim.scope != "none")


def spellings(value: object) -> set[str]:
    """A number of the paper as a sentence may spell it; billions too."""
    if isinstance(value, float):
        exact = {f"{value:.{digits}f}" for digits in (1, 2) if round(value, digits) == value}
        return exact | {f"{value / 1e9:g}"}
    return set(re.findall(r"\d+\.\d+", str(value)))


def test_each_number_is_the_paper_s():
    """Every decimal number of statement, paper and caveats is in the paper's tables, readings or text."""
    known: set[str] = set()
    for which in (*paper.TABLES, "readings-curves", "readings-responses"):
        for value in paper.table(which).to_numpy(dtype=object).ravel():
            known |= spellings(value)
    for group in paper.constants().values():
        for value in group.values():
            known |= spellings(value)
    # Differences that the paper's tables imply.
    errors = paper.table(6).set_index("network")
    voc = paper.table(7).groupby("training", sort=False)["map"].diff().dropna()
    assert [f"{gain:.1f}" for gain in voc] == ["3.2", "3.4"]
    known |= {"3.2", "3.4"}
    known.add(f"{errors.loc['resnet-44', 'error'] - errors.loc['resnet-56', 'error']:.2f}")
    known.add(f"{errors.loc['resnet-56', 'error'] - errors.loc['resnet-110', 'mean']:.2f}")
    for claim in CLAIMS.values():
        for text in (claim.statement, claim.paper, claim.caveats):
            for number in re.findall(r"\d+\.\d+", text):
                assert number in known, (claim.id, number)


FITTING = [
    (claim, preset)
    for claim in CLAIMS.values()
    for preset in study.presets()
    if claim.plan and study.load(claim.plan.study).family == study.family_of(preset)
]


@pytest.mark.parametrize(("claim", "preset"), FITTING, ids=[f"{claim.id}-{preset}" for claim, preset in FITTING])
def test_its_commands_give_the_runs_that_its_rule_looks_for(claim, preset, tmp_path):
    """The words of each command are taken as the program takes them; the runs so planned are planted, and judged."""
    data = study.preset_run(preset, "plain-20").data
    command = claim.command(preset, data)
    if (claim.id, preset) == ("H9", "demo"):
        assert command is None, "the demo stops resnet-1202 after a few iterations"
        return
    words = shlex.split(command)
    assert words[:3] == ["python", "-m", "repro.run"]
    options = dict(zip(words[4::2], words[5::2], strict=True))
    assert set(options) <= {"--preset", "--only", "--data-dir"}
    runs = study.load(words[3]).runs(options["--preset"], seeds=[0], only=options["--only"].split(","))
    for run in runs:
        changed = [part.partition("=")[0] for part in run.variant.split(",") if part]
        settings = {key: fields_of(run)[key] for key in changed}
        of_run = {"preset": run.preset, "data": run.data, "settings": settings}
        plant(tmp_path, run.network, **of_run, responses=1.0, coarse=10, health=(1, 1))
    where = ("cifar10", "paper") if claim.scope == "paper" else (data, preset)
    records = collect([Source("local", tmp_path)])
    assert len(records.runs) == len(runs)
    verdicts = claims.judge(records, source="local", data=where[0], preset=where[1])
    verdict = next(verdict for verdict in verdicts if verdict.id == claim.id)
    assert verdict.verdict != "not run", verdict.evidence


def test_data_are_named_where_they_are_not_those_of_the_preset():
    assert CLAIMS["H1"].command("demo", "digits").endswith("--preset demo --only plain-20,plain-56")
    assert "--data " not in CLAIMS["H1"].command("short", "cifar10")
    assert "--preset short --data cifar10-jpeg --data-dir DIR" in CLAIMS["H1"].command("short", "cifar10-jpeg")
    assert "--data digits" in CLAIMS["H1"].command("short", "digits")
    # That of a claim about the paper's own setting asks for it.
    assert "--preset paper" in CLAIMS["H8"].command("demo", "digits")
    assert "digits" not in CLAIMS["H8"].command("demo", "digits")
