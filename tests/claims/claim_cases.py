"""What drives each claim to each verdict that it can have: records to plant, and the verdict they should get.

H25 can only be "not run": no rule judges it. H12, H17, H23 and H24 are counted: they cannot be too
close to call, nor not run; what drives them is in test_verdicts.py.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from planted import PAPER, RESPONSES, plant

from repro import claims
from repro.claims import Verdict
from repro.records import Source, collect

SEEDS = (-0.05, 0.0, 0.05)
Planter = Callable[[Path], None]


def judged(results: Path, data: str = "cifar10", preset: str = "paper") -> dict[str, Verdict]:
    records = collect([Source("local", results)])
    assert not records.damaged
    return {verdict.id: verdict for verdict in claims.judge(records, source="local", data=data, preset=preset)}


def runs(
    train: dict[str, float] | None = None,
    test: dict[str, float] | None = None,
    response: dict[str, float] | None = None,
    *,
    seeds: Iterable[float] = (0.0,),
    training: float | None = 1.0,
    **more: object,
) -> Planter:
    """Plant networks with these end errors and mean responses; each seed adds its offset to all three.

    In training mode responses are `training` times as strong; None: that was not looked at.
    """
    given = (train or {}, test or {}, response or {})

    def planter(results: Path) -> None:
        for network in dict.fromkeys(name for table in given for name in table):
            for seed, offset in enumerate(seeds):
                mean = given[2].get(network)
                plant(
                    results,
                    network,
                    seed=seed,
                    train_end=given[0].get(network, 5.0) + offset,
                    test_end=given[1].get(network, 10.0) + offset,
                    responses=None if mean is None else mean + offset / 10,
                    responses_training=None if mean is None else training,
                    **{"preset": "paper", "coarse": 10, **more},
                )

    return planter


def diverged(*networks: str, **more: object) -> Planter:
    def planter(results: Path) -> None:
        for network in networks:
            plant(results, network, **{"preset": "paper", "coarse": 10, "status": "diverged", **more})

    return planter


def deepest(train: float, test: float, **more: object) -> Planter:
    return runs({"resnet-110": train}, {"resnet-110": test}, **more)


def both(train: float, test: float) -> Planter:
    """resnet-1202 with these errors, beside a resnet-110 as the paper's."""
    return runs({"resnet-110": 0.1, "resnet-1202": train}, {"resnet-110": 6.61, "resnet-1202": test})


def signals(gradient: float, variance: float, networks: Sequence[str] = ("plain-20", "plain-56")) -> Planter:
    """Healthy plain nets, but for one layer of the last of them."""

    def planter(results: Path) -> None:
        for network in networks:
            weak = (gradient, variance) if network == networks[-1] else (1.0, 1.0)
            plant(results, network, preset="paper", coarse=10, health=weak)

    return planter


def single(shallow: float, deep: float, **more: object) -> Planter:
    """Nets of one-layer residual functions with these training errors, beside plain ones of 1.4 and 5.9 %."""

    def planter(results: Path) -> None:
        runs({"plain-20": 1.4, "plain-56": 5.9}, **more)(results)
        runs({"resnet-20": shallow, "resnet-56": deep}, settings={"model.block": "one-layer"}, **more)(results)

    return planter


OFF = {"schedule.warm_up": "off"}
LONG = {"schedule.iterations": 192_000}
TRAIN = {network: errors[0] for network, errors in PAPER.items()}
TEST = {network: errors[1] for network, errors in PAPER.items()}
RESNETS = {f"resnet-{depth}": TEST[f"resnet-{depth}"] for depth in (20, 32, 44, 56, 110)}
ALL_PLAIN = {f"plain-{depth}": TRAIN[f"plain-{depth}"] for depth in (20, 32, 44, 56)}
WARM_OR_NOT = [deepest(0.1, 6.6, seeds=SEEDS), deepest(0.1, 6.7, seeds=SEEDS, settings=OFF)]
SHALLOWER = runs(response={"resnet-20": 1.6, "resnet-56": 1.15}, seeds=SEEDS)

