"""The page that tells what was measured; its words are in speed.md.j2.

    python speed_page.py BENCHMARKS.json reports/speed.md

Every figure is a median of n rounds with their minimum and maximum; every comparison is a ratio of figures of one run.
"""

from __future__ import annotations

import argparse
import json
import statistics
from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from repro.environment import environment
from repro.records import write_text
from repro.study import preset_run

#: Times the common recipe; seconds; GiB; share of a run's time.
AIMS = {"recipe": 4, "start_up": 20, "memory": 3, "around": 0.05}
#: How often a run does something, per second of training, given its cadence and the seconds of an iteration.
SHARES = {
    "iteration": lambda run, step: 1 / step,
    "row": lambda run, step: 1 / (run.log_every * step),
    "evaluation": lambda run, step: 1 / (run.evaluate_every * step),
    "minute": lambda run, step: 1 / 60,
    "checkup": lambda run, step: 5 / (run.schedule.iterations * step),
    "run": lambda run, step: 1 / (run.schedule.iterations * step),
}
#: One benchmark: its statistics, and what it says of itself.
Measured = Mapping[str, Any]


def page(
    benchmarks: Sequence[Mapping[str, Any]], machine: Mapping[str, Any], when: str, others: float | None = None
) -> str:
    """The page in Markdown.

    Args:
        benchmarks: those of pytest-benchmark's JSON; each says by `extra_info` what it is about.
        machine: as `repro.environment.environment` gives it.
        when: the date.
        others: share of the processors' time that other programs took meanwhile, if known.
    """
    found: dict[str, list[Measured]] = defaultdict(list)
    for benchmark in benchmarks:
        found[benchmark["extra_info"]["about"]].append({**benchmark["stats"], **benchmark["extra_info"]})
    cores = max((one["threads"] for one in found["product"]), default=None)

    def floor(step: Measured, threads: int) -> float | None:
        """The least seconds of a step, with so many threads."""
        least = [
            step[amount] * one["min"] / one[amount]
            for about, amount in (("product", "operations"), ("copy", "bytes"))
            for one in found[about]
            if one["threads"] == threads and one.get("precision", step["precision"]) == step["precision"]
        ]
        return max(least) if len(least) == 2 else None

    def possible(end_to_end: Measured) -> float | None:
        """How many times as fast as the common recipe the floor of the step would be, all cores at work."""
        steps = [one for one in found["step"] if one["network"] == end_to_end["network"]]
        least = floor(steps[0], cores) if steps and cores else None
        return 128 / least / statistics.median(end_to_end["rates"]["common"]) if least else None

    words = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        undefined=StrictUndefined,
        trim_blocks=True,
        keep_trailing_newline=True,
    )
    plain = {"spread": spread, "over": over, "median": statistics.median, "ms": milliseconds, "s": seconds}
    words.filters |= {**plain, "rate": rate, "floor": floor, "possible": possible}
    return words.get_template("speed.md.j2").render(
        found=found, machine=machine, when=when, others=others, cores=cores, aims=AIMS, **around(found)
    )


def around(found: Mapping[str, list[Measured]]) -> dict[str, Any]:
    """What each thing that a run does besides its steps takes of the steps' own time, by preset; and all together."""
    step = next((one["median"] for one in found["step"] if one["depth"] == 20), None)
    runs = [preset_run(preset, "resnet-20") for preset in ("short", "paper")]
    rows = []
    for one in found["around"] if step else ():
        taken = one["median"] * one.get("scale", 1)
        rows.append((one, *(taken * SHARES[one["per"]](run, step) for run in runs)))
    totals = {run.preset: sum(row[place] for row in rows) for place, run in enumerate(runs, start=1)}
    return {"step": step, "around": rows, "totals": totals}


def over(ours: Sequence[float], theirs: Sequence[float]) -> list[float]:
    """Ratios, round by round."""
    return [one / other for one, other in zip(ours, theirs, strict=True)]


def spread(values: Sequence[float], form: str = "{:.2f}", scale: float = 1) -> str:
    """Median, and in brackets minimum and maximum."""
    middle, low, high = (form.format(scale * of(values)) for of in (statistics.median, min, max))
    return f"{middle} ({low}–{high})"


def milliseconds(one: Measured) -> str:
    """Of a benchmark, for as much as it stands for."""
    scale = 1000 * one.get("scale", 1)
    form = "{:,.0f}" if scale * one["median"] >= 10 else "{:.2f}"
    return spread([one[key] for key in ("min", "median", "max")], form, scale)


def seconds(one: Measured) -> str:
    return f"{one['median']:.1f} s ({one['min']:.1f}–{one['max']:.1f})"


def rate(amount: float, taken: float) -> str:
    """Thousand millions per second."""
    return f"{amount / taken / 1e9:,.0f}"


def main() -> None:
    """Write the page."""
    parser = argparse.ArgumentParser()
    parser.add_argument("benchmarks", type=Path)
    parser.add_argument("page", type=Path)
    arguments = parser.parse_args()
    content = json.loads(arguments.benchmarks.read_text(encoding="utf-8"))
    arguments.page.parent.mkdir(parents=True, exist_ok=True)
    when = date.today().isoformat()
    write_text(arguments.page, page(content["benchmarks"], environment(), when, content.get("others")))
    print(arguments.page)


if __name__ == "__main__":
    main()
