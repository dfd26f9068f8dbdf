"""Links: two networks compared, a network against a number, two networks that should be alike.

A network is given as its folder is named: "plain-56", or with a variant "plain-56+schedule.iterations=192000".
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Literal

import numpy as np

from repro.claims.evidence import RESPONSES, WORDS, Ended, Evidence, Measure, departures
from repro.claims.verdict import Lack, Link, Word, by_interval, lacking
from repro.statistics import Estimate, Side, difference, in_pairs, satterthwaite

#: What cannot be known of curves that another program wrote.
FOREIGN = (
    "Foreign curves are among the runs: on how many images they were tested, by what protocol they were trained, and "
    "whether their training errors were taken during training or afterwards is not known."
)


def above(
    evidence: Evidence, measure: Measure, more: str, less: str, times: float = 1.0, allowed: Iterable[str] = ()
) -> Link:
    """The claim that one network's number is larger than another's, or than so many `times` it.

    A run that diverged has no end point. Where all runs of the network that should have the larger error diverged, they
    do not contradict the claim, nor show a net that trains worse: too close to call. Where all runs of the one that
    should have the smaller error did while the other trained, the claim is contradicted. Where only some did, the
    complete ones are compared, and a verdict that the others speak against is not kept. `allowed` settings may differ.
    """
    share = "" if times == 1 else f"{times:g} times "
    statement = f"{_said(more)} > {share}{_said(less)} in {WORDS[measure]}"
    mine, theirs = (evidence.runs(name, measure) for name in (more, less))
    blocked = _incomparable(statement, measure, f"{_said(more)} and {_said(less)}", [*mine, *theirs], allowed)
    if blocked:
        return blocked
    if not (mine and theirs):
        return _without_both(evidence, statement, measure, more, less)
    a, b = evidence.side(mine, measure), evidence.side(theirs, measure)
    estimate = difference(a, b, times)
    than = "" if times == 1 else f" than {times:g} times that"
    text = (
        f"The {WORDS[measure]} of {a.name} is {number(a, measure)} and that of {b.name} {number(b, measure)}: "
        f"{points(estimate, measure, 'more', 'less', than)}."
    )
    if measure == "test_error":
        text += _on_other_images(estimate, mine, theirs)
    link = measured(statement, text, estimate, (a, b), [*mine, *theirs])
    link = _lost(link, evidence, measure, more, unless="holds")
    return _lost(link, evidence, measure, less, unless="contradicted")


def _said(name: str) -> str:
    return name.replace("+", " with ")


def _on_other_images(estimate: Estimate, mine: Sequence[Ended], theirs: Sequence[Ended]) -> str:
    """Whether it would be so on other images too: the seeds' and the images' part of the error together."""
    wrong = [[run.wrong for run in runs if run.wrong is not None] for runs in (mine, theirs)]
    if [len(found) for found in wrong] != [len(mine), len(theirs)] or len(
        {len(one) for side in wrong for one in side}
    ) > 1:
        return ""
    more, less = map(np.stack, wrong)
    _, images = in_pairs(more, less)
    error, df = satterthwaite([estimate.error**2, images**2], [estimate.df, more.shape[1] - 1])
    low, high = Estimate(estimate.effect, float(error), float(df)).interval()
    sure = by_interval(low, high) == by_interval(*estimate.interval()) != "too close to call"
    begin = "On other images, too" if sure else "On other images it is too close to call"
    return f" {begin}: with their choice, image by image, the interval is {low:+.2f} to {high:+.2f}."


def _lost(link: Link, evidence: Evidence, measure: Measure, name: str, unless: Word) -> Link:
    """Add that some runs of a network diverged; a verdict that they speak against is not kept."""
    lost = evidence.diverged(name, measure)
    if not lost:
        return link
    text = f"{link.evidence} Left out: {len(lost)} of {_said(name)} that diverged."
    kept = link.verdict == unless
    return replace(
        link, evidence=text, verdict=link.verdict if kept else "too close to call", assumed=link.assumed and kept
    )


def _without_both(evidence: Evidence, statement: str, measure: Measure, more: str, less: str) -> Link:
    mine, theirs = (evidence.runs(name, measure) for name in (more, less))
    lost_more, lost_less = (evidence.diverged(name, measure) for name in (more, less))
    folders = tuple(run.folder for run in (*mine, *theirs)) + tuple(run["folder"] for run in (*lost_more, *lost_less))
    if not mine and lost_more and (theirs or lost_less):
        also = f", and so did {_said(less)}" if not theirs else ""
        text = (
            f"{_said(more)} diverged at iteration {lost_more[0]['iteration']:,}{also}: it has no end point. That is no "
            "low error, but not a net that trains and ends higher either."
        )
        return Link(statement, "too close to call", text, runs=folders)
    if mine and not theirs and lost_less:
        text = (
            f"{_said(less)}, which should do better, diverged at iteration {lost_less[0]['iteration']:,}, "
            f"while {_said(more)} trained to the end."
        )
        return Link(statement, "contradicted", text, runs=folders)
    return absent(statement, *(evidence.absence(name) for name, runs in ((more, mine), (less, theirs)) if not runs))


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
    limit: tuple[str, float],
    claim: Literal["above", "below"] = "below",
) -> Link:
    """The claim that a network's number is below, or above, a given one: `limit`, with its name such as "FitNet's".

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
    side, (name, value) = evidence.side(runs, measure), limit
    estimate = difference(value, side) if claim == "below" else difference(side, value)
    words = ("below", "above") if claim == "below" else ("above", "below")
    text = (
        f"The {WORDS[measure]} of {network} is {number(side, measure)}: "
        f"{points(estimate, measure, *words, than=f' {name} {value:.2f} %')}."
    )
    link = measured(statement, text, estimate, (side,), runs)
    return _lost(link, evidence, measure, network, unless="contradicted" if claim == "below" else "holds")


