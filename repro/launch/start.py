"""From a plan to its results: settle data and numerics, train or estimate, and close with what came of it."""

from __future__ import annotations

import shlex
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

import torch
from rich.console import Console
from tabulate import tabulate

from repro import data as images
from repro.data.augment import check_held_out
from repro.errors import DataError, RecordError, counted, printable, unknown
from repro.launch.attempt import Outcome
from repro.launch.display import Display, duration, label
from repro.launch.estimate import Cost, makespan, measure
from repro.launch.failure import out_of_memory
from repro.launch.local import Here, Processes
from repro.launch.options import Options
from repro.launch.progress import is_complete
from repro.launch.remarks import other_bits, other_source
from repro.launch.scheduler import Launcher, Scheduler, longest_first
from repro.launch.stop import HANGUP, Stop
from repro.launch.summary import finding, results_table
from repro.places import LOCAL
from repro.records import RunFolder
from repro.shell import OutputLostError
from repro.spec import Run, override
from repro.study import Study
from repro.train.precision import DEVICES, PRECISIONS, Numerics, cores, fallback, resolve
from repro.train.ranks import ALONE, Ranks, check_devices, join


def start(study: Study, plan: Sequence[Run], options: Options, console: Console) -> int:
    """Carry out a plan and give the exit status of the command.

    Raises:
        UserError: the options do not fit this machine, or the images are not there.
    """
    place = options.place
    if options.dry_run:
        return 0 if place.rank else _start(study, plan, options, console, ALONE)
    with join(place.rank, place.count, place.local_rank) as ranks:
        return _start(study, plan, options, console, ranks)


def _start(study: Study, plan: Sequence[Run], options: Options, console: Console, ranks: Ranks) -> int:
    options, numerics = _settle(study, plan, options)
    plan = ranks.broadcast(lambda: _with_data(plan, options))
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
    status, stopped = _train(todo, options, console, ranks) if todo else (0, False)
    if ranks.rank == 0 and not stopped:
        _close(study, plan, options, numerics, console)
    return ranks.broadcast(lambda: status or int(bool(damaged)))


