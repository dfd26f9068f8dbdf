"""The claims of the paper, H1 to H25, and what some runs say of each.

`judge` looks at one source, data set and preset at a time: no verdict is across them. Only complete runs without
variant speak for a network, but where a claim names a variant; runs that differ in a setting, beside network and seed,
or in their images are not compared with each other. Precision and machine are no settings: the report names them. What
a run that diverged says is in `repro.claims.compare.above`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cache

from repro import study
from repro.claims.claim import Claim, load
from repro.claims.evidence import PAPER_SETTING, Evidence
from repro.claims.exact import EXACT
from repro.claims.rules import RULES, UNITS
from repro.claims.verdict import Judgement, Verdict, deciding, findings, in_words, write
from repro.data.table import DATA_SETS
from repro.records import Records

#: Runs of each network that are planned for every setting but the paper's.
SEEDS_ELSEWHERE = 3

__all__ = ["Claim", "Verdict", "findings", "judge", "load", "write"]


def judge(records: Records, *, source: str, data: str, preset: str) -> list[Verdict]:
    """Judge every claim by the runs of one source, data set and preset.

    Args:
        records: what `repro.records.collect` gives; runs of others are not looked at.
        source: name of the results folder.
        data: name of the data set.
        preset: name of the preset.

    Returns:
        A verdict per claim, in the order H1 to H25.
    """
    evidence = Evidence(records, source=source, data=data, preset=preset)
    return [_verdict(claim, _judge(claim, evidence), evidence) for claim in load()]


def _judge(claim: Claim, evidence: Evidence) -> Judgement:
    if claim.id in EXACT:
        return _counted(claim.id)
    if claim.id not in RULES:
        if not claim.needs:
            raise ValueError(f"{claim.id} has neither a rule in repro/claims/rules.py nor `needs` in claims.toml")
        return Judgement((), "not run", f"It would take {claim.needs}.")
    if other := _of_other_networks(claim, evidence.preset):
        return Judgement((), "not run", other)
    found = RULES[claim.id](evidence)
    if claim.scope == "paper" and (evidence.data, evidence.preset) != PAPER_SETTING:
        data, preset = PAPER_SETTING
        note = f"This is about an error after the paper's own training: preset {preset} on {data} alone can judge it."
        measured = tuple(link for link in found.links if link.effect is not None)
        if measured:
            note += f" With preset {evidence.preset} on {evidence.data}, where it judges nothing:"
        return Judgement(measured, "not run", note)
    if claim.scope == "imagenet" and evidence.data != "imagenet" and found.verdict != "not run":
        where = DATA_SETS[evidence.data].title if evidence.data in DATA_SETS else evidence.data
        note = f"An analogue on {where}, preset {evidence.preset}, which says nothing of ImageNet."
        return replace(found, note=" ".join(filter(None, (note, found.note))))
    return found


def _of_other_networks(claim: Claim, preset: str) -> str:
    """That a preset trains no networks that a claim is about, in words; of an unknown one nothing is known."""
    if claim.scope == "paper" or claim.plan is None or preset not in study.presets():
        return ""
    theirs = study.load(claim.plan.study).family
    if theirs == study.family_of(preset):
        return ""
    return f"This is about {study.SECTIONS[theirs]} networks, which this preset does not train."


@cache
def _counted(name: str) -> Judgement:
    return EXACT[name]()


def _verdict(claim: Claim, found: Judgement, evidence: Evidence) -> Verdict:
    turns = deciding(found.links, found.verdict)
    runs = tuple(dict.fromkeys(folder for link in found.links for folder in link.runs))
    how = in_words(how for link in found.links for how in link.how)
    missing = found.verdict == "not run" or any(link.verdict == "not run" for link in found.links)
    return Verdict(
        id=claim.id,
        section=claim.section,
        statement=claim.statement,
        paper=claim.paper,
        form=claim.form,
        caveats=claim.caveats,
        verdict=found.verdict,
        note=found.note,
        evidence=" ".join(filter(None, [found.note, *(said for said, _ in findings(found.links)), how])),
        effect=turns.effect if turns else None,
        interval=turns.interval if turns else None,
        welch=turns.welch if turns else None,
        unit=UNITS.get(claim.id, "percentage points") if turns else "",
        n=len(runs),
        runs=runs,
        links=found.links,
        assumed=_rests_on_a_prior(found),
        provisional=found.verdict != "not run" and _lacks_seeds(claim, runs, evidence),
        foreign=any(link.foreign for link in found.links),
        command=claim.command(evidence.preset, evidence.data) if missing else None,
        source=evidence.source,
        data=evidence.data,
        preset=evidence.preset,
    )


def _lacks_seeds(claim: Claim, runs: Sequence[str], evidence: Evidence) -> bool:
    """Whether a network that a claim needs, or a variant behind its verdict, has fewer runs than are planned, of which
    those that diverged count (reports/PROTOCOL.md).
    """
    if claim.plan is None:
        return False
    planned = claim.seeds if (evidence.data, evidence.preset) == PAPER_SETTING else SEEDS_ELSEWHERE
    usual = [len(evidence.runs(name)) + len(evidence.diverged(name, "train_error")) for name in claim.plan.only]
    return min([*usual, *evidence.repeats(runs).values()]) < planned


def _rests_on_a_prior(found: Judgement) -> bool:
    """A chain that holds does if one link does; one that is contradicted, if no link contradicts it without."""
    behind = [link.assumed for link in found.links if link.verdict == found.verdict]
    if found.verdict == "contradicted":
        return bool(behind) and all(behind)
    return found.verdict == "holds" and any(behind)
