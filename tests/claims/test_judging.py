"""What `judge` takes as evidence, how it allows for chance, and what it writes."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
from claim_cases import LONG, SEEDS, judged, runs
from planted import plant
from scipy import stats

from repro import claims
from repro.claims import Verdict
from repro.records import Source, collect, read_health, write_health, write_json
from repro.records.foreign import Target, bring_in
from repro.records.seal import seal

# What speaks for a network, and what does not.

BOTH = {"plain-20": 9.7, "plain-56": 13.3}


@pytest.mark.parametrize(
    ("status", "iteration"), [("running", 64_000), ("stopped", 64_000), ("failed", 64_000), ("foreign", 40_000)]
)
def test_only_complete_runs_and_foreign_curves_that_end_with_their_schedule_speak(status, iteration, tmp_path):
    runs(test=BOTH, status=status, iteration=iteration)(tmp_path)
    found = judged(tmp_path)["H2"]
    assert found.verdict == "not run" and found.n == 0
    assert f"1 {status}" in found.evidence


@pytest.mark.parametrize(
    ("elsewhere", "reason"),
    [
        ({"preset": "short", "coarse": 1}, "No complete run of plain-56"),
        ({"data": "cifar10-jpeg"}, "No complete run of plain-56"),
        ({"settings": {"optimiser.nesterov": True}}, "No complete run of plain-56"),
        ({"extra": {"data": {"fingerprint": "other", "test_images": 10_000}}}, "differ in images"),
        ({"extra": {"data": None}}, "images"),
    ],
    ids=["preset", "data", "variant", "images", "unknown images"],
)
def test_nothing_is_compared_across_presets_data_sets_variants_and_images(elsewhere, reason, tmp_path):
    runs(test={"plain-20": 9.7})(tmp_path)
    runs(test={"plain-56": 13.3}, **elsewhere)(tmp_path)
    found = judged(tmp_path)["H2"]
    assert found.verdict == "not run" and reason in found.evidence


def test_nothing_is_compared_across_sources_and_protocols(tmp_path):
    """The latter as an older version with another preset of this name would have left them."""
    for place, network in (("a", "plain-20"), ("b", "plain-56")):
        runs(test={network: BOTH[network]})(tmp_path / place)
    assert of(tmp_path / "a", source="a", b=tmp_path / "b").verdict == "not run"
    runs(test=BOTH)(tmp_path)
    alter(tmp_path, "plain-56/seed-0")
    found = judged(tmp_path)["H2"]
    assert found.verdict == "not run"
    assert "Runs that differ in schedule.lr cannot be compared: plain-56 and plain-20." in found.evidence


def test_no_records_at_all(tmp_path):
    found = judged(tmp_path, preset="short")
    assert len(found) == 25
    assert {v.verdict for v in found.values()} == {"holds", "not run"}
    assert {v.id for v in found.values() if v.verdict == "holds"} == {"H12", "H17", "H23", "H24"}
    of_a_stranger = judged(tmp_path, preset="mine")["H1"]
    assert (of_a_stranger.verdict, of_a_stranger.command) == ("not run", None)


@pytest.mark.parametrize("where", [{"preset": "short"}, {"preset": "paper", "data": "cifar10-jpeg"}])
def test_an_absolute_error_is_judged_in_the_paper_s_own_setting_alone(where, tmp_path):
    runs({"plain-110": 75.0, "resnet-1202": 0.5, "resnet-110": 0.1}, {"resnet-110": 9.9}, **{"coarse": 1, **where})(
        tmp_path
    )
    found = judged(tmp_path, data=where.get("data", "cifar10"), preset=where["preset"])
    for name, number in (("H4", "75.00 %"), ("H8", "0.50 %"), ("H13", "9.90 %")):
        assert found[name].verdict == "not run" and found[name].effect is None
        assert number in found[name].evidence and "--preset paper" in found[name].command


# Runs that diverged.


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


# The spread over seeds.


def width(verdict: Verdict) -> float:
    return verdict.interval[1] - verdict.interval[0]


def of(place: Path, claim: str = "H2", source: str = "local", **others: Path) -> Verdict:
    """The verdict of a source, `local` unless another is named, beside others."""
    where = {source: place, **others}
    records = collect([Source(name, path) for name, path in where.items()])
    verdicts = claims.judge(records, source=source, data="cifar10", preset="paper")
    return next(verdict for verdict in verdicts if verdict.id == claim)


def half(*spreads: tuple[float, int, int], prior_df: float) -> float:
    """Half an interval by hand; of each side the moderated std of a run, its degrees of freedom, its runs."""
    parts = [std**2 / runs for std, _, runs in spreads]
    (a, b), (df_a, df_b) = parts, (df for _, df, _ in spreads)
    df = (a + b) ** 2 / (a**2 / df_a + b**2 / df_b + 2 * prior_df * a * b / df_a / df_b)
    return float(stats.t.ppf(0.975, df)) * (a + b) ** 0.5


def test_a_converged_net_s_test_error_has_the_spread_of_the_formula(tmp_path):
    runs(test={"plain-20": 8.0})(tmp_path)
    runs(test={"plain-56": 13.0}, seeds=(-0.4, 0.0, 0.4))(tmp_path)
    low, high = (0.2, 8, 1), (((8 * 0.065e4 / 1e4 + 2 * 0.16) / 10) ** 0.5, 10, 3)
    assert width(of(tmp_path)) == pytest.approx(2 * half(low, high, prior_df=8))


def test_in_training_a_tenth_is_assumed_of_the_error_or_of_what_it_lacks_and_elsewhere_three(tmp_path):
    runs({"plain-20": 5.0, "plain-56": 96.0}, {"plain-20": 30.0, "plain-56": 60.0})(tmp_path)
    assert width(of(tmp_path, "H1")) == pytest.approx(2 * half((0.5, 4, 1), (0.4, 4, 1), prior_df=4))
    # Above 20 % a net is not converged.
    assert width(of(tmp_path)) == pytest.approx(2 * half((3.0, 4, 1), (4.0, 4, 1), prior_df=4))
    runs(test={"plain-20": 5.0, "plain-56": 6.0}, preset="short", coarse=1)(tmp_path)
    found = judged(tmp_path, preset="short")["H2"]
    assert width(found) == pytest.approx(2 * half((1.5, 4, 1), (1.8, 4, 1), prior_df=4))


def test_that_tenth_is_scaled_to_what_nets_of_its_kind_show_in_the_reference(tmp_path):
    runs({"plain-20": 5.0, "plain-56": 20.0})(tmp_path / "here")
    runs({"plain-32": 10.0}, seeds=(-3.0, 0.0, 3.0))(tmp_path / "reference")
    runs({"resnet-20": 1.0}, seeds=(-0.9, 0.0, 0.9))(tmp_path / "reference")
    # A tenth of 10, worth 4, and a variance of 9 times that, worth 2.
    scale = ((4 + 2 * 9) / 6) ** 0.5
    found = of(tmp_path / "here", "H1", reference=tmp_path / "reference")
    assert width(found) == pytest.approx(2 * half((scale * 0.5, 4, 1), (scale * 2.0, 4, 1), prior_df=4))
    assert "scaled to what 1 group of plain nets in the reference show" in found.evidence
    assert of(tmp_path / "here", "H1", others=tmp_path / "reference") == of(tmp_path / "here", "H1")


def test_the_reference_s_other_seeds_tell_the_spread_and_not_the_mean(tmp_path):
    runs(test=BOTH)(tmp_path / "few")
    runs(test=BOTH, seeds=(0.0, -2.0, 2.0))(tmp_path / "reference")
    alone, told = of(tmp_path / "few"), of(tmp_path / "few", reference=tmp_path / "reference")
    assert told.effect == alone.effect and told.n == 2
    stds = [((8 * error * 100**2 / 2e4 + 2 * 4.0) / 10) ** 0.5 for error in (0.097, 0.133)]
    assert width(told) == pytest.approx(2 * half(*((std, 10, 1) for std in stds), prior_df=8), rel=0.02)
    assert "what 3 runs show, 2 of them in the reference" in told.evidence


def test_a_run_that_repeats_one_of_the_reference_counts_once(tmp_path):
    for place in ("both", "reference"):
        runs(test=BOTH, seeds=(-2.0, 2.0))(tmp_path / place)
    assert of(tmp_path / "both", reference=tmp_path / "reference").interval == of(tmp_path / "both").interval
    # The reference judged by itself has its own runs once.
    assert of(tmp_path / "reference", source="reference").interval == of(tmp_path / "both").interval


def test_a_reference_of_another_protocol_tells_nothing_of_the_spread(tmp_path):
    """As a preset of one's own that has the name of another."""
    runs(test=BOTH)(tmp_path / "few")
    runs(test=BOTH, seeds=(-2.0, 0.5, 2.0))(tmp_path / "reference")
    for record in (tmp_path / "reference").rglob("run.json"):
        alter(record.parent)
    assert of(tmp_path / "few", reference=tmp_path / "reference") == of(tmp_path / "few")


