"""What is said of a claim, and how the verdicts on its parts make the verdict on the whole."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Literal

from repro.records import write_json
from repro.statistics import LEVEL

Word = Literal["holds", "contradicted", "too close to call", "not run"]
#: Version of claims.json.
FORMAT = 1


@dataclass(frozen=True)
class Lack:
    """What a comparison lacks: `what`, said before what it is lacking `of`, such as a network; that may be empty."""

    what: str
    of: str = ""


@dataclass(frozen=True)
class Link:
    """One comparison of a claim.

    Attributes:
        statement: what is compared, as the claim has it: "resnet-20 > resnet-32 in test error".
        verdict: on this comparison alone.
        evidence: a sentence with the numbers.
        effect: the difference, positive in the direction of the claim; None where there is no number.
        interval: its 95 % interval.
        runs: folders of the runs behind it, below the source's results folder.
        how: how the interval was found, in sentences.
        welch: Welch's interval, from the runs' own spread alone; None where a side has fewer than three.
        p: how surely it is contradicted: below 0.05 where the 95 % interval does so; None where there is no number.
        margin: within which two numbers are similar, where that is the claim.
        assumed: whether it holds, or is contradicted, and Welch's interval does not say so: it rests on the spread that
            is known beforehand.
        foreign: whether curves of other programs are among the runs.
        lacks: why it was not run; else empty.
    """

    statement: str
    verdict: Word
    evidence: str
    effect: float | None = None
    interval: tuple[float, float] | None = None
    runs: tuple[str, ...] = ()
    how: tuple[str, ...] = ()
    welch: tuple[float, float] | None = None
    p: float | None = None
    margin: float | None = None
    assumed: bool = False
    foreign: bool = False
    lacks: tuple[Lack, ...] = ()


@dataclass(frozen=True)
class Verdict:
    """What the runs of one source, data set and preset say of one claim.

    Attributes:
        id: H1 to H25.
        section: of the paper.
        statement: what the paper says, in plain words.
        paper: the paper's numbers.
        form: what is judged here.
        caveats: what is known to make the verdict fragile; may be empty.
        verdict: holds, contradicted, too close to call, or not run.
        note: what is said of all its comparisons together; may be empty.
        evidence: the note, sentences with the numbers, and how the interval was found.
        effect: the difference on which the verdict turns, in `unit`, positive in the direction of the claim; where a
            claim is that two numbers are alike, one less the other.
        interval: its 95 % interval (low, high), or None.
        welch: Welch's interval of the same difference, or None.
        unit: of effect and interval: "percentage points", "standard deviation", or "" where there is none.
        n: number of runs behind it.
        runs: their folders, below the source's results folder.
        links: the comparisons of which it is made.
        assumed: whether the verdict rests on a spread over seeds that is known beforehand (`Link.assumed`).
        foreign: whether curves of other programs are among the runs.
        provisional: whether a network that it is about has fewer runs than reports/PROTOCOL.md plans.
        command: what to type to get the missing runs; None where nothing is missing, or nothing here can supply it.
        source: name of the results folder judged.
        data: name of its data set.
        preset: name of its preset.
    """

    id: str
    section: str
    statement: str
    paper: str
    form: str
    caveats: str
    verdict: Word
    note: str
    evidence: str
    effect: float | None
    interval: tuple[float, float] | None
    unit: str
    n: int
    runs: tuple[str, ...]
    links: tuple[Link, ...]
    command: str | None
    source: str
    data: str
    preset: str
    welch: tuple[float, float] | None = None
    assumed: bool = False
    foreign: bool = False
    provisional: bool = False

    @property
    def said(self) -> str:
        """The verdict, with what it rests on: "holds (provisional, spread assumed)"."""
        rests = [word for word, so in (("provisional", self.provisional), ("spread assumed", self.assumed)) if so]
        return f"{self.verdict} ({', '.join(rests)})" if rests else self.verdict


def lacking(links: Iterable[Link]) -> str:
    """What comparisons lack, each thing once, as a sentence: 'No complete run of plain-44 or plain-56 (1 stopped).'"""
    things: dict[str, list[str]] = {}
    for lack in dict.fromkeys(lack for link in links for lack in link.lacks):
        things.setdefault(lack.what, []).append(lack.of)
    text = "; ".join(f"{what} {_either(of)}".rstrip() for what, of in things.items())
    return f"{text[:1].upper()}{text[1:]}." if text else ""


def _either(names: Sequence[str]) -> str:
    # Of pairs, such as "plain-20 and plain-56", the comma says what belongs together.
    last = ", or " if any(" and " in name for name in names) else " or "
    return f"{', '.join(names[:-1])}{last}{names[-1]}" if len(names) > 1 else names[0]


def findings(links: Iterable[Link]) -> list[tuple[str, Word]]:
    """What each comparison found, and its verdict, and at the end what the others lack. Nothing is said twice."""
    links = list(links)
    found: dict[str, Word] = {link.evidence: link.verdict for link in links if not link.lacks}
    lacks = lacking(links)
    if lacks:
        found[lacks] = "not run"
    return list(found.items())


def by_interval(low: float, high: float) -> Word:
    """A claim of a positive difference: too close to call where the interval includes 0."""
    return "holds" if low > 0 else "contradicted" if high < 0 else "too close to call"


def together(words: Iterable[Word]) -> Word:
    """A chain holds if each link does, and is contradicted if any is, even where others were not run."""
    words = set(words)
    order: tuple[Word, ...] = ("contradicted", "not run", "too close to call")
    return next((word for word in order if word in words), "holds")


def strictly(links: Iterable[Link], judged: int | None = None) -> tuple[Link, ...]:
    """The links of a chain, of which a contradiction counts at 1 - 0.05/k: of k comparisons, some fail by chance.

    Args:
        links: of the chain.
        judged: k; by default the number of links with an interval.
    """
    links = tuple(links)
    k = judged or sum(link.p is not None for link in links)
    return tuple(_strictly(link, k) for link in links)


def _strictly(link: Link, k: int) -> Link:
    if link.verdict != "contradicted" or link.p is None or link.p < (1 - LEVEL) / k:
        return link
    text = f"{link.evidence} One of {k} comparisons must be surer than this to contradict the claim."
    return replace(link, verdict="too close to call", evidence=text, assumed=False)


@dataclass(frozen=True)
class Judgement:
    """What a rule finds: its comparisons and, where these alone do not make it, the verdict on the whole."""

    links: tuple[Link, ...]
    verdict: Word
    note: str = ""


def chain(links: Iterable[Link]) -> Judgement:
    """All links must hold; one that contradicts must do so at the level of all (`strictly`)."""
    links = strictly(links)
    verdict = together(link.verdict for link in links)
    # A difference that should be none has no direction.
    effects = [link.effect for link in links if link.effect is not None and link.margin is None]
    astray = verdict == "too close to call" and len(effects) > 1 and max(effects) < 0
    return Judgement(links, verdict, "Each difference points the other way, none beyond chance." if astray else "")


def undecided(link: Link) -> Link:
    """The link where something beside its interval leaves it open."""
    return replace(link, verdict="too close to call", assumed=False)


def deciding(links: Sequence[Link], verdict: Word) -> Link | None:
    """The link on which a chain's verdict turns: of those with its verdict, the one nearest to contradiction.

    That is the one whose difference is least (or most negative) in half-widths of its own interval: points of error and
    responses of deep and shallow nets are of different sizes, what counts is how surely each is above 0.
    """
    found = [(_sureness(link), link) for link in links if link.verdict == verdict and link.interval is not None]
    return min(found, key=lambda item: item[0], default=(0.0, None))[1]


def _sureness(link: Link) -> float:
    """A link's difference from its bound in half-widths of its interval: above 1 it holds, below -1 it contradicts."""
    assert link.effect is not None and link.interval is not None
    low, high = link.interval
    inside = link.effect if link.margin is None else link.margin - abs(link.effect)
    return 2 * inside / (high - low) if high > low else math.copysign(math.inf, inside)


def in_words(how: Iterable[str]) -> str:
    """What several comparisons say of their intervals, each thing once."""
    return " ".join(dict.fromkeys(how))


def write(path: Path, verdicts: Iterable[Verdict]) -> None:
    """Write claims.json: {"format": 1, "verdicts": [...]}, each with the fields of `Verdict`."""
    write_json(path, {"format": FORMAT, "verdicts": [asdict(verdict) for verdict in verdicts]})