def _settle(study: Study, plan: Sequence[Run], options: Options) -> tuple[Options, Numerics]:
    """Fill in what the command line leaves open."""
    place, here = options.place, options.launcher == "local"
    for kind, asked, known in (("device", options.device, DEVICES), ("precision", options.precision, PRECISIONS)):
        if asked and not here and asked not in known:
            raise unknown(kind, asked, known)
    # Other machines settle this for themselves; what is settled here then serves estimates alone.
    numerics = resolve(options.device if here else None, options.precision if here else None, options.threads, None)
    check_devices(numerics.device, place.count, place.local_count)
    if here:
        devices = {"cpu": cores(), "cuda": torch.cuda.device_count()}.get(numerics.device, 1)
        jobs = options.jobs or (min(devices, len(plan)) if place.count == 1 else 1)
        threads = options.threads or max(1, cores() // (jobs if place.count == 1 else place.local_count))
    else:
        jobs, threads = options.jobs or len(plan), options.threads or 1
    stops = study.for_preset(plan[0].preset).stop_at
    folder = images.data_folder(options.data_dir)
    options = replace(options, data_dir=folder, jobs=jobs, default_threads=threads, stops=stops)
    return options, replace(numerics, threads=threads, ranks=place.count)


def _with_data(plan: Sequence[Run], options: Options) -> list[Run]:
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
            check_held_out(run.images.held_out, *images.classes(run.data))
    return plan


def _announce(study: Study, plan: Sequence[Run], numerics: Numerics, options: Options, console: Console) -> None:
    iterations = sorted({run.schedule.iterations for run in plan})
    here, threads, ranks = options.launcher == "local", numerics.threads, numerics.ranks
    at_once = f"{options.jobs} at a time" if ranks == 1 else f"one at a time on {ranks} ranks"
    how = f"{numerics.device}, {numerics.precision}, {at_once}" if here else f"by {options.launcher}"
    console.print(f"{study.title}\n{study.question}", soft_wrap=True, markup=False)
    console.print(
        f"{counted(len(plan), 'run')} of {' or '.join(f'{n:,}' for n in iterations)} iterations on {plan[0].data}, "
        f"preset {plan[0].preset}; {how} with {counted(threads, 'thread')} each",
        soft_wrap=True,
        markup=False,
    )
    if note := other_bits(plan, numerics.device, threads):
        console.print(note, soft_wrap=True, markup=False)
    if here and not options.precision and (reason := fallback(numerics.device)):
        console.print(f"It computes in {reason}.", soft_wrap=True, markup=False)


def _sort(plan: Sequence[Run], results: Path) -> tuple[list[Run], list[Run], list[RecordError]]:
    """The runs to be carried out, those that are complete, and what is wrong with the records of all others."""
    todo: list[Run] = []
    done: list[Run] = []
    damaged: list[RecordError] = []
    for run in plan:
        try:
            (done if is_complete(RunFolder(results, run)) else todo).append(run)
        except RecordError as error:
            damaged.append(error)
    return todo, done, damaged


def _train(todo: Sequence[Run], options: Options, console: Console, ranks: Ranks) -> tuple[int, bool]:
    """Exit status, and whether a signal or the loss of the output ended it."""
    stop = Stop()
    # Slurm's jobs go on without their terminal, as all does under nohup.
    stays = options.launcher == "slurm" or (HANGUP is not None and signal.getsignal(HANGUP) == signal.SIG_IGN)
    display = Display(console, options, len(todo), stop, stays)
    jobs = min(options.jobs or 1, len(todo))
    outcomes: list[Outcome] = []
    with stop.listening(hangup=not stays), display.showing():
        here = Here(options, stop, ranks, display.look)
        if ranks.rank:
            here.follow()
            return 0, False
        with _launcher(todo, replace(options, jobs=jobs), here) as launcher:
            order = todo if launcher is here else longest_first(todo)
            outcomes = Scheduler(launcher, options, display, stop).carry_out(order, jobs)
        ranks.broadcast(lambda: None)  # no more runs
    if display.lost and not (stop.signal and stop.signal == HANGUP):
        print(f"repro.run: {display.lost}: stopped; the same command carries on", file=sys.stderr)
        return display.lost.status, True
    if stop.signal:
        with suppress(OutputLostError):  # there may be no terminal any more
            console.print("stopped; the same command carries on")
        return 128 + stop.signal, True
    return int(any(outcome.status in ("failed", "diverged") for outcome in outcomes)), False


@contextmanager
def _launcher(todo: Sequence[Run], options: Options, here: Here) -> Iterator[Launcher]:
    if options.launcher == "ray":
        from repro.launch.ray import connected

        with connected(options, images.load(todo[0].data, options.data_dir)) as cluster:
            yield cluster
    elif options.launcher == "slurm":
        from repro.launch.slurm import Slurm

        yield Slurm(options)
    elif options.jobs == 1:
        yield here
    else:
        processes = Processes(options, torch.cuda.device_count() if options.device in (None, "cuda") else 0)
        with processes.running():
            yield processes


def _print_plan(plan: Sequence[Run], numerics: Numerics, options: Options, console: Console) -> None:
    """The plan with what each run will take, from iterations measured now: of several ranks, from a share of them."""
    todo = [run for run in plan if not is_complete(RunFolder(options.results, run))]
    jobs, ranks = max(1, min(options.jobs or 1, len(todo))), numerics.ranks
    costs = dict(zip(todo, _measure([_share(run, ranks) for run in todo], numerics), strict=True))
    rows, seconds = [], []
    for run in plan:
        iteration, takes = "-", "complete"
        if run in costs:
            seconds.append(costs[run].of(run, options.last(run), _stopped_at(options.results, run)))
            iteration, takes = f"{costs[run].iteration * 1000:.1f} ms", duration(seconds[-1])
        rows.append((label(run), iteration, takes, run.path))
    headers, sides = ("run", "iteration", "estimated", "folder"), ("left", "right", "right", "left")
    console.print(tabulate(rows, headers=headers, colalign=sides), soft_wrap=True, markup=False)
    for said in dict.fromkeys(f"{run.network}: {cost.without}" for run, cost in costs.items() if cost.without):
        console.print(said, soft_wrap=True, markup=False)
    waits = f" on {ranks} ranks, without what they wait for each other" if ranks > 1 else ""
    console.print(
        f"in all about {duration(makespan(seconds, jobs))}, {jobs} at a time{waits}; nothing was written",
        markup=False,
        soft_wrap=True,
    )


def _share(run: Run, ranks: int) -> Run:
    """What one of so many ranks has of a run."""
    shares = max(1, run.model.norm_shares // ranks)
    return override(run, {"optimiser.batch_size": run.optimiser.batch_size // ranks, "model.norm_shares": shares})


def _stopped_at(results: Path, run: Run) -> int:
    record = RunFolder(results, run).read()
    return record.iteration if record and record.status == "stopped" else 0


def _measure(plan: Sequence[Run], numerics: Numerics) -> list[Cost]:
    try:
        return measure(plan, numerics)
    except Exception as error:
        if out_of_memory(error):
            raise RecordError("one of these runs does not fit into the memory of this machine") from error
        raise


def _close(study: Study, plan: Sequence[Run], options: Options, numerics: Numerics, console: Console) -> None:
    console.print()
    console.print(results_table(plan, options.results), markup=False, soft_wrap=True)
    sentence = finding(plan, options.results)
    if sentence:
        console.print(f"\n{sentence}", markup=False, soft_wrap=True)
    results = str(options.results)
    drawn = "" if options.results.absolute() == LOCAL.absolute() else f" --results {shlex.quote(results)} --out FOLDER"
    console.print(
        f"\nRecords are in {printable(results)}; python -m repro.report{printable(drawn)} draws them.",
        markup=False,
        soft_wrap=True,
    )
    whole = {run.network for run in plan} == {run.network for run in study.runs(plan[0].preset)}
    if plan[0].preset == "demo" and whole and not options.stop_at and numerics.ranks == 1:
        console.print(
            f"\nThe real thing, on CIFAR-10: python -m repro.run {study.name} --preset short (or paper) --data-dir "
            "DIR; --download fetches it, --dry-run tells what it takes on this machine.",
            markup=False,
            soft_wrap=True,
        )
