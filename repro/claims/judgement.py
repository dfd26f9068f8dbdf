"""What a rule finds, and the rule of chains."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from repro.claims.verdict import Link, Word, strictly, together

#: Test errors nearer than this are "similar", percentage points (H7, H20).
SIMILAR_ACCURACY = 0.5


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
    effects = [link.effect for link in links if link.effect is not None]
    astray = verdict == "too close to call" and len(effects) > 1 and max(effects) < 0
    return Judgement(links, verdict, "Each difference points the other way, none beyond chance." if astray else "")


def undecided(link: Link) -> Link:
    """The link where something beside its interval leaves it open."""
    return replace(link, verdict="too close to call", assumed=False)
