"""Links: two networks compared, a network against a number, two networks that should be alike."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Literal

from repro.claims.evidence import RESPONSES, WORDS, Ended, Evidence, Measure, departures
from repro.claims.statistics import Estimate, Fixed, Side, Spread, difference
from repro.claims.verdict import Lack, Link, Word, by_interval, lacking


def above(evidence: Evidence, measure: Measure, more: str, less: str, variant: str = "") -> Link:
    """The claim that one network's number is larger than another's.

    A run that diverged has no end point. Where all runs of the network that should have the larger error diverged, they
    do not contradict the claim, nor show a net that trains worse: too close to call. Where all runs of the one that
    should have the smaller error did while the other trained, the claim is contradicted. Where only some did, the
    complete ones are compared, and a verdict that the others speak against is not kept.
    """
    statement = f"{more} > {less} in {WORDS[measure]}"
    mine, theirs = (evidence.runs(network, measure, variant) for network in (more, less))
    blocked = _incomparable(statement, measure, f"{more} and {less}", [*mine, *theirs])
    if blocked:
        return blocked
    if not (mine and theirs):
        return _without_both(evidence, statement, more, less, measure, mine, theirs, variant)
    a, b = evidence.side(mine, measure), evidence.side(theirs, measure)
    estimate = difference(a, b)
    text = (
        f"The {WORDS[measure]} of {more} is {number(a, measure)} and that of {less} {number(b, measure)}: "
        f"{points(estimate, measure, 'more', 'less')}."
    )
    link = measured(statement, by_interval(estimate), text, estimate, [*mine, *theirs])
    link = _lost(link, evidence, measure, more, variant, unless="holds")
    return _lost(link, evidence, measure, less, variant, unless="contradicted")


def _lost(link: Link, evidence: Evidence, measure: Measure, network: str, variant: str, unless: Word) -> Link:
    """Add that some runs of a network diverged; a verdict that they speak against is not kept."""
    lost = evidence.diverged(network, measure, variant)
    if not lost:
        return link
    text = f"{link.evidence} Left out: {len(lost)} of {network} that diverged."
    return replace(link, evidence=text, verdict=link.verdict if link.verdict == unless else "too close to call")


def _without_both(
    evidence: Evidence,
    statement: str,
    more: str,
    less: str,
    measure: Measure,
    mine: Sequence[Ended],
    theirs: Sequence[Ended],
    variant: str,
) -> Link:
    lost_more, lost_less = (evidence.diverged(name, measure, variant) for name in (more, less))
    folders = tuple(run.folder for run in (*mine, *theirs)) + tuple(run["folder"] for run in (*lost_more, *lost_less))
    if not mine and lost_more and (theirs or lost_less):
        also = f", and so did {less}" if not theirs else ""
        text = (
            f"{more} diverged at iteration {lost_more[0]['iteration']:,}{also}: it has no end point. That is no low "
            "error, but not a net that trains and ends higher either."
        )
        return Link(statement, "too close to call", text, runs=folders)
    if mine and not theirs and lost_less:
        text = (
            f"{less}, which should do better, diverged at iteration {lost_less[0]['iteration']:,}, "
            f"while {more} trained to the end."
        )
        return Link(statement, "contradicted", text, runs=folders)
    lacks = [evidence.absence(name, variant) for name, runs in ((more, mine), (less, theirs)) if not runs]
    return absent(statement, *lacks)


def _incomparable(
    statement: str, measure: Measure, whose: str, runs: Sequence[Ended], allowed: Iterable[str] = ()
) -> Link | None:
    """Why runs cannot be set against each other, if they cannot."""
    keys = departures(runs, allowed)
    if keys:
        return absent(statement, Lack(f"runs that differ in {', '.join(keys)} cannot be compared:", whose))
    if measure == "test_error" and any(run.test_images is None for run in runs):
        return absent(statement, Lack("a record does not say on how many images it was tested:", whose))
    return None


def against(
    evidence: Evidence,
    statement: str,
    measure: Measure,
    network: str,
    limit: Fixed,
    *,
    claim: Literal["above", "below"] = "below",
    assumed: Spread | None = None,
) -> Link:
    """The claim that a network's number is below, or above, a given one.

    Args:
        evidence: where the runs are.
        statement: of the link.
        measure: which number.
        network: of which network.
        limit: the given number, its name such as "FitNet's".
        claim: on which side of it.
        assumed: spread over seeds instead of the usual assumption.

    A network of which all runs diverged reached no low error, which contradicts the claim of one; it has no end point
    that a claim of a high error could rest on.
    """
    runs = evidence.runs(network, measure)
    blocked = _incomparable(statement, measure, network, runs)
    if blocked:
        return blocked
    lost = evidence.diverged(network, measure)
    if not runs and lost:
        word: Word = "contradicted" if claim == "below" else "too close to call"
        text = f"{network} diverged at iteration {lost[0]['iteration']:,}: no low error, and no end point."
        return Link(statement, word, text, runs=tuple(run["folder"] for run in lost))
    if not runs:
        return absent(statement, evidence.absence(network))
    side = evidence.side(runs, measure, assumed)
    estimate = difference(limit, side) if claim == "below" else difference(side, limit)
    words = ("below", "above") if claim == "below" else ("above", "below")
    text = (
        f"The {WORDS[measure]} of {network} is {number(side, measure)}: "
        f"{points(estimate, measure, *words, than=f' {limit.name} {number(limit, measure)}')}."
    )
    link = measured(statement, by_interval(estimate), text, estimate, runs)
    return _lost(link, evidence, measure, network, "", unless="contradicted" if claim == "below" else "holds")


def alike(
    evidence: Evidence, statement: str, measure: Measure, network: str, variants: tuple[str, str], margin: float
) -> Link:
    """The claim that a network does the same in two variants: that the whole interval lies within a margin of 0."""
    sides = [evidence.runs(network, measure, variant) for variant in variants]
    settings = [key for runs in sides for run in runs for key in run.settings]
    blocked = _incomparable(statement, measure, network, [run for runs in sides for run in runs], settings)
    if blocked:
        return blocked
    if not all(sides):
        missing = [variant for runs, variant in zip(sides, variants, strict=True) if not runs]
        lost = [run for variant in missing for run in evidence.diverged(network, measure, variant)]
        if sides[0] and lost:
            text = f"{network} with {variants[1]} diverged at iteration {lost[0]['iteration']:,}."
            return Link(statement, "contradicted", text, runs=tuple(run["folder"] for run in lost))
        return absent(statement, *(evidence.absence(network, variant) for variant in missing))
    usual, changed_side = (evidence.side(runs, measure) for runs in sides)
    estimate = difference(changed_side, usual)
    inside = -margin < estimate.low and estimate.high < margin
    outside = estimate.low > margin or estimate.high < -margin
    verdict: Word = "holds" if inside else "contradicted" if outside else "too close to call"
    text = (
        f"The {WORDS[measure]} of {network} is {number(changed_side, measure)} with {variants[1]} and "
        f"{number(usual, measure)} as usual: {points(estimate, measure, 'more', 'less')}; "
        f"alike means within {margin:g}."
    )
    link = measured(statement, verdict, text, estimate, [run for runs in sides for run in runs])
    return _lost(link, evidence, measure, network, variants[1], unless="contradicted")


def measured(statement: str, verdict: Word, text: str, estimate: Estimate, runs: Iterable[Ended]) -> Link:
    """A link that rests on numbers."""
    folders = tuple(run.folder for run in runs)
    interval = (estimate.low, estimate.high)
    return Link(statement, verdict, text, estimate.effect, interval, folders, estimate.how, estimate.assumed)


def absent(statement: str, *lacks: Lack) -> Link:
    """A link that cannot be judged, and why."""
    link = Link(statement, "not run", "", lacks=lacks)
    return replace(link, evidence=lacking([link]))


def number(side: Side | Fixed, measure: Measure) -> str:
    """A mean with its unit, and over how many runs it is."""
    runs = len(side.values) if isinstance(side, Side) else 1
    text = f"{side.mean:.2f}" if measure in RESPONSES else f"{side.mean:.2f} %"
    return f"{text} (mean of {runs} runs)" if runs > 1 else text


def points(estimate: Estimate, measure: Measure, more: str, less: str, than: str = "") -> str:
    """An effect in words, with its interval, both positive in the direction of the word."""
    unit = "" if measure in RESPONSES else " points"
    word, low, high = (more, estimate.low, estimate.high)
    if estimate.effect < 0:
        word, low, high = (less, -estimate.high, -estimate.low)
    return f"{abs(estimate.effect):.2f}{unit} {word}{than} (95 % interval {low:+.2f} to {high:+.2f})"
