"""How the claims about Table 1's networks are judged, H18 to H22: each set of images for itself (Section 4.1)."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

from repro.claims.compare import above, alike
from repro.claims.course import all_along, slower
from repro.claims.evidence import Evidence
from repro.claims.judgement import SIMILAR_ACCURACY, Judgement, chain


def h18(evidence: Evidence) -> Judgement:
    """Training error of plain-34 above that of plain-18, all along and at the end, and so its test error."""
    return chain([*all_along(evidence, "plain-34", "plain-18"), above(evidence, "test_error", "plain-34", "plain-18")])


def h19(evidence: Evidence) -> Judgement:
    """Test error of resnet-34 below those of resnet-18 and of plain-34."""
    return chain(above(evidence, "test_error", more, "resnet-34") for more in ("resnet-18", "plain-34"))


def h20(evidence: Evidence) -> Judgement:
    """Test errors of plain-18 and resnet-18 similar at the end, and resnet-18's the lower one at the beginning."""
    similar = alike(evidence, "test_error", "plain-18", "resnet-18", lambda *_: SIMILAR_ACCURACY)
    return chain([similar] if similar.interval is None else [similar, slower(evidence, "plain-18", "resnet-18")])


def h21(evidence: Evidence) -> Judgement:
    """Test error of 34 layers: plain > A > B > C."""
    return _falling(evidence, "plain-34", "resnet-34", "resnet-34-B", "resnet-34-C")


def h22(evidence: Evidence) -> Judgement:
    """Test error of ResNets with projections: 34 > 50 > 101 > 152 layers."""
    return _falling(evidence, "resnet-34-B", "resnet-50", "resnet-101", "resnet-152")


def _falling(evidence: Evidence, *networks: str) -> Judgement:
    return chain(above(evidence, "test_error", more, less) for more, less in pairwise(networks))


#: The claims about Table 1's networks.
RULES: dict[str, Callable[[Evidence], Judgement]] = {"H18": h18, "H19": h19, "H20": h20, "H21": h21, "H22": h22}
