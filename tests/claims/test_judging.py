"""What `judge` takes as evidence, how it allows for chance, and what it writes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from claim_cases import OFF, SEEDS, diverged, judged, runs
from planted import plant
from scipy import stats

from repro import claims
from repro.claims import Link, Verdict
from repro.claims.statistics import Estimate
from repro.claims.verdict import by_interval, deciding, findings
from repro.records import Source, collect, read_health, write_health

# What speaks for a network, and what does not.

BOTH = {"plain-20": 9.7, "plain-56": 13.3}


@pytest.mark.parametrize("status", ["running", "stopped", "failed", "foreign"])
def test_only_complete_runs_speak(status, tmp_path):
    runs(test=BOTH, status=status, iteration=64_000)(tmp_path)
    found = judged(tmp_path)["H2"]
    assert found.verdict == "not run" and found.n == 0
    assert f"1 {status}" in found.evidence


@pytest.mark.parametrize(
    "elsewhere",
    [{"preset": "short", "coarse": 1}, {"data": "cifar10-jpeg"}, {"settings": {"optimiser.nesterov": True}}],
    ids=["preset", "data", "variant"],
)
def test_nothing_is_compared_across_presets_data_sets_and_variants(elsewhere, tmp_path):
    runs(test={"plain-20": 9.7})(tmp_path)
    runs(test={"plain-56": 13.3}, **elsewhere)(tmp_path)
    assert judged(tmp_path)["H2"].verdict == "not run"


def test_nothing_is_compared_across_sources(tmp_path):
    runs(test={"plain-20": 9.7})(tmp_path / "a")
    runs(test={"plain-56": 13.3})(tmp_path / "b")
    records = collect([Source("a", tmp_path / "a"), Source("b", tmp_path / "b")])
    for source in "ab":
        found = {v.id: v for v in claims.judge(records, source=source, data="cifar10", preset="paper")}
        assert found["H2"].verdict == "not run"


@pytest.mark.parametrize(
    ("extra", "reason"),
    [
        ({"data": {"fingerprint": "other", "test_images": 10_000}}, "differ in images"),
        ({"data": None}, "images"),
    ],
)
def test_other_images_or_a_record_without_them_are_no_comparison(extra, reason, tmp_path):
    runs(test={"plain-20": 9.7})(tmp_path)
    runs(test={"plain-56": 13.3}, extra=extra)(tmp_path)
    found = judged(tmp_path)["H2"]
    assert found.verdict == "not run" and reason in found.evidence


def test_a_record_that_does_not_count_its_test_images_has_no_interval(tmp_path):
    for network, error in BOTH.items():
        plant(tmp_path, network, preset="paper", test_end=error, coarse=10, extra={"data": {"fingerprint": "same"}})
    assert "on how many images" in judged(tmp_path)["H2"].evidence


def test_runs_of_another_protocol_under_the_same_name_are_no_comparison(tmp_path):
    """As an older version with another preset of this name would have left them."""
    runs(test=BOTH)(tmp_path)
    record = tmp_path / "cifar10/paper/plain-56/seed-0/run.json"
    changed = json.loads(record.read_text(encoding="utf-8"))
    changed["spec"]["schedule"]["lr"] = 0.05
    record.write_text(json.dumps(changed), encoding="utf-8")
    found = judged(tmp_path)["H2"]
    assert found.verdict == "not run"
    assert "Runs that differ in schedule.lr cannot be compared: plain-56 and plain-20." in found.evidence


def test_no_records_at_all(tmp_path):
    found = judged(tmp_path, preset="short")
    assert len(found) == 25
    assert {v.verdict for v in found.values()} == {"holds", "not run"}
    assert {v.id for v in found.values() if v.verdict == "holds"} == {"H12", "H23", "H24"}


def test_a_preset_that_is_not_known_here(tmp_path):
    found = judged(tmp_path, preset="mine")
    assert found["H1"].verdict == found["H15"].verdict == "not run"
    assert found["H1"].command is None


@pytest.mark.parametrize("where", [{"preset": "short"}, {"preset": "paper", "data": "cifar10-jpeg"}])
def test_an_absolute_error_is_judged_in_the_paper_s_own_setting_alone(where, tmp_path):
    runs({"plain-110": 75.0, "resnet-1202": 0.5, "resnet-110": 0.1}, {"resnet-110": 9.9}, **{"coarse": 1, **where})(
        tmp_path
    )
    found = judged(tmp_path, data=where.get("data", "cifar10"), preset=where["preset"])
    for name, number in (("H4", "75.00 %"), ("H8", "0.50 %"), ("H13", "9.90 %")):
        assert found[name].verdict == "not run" and found[name].effect is None
        assert "preset paper on cifar10 alone can judge it" in found[name].evidence
        assert "where it judges nothing" in found[name].evidence and number in found[name].evidence
        assert "--preset paper" in found[name].command


def test_what_a_claim_lacks_is_said_once_and_last(tmp_path):
    runs({"plain-20": 1.4, "plain-44": 3.2})(tmp_path)
    runs({"plain-56": 5.9}, status="stopped")(tmp_path)
    found = judged(tmp_path)["H3"]
    assert [link.verdict for link in found.links] == ["not run", "not run", "holds"]
    said = findings(found.links)
    assert said[0][1] == "holds" and said[0][0].startswith("The training error of plain-44 is 3.20 %")
    assert said[1:] == [("No complete run of plain-56 (1 stopped) or plain-32.", "not run")]
    assert found.evidence.startswith(f"{said[0][0]} {said[1][0]}")


def test_a_complete_net_without_responses_is_named(tmp_path):
    runs({"plain-20": 1.4, "resnet-20": 0.7})(tmp_path)
    said = judged(tmp_path)["H10"].evidence
    assert said.startswith("This was not measured in the complete runs of plain-20 or resnet-20; no complete run of")


# Runs that diverged.


def test_a_diverged_run_beside_complete_ones_takes_back_a_verdict_that_it_speaks_against(tmp_path):
    runs({"plain-56": 6.0, "resnet-56": 0.1}, seeds=SEEDS)(tmp_path)
    assert judged(tmp_path)["H6"].verdict == "holds"
    diverged("plain-56", seed=7)(tmp_path)
    still = judged(tmp_path)["H6"]
    assert still.verdict == "holds" and "Left out: 1 of plain-56 that diverged" in still.evidence
    diverged("resnet-56", seed=7)(tmp_path)
    assert judged(tmp_path)["H6"].verdict == "too close to call"


def test_two_networks_that_both_diverged_say_nothing(tmp_path):
    diverged("plain-20", "plain-56")(tmp_path)
    found = judged(tmp_path)["H2"]
    assert found.verdict == "too close to call" and found.n == 2
    assert "diverged at iteration 32,000" in found.evidence


def test_a_diverged_net_says_nothing_of_responses(tmp_path):
    runs(response={"plain-20": 2.2, "plain-56": 1.5})(tmp_path)
    diverged("resnet-20", "resnet-56")(tmp_path)
    assert judged(tmp_path)["H10"].verdict == "not run"


def test_the_modes_of_responses_that_disagree_are_named(tmp_path):
    """The paper does not say in which it measured: what one shows and the other denies is neither shown nor denied."""
    runs(response={"resnet-20": 1.6, "resnet-56": 1.15}, seeds=SEEDS)(tmp_path)
    runs(response={"resnet-110": 3.0}, seeds=SEEDS, training=0.3)(tmp_path)
    found = judged(tmp_path)["H11"]
    assert [link.verdict for link in found.links] == ["holds", "holds", "contradicted", "holds"]
    assert found.verdict == "too close to call"
    assert found.evidence.startswith(
        "The two modes in which responses can be measured disagree on resnet-56 > resnet-110."
    )
    assert "The mean response in training mode of resnet-56 is 1.15 (mean of 3 runs) and that of resnet-110 0.90" in (
        found.evidence
    )


def test_a_mode_that_contradicts_what_the_other_leaves_open_is_named(tmp_path):
    runs(response={"resnet-20": 1.6, "resnet-56": 1.15}, seeds=SEEDS)(tmp_path)
    runs(response={"resnet-110": 3.0}, seeds=SEEDS, training=1.15 / 3)(tmp_path)
    found = judged(tmp_path)["H11"]
    assert [link.verdict for link in found.links][2:] == ["contradicted", "too close to call"]
    assert found.verdict == "too close to call"
    assert found.evidence.startswith(
        "One of the two modes contradicts resnet-56 > resnet-110, the other leaves it open."
    )


def test_it_says_when_the_warm_up_ended_and_how_long_the_error_stayed_up(tmp_path):
    folder = plant(tmp_path, "resnet-110", preset="paper", train_end=10, test_end=12, warm_up_ended=100)
    table = pd.read_csv(folder / "curve.csv", dtype=str)
    for iteration, error in ((100, 77.5), (200, 87.5), (300, 81.25), (400, 75.0)):
        table.loc[table["iteration"] == str(iteration), "train_error"] = str(error)
    table.loc[table["iteration"].astype(int) > 400, "train_error"] = "10.0"
    table.to_csv(folder / "curve.csv", index=False)
    said = judged(tmp_path)["H7"].evidence
    assert "first below 80 %, where the warm-up ended, at iteration 100, and above it for the last time at 300." in said
    plant(tmp_path, "resnet-110", preset="paper", train_end=85, test_end=85, extra={"warm_up_ended": None})
    assert "never fell below 80 %, so that the warm-up never ended" in judged(tmp_path)["H7"].evidence


@pytest.mark.parametrize(
    ("verdict", "intervals"),
    [
        # A wide interval may come nearer to 0 for its width than one that is nearer to it in points.
        ("holds", [(0.3, 2.5), (0.05, 0.13), (2.0, 3.0)]),
        ("too close to call", [(-2.0, 1.0), (-9.0, 5.0), (2.0, 3.0)]),
        ("contradicted", [(-5.0, -3.0), (-9.0, -1.0), (-2.0, 1.0)]),
    ],
)
def test_a_chain_turns_on_the_comparison_nearest_to_contradiction(verdict, intervals):
    links = [Link("", by_interval(Estimate(0.0, *ends, 4, ())), "", sum(ends) / 2, ends) for ends in intervals]
    assert deciding([*reversed(links), Link("", "not run", "")], verdict) is links[0]


def test_a_net_that_diverges_at_times_without_warm_up_is_not_as_good(tmp_path):
    runs({"resnet-110": 0.1}, {"resnet-110": 6.6}, seeds=SEEDS)(tmp_path)
    runs({"resnet-110": 0.1}, {"resnet-110": 6.6}, seeds=SEEDS, settings=OFF)(tmp_path)
    assert judged(tmp_path)["H7"].verdict == "holds"
    diverged("resnet-110", seed=7, settings=OFF)(tmp_path)
    assert judged(tmp_path)["H7"].verdict == "too close to call"


def test_a_depth_that_no_study_plans_in_plain_is_judged_only_if_it_is_there(tmp_path):
    depths = (20, 32, 44, 56)
    runs({f"plain-{n}": 9.0 for n in depths} | {f"resnet-{n}": 1.0 for n in (*depths, 110)})(tmp_path)
    found = judged(tmp_path)["H6"]
    assert found.verdict == "holds" and found.command is None and len(found.links) == 4
    runs({"plain-110": 0.1}, seeds=SEEDS)(tmp_path)
    runs({"resnet-110": 1.0}, seeds=SEEDS)(tmp_path)
    found = judged(tmp_path)["H6"]
    assert found.verdict == "contradicted" and len(found.links) == 5


@pytest.mark.parametrize("network", ["resnet-44", "plain-110"])
def test_a_depth_of_which_the_runs_cannot_be_compared_is_not_passed_over(network, tmp_path):
    networks = {f"{kind}-{n}": level for n in (20, 32, 44, 56) for kind, level in (("plain", 9.0), ("resnet", 1.0))}
    runs(networks)(tmp_path)
    assert judged(tmp_path)["H6"].verdict == "holds"
    runs({"plain-110": 9.0})(tmp_path)
    runs({"resnet-110": 1.0})(tmp_path)
    assert judged(tmp_path)["H6"].verdict == "holds"
    alter(tmp_path, f"{network}/seed-0")
    found, depth = judged(tmp_path)["H6"], network.partition("-")[2]
    assert found.verdict == "not run"
    assert f"Runs that differ in schedule.lr cannot be compared: plain-{depth} and resnet-{depth}." in found.evidence


def test_of_two_pairs_that_cannot_be_compared_it_is_said_which_belong_together(tmp_path):
    runs({f"{kind}-{n}": 9.0 for n in (20, 56) for kind in ("plain", "resnet")})(tmp_path)
    for depth in (20, 56):
        alter(tmp_path, f"plain-{depth}/seed-0")
    said = "cannot be compared: plain-20 and resnet-20, or plain-56 and resnet-56;"
    assert said in judged(tmp_path)["H6"].evidence


# The seed's spread where fewer than three runs are there.


def width(verdict: Verdict) -> float:
    return verdict.interval[1] - verdict.interval[0]


def half_width(*stds: float, df: float, errors: tuple[float, ...] = (5.0, 6.0), images: int = 10_000) -> float:
    """Of the interval of a difference: the means' standard deviations over seeds, worth so many df, and the images."""
    seeds = sum(std**2 for std in stds)
    total = seeds + sum(100 * p * (1 - p / 100) / images for p in errors)
    return float(stats.t.ppf(0.975, total**2 / (seeds**2 / df))) * total**0.5


