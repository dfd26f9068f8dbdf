"""The largest plan that fits a time: its runs, what they take here, and the claims that they could settle."""

from __future__ import annotations

import sys
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from rich.console import Console
from tabulate import tabulate

from repro import study as studies
from repro.claims import power
from repro.claims.claim import Claim, load
from repro.claims.evidence import PAPER_SETTING
from repro.errors import UserError, counted, printable
from repro.launch.display import duration
from repro.launch.options import Options
from repro.launch.start import estimated, settle, start, with_data
from repro.measure.cost import Cost, makespan
from repro.spec import Run, override
from repro.study import Study
from repro.train.ranks import ALONE

#: The networks that settle most of what the paper is about: degradation, and its cure.
PAIRS = (("plain-56", "plain-20"), ("resnet-56", "resnet-20"))
#: More than any claim needs, where neither the study nor --seeds names more.
SEEDS = 30


@dataclass(frozen=True)
class Budget:
    """Seconds, and how many runs side by side share them."""

    seconds: float
    jobs: int

    def holds(self, seconds: Sequence[float]) -> bool:
        """Whether runs of so many seconds fit."""
        return makespan(seconds, self.jobs) <= self.seconds


@dataclass(frozen=True)
class Plan:
    """Runs that fit a budget.

    Attributes:
        runs: those that are complete already are among them.
        left: seconds of each run that is not complete, of the plan or not.
        iterations: of each, where even two networks were too much; 0 where they are the study's.
    """

    runs: Sequence[Run]
    left: Mapping[Run, float] = field(repr=False)
    iterations: int = 0

    @property
    def todo(self) -> list[Run]:
        """The runs that are not complete."""
        return [run for run in self.runs if run in self.left]


def offer(
    study: Study, ask: partial[list[Run]], options: Options, seconds: float, agreed: bool, console: Console
) -> int:
    """Plan for a budget, tell the plan, and carry it out where that is agreed to; gives the command's exit status.

    Args:
        study: whose runs they are.
        ask: `study.runs`, with what the command line asks for.
        options: how runs are to be carried out.
        seconds: the budget.
        agreed: whether nobody is to be asked.
        console: where all is told.

    Raises:
        UserError: nothing fits, or as `repro.launch.start.start`.
    """
    plan, budget = _planned(study, ask, options, seconds)
    console.print(printable(study.title), *told(plan, budget), sep="\n", markup=False, soft_wrap=True)
    if not plan.todo:
        return 0
    if options.dry_run or not (agreed or _asked()):
        console.print("nothing was trained; --yes trains it without a question", soft_wrap=True)
        return 0
    return start(study, plan.runs, replace(options, jobs=budget.jobs), console)


