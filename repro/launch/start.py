"""From a plan to its results: settle data and numerics, train or estimate, and close with what came of it."""

from __future__ import annotations

import importlib
import shlex
import signal
import sys
from collections.abc import Sequence
from contextlib import nullcontext, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from rich.console import Console
from tabulate import tabulate

from repro import data as images
from repro.data.augment import check_held_out
from repro.data.photographs import dataset as photographs
from repro.errors import DataError, RecordError, UserError, counted, printable, unknown
from repro.launch.attempt import Outcome
from repro.launch.display import Display, duration, label
from repro.launch.failure import out_of_memory
from repro.launch.local import Here
from repro.launch.options import Options
from repro.launch.remarks import other_source
from repro.launch.scheduler import Scheduler, longest_first
from repro.launch.stop import HANGUP, Stop
from repro.measure.cost import Cost, makespan, measure
from repro.places import LOCAL
from repro.records import RunFolder
from repro.shell import OutputLostError
from repro.spec import Run, override
from repro.study import Study
from repro.train.photographs import crops_of, reading
from repro.train.precision import DEVICES, PRECISIONS, Numerics, cards, check_gpu, cores, fallback, resolve
from repro.train.ranks import Ranks, join


def start(study: Study, plan: Sequence[Run], options: Options, console: Console) -> int:
    """Carry out a plan and give the exit status of the command.

    Raises:
        UserError: the options do not fit this machine, the images are not there, or the output cannot be written.
    """
    stop = Stop()
    with join() as ranks:
        options, numerics = settle(study, plan, options, ranks)
        plan = ranks.broadcast(lambda: with_data(plan, options))
        _announce(study, plan, numerics, options, console)
        if options.dry_run:
            _print_plan(plan, numerics, options, console)
            return 0
        todo, done, damaged = ranks.broadcast(lambda: _sort(plan, options.results))
        if done:
            console.print(f"{len(done)} of {len(plan)} runs are complete already")
            if note := other_source(done, options.results):
                console.print(note, soft_wrap=True, markup=False)
        for error in damaged if ranks.rank == 0 else ():
            print(f"repro.run: {error}", file=sys.stderr)
        outcomes = _train(todo, options, console, stop, ranks) if todo else []
        return ranks.broadcast(lambda: _close([*done, *todo], [*outcomes, *damaged], options, console, stop))