def test_the_assumed_spread_is_the_paper_s_in_its_setting_and_twice_that_elsewhere(tmp_path):
    runs(test={"plain-20": 5.0, "plain-56": 6.0})(tmp_path)
    runs(test={"plain-20": 5.0, "plain-56": 6.0}, preset="short", coarse=1)(tmp_path)
    for preset, spread in (("paper", 0.3), ("short", 0.6)):
        found = judged(tmp_path, preset=preset)["H2"]
        assert width(found) == pytest.approx(2 * half_width(spread, spread, df=4), rel=0.01)
        assert f"{spread:g} points" in found.evidence and "assumed" in found.evidence


def test_runs_of_other_networks_say_nothing_of_a_network_s_spread(tmp_path):
    runs(test={"plain-20": 9.7, "plain-56": 13.3})(tmp_path)
    before = judged(tmp_path)["H2"]
    runs(test={"plain-32": 10.0, "resnet-20": 8.0}, seeds=(-3.0, 0.0, 3.0))(tmp_path)
    runs(test={"plain-44": 10.0}, seeds=(0.0, 0.0))(tmp_path)
    assert judged(tmp_path)["H2"] == before


def test_runs_of_a_network_scale_what_is_assumed_of_it(tmp_path):
    runs(test={"plain-20": 5.0})(tmp_path)
    runs(test={"plain-56": 5.5}, seeds=(-0.9, 0.0, 0.9))(tmp_path)
    # Three runs, of a variance 9 times the assumed: (4 + 2 x 9) / 6 of it, over three runs.
    scaled = 0.3 * (22 / 6) ** 0.5
    found = judged(tmp_path)["H2"]
    assert width(found) == pytest.approx(2 * half_width(0.3, scaled / 3**0.5, df=4, errors=(5.0, 5.5)), rel=0.01)
    assert "plain-56 by a standard deviation of 0.57 points" in found.evidence
    assert "assumed with the weight of 5 runs, and scaled to what runs of it show, 3 here" in found.evidence