def _asked() -> bool:
    """Ask at the terminal; without one the answer is no."""
    if not (sys.stdin and sys.stdin.isatty() and sys.stdout and sys.stdout.isatty()):
        return False
    print("Train it? [y/N]", end=" ", flush=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def _planned(study: Study, ask: partial[list[Run]], options: Options, seconds: float) -> tuple[Plan, Budget]:
    """Measure here what the study's networks take, and plan."""
    own = dict.fromkeys(run.seed for run in ask())
    runs = ask(seeds=ask.keywords["seeds"] or [*(own | dict.fromkeys(range(SEEDS)))])
    # Nothing is fetched for a plan.
    options = replace(options, dry_run=options.dry_run or options.download)
    while True:
        settled, numerics = settle(study, runs, options, ALONE)
        budget = Budget(seconds, settled.jobs or 1)
        runs = with_data(runs, settled)
        found = estimated(runs, numerics, settled)
        left = {run: takes for run, (_, takes) in found.items()}
        plan = Plan(largest(runs, left, budget), left)
        if too_little(plan, runs):
            plan = shortened(ask, runs, {run.network: cost for run, (cost, _) in found.items()}, budget)
        if options.jobs or len(plan.todo) >= budget.jobs:
            return plan, budget
        # Fewer runs side by side have more cores each.
        options = replace(options, jobs=max(1, len(plan.todo)))


def largest(runs: Sequence[Run], left: Mapping[Run, float], budget: Budget) -> list[Run]:
    """As many of some runs as fit, seed by seed: first the pairs that settle most, then all others in their order.

    Args:
        runs: all that there could be.
        left: seconds of each that is not complete.
        budget: which must hold them.
    """
    chosen: dict[Run, None] = {}
    for unit in _units(runs):
        more = chosen | dict.fromkeys(unit)
        if budget.holds([left.get(run, 0.0) for run in more]):
            chosen = more
    return list(chosen)


def _units(runs: Sequence[Run]) -> Iterator[list[Run]]:
    """What is taken together: of each seed the pairs, and then each run by itself."""
    for seed in dict.fromkeys(run.seed for run in runs):
        mine = [run for run in runs if run.seed == seed]
        pairs = [[run for run in mine if run.network in pair] for pair in PAIRS]
        yield from (unit for unit in pairs if len({run.network for run in unit}) == 2)
        yield from ([run] for run in mine)


def too_little(plan: Plan, runs: Sequence[Run]) -> bool:
    """Whether of these runs not even two fit, or none but complete ones."""
    of_one_seed = sum(run.seed == runs[0].seed for run in runs)
    return len(plan.runs) < min(2, of_one_seed) or bool(plan.left and not plan.todo)


def shortened(ask: partial[list[Run]], runs: Sequence[Run], costs: Mapping[str, Cost], budget: Budget) -> Plan:
    """The first pair of networks, for as many iterations as fit.

    Args:
        ask: as of `offer`.
        runs: all that there could be.
        costs: of each network that has a run which is not complete.
        budget: which must hold them.

    Raises:
        UserError: it does not even hold the first row of their curves.
    """
    there = list(dict.fromkeys(run.network for run in runs if run.network in costs))
    pair = next((pair for pair in PAIRS if set(pair) <= set(there)), tuple(there[:2]))
    step, least = runs[0].log_every, min(run.schedule.iterations for run in runs)

    def of(rows: int) -> Plan:
        settings = {**ask.keywords["settings"], "schedule.iterations": rows * step}
        asked = ask(seeds=[runs[0].seed], only=pair, settings=settings)
        short = [override(run, {"data": runs[0].data}) for run in asked]
        return Plan(short, {run: costs[run.network].of(run) for run in short}, rows * step)

    def seconds(rows: int) -> float:
        return makespan(list(of(rows).left.values()), budget.jobs)

    rows = bisect_right(range(1, least // step + 1), budget.seconds, key=seconds)
    if not rows:
        raise UserError(
            f"--budget {duration(budget.seconds)} is not enough: {step} iterations of {' and '.join(pair)} take "
            f"{duration(seconds(1))} here"
        )
    return of(rows)


def told(plan: Plan, budget: Budget) -> list[str]:
    """The plan in lines: its runs, what they take, and the claims that they could settle."""
    seconds = makespan([plan.left[run] for run in plan.todo], budget.jobs)
    done = len(plan.runs) - len(plan.todo)
    first = plan.runs[0]
    lines = [
        f"{counted(len(plan.runs), 'run')} on {first.data}, preset {first.preset}, {done} of them complete already",
        tabulate(_rows(plan), headers=("network", "seeds", "a run takes"), colalign=("left", "left", "right")),
        f"in all about {duration(seconds)} of {duration(budget.seconds)}, {budget.jobs} at a time",
    ]
    if plan.iterations:
        return [
            *lines,
            f"Two whole runs are too much: these have {plan.iterations:,} iterations, and no claim counts them.",
            f"To carry them on later, give --only {','.join(dict.fromkeys(run.network for run in plan.runs))} "
            f"--set schedule.iterations={plan.iterations} in place of --budget.",
        ]
    could = settles(plan.runs)
    if not could:
        return [*lines, "It has all networks of no claim."]
    rows: dict[str, list[Any]] = {"claim": [claim.id for claim, _ in could], "seeds": [seeds for _, seeds in could]}
    chances = [_chance(claim, seeds, first) for claim, seeds in could]
    if any(chances):
        lines.append("chance: to find a claim, if the paper's numbers are the truth (reports/PROTOCOL.md)")
        rows["chance"] = chances
    rows["could be judged"] = [claim.statement for claim, _ in could]
    return [*lines, tabulate(rows, headers="keys")]


def _rows(plan: Plan) -> Iterator[tuple[str, str, str]]:
    """Of each network, in each variant, its seeds and the longest time of a run."""
    for group in dict.fromkeys(run.group for run in plan.runs):
        mine = [run for run in plan.runs if run.group == group]
        seconds = [plan.left[run] for run in mine if run in plan.left]
        yield group.name, _span(run.seed for run in mine), duration(max(seconds)) if seconds else "complete"


def _span(seeds: Iterable[int]) -> str:
    """Seeds as --seeds takes them."""
    found = sorted(seeds)
    whole = len(found) > 2 and found == list(range(found[0], found[-1] + 1))
    return f"{found[0]}-{found[-1]}" if whole else ",".join(map(str, found))


def settles(runs: Sequence[Run]) -> list[tuple[Claim, int]]:
    """The claims that some runs could settle, and by how many seeds of each network.

    A claim needs all networks, in all variants, of its plan; one of the paper's own setting needs that.
    """
    seeds = Counter(run.group for run in runs)
    data, preset = runs[0].data, runs[0].preset
    found = []
    for claim in load():
        if claim.plan is None or claim.command(preset, data) is None:
            continue
        if claim.scope == "paper" and (data, preset) != PAPER_SETTING:
            continue
        needed = studies.load(claim.plan.study).runs(preset, seeds=[0], only=claim.plan.only, data=data)
        count = min(seeds[run.group] for run in needed)
        if count:
            found.append((claim, count))
    return found


def _chance(claim: Claim, seeds: int, run: Run) -> str:
    """How often so many seeds find a claim, as PROTOCOL.md has it; it is of the paper's own setting alone."""
    if (run.data, run.preset) != PAPER_SETTING or seeds not in power.SEEDS:
        return ""
    chance = str(power.table().set_index("claim").loc[claim.id, str(seeds)])
    return chance and f"{chance} %"