#: A preset of Table 1's networks, and which claims are judged by it.
TABLE_1 = "table-1-wide"
OF_TABLE_1 = ("H18", "H19", "H20", "H21", "H22")


def table_1(train: dict[str, float] | None = None, test: dict[str, float] | None = None, **more: object) -> Planter:
    return runs(train, test, **{"preset": TABLE_1, "seeds": SEEDS, **more})


STEPS = {"plain-34": 40.0, "resnet-34": 20.0, "resnet-34-B": 8.0, "resnet-34-C": 3.0}
DEPTHS = {"resnet-34-B": 40.0, "resnet-50": 20.0, "resnet-101": 8.0, "resnet-152": 3.0}

ALIKE = table_1(test={"plain-18": 0.82, "resnet-18": 0.8})

CASES: list[tuple[str, str, list[Planter]]] = [
    ("H1", "holds", [runs({"plain-20": 1.4, "plain-56": 5.9})]),
    ("H1", "holds", [runs({"plain-20": 25.0, "plain-56": 60.0})]),
    ("H1", "contradicted", [runs({"plain-20": 5.9, "plain-56": 1.4})]),
    ("H1", "too close to call", [runs({"plain-20": 1.4, "plain-56": 1.9})]),
    ("H1", "too close to call", [runs({"plain-20": 1.4}), diverged("plain-56")]),
    ("H1", "contradicted", [runs({"plain-56": 1.4}), diverged("plain-20")]),
    ("H1", "not run", [runs({"plain-20": 1.4})]),
    ("H2", "holds", [runs(test={"plain-20": 9.7, "plain-56": 13.3})]),
    ("H2", "contradicted", [runs(test={"plain-20": 13.3, "plain-56": 9.7})]),
    ("H2", "too close to call", [runs(test={"plain-20": 9.7, "plain-56": 10.2})]),
    ("H2", "holds", [runs(test={"plain-20": 9.7, "plain-56": 10.2}, seeds=SEEDS)]),
    ("H2", "not run", [runs(test={"plain-56": 13.3})]),
    ("H2", "too close to call", [diverged("plain-20", "plain-56")]),
    ("H3", "holds", [runs(ALL_PLAIN)]),
    ("H3", "contradicted", [runs({**ALL_PLAIN, "plain-56": 1.0})]),
    ("H3", "contradicted", [runs({**ALL_PLAIN, "plain-32": 9.0})]),
    # A contradiction at 95 %, but not at 95 % for three comparisons together.
    ("H3", "too close to call", [runs({**ALL_PLAIN, "plain-20": 5.0})]),
    ("H3", "too close to call", [runs({**ALL_PLAIN, "plain-44": 1.6})]),
    ("H3", "not run", [runs({"plain-20": 1.4, "plain-44": 3.2, "plain-56": 5.9})]),
    ("H3", "contradicted", [runs({"plain-44": 3.2, "plain-56": 1.0})]),
    ("H4", "holds", [runs({"plain-110": 75.0})]),
    ("H4", "contradicted", [runs({"plain-110": 40.0})]),
    ("H4", "too close to call", [runs({"plain-110": 61.0})]),
    ("H4", "too close to call", [diverged("plain-110")]),
    ("H4", "not run", [runs({"plain-56": 5.9})]),
    ("H5", "holds", [runs(test=RESNETS, seeds=SEEDS)]),
    ("H5", "contradicted", [runs(test={**RESNETS, "resnet-110": 9.5})]),
    ("H5", "too close to call", [runs(test=RESNETS)]),
    ("H5", "not run", [runs(test={"resnet-20": 8.75, "resnet-32": 7.51})]),
    ("H5", "contradicted", [runs(test={**RESNETS, "resnet-110": 9.5} | {"resnet-20": 20.0}), diverged("resnet-44")]),
    ("H6", "holds", [runs(TRAIN, seeds=SEEDS)]),
    ("H6", "contradicted", [runs({**TRAIN, "resnet-56": 20.0})]),
    ("H6", "too close to call", [runs({**TRAIN, "resnet-20": 1.3})]),
    ("H6", "not run", [runs({"plain-20": 1.4, "resnet-56": 0.1})]),
    ("H7", "holds", WARM_OR_NOT),
    ("H7", "contradicted", [deepest(0.1, 6.6, seeds=SEEDS), deepest(9.0, 12.0, seeds=SEEDS, settings=OFF)]),
    ("H7", "contradicted", [diverged("resnet-110")]),
    ("H7", "contradicted", [deepest(88.0, 88.0, seeds=SEEDS)]),
    ("H7", "too close to call", [deepest(0.1, 6.6), deepest(0.1, 6.7, settings=OFF)]),
    ("H7", "too close to call", [deepest(40.0, 40.0, seeds=SEEDS), deepest(40.0, 40.0, seeds=SEEDS, settings=OFF)]),
    ("H7", "not run", [deepest(0.1, 6.6)]),
    ("H7", "not run", [deepest(0.1, 6.6, settings=OFF)]),
    ("H7", "too close to call", [*WARM_OR_NOT, diverged("resnet-110", seed=7, settings=OFF)]),
    ("H8", "holds", [runs({"resnet-1202": 0.05})]),
    ("H8", "contradicted", [runs({"resnet-1202": 0.5})]),
    ("H8", "contradicted", [diverged("resnet-1202")]),
    ("H8", "too close to call", [runs({"resnet-1202": 0.1})]),
    ("H8", "not run", [runs({"resnet-110": 0.05})]),
    ("H9", "holds", [both(0.05, 9.0)]),
    ("H9", "contradicted", [both(0.05, 4.0)]),
    ("H9", "too close to call", [both(0.05, 7.0)]),
    ("H9", "too close to call", [both(5.0, 9.0)]),
    ("H9", "too close to call", [deepest(5.0, 6.61), runs({"resnet-1202": 0.05}, {"resnet-1202": 9.0})]),
    ("H9", "not run", [runs({"resnet-110": 0.1})]),
    ("H10", "holds", [runs(response={**RESPONSES, "plain-20": 2.2}, seeds=SEEDS, training=None)]),
    ("H10", "contradicted", [runs(response={**RESPONSES, "plain-20": 1.2}, seeds=SEEDS)]),
    ("H10", "too close to call", [runs(response=RESPONSES)]),
    ("H10", "not run", [runs(dict.fromkeys(("plain-20", "resnet-20", "plain-56", "resnet-56"), 5.0))]),
    ("H10", "not run", [runs(response={"plain-20": 2.2, "plain-56": 1.5}), diverged("resnet-20", "resnet-56")]),
    ("H11", "holds", [runs(response={"resnet-20": 1.6, "resnet-56": 1.15, "resnet-110": 0.9}, seeds=SEEDS)]),
    ("H11", "contradicted", [runs(response={"resnet-20": 1.1, "resnet-56": 1.6, "resnet-110": 1.0}, seeds=SEEDS)]),
    ("H11", "too close to call", [runs(response={"resnet-20": 1.6, "resnet-56": 1.15, "resnet-110": 1.1})]),
    ("H11", "too close to call", [SHALLOWER, runs(response={"resnet-110": 3.0}, seeds=SEEDS, training=0.3)]),
    ("H11", "contradicted", [SHALLOWER, runs(response={"resnet-110": 3.0}, seeds=SEEDS)]),
    ("H11", "not run", [runs(response={"resnet-20": 1.6, "resnet-56": 1.15})]),
    ("H13", "holds", [runs(test={"resnet-110": 6.61}, seeds=SEEDS)]),
    ("H13", "contradicted", [runs(test={"resnet-110": 9.9})]),
    ("H13", "too close to call", [runs(test={"resnet-110": 7.5})]),
    ("H13", "contradicted", [diverged("resnet-110")]),
    ("H13", "not run", [runs(test={"resnet-56": 6.97})]),
    ("H14", "holds", [signals(0.01, 0.01)]),
    ("H14", "contradicted", [signals(1.0, 1e-7)]),
    ("H14", "contradicted", [signals(0.0, 1.0)]),
    ("H14", "too close to call", [signals(1e-4, 1.0)]),
    ("H14", "too close to call", [signals(1.0, 1e-4)]),
    ("H14", "not run", [runs({"plain-20": 1.4, "plain-56": 5.9})]),
    ("H14", "not run", [signals(1.0, 1.0, networks=("plain-20",))]),
    ("H15", "holds", [runs({"plain-20": 1.0, "plain-56": 4.0}, settings=LONG)]),
    ("H15", "contradicted", [runs({"plain-20": 4.0, "plain-56": 1.0}, settings=LONG)]),
    ("H15", "too close to call", [runs({"plain-20": 1.0, "plain-56": 1.2}, settings=LONG)]),
    ("H16", "holds", [single(1.4, 5.9, seeds=SEEDS)]),
    ("H16", "holds", [single(2.4, 9.0)]),
    ("H16", "contradicted", [single(1.4, 1.0, seeds=SEEDS)]),
    ("H16", "contradicted", [single(0.3, 5.9)]),
    ("H16", "too close to call", [single(1.15, 5.9, seeds=SEEDS)]),
    ("H16", "not run", [runs({"plain-20": 1.4, "plain-56": 5.9})]),
    ("H15", "not run", [runs({"plain-20": 1.0, "plain-56": 4.0})]),
    ("H18", "holds", [table_1({"plain-18": 1.4, "plain-34": 5.9}, {"plain-18": 9.7, "plain-34": 20.3})]),
    ("H18", "contradicted", [table_1({"plain-18": 5.9, "plain-34": 1.4}, {"plain-18": 9.7, "plain-34": 20.3})]),
    ("H18", "contradicted", [table_1({"plain-18": 1.4, "plain-34": 5.9}, {"plain-18": 20.3, "plain-34": 5.7})]),
    ("H18", "too close to call", [table_1({"plain-18": 1.4, "plain-34": 1.5}, {"plain-18": 9.7, "plain-34": 20.3})]),
    ("H18", "not run", [table_1({"plain-18": 1.4})]),
    ("H19", "holds", [table_1(test={"resnet-18": 20.0, "plain-34": 24.0, "resnet-34": 9.0})]),
    ("H19", "contradicted", [table_1(test={"resnet-18": 6.0, "plain-34": 24.0, "resnet-34": 30.0})]),
    ("H19", "too close to call", [table_1(test={"resnet-18": 9.2, "plain-34": 24.0, "resnet-34": 9.0})]),
    ("H19", "not run", [table_1(test={"resnet-18": 20.0, "resnet-34": 9.0})]),
    ("H20", "holds", [ALIKE]),
    ("H20", "contradicted", [table_1(test={"plain-18": 0.8, "resnet-18": 0.82})]),
    ("H20", "contradicted", [table_1(test={"plain-18": 20.0, "resnet-18": 0.8})]),
    ("H20", "too close to call", [table_1(test={"plain-18": 10.2, "resnet-18": 10.0})]),
    ("H20", "not run", [table_1(test={"plain-18": 10.2})]),
    ("H20", "contradicted", [table_1(test={"resnet-18": 0.8}), diverged("plain-18", preset=TABLE_1)]),
    ("H20", "too close to call", [ALIKE, diverged("plain-18", preset=TABLE_1, seed=7)]),
    ("H21", "holds", [table_1(test=STEPS)]),
    ("H21", "contradicted", [table_1(test={**STEPS, "resnet-34": 2.0})]),
    ("H21", "too close to call", [table_1(test={**STEPS, "resnet-34-B": 19.0})]),
    ("H21", "not run", [table_1(test={"resnet-34": 20.0})]),
    ("H22", "holds", [table_1(test=DEPTHS)]),
    ("H22", "contradicted", [table_1(test={**DEPTHS, "resnet-152": 20.0})]),
    ("H22", "too close to call", [table_1(test={**DEPTHS, "resnet-101": 19.0})]),
    ("H22", "not run", [table_1(test={"resnet-50": 20.0})]),
]  # fmt: skip
