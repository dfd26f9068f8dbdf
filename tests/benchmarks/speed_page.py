"""The page that tells what was measured.

    python speed_page.py BENCHMARKS.json reports/speed.md

Every figure is a median of n rounds with their minimum and maximum; every comparison is a ratio of figures of one run.
"""

from __future__ import annotations

import argparse
import json
import statistics
from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
from tabulate import tabulate

from repro.environment import environment
from repro.records import write_text
from repro.study import preset_run

#: What the project aims at (times the common recipe; seconds; GiB; share of a run's time).
AIM, START_UP, MEMORY, AROUND = 4.0, 20.0, 3.0, 0.05
#: How often a run does something, per second of training, given its cadence and the seconds of an iteration.
SHARES = {
    "iteration": lambda run, step: 1 / step,
    "row": lambda run, step: 1 / (run.log_every * step),
    "evaluation": lambda run, step: 1 / (run.evaluate_every * step),
    "minute": lambda run, step: 1 / 60,
    "checkup": lambda run, step: 5 / (run.schedule.iterations * step),
    "run": lambda run, step: 1 / (run.schedule.iterations * step),
}


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
    found: dict[str, list[Mapping[str, Any]]] = {}
    for benchmark in benchmarks:
        found.setdefault(benchmark["extra_info"].get("about", ""), []).append(benchmark)
    sections = [
        _head(machine, _cores(found), when, others),
        _end_to_end(found),
        _choices(found),
        _steps(found),
        _depth(found),
        _limit(found),
        _around(found),
        _estimate(found),
        _start(found),
    ]
    return "\n\n".join(section for section in sections if section) + "\n"


def _head(machine: Mapping[str, Any], cores: int | None, when: str, others: float | None) -> str:
    commit = (machine.get("commit") or "unknown")[:12] + (" with changes" if machine.get("changed") else "")
    rows = [
        ("processor", f"{machine['processor']}, {cores or '?'} cores used"),
        ("system", f"{machine['system']} {machine['machine']}"),
        ("versions", f"Python {machine['python']}, " + ", ".join(f"{n} {machine[n]}" for n in _PACKAGES)),
        ("code", f"commit {commit}"),
        ("measured", f"{when}, by `make bench`"),
    ]
    if others is not None:
        rows.append(("meanwhile", f"other programs took {100 * others:.0f} % of the processors' time"))
    return (
        "# Speed\n\nWhat `make bench` measured, written by it. Times are medians of n rounds, with the fastest and the "
        "slowest in brackets; ratios are of figures measured in turn, in one run, on one machine. Another machine has "
        "other figures: run it there.\n\n" + _table(rows, ("", ""))
    )


_PACKAGES = ("torch", "torchvision", "numpy")


def _cores(found: Mapping[str, list[Mapping[str, Any]]]) -> int | None:
    return max((b["extra_info"]["threads"] for b in found.get("product", [])), default=None)


def _end_to_end(found: Mapping[str, list[Mapping[str, Any]]]) -> str:
    if "end to end" not in found:
        return ""
    rows, sentences = [], []
    for benchmark in found["end to end"]:
        info = benchmark["extra_info"]
        common, one, several = (info["rates"][name] for name in ("common", "one", "several"))
        ones, all_ = ratios(one, common), ratios(several, common)
        rows.append(
            (
                info["network"],
                *(spread(rate, "{:,.0f}") for rate in (common, one, several)),
                spread(ones, "{:.2f}"),
                spread(all_, "{:.2f}"),
                spread(ratios(several, one), "{:.2f}"),
                len(common),
            )
        )
        reached = "reached" if statistics.median(all_) >= AIM else "not reached"
        best = _limit_ratio(found, info["network"], statistics.median(common))
        sentences.append(f"The aim of {AIM:g} times the common recipe is {reached} for {info['network']}{best}.")
    cores = found["end to end"][0]["extra_info"]["cores"]
    headers = (
        "images per second",
        "common recipe",
        f"ours, one run, {cores} threads",
        f"ours, {cores} runs side by side",
        "one run / common",
        f"{cores} runs / common",
        f"{cores} runs / one",
        "n",
    )
    return (
        "## Against the common recipe\n\n"
        "From the images to the records: data, augmentation, step, logging. The common recipe is "
        "`tests/benchmarks/common_recipe.py`: float32, NCHW, eager, a DataLoader with two workers that put PIL images "
        "through RandomCrop, RandomHorizontalFlip, ToTensor and Normalize, loss and accuracy read in each iteration; "
        "the same networks, batch size 128. Ours is what `python -m repro.run` does by default: with several runs, one "
        f"per core side by side (`--jobs {cores}`), with a single run all cores for it.\n\n"
        f"{_table(rows, headers)}\n\n{' '.join(sentences)}"
    )


