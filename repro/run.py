"""Train the runs of a study.

Exit status: 0 all complete (or stopped where --stop-at or the study says), 1 some failed or diverged, or images or
records cannot be read, 2 bad usage; 129, 130 or 143 ended by SIGHUP (a lost terminal), Ctrl-C or SIGTERM, after a
checkpoint; 141 likewise, because the program that read its output has ended.
"""

from __future__ import annotations

import argparse
import dataclasses
import math
import os
import re
import sys
import time
from collections.abc import Sequence
from datetime import timedelta
from functools import partial
from pathlib import Path

from rich.console import Console
from tabulate import tabulate

from repro import study as studies
from repro.data.table import DATA_SETS
from repro.errors import UserError
from repro.launch.options import Options
from repro.places import LOCAL
from repro.records.record import MOST_THREADS
from repro.shell import Parser, command, whole

#: More seeds than anyone trains; "0-1000000000" is a slip of the finger.
MOST_SEEDS = 10_000
#: Seconds until a rank other than 0 says a mistake of its own. Rank 0, which mostly finds the same, says it at once and
#: ends; torchrun then ends the others.
GRACE = 10.0


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; gives its exit status."""
    return command("repro.run", lambda: _main(argv))


def _main(argv: Sequence[str] | None) -> int:
    # torchrun starts several; what follows is mostly the same in all, and rank 0 says it.
    rank = int(os.environ["RANK"]) if "TORCHELASTIC_RUN_ID" in os.environ else 0
    try:
        arguments = _parser().parse_args(argv)
        if arguments.list:
            print(_listing())
            return 0
        if arguments.study is None:
            raise UserError(f"name a study: {', '.join(studies.names())} (--list describes them)")
        return _run(arguments, quiet=rank > 0)
    except UserError as error:
        if rank:
            time.sleep(GRACE)
            error.args = (f"rank {rank}: {error}",)
        raise


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        prog="python -m repro.run",
        description=__doc__,
    )
    add = parser.add_argument
    add("study", nargs="?", help="name of a study (see --list), or an experiment file of your own (*.toml)")
    add("--preset", default="demo", help="how much of the protocol: demo (default), short, paper; --list shows all")
    add("--data", metavar="NAME", help=f"data set instead of the preset's: {', '.join(DATA_SETS)}")
    add("--data-dir", type=Path, metavar="DIR", help="where the images are (default: $REPRO_DATA, or ./data)")
    add("--download", action="store_true", help="fetch CIFAR-10 into --data-dir if no form of it is there")
    add("--results", type=Path, default=LOCAL, metavar="DIR", help=f"results folder (default: {LOCAL})")
    add("--seeds", type=_seeds, metavar="0,1,2", help="seeds instead of the study's own; 0-4 is a range")
    add("--only", type=_words, metavar="NETWORKS", help="train only these networks of the study: plain-20,resnet-56")
    add("--stop-at", type=whole(1), metavar="N", help="end each run after iteration N instead of the study's stop_at")
    add("--set", action="append", default=[], metavar="KEY=VALUE", dest="settings", help="change a setting of each run")
    add(
        "--jobs",
        type=whole(1),
        metavar="N",
        help="runs side by side (default: one per core, or per GPU; ray, slurm: all)",
    )
    add(
        "--threads",
        type=whole(1, MOST_THREADS),
        metavar="N",
        help="threads per run (default: the cores shared out among the jobs; ray, slurm: 1)",
    )
    add("--device", help="cpu, cuda or mps (default: the best there is)")
    add("--precision", help="fp32, bf16 or fp16 (default: bf16 where the device is known to have it, else fp32)")
    add(
        "--checkpoint-every",
        type=_seconds,
        default=60.0,
        metavar="S",
        help="seconds between checkpoints (default: 60); 0: after each iteration",
    )
    add("--launcher", default="local", help="where the runs train: local (default), ray or slurm")
    add("--address", metavar="HOST:PORT", help="an existing Ray cluster (default: one is started here)")
    add("--gpus-per-run", type=float, metavar="F", help="with ray or slurm: GPUs per run, 1; with ray also 0.5, say")
    add(
        "--slurm",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="a setting of the jobs: partition=NAME, time=MINUTES",
    )
    add("--log", metavar="tensorboard", help="write the curves for TensorBoard as well: tensorboard --logdir DIR")
    add(
        "--workers",
        type=whole(0, MOST_THREADS),
        metavar="N",
        help="processes per run that read photographs ahead (default 0: the run reads them itself)",
    )
    add("--budget", type=_time, metavar="20m", help="plan what fits this time (or 90s, 1h30m, 2d), ask, then train")
    add("--yes", action="store_true", help="with --budget: train without asking")
    add("--dry-run", action="store_true", help="print the plan with an estimated time per run, and train nothing")
    add("--list", action="store_true", help="list the studies and presets")
    return parser


def _run(arguments: argparse.Namespace, quiet: bool) -> int:
    study = studies.load(arguments.study)
    settings = studies.parse_settings(arguments.settings)
    # Plans and usage errors need no torch, whose import takes seconds.
    ask = partial(
        study.runs, arguments.preset,
        seeds=arguments.seeds, only=arguments.only, settings=settings, data=arguments.data,
    )  # fmt: skip
    plan = ask()
    named = {field.name: getattr(arguments, field.name, None) for field in dataclasses.fields(Options)}
    named["slurm"] = studies.parse_settings(arguments.slurm, "--slurm")
    options = Options(**{name: value for name, value in named.items() if value is not None})
    options.check()
    options.check_images(plan[0].data)
    _check_budget(arguments)
    console = Console(highlight=False, quiet=quiet, force_terminal=None if _can_draw() else False)
    if arguments.budget:
        from repro.budget import offer

        return offer(study, ask, options, arguments.budget, arguments.yes, console)

    from repro.launch.start import start

    return start(study, plan, options, console)


def _check_budget(arguments: argparse.Namespace) -> None:
    """Raise UserError for options that --budget does not go with."""
    if arguments.yes and not arguments.budget:
        raise UserError("--yes is for --budget TIME, such as 20m; without it nothing is asked")
    if arguments.budget and (arguments.launcher != "local" or "TORCHELASTIC_RUN_ID" in os.environ):
        raise UserError("--budget measures one process of this machine: leave out --launcher and torchrun")
    if arguments.budget and arguments.stop_at:
        raise UserError("--budget plans whole runs: leave out --stop-at")


def _can_draw() -> bool:
    """Whether bars can be drawn: on a terminal, and a notebook's is none that moves a cursor, nor FORCE_COLOR one."""
    return bool(sys.stdout) and sys.stdout.isatty() and "backend_inline" not in os.environ.get("MPLBACKEND", "")


