"""The runs that may speak for a network: complete ones of one source, data set and preset, and what they are like."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean, variance
from typing import Any, Literal

import numpy as np

from repro import names, paper, study
from repro.claims.verdict import Lack
from repro.data.table import DATA_SETS
from repro.errors import counted
from repro.groups import Group, narrow
from repro.records import Record, Records
from repro.spec import Run, fields_of
from repro.statistics import Prior, Side, formula

Measure = Literal["train_error", "test_error", "response", "response_training"]
WORDS = {
    "train_error": "training error",
    "test_error": "test error",
    "response": "mean response in evaluation mode",
    "response_training": "mean response in training mode",
}
#: The two readings of Figure 7, of which the paper does not say which is its own: with batch normalisation by running
#: statistics, as in testing, and by each batch's own.
RESPONSES: tuple[Measure, Measure] = ("response", "response_training")

#: What is assumed of the spread over seeds of all but a converged net's test error: a tenth of the value, worth 4
#: degrees of freedom. Three laboratories' single runs of one network differ by 6 to 9 % in training error, those of
#: plain-44 by 24 %. Of responses nothing was published.
RELATIVE, RELATIVE_DF = 0.1, 4.0
#: The same after fewer iterations or on other data, at the edge of trainability: this project's demo shows 18 to 37 %.
RELATIVE_ELSEWHERE = 0.3
#: Degrees of freedom that the formula for test errors is worth (`repro.statistics.formula`). Three groups of 123 runs
#: and six of five fit it within 20 %; eight leave room for more.
FORMULA_DF = 8.0
#: No net's number is as large; the square of a stranger's could be.
_BEYOND = 1e100
#: A foreign run must reach this share of the preset's iterations.
WHOLE = 0.95
PAPER_SETTING = ("cifar10", "paper")
#: Images of CIFAR-10 in either form; trained on for the whole schedule, nets below 20 % test error are converged.
CIFAR = ("cifar10", "cifar10-jpeg")
#: The source whose runs also tell how far seeds move a network of another source.
REFERENCE = "reference"


@dataclass(frozen=True)
class Ended:
    """A complete run, or a foreign one that ends where its schedule does.

    Attributes:
        train_error: percent, mean over the last evaluation interval.
        test_error: percent, of the final iterate.
        response: mean over layers of the responses' standard deviation, in evaluation mode; NaN if not measured.
        response_training: the same in training mode.
        test_images: on which test_error was counted; None if the record does not say.
        crops: training images seen in the last evaluation interval; None if that is not known.
        warm_up_ended: iteration at which training error had fallen below 80 %; None if it never had, or without one.
        settings: by which it departs from its preset, by dotted name.
        protocol: all settings but network and seed, and the images' fingerprint, by dotted name.
        foreign: whether another program trained it.
        wrong: of each test image in the order of the data set in memory, whether it was wrong; None if not recorded.
    """

    network: str
    variant: str
    seed: int
    folder: str
    train_error: float
    test_error: float
    response: float
    response_training: float
    test_images: int | None
    crops: int | None
    warm_up_ended: int | None
    settings: tuple[str, ...]
    protocol: Mapping[str, str]
    foreign: bool = False
    wrong: np.ndarray | None = field(default=None, compare=False)

    def value(self, measure: Measure) -> float:
        """One of its numbers."""
        return float(getattr(self, measure))

    def has(self, measure: Measure) -> bool:
        """Whether that number was measured; one whose square is beyond a float's range is none."""
        return abs(self.value(measure)) < _BEYOND

    def images(self, measure: Measure) -> int | None:
        """On how many images that number was counted."""
        return {"train_error": self.crops, "test_error": self.test_images}.get(measure)