def alter(folder: Path, run: str = "") -> None:
    """Another learning rate in a record."""
    path = next(folder.rglob(f"{run}/run.json" if run else "run.json"))
    record = json.loads(path.read_text(encoding="utf-8"))
    record["spec"]["schedule"]["lr"] = 0.3
    write_json(path, record)
    seal(path.parent, path.read_text(encoding="utf-8"))


def test_a_verdict_that_welch_does_not_share_says_that_a_spread_is_assumed(tmp_path):
    runs(test=BOTH)(tmp_path / "one")
    found = of(tmp_path / "one")
    assert (found.verdict, found.assumed, found.said, found.welch) == (
        "holds",
        True,
        "holds (provisional, spread assumed)",
        None,
    )
    runs(test=BOTH, seeds=SEEDS)(tmp_path / "three")
    found = of(tmp_path / "three")
    assert (found.verdict, found.assumed, found.said) == ("holds", False, "holds")
    assert found.welch == pytest.approx(
        tuple(stats.ttest_ind([13.25, 13.3, 13.35], [9.65, 9.7, 9.75], equal_var=False).confidence_interval())
    )
    assert "Welch's, of the runs alone, +" in found.evidence
    runs(test={"plain-20": 10.0, "plain-56": 11.0}, seeds=(-0.5, 0.0, 0.5))(tmp_path / "wide")
    assert of(tmp_path / "wide").assumed == (of(tmp_path / "wide").verdict == "holds")