def test_runs_that_differ_in_more_than_their_seed_tell_no_spread(tmp_path):
    short = {"preset": "short", "coarse": 1}
    runs({"plain-20": 10.0, "plain-56": 20.0}, settings={"schedule.iterations": 24_000}, **short)(tmp_path)
    before = judged(tmp_path, preset="short")["H15"]
    runs({"plain-56": 20.0}, seeds=(0.0, 20.0), **short)(tmp_path)
    told = judged(tmp_path, preset="short")["H15"]
    assert width(told) > 1.5 * width(before)
    alter(tmp_path, "plain-56/seed-1")
    assert judged(tmp_path, preset="short")["H15"] == before


def alter(folder: Path, run: str) -> None:
    """Another learning rate in a record."""
    path = next(folder.rglob(f"{run}/run.json"))
    record = json.loads(path.read_text(encoding="utf-8"))
    record["spec"]["schedule"]["lr"] = 0.3
    path.write_text(json.dumps(record), encoding="utf-8")


def test_a_second_seed_does_not_take_back_what_the_first_showed(tmp_path):
    runs(test={"plain-20": 9.7, "plain-56": 13.3})(tmp_path)
    before = judged(tmp_path)["H2"]
    assert before.verdict == "holds"
    runs(test={"plain-20": 9.7}, seeds=(0.0, 0.3))(tmp_path)
    between = judged(tmp_path)["H2"]
    assert between.verdict == "holds" and between.n == 3
    assert 0.5 * width(before) < width(between) < width(before)
    runs(test={"plain-56": 13.3}, seeds=(0.0, 1.5))(tmp_path)
    after = judged(tmp_path)["H2"]
    assert after.verdict == "holds" and after.n == 4