def alike(
    evidence: Evidence,
    measure: Measure,
    first: str,
    second: str,
    margin: Callable[[float, float], float],
) -> Link:
    """The claim that two networks, or one in two variants, do the same: the whole interval lies within a margin of 0.

    Args:
        evidence: where the runs are.
        measure: which number.
        first: a network.
        second: another. Where all runs of one of them diverged and the other trained, they do not do the same.
        margin: of the two means.
    """
    statement = f"{_said(first)} and {_said(second)} are similar in {WORDS[measure]}"
    mine, theirs = (evidence.runs(name, measure) for name in (first, second))
    settings = [key for run in (*mine, *theirs) for key in run.settings]
    blocked = _incomparable(statement, measure, f"{_said(first)} and {_said(second)}", [*mine, *theirs], settings)
    if blocked:
        return blocked
    if not (mine and theirs):
        without = [name for name, runs in ((first, mine), (second, theirs)) if not runs]
        lost = evidence.diverged(without[0], measure)
        if lost and len(without) == 1:
            text = f"{_said(without[0])} diverged at iteration {lost[0]['iteration']:,}."
            return Link(statement, "contradicted", text, runs=tuple(run["folder"] for run in lost))
        return absent(statement, *map(evidence.absence, without))
    a, b = evidence.side(mine, measure), evidence.side(theirs, measure)
    estimate, most = difference(b, a), margin(a.mean, b.mean)
    text = (
        f"The {WORDS[measure]} of {b.name} is {number(b, measure)} and that of {a.name} {number(a, measure)}: "
        f"{points(estimate, measure, 'more', 'less')}; similar means within {most:.2g}."
    )

    def judge(low: float, high: float) -> Word:
        inside, outside = -most < low and high < most, low > most or high < -most
        return "holds" if inside else "contradicted" if outside else "too close to call"

    link = measured(statement, text, estimate, (a, b), [*mine, *theirs], judge)
    link = replace(link, p=estimate.p_outside(most), margin=most)
    for name in (first, second):
        link = _lost(link, evidence, measure, name, unless="contradicted")
    return link


def measured(
    statement: str,
    text: str,
    estimate: Estimate,
    sides: Sequence[Side],
    runs: Sequence[Ended],
    judge: Callable[[float, float], Word] = by_interval,
) -> Link:
    """A link that rests on numbers."""
    word = judge(*estimate.interval())
    foreign = any(run.foreign for run in runs)
    return Link(
        statement,
        word,
        text,
        effect=estimate.effect,
        interval=estimate.interval(),
        runs=tuple(run.folder for run in runs),
        how=(*(_spread(side) for side in sides), *((FOREIGN,) if foreign else ())),
        welch=estimate.welch,
        p=estimate.p_below(),
        assumed=is_assumed(estimate, judge),
        foreign=foreign,
    )


def is_assumed(estimate: Estimate, judge: Callable[[float, float], Word] = by_interval) -> bool:
    """Whether an interval decides, and Welch's, of the runs alone, does not say the same."""
    word = judge(*estimate.interval())
    return word != "too close to call" and not (estimate.welch and judge(*estimate.welch) == word)


def _spread(side: Side) -> str:
    shown, here = len(side.pool), len(side.values)
    text = (
        f"Seeds move {side.name} by a standard deviation of {math.sqrt(side.spread[0]):.2g}: "
        f"{side.prior.std:.2g} by {side.prior.known}, worth {side.prior.df:g} degrees of freedom"
    )
    if shown > 1:
        beside = f", {shown - here} of them in the reference" if shown > here else ""
        text += f", and what {shown} runs show{beside}"
    return f"{text}."


def absent(statement: str, *lacks: Lack) -> Link:
    """A link that cannot be judged, and why."""
    link = Link(statement, "not run", "", lacks=lacks)
    return replace(link, evidence=lacking([link]))


def number(side: Side, measure: Measure) -> str:
    """A mean with its unit, and over how many runs it is."""
    runs = len(side.values)
    text = f"{side.mean:.2f}" if measure in RESPONSES else f"{side.mean:.2f} %"
    return f"{text} (mean of {runs} runs)" if runs > 1 else text


def points(estimate: Estimate, measure: Measure, more: str, less: str, than: str = "") -> str:
    """An effect in words, with its intervals, all positive in the direction of the word."""
    unit = "" if measure in RESPONSES else " points"
    word, sign = (less, -1.0) if estimate.effect < 0 else (more, 1.0)

    def span(ends: tuple[float, float]) -> str:
        low, high = sorted(sign * end for end in ends)
        return f"{low:+.2f} to {high:+.2f}"

    welch = f"; Welch's, of the runs alone, {span(estimate.welch)}" if estimate.welch else ""
    return f"{abs(estimate.effect):.2f}{unit} {word}{than} (95 % interval {span(estimate.interval())}{welch})"