def test_a_verdict_on_a_variant_of_fewer_seeds_than_planned_is_provisional(tmp_path):
    """However many seeds the networks have without it."""
    nets = {"plain-20": 1.0, "plain-56": 4.0}
    runs(nets, seeds=SEEDS)(tmp_path)
    runs(nets, settings=LONG)(tmp_path)
    assert judged(tmp_path)["H15"].said == "holds (provisional, spread assumed)"
    runs(nets, settings=LONG, seeds=SEEDS)(tmp_path)
    assert judged(tmp_path)["H15"].said == "holds"


def test_a_seed_that_diverged_is_not_awaited(tmp_path):
    """A verdict is provisional until the planned seeds are complete, and this one is, in whichever variant."""
    for settings in ({}, LONG):
        runs({"plain-20": 1.0, "plain-56": 4.0}, settings=settings, seeds=SEEDS[:2])(tmp_path)
        plant(tmp_path, "plain-20", preset="paper", settings=settings, seed=2, train_end=1.0, coarse=10)
    found = judged(tmp_path)
    assert found["H1"].provisional and found["H15"].provisional
    for settings in ({}, LONG):
        plant(tmp_path, "plain-56", preset="paper", settings=settings, seed=2, status="diverged", coarse=10)
    found = judged(tmp_path)
    assert "Left out: 1 of plain-56" in found["H1"].evidence and "Left out: 1 of plain-56" in found["H15"].evidence
    assert not found["H1"].provisional and not found["H15"].provisional


# On other images.


def bits(wrong: np.ndarray) -> dict[str, object]:
    return {"wrong_test_images": np.packbits(wrong).tobytes().hex()}