def test_a_variant_is_of_the_spread_that_its_own_runs_and_the_usual_ones_show(tmp_path):
    settings = {"schedule.iterations": 24_000}
    runs({"plain-20": 10.0, "plain-56": 20.0}, settings=settings, preset="short", coarse=1)(tmp_path)
    runs({"plain-56": 20.0}, seeds=(-4.0, 0.0, 4.0), preset="short", coarse=1)(tmp_path)
    found = judged(tmp_path, preset="short")["H15"]
    # A tenth of 20 is assumed, and a variance of four times that shown: (4 + 2 x 4) / 6 = 2.
    assert "plain-56 by a standard deviation of 0.85 points or 14 % of the value" in found.evidence
    assert "3 here" in found.evidence


def test_a_reference_run_repeated_to_the_bit_is_one_run(tmp_path):
    """Two seeds repeated are two runs, not four; one seed repeated still knows its fellows in the reference."""

    def h2(place: str) -> Verdict:
        records = collect([Source("local", tmp_path / place), Source("reference", tmp_path / "reference")])
        return {v.id: v for v in claims.judge(records, source="local", data="cifar10", preset="paper")}["H2"]

    for place in ("both", "reference"):
        runs(test=BOTH, seeds=(-2.0, 2.0))(tmp_path / place)
    runs(test=BOTH, seeds=(-2.0,))(tmp_path / "first")
    runs(test=BOTH, seeds=(-1.9,))(tmp_path / "other")
    assert h2("both").interval == judged(tmp_path / "both")["H2"].interval
    for place in ("both", "first", "other"):
        assert "show, 2 of the reference" in h2(place).evidence
    assert width(h2("first")) == pytest.approx(width(h2("other")), rel=0.05)