def _limit_ratio(found: Mapping[str, list[Mapping[str, Any]]], network: str, common: float) -> str:
    """What the floor of the step would be, against the common recipe, all cores at work."""
    steps = [b for b in found.get("step", []) if b["extra_info"]["network"] == network]
    cores = _cores(found)
    if not steps or not cores:
        return ""
    floor = _floor(found, steps[0]["extra_info"], cores)
    if floor is None:
        return ""
    return (
        f": {128 / floor / common:.1f} times would be all that the measured rates of matrix products and copies leave "
        f"room for, with {cores} cores at work and nothing else to be done"
    )


def _choices(found: Mapping[str, list[Mapping[str, Any]]]) -> str:
    if "choices" not in found:
        return ""
    info = found["choices"][0]["extra_info"]
    base = [each["fp32, NCHW"] for each in info["seconds"]]
    rows = []
    for name in info["seconds"][0]:
        seconds = [each[name] for each in info["seconds"]]
        rows.append((name, spread([1000 * s for s in seconds], "{:.0f}"), spread(ratios(base, seconds), "{:.2f}")))
    return (
        "## What each choice gives\n\n"
        f"The step of {info['network']} on one batch of 128, {info['threads']} threads, allocator and optimiser as "
        f"they come where nothing else is said. n = {len(base)}.\n\n"
        + _table(rows, ("", "ms", "times as fast as the first"))
    )


def _steps(found: Mapping[str, list[Mapping[str, Any]]]) -> str:
    steps = found.get("step", [])
    if not steps:
        return ""
    rows = []
    for benchmark in steps:
        stats, info = benchmark["stats"], benchmark["extra_info"]
        row = [info["network"], _milliseconds(stats), f"{128 / stats['median']:,.1f}", stats["rounds"]]
        floor = _floor(found, info, 1)
        row += [f"{1000 * floor:.0f}", f"{stats['median'] / floor:.2f}"] if floor else ["-", "-"]
        rows.append(row)
    precision = steps[0]["extra_info"]["precision"]
    headers = ("network", "ms per iteration", "images per second", "n", "floor, ms", "times the floor")
    return (
        "## The training step\n\n"
        f"Data, forward, backward and update of a batch of 128 in {precision}, one thread, nothing else of ours "
        "running.\n\n" + _table(rows, headers)
    )


def _depth(found: Mapping[str, list[Mapping[str, Any]]]) -> str:
    points = {b["extra_info"]["depth"]: 1000 * b["stats"]["median"] for b in found.get("step", [])}
    line = {depth: ms for depth, ms in points.items() if depth <= 110}
    if len(line) < 3:
        return ""
    slope, start = np.polyfit(list(line), list(line.values()), 1)
    off = max(abs(ms / (start + slope * depth) - 1) for depth, ms in line.items())
    text = (
        "## Cost against depth\n\n"
        f"From {min(line)} to {max(line)} layers an iteration takes {slope:.2f} ms per layer and {start:.0f} ms "
        f"besides; no network is further than {100 * off:.0f} % from that straight line."
    )
    if 1202 in points:
        expected = start + slope * 1202
        text += (
            f" Continued to 1,202 layers it gives {expected:,.0f} ms; measured are {points[1202]:,.0f} ms, "
            f"{points[1202] / expected:.2f} times as much. That net is trained in segments of five blocks, whose "
            "forward pass is done a second time in the backward pass so that it fits into memory: 4 passes instead of "
            "3, 1.33 times the operations."
        )
    return text