@pytest.mark.parametrize(("apart", "said"), [(0.02, "On other images, too"), (0.006, "too close to call")])
def test_where_the_records_say_which_images_were_wrong_it_is_said_whether_others_would_show_it(apart, said, tmp_path):
    random = np.random.default_rng(4)
    wrong = {"plain-20": random.random(10_000) < 0.1}
    more = random.random(10_000)
    wrong["plain-56"] = np.where(wrong["plain-20"], more < 0.7, more < (0.3 * 0.1 + apart) / 0.9)
    errors = {name: 100 * float(found.mean()) for name, found in wrong.items()}
    for name, found in wrong.items():
        plant(tmp_path, name, preset="paper", test_end=errors[name], coarse=10, extra=bits(found))
    verdict = judged(tmp_path)["H2"]
    link = verdict.links[0]
    assert said in link.evidence.partition("On other images")[0] + link.evidence.partition(".")[2]
    b, c = (np.sum(wrong[x] & ~wrong[y]) for x, y in (("plain-56", "plain-20"), ("plain-20", "plain-56")))
    images = 100 * ((b + c) / 1e4 - ((b - c) / 1e4) ** 2) ** 0.5 / 100
    seeds = sum(100**2 * error / 100 / 20_000 for error in errors.values())
    df = (seeds + images**2) ** 2 / (seeds**2 / 8 + images**4 / 9_999)
    half = stats.t.ppf(0.975, df) * (seeds + images**2) ** 0.5
    assert f"{link.effect - half:+.2f} to {link.effect + half:+.2f}" in link.evidence.partition("image by image")[2]


# Curves of other programs.


def foreign(place: Path, **ends: tuple[float, float]) -> None:
    """Logs by epoch, as another program writes them, of these training and test errors at their end."""
    for name, (train, test) in ends.items():
        epochs = range(1, 165)
        fall = [math.exp(-epoch / 4) for epoch in epochs]
        rows = [f"{e},{train + (85 - train) * f},{test + (85 - test) * f}" for e, f in zip(epochs, fall, strict=True)]
        path = place.with_name(f"{name}.csv")
        path.write_text("\n".join(["epoch,train_error,test_error", *rows]) + "\n", encoding="utf-8")
        bring_in([path], place, Target(network=name.replace("_", "-")))


NINE = {
    "plain_20": (1.24, 9.4), "plain_32": (1.3, 9.35), "plain_44": (2.4, 10.95), "plain_56": (5.02, 13.6),
    "resnet_20": (0.71, 8.6), "resnet_32": (0.3, 7.4), "resnet_44": (0.2, 7.1), "resnet_56": (0.1, 6.7),
    "resnet_110": (0.08, 6.04),
}  # fmt: skip


def test_nine_foreign_logs_are_judged_by_their_ends_and_say_so(tmp_path):
    foreign(tmp_path / "theirs", **NINE)
    found = judged(tmp_path / "theirs")
    expected = {"H1": "holds", "H2": "holds", "H3": "holds", "H5": "too close to call", "H6": "holds", "H9": "not run"}
    assert {name: found[name].verdict for name in expected} == expected, found["H3"].evidence
    for name in ("H1", "H2", "H3", "H5", "H6"):
        assert found[name].foreign and "on how many images they were tested" in found[name].evidence
    assert "This was not measured in the complete runs of plain-20" in found["H10"].evidence
    assert "80 %" not in found["H7"].evidence, "that it never fell below, as nothing says when it did"
    foreign(tmp_path / "theirs", resnet_1202=(0.04, 7.9), plain_20=(9.0, 12.0), resnet_56=(20.0, 10.0))
    found = judged(tmp_path / "theirs")
    changed = {"H1": "contradicted", "H3": "contradicted", "H5": "contradicted", "H6": "contradicted"}
    changed |= {"H8": "holds", "H9": "holds"}
    assert {name: found[name].verdict for name in changed} == changed


def test_foreign_curves_are_not_set_against_runs_of_this_program(tmp_path):
    foreign(tmp_path / "mixed", plain_20=(1.24, 9.4))
    runs(test={"plain-56": 13.3})(tmp_path / "mixed")
    assert "differ in what trained them" in judged(tmp_path / "mixed")["H2"].evidence


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


def test_the_mean_over_a_part_of_the_layers_is_not_taken(tmp_path):
    for network in ("plain-20", "plain-56", "resnet-20", "resnet-56"):
        path = plant(tmp_path, network, preset="paper", responses=1.0, responses_training=1.0, coarse=10)
    path /= "health.csv"
    rows = read_health(path)
    write_health(path, [row for row in rows if (row.iteration, row.layer) != (rows[-1].iteration, 3)])
    assert [link.verdict == "not run" for link in judged(tmp_path)["H10"].links] == [False, False, False, True]
