"""The claims as data: claims.toml, and the commands that would provide their evidence."""

from __future__ import annotations

import shlex
import tomllib
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any, Literal

from repro import study


@dataclass(frozen=True)
class Plan:
    """Runs that a claim needs: some networks of a study."""

    study: str
    only: tuple[str, ...]


@dataclass(frozen=True)
class Claim:
    """A claim of the paper; claims.toml describes the fields."""

    id: str
    section: str
    statement: str
    paper: str
    form: str
    caveats: str
    scope: Literal["any", "paper", "imagenet", "none"]
    plan: Plan | None = None
    seeds: int = 0
    needs: str = ""

    def command(self, preset: str, data: str) -> str | None:
        """What to type to get the evidence. A claim about the paper's own setting is asked for at that one.

        CIFAR-10 is found by --data-dir, for which the command has DIR. None where no command can: the preset is not
        known here, the study does not fit it, or stops one of the networks early at it.
        """
        if self.scope == "paper":
            preset, data = "paper", "cifar10"
        if self.plan is None or preset not in study.presets():
            return None
        planned = study.load(self.plan.study)
        if not planned.fits(preset) or set(self.plan.only) & set(planned.for_preset(preset).stop_at):
            return None
        words = ["python", "-m", "repro.run", self.plan.study, "--preset", preset, *study.data_words(preset, data)]
        return shlex.join([*words, "--only", ",".join(self.plan.only)])


@cache
def load() -> tuple[Claim, ...]:
    """All claims, in the order H1 to H25."""
    text = resources.files("repro.claims").joinpath("claims.toml").read_text(encoding="utf-8")
    return tuple(_claim(table) for table in tomllib.loads(text)["claim"])


def _claim(table: dict[str, Any]) -> Claim:
    plan = table.pop("plan", None)
    return Claim(plan=Plan(plan["study"], tuple(plan["only"])) if plan else None, **table)