def _limit(found: Mapping[str, list[Mapping[str, Any]]]) -> str:
    rows = []
    for benchmark in found.get("product", []):
        info, stats = benchmark["extra_info"], benchmark["stats"]
        what = f"matrix product, 2048 x 2048, {info['precision']}"
        rows.append((what, info["threads"], *_rates(info["operations"], stats, "GFLOP/s"), stats["rounds"]))
    for benchmark in found.get("copy", []):
        info, stats = benchmark["extra_info"], benchmark["stats"]
        rows.append(
            (
                "copy of 256 MiB, read and written",
                info["threads"],
                *_rates(info["bytes"], stats, "GB/s"),
                stats["rounds"],
            )
        )
    if not rows:
        return ""
    steps = "; ".join(
        f"{b['extra_info']['network']} {b['extra_info']['operations'] / 1e9:,.1f} GFLOP and "
        f"{b['extra_info']['bytes'] / 1e6:,.0f} MB"
        for b in found.get("step", [])
    )
    return (
        "## The machine's limit\n\n"
        + _table(rows, ("", "threads", "median", "best", "n"))
        + "\n\nThe floor of a step is the larger of two times: its operations at the best rate of matrix products in "
        "its precision, and its least bytes at the best rate of copying. Operations are those of convolutions and "
        "classifier alone, forward and twice backward (`repro.measure.complexity`); of batch normalisation, ReLU, "
        "additions and the update none are counted. Least bytes are each convolution's output and its gradient in "
        "the step's precision, written and read once, the output read once more going backward, and the weights' own. "
        f"By network: {steps}."
    )


def _rates(amount: float, stats: Mapping[str, float], unit: str) -> tuple[str, str]:
    return f"{amount / stats['median'] / 1e9:,.0f} {unit}", f"{amount / stats['min'] / 1e9:,.0f} {unit}"


def _floor(found: Mapping[str, list[Mapping[str, Any]]], step: Mapping[str, Any], threads: int) -> float | None:
    """The least seconds of a step, with so many threads."""
    rates = []
    for about, amount in (("product", "operations"), ("copy", "bytes")):
        for benchmark in found.get(about, []):
            info = benchmark["extra_info"]
            if info["threads"] == threads and info.get("precision", step["precision"]) == step["precision"]:
                rates.append(step[amount] * benchmark["stats"]["min"] / info[amount])
    return max(rates) if len(rates) == 2 else None


def _around(found: Mapping[str, list[Mapping[str, Any]]]) -> str:
    step = next((b["stats"]["median"] for b in found.get("step", []) if b["extra_info"]["depth"] == 20), None)
    if step is None or "around" not in found:
        return ""
    runs = {preset: preset_run(preset, "resnet-20", 0) for preset in ("short", "paper")}
    rows, totals = [], dict.fromkeys(runs, 0.0)
    for benchmark in found["around"]:
        info, stats = benchmark["extra_info"], benchmark["stats"]
        seconds = stats["median"] * info.get("scale", 1)
        shares = {preset: seconds * SHARES[info["per"]](run, step) for preset, run in runs.items()}
        for preset, share in shares.items():
            totals[preset] += share
        each = [f"{100 * share:.2f} %" for share in shares.values()]
        rows.append((info["what"], _milliseconds(stats, info.get("scale", 1)), stats["rounds"], *each))
    rows.append(("all of it", "", "", *(f"{100 * total:.2f} %" for total in totals.values())))
    within = ", ".join(
        f"`{preset}` {'within' if total < AROUND else 'beyond'} the {100 * AROUND:.0f} % that it may be"
        for preset, total in totals.items()
    )
    return (
        "## Around the step\n\n"
        "What a run of ResNet-20 does besides forward, backward and update, as a share of the time of its iterations "
        f"({1000 * step:.0f} ms each), by how often its preset has it done. In deeper networks augmentation, rows and "
        "checkpoints weigh less, and passes over images as much.\n\n"
        + _table(rows, ("", "ms", "n", *(f"`{preset}`" for preset in runs)))
        + f"\n\nIn all {within}."
    )