class Evidence:
    """The runs of one source, data set and preset.

    Attributes:
        curves: rows of `Records.curves`, whatever became of the run.
        health: rows of `Records.health`, likewise.
    """

    def __init__(self, records: Records, *, source: str, data: str, preset: str) -> None:
        self.source, self.data, self.preset = source, data, preset
        group = Group(data, preset)
        mine = narrow(records, group, source)
        self._all = mine.runs.to_dict("records")
        self._whole = preset == "paper" and data in CIFAR
        self._scales: dict[tuple[str, Measure], tuple[float, int]] = {}
        self.curves, self.health = mine.curves, mine.health
        self._ended = _complete(mine)
        reference = _complete(narrow(records, group, REFERENCE)) if source != REFERENCE else self._ended
        self._reference = [run for run in reference if not run.foreign]

    def runs(self, name: str, measure: Measure | None = None) -> list[Ended]:
        """Complete runs of a network[+variant], if asked for only those that have a number."""
        network, _, variant = name.partition("+")
        found = [run for run in self._ended if (run.network, run.variant) == (network, variant)]
        return [run for run in found if measure is None or run.has(measure)]

    def diverged(self, name: str, measure: Measure) -> list[dict[Any, Any]]:
        """The row (`repro.records.RUN_COLUMNS`) of each run, of a network[+variant], whose loss stopped being finite.

        It speaks of errors; of responses it says nothing.
        """
        if measure in RESPONSES:
            return []
        return [row for row in self._of_network(name) if row["status"] == "diverged"]

    def absence(self, name: str) -> Lack:
        """Why there is no number of a network[+variant]."""
        said = name.replace("+", " with ")
        if self.runs(name):
            return Lack("this was not measured in the complete runs of", said)
        counts = Counter(row["status"] for row in self._of_network(name))
        others = ", ".join(f"{count} {status}" for status, count in sorted(counts.items()))
        return Lack("no complete run of", f"{said} ({others})" if others else said)

    def repeats(self, folders: Iterable[str]) -> Counter[str]:
        """How many of some runs there are of each network[+variant], and those of it that diverged, which count too."""
        names_of = {row["folder"]: _name(row) for row in self._all}
        behind = {*folders}
        known = {names_of[folder] for folder in behind}
        lost = {row["folder"] for row in self._all if row["status"] == "diverged" and _name(row) in known}
        return Counter(names_of[folder] for folder in behind | lost)

    def side(self, runs: Sequence[Ended], measure: Measure) -> Side:
        """Runs of one network and variant as a side of a comparison, with the spread that seeds give it.

        The reference's runs of other seeds and the same protocol show that spread as well, around the mean of all.
        """
        first = runs[0]
        values = {run.seed: run.value(measure) for run in runs}
        beside = {run.seed: run.value(measure) for run in self._reference if _is_like(run, first) and run.has(measure)}
        return Side(
            name=f"{first.network} with {first.variant}" if first.variant else first.network,
            values=tuple(values.values()),
            prior=self._prior(first, measure, fmean(values.values())),
            pool=tuple({**beside, **values}.values()),
        )

    def _prior(self, run: Ended, measure: Measure, mean: float) -> Prior:
        images = run.images(measure)
        if self._whole and measure == "test_error" and images and mean < paper.constants()["cifar"]["plot_limit"]:
            return Prior(float(formula(mean, images)), FORMULA_DF, "the formula of converged nets")
        kind = _kind(run)
        scale, groups = self._scale(kind, measure)
        known = f"the assumption of {'a tenth' if self._whole else 'three tenths'}"
        if groups:
            shown = f"{counted(groups, 'group')} of {'plain' if kind == 'plain' else 'residual'} nets in the reference"
            known = f"{known}, scaled to what {shown} show"
        return Prior(scale * self._assumed(mean, measure, images), RELATIVE_DF, known)

    def _scale(self, kind: str, measure: Measure) -> tuple[float, int]:
        """How many times the assumed spread the reference's nets of a kind show, and how many groups of runs do."""
        if (kind, measure) not in self._scales:
            groups: dict[str, list[Ended]] = {}
            for run in self._reference:
                if _kind(run) == kind and run.has(measure):
                    groups.setdefault(f"{run.network}+{run.variant}", []).append(run)
            repeated = [runs for runs in groups.values() if len(runs) > 1 and not departures(runs)]
            total = df = RELATIVE_DF
            for runs in repeated:
                found = [run.value(measure) for run in runs]
                unit = self._assumed(fmean(found), measure, runs[0].images(measure))
                total += (len(runs) - 1) * variance(found) / unit**2 if unit else 0.0
                df += len(runs) - 1
            self._scales[kind, measure] = math.sqrt(total / df), len(repeated)
        return self._scales[kind, measure]

    def _assumed(self, mean: float, measure: Measure, images: int | None) -> float:
        """A share of a response; of an error or of what it lacks to 100 %, but no less than one image or crop."""
        share = RELATIVE if self._whole else RELATIVE_ELSEWHERE
        if measure in RESPONSES:
            return share * abs(mean)
        return max(share * min(mean, 100 - mean), 100 / (images or 10_000))

    def _of_network(self, name: str) -> list[dict[Any, Any]]:
        return [row for row in self._all if _name(row) == name]


