"""The runs that may speak for a network: complete ones of one source, data set and preset, and what they are like."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import pandas as pd

from repro.claims.statistics import Side, Spread, moderated
from repro.claims.verdict import Lack
from repro.records import Records
from repro.spec import Run, fields_of
from repro.study import settings_of

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

#: So many degrees of freedom is an assumed spread worth: as many as five runs. Then seeds may move networks two thirds
#: further than assumed before intervals of one run on each side hold the truth less than nine times in ten.
BELIEF = 4
#: Standard deviation over seeds before there are runs that show it: 0.3 points, or a twentieth of the error where that
#: is more. The paper's five runs of ResNet-110 have 0.16 at an error of 6.61 (Table 6), reproductions by others 0.2 to
#: 0.3; where errors are larger, seeds move them further. For responses none was ever published: in this project's demo
#: three seeds move those of nets of 32 to 56 layers, and of ResNet-110, by 17 % (root mean square). A tenth, which
#: is twice that away from the paper's setting, errs on the side of saying less.
ASSUMED: dict[Measure, Spread] = {
    "train_error": Spread(0.3, 0.05, BELIEF),
    "test_error": Spread(0.3, 0.05, BELIEF),
    "response": Spread(0.0, 0.1, BELIEF),
    "response_training": Spread(0.0, 0.1, BELIEF),
}
#: How many times that is assumed away from the paper's own setting, of which alone it is known.
ELSEWHERE = 2.0
PAPER_SETTING = ("cifar10", "paper")
#: The source whose runs also tell how far the seed moves a network of another source.
REFERENCE = "reference"


@dataclass(frozen=True)
class Ended:
    """A complete run.

    Attributes:
        train_error: percent, mean over the last evaluation interval.
        test_error: percent, of the final iterate.
        response: mean over layers of the responses' standard deviation, in evaluation mode; NaN if not measured.
        response_training: the same in training mode.
        test_images: on which test_error was counted; None if the record does not say.
        crops: training images seen in the last evaluation interval.
        warm_up_ended: iteration at which training error had fallen below 80 %; None if it never had, or without one.
        settings: by which it departs from its preset, by dotted name.
        protocol: all settings but network and seed, and the images' fingerprint, by dotted name.
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
    crops: int
    warm_up_ended: int | None
    settings: tuple[str, ...]
    protocol: Mapping[str, str]

    def value(self, measure: Measure) -> float:
        """One of its numbers."""
        return float(getattr(self, measure))

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
        self._all = _rows(records, source, data, preset)
        self.curves = _of(records.curves, source, data, preset)
        self.health = _of(records.health, source, data, preset)
        self._ended = _complete(records, self._all)
        self._reference = _complete(records, _rows(records, REFERENCE, data, preset)) if source != REFERENCE else []
        # A run that repeats one of the reference to the bit tells nothing more of what seeds do. It counts there, among
        # the reference's other seeds, which it may have no fellow of here.
        known = {_results(run) for run in self._reference}
        self._own = [run for run in self._ended if _results(run) not in known]

    def runs(self, network: str, measure: Measure | None = None, variant: str = "") -> list[Ended]:
        """Complete runs of a network, if asked for only those that have a number."""
        found = [run for run in self._ended if (run.network, run.variant) == (network, variant)]
        return [run for run in found if measure is None or math.isfinite(run.value(measure))]

    def diverged(self, network: str, measure: Measure, variant: str = "") -> list[dict[Any, Any]]:
        """The row (`repro.records.RUN_COLUMNS`) of each run whose loss stopped being finite.

        It speaks of errors; of responses it says nothing.
        """
        if measure in RESPONSES:
            return []
        return [row for row in self._of_network(network, variant) if row["status"] == "diverged"]

    def absence(self, network: str, variant: str = "") -> Lack:
        """Why there is no number of a network."""
        name = f"{network} with {variant}" if variant else network
        counts = Counter(row["status"] for row in self._of_network(network, variant))
        if counts.pop("complete", 0):
            return Lack("this was not measured in the complete runs of", name)
        others = ", ".join(f"{count} {status}" for status, count in sorted(counts.items()))
        return Lack("no complete run of", f"{name} ({others})" if others else name)

    def side(self, runs: Sequence[Ended], measure: Measure, assumed: Spread | None = None) -> Side:
        """Runs of one network as a side of a comparison, with the spread that seeds give it.

        Args:
            runs: of one variant.
            measure: which number.
            assumed: spread instead of the usual assumption.
        """
        first = runs[0]
        return Side(
            name=first.network,
            values=tuple(run.value(measure) for run in runs),
            spread=self._spread(first, measure, assumed or self._assumed(measure)),
            images=first.images(measure),
        )

    def _assumed(self, measure: Measure) -> Spread:
        times = 1.0 if (self.data, self.preset) == PAPER_SETTING else ELSEWHERE
        usual = ASSUMED[measure]
        return Spread(times * usual.points, times * usual.relative, usual.df)

    def _spread(self, run: Ended, measure: Measure, assumed: Spread) -> Spread:
        """As assumed, moderated by what runs of this network show, as usual or in this variant, here or in the
        reference.
        """
        here, reference = (_repeated(runs, run, measure) for runs in (self._own, self._reference))
        counts = [(sum(map(len, groups)), where) for groups, where in ((here, "here"), (reference, "of the reference"))]
        shown = " and ".join(f"{count} {where}" for count, where in counts if count)
        if not shown:
            return assumed
        known = f"assumed with the weight of {assumed.df + 1:.0f} runs, and scaled to what runs of it show, {shown}"
        return replace(moderated(assumed, [*here, *reference]), of=run.network, known=known)

    def _of_network(self, network: str, variant: str) -> list[dict[Any, Any]]:
        return [row for row in self._all if (row["network"], row["variant"]) == (network, variant)]