def settle(study: Study, plan: Sequence[Run], options: Options, ranks: Ranks) -> tuple[Options, Numerics]:
    """Fill in what the command line leaves open."""
    here, alone = options.launcher == "local", ranks.count == 1
    if not alone and (not here or options.jobs not in (None, 1) or options.dry_run):
        raise UserError("torchrun's processes train one run at a time: leave out --launcher, --jobs and --dry-run")
    for kind, asked, known in (("device", options.device, DEVICES), ("precision", options.precision, PRECISIONS)):
        if asked and not here and asked not in known:
            raise unknown(kind, asked, known)
    # Other machines settle this for themselves; what is settled here then serves estimates alone.
    numerics = resolve(options.device if here else None, options.precision if here else None, options.threads, None)
    for run in plan if here else ():
        ranks.check(run, numerics.device)
    if here:
        devices = {"cpu": cores(), "cuda": len(cards())}.get(numerics.device, 1)
        jobs = options.jobs or (min(devices, len(plan)) if alone else 1)
        if numerics.device == "cuda" and jobs == 1:
            check_gpu()
        threads = options.threads or max(1, cores() // (jobs if alone else ranks.here))
    else:
        jobs, threads = options.jobs or len(plan), options.threads or 1
    stops = study.for_preset(plan[0].preset).stop_at
    folder = images.data_folder(options.data_dir)
    options = replace(options, data_dir=folder, jobs=jobs, default_threads=threads, stops=stops)
    return options, replace(numerics, threads=threads, ranks=ranks.count)


def with_data(plan: Sequence[Run], options: Options) -> list[Run]:
    """The plan on the images that are really there: JPEG copies have a name of their own."""
    name = plan[0].data
    if options.download and not options.dry_run:
        images.load(name, options.data_dir, download=True)
    try:
        name = images.identify(name, options.data_dir)
    except DataError:
        if not options.dry_run:
            raise
    plan = [override(run, {"data": name}) for run in plan]
    for run in plan:
        if run.images.held_out:
            check_held_out(run.images.held_out, images.row(run.data).classes, images.row(run.data).fewest)
    return plan


def _announce(study: Study, plan: Sequence[Run], numerics: Numerics, options: Options, console: Console) -> None:
    iterations = sorted({run.schedule.iterations for run in plan})
    at_once = f"{options.jobs} at a time" if numerics.ranks == 1 else f"one at a time on {numerics.ranks} ranks"
    here = f"{numerics.device}, {numerics.precision}, {at_once}"
    console.print(
        f"{study.title}\n{study.question}\n"
        f"{counted(len(plan), 'run')} of {' or '.join(f'{n:,}' for n in iterations)} iterations on {plan[0].data}, "
        f"preset {plan[0].preset}; {here if options.launcher == 'local' else f'by {options.launcher}'} "
        f"with {counted(numerics.threads, 'thread')} each",
        soft_wrap=True,
        markup=False,
    )
    if options.launcher == "local" and not options.precision and (reason := fallback(numerics.device)):
        console.print(f"It computes in {reason}.", soft_wrap=True, markup=False)


def estimated(plan: Sequence[Run], numerics: Numerics, options: Options) -> dict[Run, tuple[Cost, float]]:
    """Of each run that is not complete what its network costs here, and the seconds that are left of it.

    Raises:
        RecordError: a record cannot be read, or a run does not fit into the memory.
    """
    records = {run: RunFolder(options.results, run).read() for run in plan}
    todo = [run for run, record in records.items() if record is None or record.status != "complete"]
    try:
        costs = measure(todo, numerics)
    except Exception as error:
        if out_of_memory(error):
            raise RecordError("one of these runs does not fit into the memory of this machine") from error
        raise
    found, read = {}, _reading(todo, options)
    for run, cost in zip(todo, costs, strict=True):
        cost = replace(cost, reading=read, ahead=bool(options.workers))
        record = records[run]
        begun_at = record.iteration if record and record.status == "stopped" else 0
        found[run] = cost, cost.of(run, options.last(run), begun_at)
    return found


def _reading(todo: Sequence[Run], options: Options) -> float:
    """Seconds to read a photograph of the first of these runs; 0 where they are in memory, or nothing can be read."""
    if not todo or not todo[0].images.crop:
        return 0.0
    try:  # a plan copies nothing
        found = photographs.load(todo[0].data, images.data_folder(options.data_dir), copy=False)
    except DataError:
        return 0.0
    return reading(crops_of(found, todo[0]), options.workers)


def _print_plan(plan: Sequence[Run], numerics: Numerics, options: Options, console: Console) -> None:
    """The plan with what is left of each run will take."""
    found = estimated(plan, numerics, options)
    rows, said = [], list[str]()
    for run in plan:
        iteration, takes = "-", "complete"
        if run in found:
            cost, seconds = found[run]
            iteration, takes = f"{cost.iteration * 1000:.1f} ms", duration(seconds)
            said.append(_limit(run, cost, options))
        rows.append((label(run), iteration, takes, run.path))
    headers, sides = ("run", "iteration", "estimated", "folder"), ("left", "right", "right", "left")
    console.print(tabulate(rows, headers=headers, colalign=sides), soft_wrap=True, markup=False)
    said += [f"{run.network}: {cost.without}" for run, (cost, _) in found.items() if cost.without]
    for text in filter(None, dict.fromkeys(said)):
        console.print(text, soft_wrap=True, markup=False)
    jobs = max(1, min(options.jobs or 1, len(found)))
    seconds = makespan([seconds for _, seconds in found.values()], jobs)
    whole = f"in all about {duration(seconds)}, {jobs} at a time; nothing was written"
    if numerics.device == "cuda":
        whole = f"{sum(seconds for _, seconds in found.values()) / 3600:.1f} GPU-hours: {whole}"
    console.print(whole, markup=False, soft_wrap=True)


def _limit(run: Run, cost: Cost, options: Options) -> str:
    """How fast photographs are read, how fast a network takes them, and which of the two a run waits for."""
    if not run.images.crop:
        return ""
    net = run.optimiser.batch_size / cost.iteration
    if not cost.reading:
        nothing = "no photographs are here, or copied yet, to time reading by"
        return f"{run.network}: the net takes {net:,.0f} images/s; {nothing}"
    read = 1 / cost.reading
    how = f"{counted(options.workers, 'worker')} read" if options.workers else "between iterations the run reads"
    limit = (
        ("reading" if read < net else "the net") + " limits" + ("" if options.workers else "; --workers N reads ahead")
    )
    return f"{run.network}: {how} {read:,.0f} images/s, the net takes {net:,.0f}: {limit}"


def _sort(plan: Sequence[Run], results: Path) -> tuple[list[Run], list[Run], list[RecordError]]:
    """The runs to be carried out, those that are complete, and what is wrong with the records of all others."""
    todo: list[Run] = []
    done: list[Run] = []
    damaged: list[RecordError] = []
    for run in plan:
        try:
            record = RunFolder(results, run).read()
            (done if record and record.status == "complete" else todo).append(run)
        except RecordError as error:
            damaged.append(error)
    return todo, done, damaged


def _train(todo: Sequence[Run], options: Options, console: Console, stop: Stop, ranks: Ranks) -> list[Outcome]:
    # Slurm's jobs go on without their terminal, as all does under nohup.
    stays = options.launcher == "slurm" or (HANGUP is not None and signal.getsignal(HANGUP) == signal.SIG_IGN)
    display = Display(console, options, len(todo), stop)
    jobs = min(options.jobs or 1, len(todo))
    with stop.listening(hangup=not stays), display.bars if console.is_terminal else nullcontext():
        here = Here(options, stop, ranks, display.look)
        if ranks.rank:
            here.follow()
            return []
        if options.launcher == "local" and jobs == 1:
            outcomes = Scheduler(here, options, display, stop).carry_out(todo, 1)
        else:
            place: Any = importlib.import_module(f"repro.launch.{options.launcher}")
            with place.launcher(replace(options, jobs=jobs), todo[0].data) as launcher:
                outcomes = Scheduler(launcher, options, display, stop).carry_out(longest_first(todo), jobs)
        ranks.broadcast(lambda: None)  # no more runs
    if display.lost:
        raise display.lost
    return outcomes


def _close(
    plan: Sequence[Run], ends: Sequence[Outcome | RecordError], options: Options, console: Console, stop: Stop
) -> int:
    """Say what the records hold now; gives the exit status."""
    if stop.signal:
        with suppress(OutputLostError):  # there may be no terminal any more
            console.print("stopped; the same command carries on")
        return 128 + stop.signal
    words = ["python", "-m", "repro.report", "--preset", *dict.fromkeys(run.preset for run in plan)]
    if options.results.absolute() != LOCAL.absolute():
        words += ["--results", str(options.results), "--out", "FOLDER"]
    console.print(
        f"\n{_table(plan, options.results)}\n\n{printable(shlex.join(words))} draws these records.",
        markup=False,
        soft_wrap=True,
    )
    return int(any(isinstance(end, RecordError) or end.status in ("failed", "diverged") for end in ends))


def _table(plan: Sequence[Run], results: Path) -> str:
    rows = []
    for run in plan:
        if record := RunFolder(results, run).read():
            progress = f"{record.iteration:,} of {run.schedule.iterations:,}"
            rows.append((label(run), record.final.train_error, record.final.test_error, progress, record.status))
    headers = ("run", "training error %", "test error %", "iterations", "status")
    sides = ("left", "right", "right", "right", "left")
    return tabulate(rows, headers, floatfmt=".2f", missingval="-", colalign=sides) if rows else ""