def _listing() -> str:
    found = {name: studies.load(name) for name in studies.names()}
    rows = [(name, study.title, study.paper) for name, study in found.items()]
    text = tabulate(rows, headers=("study", "what it shows", "in the paper"), tablefmt="plain")
    presets = [(name, values["summary"]) for name, values in studies.presets().items()]
    return f"{text}\n\n{tabulate(presets, headers=('preset', 'what it trains on'), tablefmt='plain')}"


def _words(text: str) -> list[str]:
    words = [word.strip() for word in text.split(",") if word.strip()]
    if not words:
        raise argparse.ArgumentTypeError("at least one is needed")
    return words


def _seeds(text: str) -> list[int]:
    seeds: list[int] = []
    for word in _words(text):
        first, dash, last = word.partition("-")
        try:
            span = range(int(first), int(last if dash else first) + 1)
        except ValueError:
            raise argparse.ArgumentTypeError(f"{word!r} is no seed: give numbers such as 0,1,2 or 0-4") from None
        if not span:
            raise argparse.ArgumentTypeError(f"{word!r} holds no seed: the smaller number comes first, as in 0-4")
        if len(seeds) + span.stop - span.start > MOST_SEEDS:
            raise argparse.ArgumentTypeError(f"{word!r} makes more than {MOST_SEEDS:,} seeds")
        seeds += span
    return list(dict.fromkeys(seeds))


def _time(text: str) -> float:
    """Seconds of a time such as 1h30m."""
    found = re.fullmatch(r"(?:(\d{1,4})d)?(?:(\d{1,4})h)?(?:(\d{1,4})m)?(?:(\d{1,6})s)?", text, re.ASCII)
    days, hours, minutes, seconds = (int(part or 0) for part in found.groups()) if found else (0, 0, 0, 0)
    whole = timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds).total_seconds()
    if not whole:
        raise argparse.ArgumentTypeError(f"{text!r} is no time: give 90s, 20m, 1h30m or 2d")
    return whole


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not seconds >= 0:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of seconds")
    return seconds


if __name__ == "__main__":
    sys.exit(main())