def _estimate(found: Mapping[str, list[Mapping[str, Any]]]) -> str:
    if "estimate" not in found:
        return ""
    info = found["estimate"][0]["extra_info"]
    rows = []
    for what, each in [*((run["network"], run) for run in info["runs"]), ("in all, the command", info["all"])]:
        off = 100 * (each["estimated"] / each["taken"] - 1)
        rows.append((what, f"{each['estimated']:.0f} s", f"{each['taken']:.0f} s", f"{off:+.0f} %"))
    return (
        "## What `--dry-run` says\n\nIts estimates for networks of the demo, side by side, and what they took right "
        "after (n = 1). The command's own time has its start-up in it.\n\n"
        + _table(rows, ("", "estimated", "taken", "off by"))
    )


def _start(found: Mapping[str, list[Mapping[str, Any]]]) -> str:
    rows, notes = [], []
    for benchmark in found.get("start-up", []):
        stats = benchmark["stats"]
        what = f"command to first iteration: {benchmark['extra_info']['case']}"
        rows.append((what, _seconds(stats), f"{START_UP:g} s", stats["rounds"]))
    for benchmark in found.get("memory", []):
        info = benchmark["extra_info"]
        peak = f"{info['peak']:.2f} GiB" if info["peak"] else "not known here"
        rows.append((f"peak of memory: {info['network']}, batch 128", peak, f"{MEMORY:g} GiB", 1))
    for benchmark in found.get("report", []):
        stats = benchmark["stats"]
        rows.append((f"report of {benchmark['extra_info']['runs']} runs", _seconds(stats), "", stats["rounds"]))
    if not rows:
        return ""
    if "start-up" in found:
        notes.append(
            "Start-up is the whole command with `--stop-at 1`, all files read before (warm): imports, 60,000 images "
            "decoded from PNG (the demo's digits need none), the first look at the health of the signals, one "
            "iteration, the checkpoint and the closing table."
        )
    return "## Start-up, memory, report\n\n" + _table(rows, ("", "measured", "may be", "n")) + "\n\n" + " ".join(notes)


def ratios(ours: Sequence[float], theirs: Sequence[float]) -> list[float]:
    """Round by round."""
    return [one / other for one, other in zip(ours, theirs, strict=True)]


def spread(values: Sequence[float], form: str) -> str:
    """Median, and in brackets minimum and maximum."""
    low, high = form.format(min(values)), form.format(max(values))
    return f"{form.format(statistics.median(values))} ({low}–{high})"


def _milliseconds(stats: Mapping[str, float], scale: float = 1) -> str:
    low, middle, high = (1000 * scale * stats[key] for key in ("min", "median", "max"))
    form = "{:,.0f}" if middle >= 10 else "{:.2f}"
    return f"{form.format(middle)} ({form.format(low)}–{form.format(high)})"


def _seconds(stats: Mapping[str, float]) -> str:
    return f"{stats['median']:.1f} s ({stats['min']:.1f}–{stats['max']:.1f})"


def _table(rows: Sequence[Sequence[object]], headers: Sequence[str]) -> str:
    align = ["left", *["right"] * (len(headers) - 1)] if headers[0] or len(headers) > 2 else ["left", "left"]
    return tabulate(rows, headers=headers, tablefmt="pipe", colalign=align, disable_numparse=True)


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