def test_a_reference_of_another_protocol_tells_nothing_of_the_spread(tmp_path):
    """As a preset of one's own that has the name of another."""
    runs(test=BOTH)(tmp_path / "few")
    runs(test=BOTH, seeds=(-2.0, 0.5, 2.0))(tmp_path / "reference")
    for record in (tmp_path / "reference").rglob("run.json"):
        changed = json.loads(record.read_text(encoding="utf-8"))
        changed["spec"]["schedule"]["lr"] = 0.05
        record.write_text(json.dumps(changed), encoding="utf-8")
    records = collect([Source("local", tmp_path / "few"), Source("reference", tmp_path / "reference")])
    found = {v.id: v for v in claims.judge(records, source="local", data="cifar10", preset="paper")}["H2"]
    assert found.interval == judged(tmp_path / "few")["H2"].interval and "of the reference" not in found.evidence


def test_runs_of_the_reference_tell_the_spread_and_those_of_no_other_source(tmp_path):
    few, several = runs(test=BOTH), runs(test=BOTH, seeds=(-2.0, 0.0, 2.0))

    def h2(other: str, source: str) -> Verdict:
        records = collect([Source("local", tmp_path / "few"), Source(other, tmp_path / "several")])
        return {v.id: v for v in claims.judge(records, source=source, data="cifar10", preset="paper")}["H2"]

    few(tmp_path / "few")
    several(tmp_path / "several")
    alone = judged(tmp_path / "few")["H2"]
    informed = h2("reference", "local")
    assert informed.effect == alone.effect and width(informed) > 1.5 * width(alone)
    assert "show, 3 of the reference" in informed.evidence
    assert h2("others", "local") == alone
    assert h2("reference", "reference").interval == judged(tmp_path / "several")["H2"].interval

    # Its own runs are not told twice where it is the one that is judged.
    runs(test=BOTH, seeds=(-1.0, 1.0))(tmp_path / "two")
    records = collect([Source("reference", tmp_path / "two")])
    own = {v.id: v for v in claims.judge(records, source="reference", data="cifar10", preset="paper")}["H2"]
    assert own.interval == judged(tmp_path / "two")["H2"].interval