def _name(row: Mapping[Any, Any]) -> str:
    return f"{row['network']}+{row['variant']}".rstrip("+")


def _kind(run: Ended) -> str:
    return names.parse(run.network).kind  # the same in either family


def _is_like(run: Ended, other: Ended) -> bool:
    return (run.network, run.variant) == (other.network, other.variant) and not departures([run, other])


def _complete(records: Records) -> list[Ended]:
    """Those among the records of one source."""
    layers = records.responses.groupby("folder")[["std", "std_training"]]
    # The mean over a part of the layers is not that over all.
    means = layers.mean().where(layers.count().eq(layers.size(), axis=0)).T.to_dict("list")
    found = []
    for row in records.runs.to_dict("records"):
        record = records.record(row["source"], row["folder"])
        if record.status == "complete" or (record.status == "foreign" and _whole(record.spec, row["iteration"])):
            found.append(_ended(row, record, means.get(row["folder"], [math.nan, math.nan])))
    return found


def _whole(run: Run, reached: int) -> bool:
    """Whether a foreign run ends where its schedule does, and that is about as long as the preset's."""
    due = study.preset_run(run.preset, run.network).schedule.iterations if run.preset in study.presets() else reached
    return reached >= max(run.schedule.iterations, WHOLE * due)


def _ended(row: Mapping[Any, Any], record: Record, responses: Sequence[float]) -> Ended:
    run, foreign = record.spec, record.status == "foreign"
    # Foreign curves are taken to be tested on all test images.
    known = DATA_SETS[run.data].test_images if foreign and run.data in DATA_SETS else None
    return Ended(
        network=run.network,
        variant=run.variant,
        seed=run.seed,
        folder=row["folder"],
        train_error=row["train_error"],
        test_error=row["test_error"],
        response=responses[0],
        response_training=responses[1],
        test_images=record.data.test_images or known,
        crops=None if foreign else min(run.evaluate_every, run.schedule.iterations) * run.optimiser.batch_size,
        warm_up_ended=record.warm_up_ended or None,
        settings=tuple(study.settings_of(run)),
        # Of a foreign run's protocol nothing is known, beside its length.
        protocol={"images": "foreign"} if foreign else {"images": str(record.data.fingerprint), **_protocol(run)},
        foreign=foreign,
        wrong=record.mistakes(),
    )


def _protocol(run: Run) -> dict[str, str]:
    named = ("network", "seed", "variant")
    return {key: json.dumps(value) for key, value in fields_of(run).items() if key not in named}


def departures(runs: Iterable[Ended], allowed: Iterable[str] = ()) -> list[str]:
    """Settings, beside those allowed to, in which some runs differ: what makes them no fair comparison."""
    runs = list(runs)
    if len({run.foreign for run in runs}) > 1:
        return ["what trained them"]
    protocols = [run.protocol for run in runs]
    keys = sorted({key for protocol in protocols for key in protocol} - set(allowed))
    return [key for key in keys if len({protocol.get(key) for protocol in protocols}) > 1]
