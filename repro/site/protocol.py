"""What a run was made with, and each way in which it differs from the paper's protocol, in plain words."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from repro.data.table import DATA_SETS
from repro.spec import PAPER, Run, fields_of
from repro.train.schedule import warms_up

_TEXTS = tomllib.loads(Path(__file__).with_suffix(".toml").read_text(encoding="utf-8"))
#: How each setting is said where it departs from the paper's: with its value and the usual one, or a text a value.
WORDS: dict[str, str | dict[str, str]] = _TEXTS["words"]
#: What the paper leaves open, and how a run has it unless it says otherwise: most can be set (`repro.spec`).
CHOICES: list[str] = _TEXTS["choices"]
#: Settings of photographs alone: that small images lack them goes with the data set.
_OF_PHOTOGRAPHS = [f"images.{name}" for name in ("crop", "shorter_side", "resample", "colour", "colour_strength")]
#: Said of foreign runs.
UNKNOWN = "curves of another program (foreign): how it trained is not known here"


@dataclass(frozen=True)
class Protocol:
    """How the runs of a source differ from the paper's protocol, and what they were made with."""

    source: str
    deviations: list[str]
    made_with: dict[str, str]


def protocols(runs: pd.DataFrame) -> list[Protocol]:
    """The protocol of some runs, by source."""
    of = {source: runs[runs["source"] == source] for source in dict.fromkeys(runs["source"])}
    return [Protocol(source, common(mine), made_with(mine)) for source, mine in of.items()]


def deviations(run: Run, other: Run | None = None) -> list[str]:
    """Each difference between a run and the paper's protocol for its family of networks, or another run."""
    usual, mine = fields_of(other or PAPER[run.family]), fields_of(run)
    if not (warms_up(run) or run.schedule.plateau):
        mine["log_every"] = usual["log_every"]
    if not run.images.crop:
        mine |= {key: usual[key] for key in _OF_PHOTOGRAPHS}
    return [_in_words(key, value, usual[key]) for key, value in mine.items() if value != usual[key] and key in WORDS]


def _in_words(key: str, value: Any, usual: Any) -> str:
    if key == "data" and value in DATA_SETS and DATA_SETS[value].instead:
        return DATA_SETS[value].instead.format(usual=DATA_SETS[usual].title if usual in DATA_SETS else usual)
    words = WORDS[key]
    if isinstance(words, dict):
        words = words.get(_said(value)) or words["other"]
    return words.format(value=_said(value), usual=_said(usual))


def _said(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, tuple):
        return " and ".join(f"{item:g}" for item in value)
    return f"{value:g}" if isinstance(value, float) else str(value)


def departures(run: pd.Series) -> list[str]:
    """The same for a row of `Records.runs`, with the precision that it was computed in."""
    if run["status"] == "foreign":
        return [UNKNOWN]
    precision = run["precision"]
    other = isinstance(precision, str) and precision != "fp32"
    return deviations(run["run"]) + (
        [f"forward and backward passes in {precision}; the paper does not name its precision"] if other else []
    )


def departs_from_usual(runs: pd.DataFrame) -> Callable[[pd.Series], str]:
    """What a run of a variant has of its own, in words, against those of these runs without variant."""
    usual = runs[runs["variant"] == ""]
    other = usual["run"].iloc[0] if len(usual) else None
    return lambda run: "; ".join(deviations(run["run"], other)) or str(run["variant"])


def common(runs: pd.DataFrame) -> list[str]:
    """The deviations of some runs, each once; those of a part of them say of which networks."""
    of: dict[str, list[str]] = {}
    for _, run in runs.iterrows():
        name = str(run["network"]) + (f" ({run['variant']})" if run["variant"] else "")
        for text in departures(run):
            of.setdefault(text, []).append(name)
    return [text if len(who) == len(runs) else f"{', '.join(dict.fromkeys(who))}: {text}" for text, who in of.items()]


def made_with(runs: pd.DataFrame) -> dict[str, str]:
    """On what runs were made: images, precision, device, threads, versions, commit; several values are all listed."""
    ranks = _each(runs["ranks"])
    programs = [[f"{name} {run[name]}" for name in ("torch", "python") if run[name]] for run in _texts(runs)]
    commits = [run["commit"][:12] + (" with changes" if run["changed"] is True else "") for run in _texts(runs)]
    known = {
        "training images": _each(runs["train_images"]),
        "test images": _each(runs["test_images"]),
        "fingerprint of the data": _each(runs["fingerprint"]),
        "precision": _each(runs["precision"]),
        "device": _each(runs["hardware"].fillna(runs["device"])),
        "threads": _each(runs["threads"]),
        "ranks": "" if ranks == "1" else ranks,
        "versions": _each(map(", ".join, programs)),
        "commit": _each(commits),
    }
    return {name: said for name, said in known.items() if said}


def _texts(runs: pd.DataFrame) -> list[dict[Any, Any]]:
    return runs[["torch", "python", "commit", "changed"]].fillna("").to_dict("records")


def _each(values: Iterable[Any]) -> str:
    found = dict.fromkeys(value for value in values if not pd.isna(value) and value != "")
    return "; ".join(value if isinstance(value, str) else f"{value:,}" for value in found)