# What is written.


def test_claims_json_is_strict_and_whole(paper_like, tmp_path):
    verdicts = claims.judge(paper_like, source="planted", data="cifar10", preset="paper")
    claims.write(tmp_path / "claims.json", verdicts)

    def refuse(word: str) -> None:
        raise AssertionError(f"{word} is no JSON")

    found = json.loads((tmp_path / "claims.json").read_text(encoding="utf-8"), parse_constant=refuse)
    assert found["format"] == 1
    assert [item["id"] for item in found["verdicts"]] == [f"H{n}" for n in range(1, 26)]
    first = found["verdicts"][0]
    assert set(first) == set(Verdict.__dataclass_fields__)
    assert first["interval"] == list(verdicts[0].interval)
    assert first["runs"] == ["cifar10/paper/plain-56/seed-0", "cifar10/paper/plain-20/seed-0"]
    assert first["links"][0]["verdict"] == "holds"


def test_strictness_asks_for_contradictions_alone(tmp_path):
    assert not claims.contradicted(judged(tmp_path).values())
    runs(test={"plain-20": 13.3, "plain-56": 9.7})(tmp_path)
    assert claims.contradicted(judged(tmp_path).values())


def test_judging_needs_no_torch():
    code = "import sys, repro.claims, repro.paper; repro.claims.load(); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_mean_over_a_part_of_the_layers_is_not_taken(tmp_path):
    for network in ("plain-20", "plain-56", "resnet-20", "resnet-56"):
        path = plant(tmp_path, network, preset="paper", responses=1.0, responses_training=1.0, coarse=10)
    path /= "health.csv"
    rows = read_health(path)
    write_health(path, [row for row in rows if (row.iteration, row.layer) != (rows[-1].iteration, 3)])
    assert [link.verdict == "not run" for link in judged(tmp_path)["H10"].links] == [False, False, False, True]


def test_a_variant_beside_the_usual_runs_does_not_speak_for_them(tmp_path):
    runs(test=BOTH)(tmp_path)
    before = judged(tmp_path)["H2"]
    runs(test={"plain-20": 20.0}, settings={"optimiser.nesterov": True})(tmp_path)
    assert judged(tmp_path)["H2"] == before