def _of(table: pd.DataFrame, source: str, data: str, preset: str) -> pd.DataFrame:
    return table[(table["source"] == source) & (table["data"] == data) & (table["preset"] == preset)]


def _rows(records: Records, source: str, data: str, preset: str) -> list[dict[Any, Any]]:
    return _of(records.runs, source, data, preset).to_dict("records")


def _complete(records: Records, rows: Iterable[Mapping[Any, Any]]) -> list[Ended]:
    layers = records.responses.groupby(["source", "folder"])[["std", "std_training"]]
    # The mean over a part of the layers is not that over all.
    means = layers.mean().where(layers.count().eq(layers.size(), axis=0)).T.to_dict("list")
    complete = [row for row in rows if row["status"] == "complete"]
    return [_ended(row, means.get((row["source"], row["folder"]), [math.nan, math.nan])) for row in complete]


def _results(run: Ended) -> tuple[Any, ...]:
    """What two runs have in common only if one repeats the other: what was run, and what it came to."""
    return run.network, run.variant, run.seed, *sorted(run.protocol.items()), run.train_error, run.test_error


def _repeated(runs: Iterable[Ended], of: Ended, measure: Measure) -> list[list[float]]:
    """What runs of a network gave that differ in their seed alone: as usual, and in its variant.

    Only runs of its own protocol count, apart from what its variant changes: one of an equally named preset that
    trains longer, say, has another spread.
    """
    allowed = {of.variant: [], "": of.settings} if of.variant else {"": []}
    groups: dict[str, list[float]] = {}
    for run in runs:
        comparable = run.network == of.network and run.variant in allowed
        if comparable and not departures([run, of], allowed[run.variant]) and math.isfinite(run.value(measure)):
            groups.setdefault(run.variant, []).append(run.value(measure))
    return [group for group in groups.values() if len(group) > 1]


def _ended(row: Mapping[Any, Any], responses: Sequence[float]) -> Ended:
    run = row["run"]
    response, response_training = responses
    return Ended(
        network=run.network,
        variant=run.variant,
        seed=run.seed,
        folder=row["folder"],
        train_error=row["train_error"],
        test_error=row["test_error"],
        response=response,
        response_training=response_training,
        test_images=_count(row["test_images"]),
        crops=min(run.evaluate_every, run.schedule.iterations) * run.optimiser.batch_size,
        warm_up_ended=_count(row["warm_up_ended"]),
        settings=tuple(settings_of(run)),
        protocol={"images": str(row["fingerprint"]), **_protocol(run)},
    )


def _count(value: Any) -> int | None:
    return None if pd.isna(value) or value == 0 else int(value)


def _protocol(run: Run) -> dict[str, str]:
    named = ("network", "seed", "variant")
    return {key: json.dumps(value) for key, value in fields_of(run).items() if key not in named}


def departures(runs: Iterable[Ended], allowed: Iterable[str] = ()) -> list[str]:
    """Settings, beside those allowed to, in which some runs differ: what makes them no fair comparison."""
    protocols = [run.protocol for run in runs]
    keys = sorted({key for protocol in protocols for key in protocol} - set(allowed))
    return [key for key in keys if len({protocol.get(key) for protocol in protocols}) > 1]
