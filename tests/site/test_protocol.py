"""Protocols in words: every setting has its words, and only departures are told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from planted import plant, run_of
from test_spec import OTHER, OTHER_OF_TABLE_1

from repro import repeat
from repro.records import Source, collect
from repro.records.record import Numerics
from repro.run import _parser
from repro.site import protocol
from repro.spec import Run, fields_of, override
from repro.study import load, parse_settings, preset_run

#: Another value of each setting of photographs than the preset imagenet has.
OTHERS_OF_PHOTOGRAPHS: dict[str, Any] = {
    "images.crop": 32,
    "images.shorter_side": (256, 400),
    "images.resample": "bicubic",
    "images.colour": "deviations",
    "images.colour_strength": 0.2,
}
OTHERS = OTHER | OTHER_OF_TABLE_1 | OTHERS_OF_PHOTOGRAPHS


def test_every_setting_has_words_or_changes_nothing() -> None:
    seen_only = {"network", "preset", "seed", "variant", "evaluate_every", "family"}
    assert fields_of(Run("plain-20")).keys() == protocol.WORDS.keys() | seen_only


def test_how_often_the_curve_is_written_is_told_where_it_decides_on_the_rate() -> None:
    for network, said in (("plain-56", 0), ("resnet-110", 1)):
        assert len(protocol.deviations(override(Run(network=network), {"log_every": 10}))) == said
    plateau = {"log_every": 10, "schedule.plateau": [5, 0.5]}
    assert len(protocol.deviations(override(Run(network="plain-56"), plateau))) == 2
    off = override(Run(network="resnet-110"), {"log_every": 10, "schedule.warm_up": "off"})
    assert len(protocol.deviations(off)) == 1, "that it has none"


@pytest.mark.parametrize("key", sorted(protocol.WORDS.keys() & OTHERS.keys()))
def test_each_departure_is_told_either_way(key: str) -> None:
    base = Run("resnet-50", family="imagenet") if key in OTHER_OF_TABLE_1 else Run("resnet-110")
    if key in OTHERS_OF_PHOTOGRAPHS:
        base = preset_run("imagenet", "resnet-34")
        assert protocol.deviations(base) == []
    if key == "images.evaluate_on":
        base = override(base, {"images.held_out": 5000})
    run = override(base, {key: OTHERS[key]})
    there, back = protocol.deviations(run, base), protocol.deviations(base, run)
    assert len(there) == len(back) == 1 and there != back


def test_numbers_are_told_beside_the_papers() -> None:
    assert protocol.deviations(Run(network="resnet-110")) == []
    said = protocol.deviations(run_of("resnet-20", preset="demo", data="digits"))
    assert "600 iterations of training in place of 64,000" in said
    assert any("handwritten digits" in text and "in place of CIFAR-10" in text for text in said)


def test_what_only_some_runs_have_is_said_of_them(tmp_path: Path) -> None:
    plant(tmp_path, "plain-20")
    plant(tmp_path, "resnet-20", settings={"optimiser.nesterov": True})
    said = protocol.common(collect([Source("ours", tmp_path)]).runs)
    assert "forward and backward passes in bf16; the paper does not name its precision" in said
    assert "8,000 iterations of training in place of 64,000" in said
    assert "resnet-20 (optimiser.nesterov=true): Nesterov momentum, not plain" in said


def test_foreign_runs_are_not_said_to_follow_any_protocol(tmp_path: Path) -> None:
    plant(tmp_path, "plain-20", preset="paper", status="foreign")
    assert protocol.common(collect([Source("ours", tmp_path)]).runs) == [protocol.UNKNOWN]


def test_what_runs_were_made_with_lists_each_value_once(tmp_path: Path) -> None:
    plant(tmp_path, "plain-20", seed=0)
    assert "ranks" not in protocol.made_with(collect([Source("ours", tmp_path)]).runs)
    numerics = {"device": "cuda", "precision": "fp32", "threads": 1, "ranks": 2}
    plant(tmp_path, "plain-20", seed=1, extra={"numerics": numerics})
    plant(tmp_path, "plain-20", seed=2, extra={"environment": None, "numerics": {"threads": 4}})
    made = protocol.made_with(collect([Source("ours", tmp_path)]).runs)
    assert (made["precision"], made["threads"], made["ranks"]) == ("bf16; fp32", "2; 1; 4", "1; 2")
    assert (made["training images"], made["versions"]) == ("50,000", "torch 2.6.0, python 3.12.0")


@pytest.mark.parametrize(
    ("settings", "preset", "data", "seed"),
    [
        (None, "short", "cifar10-jpeg", 3),
        ({"schedule.iterations": 4000, "optimiser.nesterov": True}, "demo", "digits", 1),
        ({"schedule.milestones": [0.4, 0.8]}, "paper", "cifar10", 0),
    ],
)
def test_the_command_of_a_run_plans_that_run(
    settings: dict[str, Any] | None, preset: str, data: str, seed: int
) -> None:
    run = run_of("resnet-20", preset=preset, data=data, seed=seed, settings=settings)
    words = repeat.words(run, Numerics(device="cpu", precision="bf16", threads=2))
    assert words is not None
    options = _parser().parse_args(words)
    assert (options.device, options.precision, options.threads) == ("cpu", "bf16", 2)
    planned = load(options.study).runs(
        options.preset,
        seeds=options.seeds,
        only=options.only,
        settings=parse_settings(options.settings),
        data=options.data or (data if data == "cifar10-jpeg" else None),
    )
    assert run in planned
    assert ("--data-dir" in words) == (data != "digits")


def test_a_run_that_no_study_plans_has_no_command() -> None:
    assert repeat.words(run_of("resnet-8", preset="demo", data="digits"), Numerics()) is None
    assert repeat.words(Run(network="resnet-20", preset="someone's own"), Numerics()) is None


def test_networks_of_table_1_depart_from_the_protocol_of_imagenet() -> None:
    (run,) = load("table-1").runs("table-1-demo", only=["resnet-152"])
    told = protocol.deviations(run)
    assert any("in place of ImageNet" in text for text in told) and not any("CIFAR" in text for text in told)
    assert "600 iterations of training in place of 600,000" in told
    assert len(told) == 7, "no warm-up, and so no word on when its end is looked for"
