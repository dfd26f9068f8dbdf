"""From a plan to its results: settle data and numerics, train or estimate, and close with what came of it."""

from __future__ import annotations

import shlex
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from rich.console import Console
from tabulate import tabulate

from repro import data as images
from repro.data.augment import check_held_out
from repro.errors import DataError, RecordError, printable
from repro.launch import local
from repro.launch.display import Display, duration, label
from repro.launch.estimate import Cost, makespan, measure
from repro.launch.execute import HANGUP, Options, Outcome, Progress, Stop
from repro.launch.failure import out_of_memory
from repro.launch.launchers import Elsewhere
from repro.launch.summary import finding, real_thing, results_table
from repro.launch.torchrun import Place
from repro.records import RunFolder
from repro.shell import OutputLostError
from repro.spec import Run, override
from repro.study import EXPERIMENTS, Study
from repro.train.precision import Numerics, cores, fallback, resolve
from repro.train.ranks import ALONE, Ranks, check_devices, join

#: A report is of these results without being told.
_REPORTED = EXPERIMENTS.parent / "results" / "local"


@dataclass(frozen=True)
class Request:
    """What a command line asks for, besides the study and its runs.

    Attributes:
        results: the results folder.
        data_folder: where the images are, or None for the default place.
        download: fetch them if they are not there.
        device, precision, threads, jobs: None where the program is to choose.
        stop_at: end each run after this iteration.
        checkpoint_every: seconds between checkpoints.
        dry_run: estimate, train nothing.
        elsewhere: where to train, or None for this machine.
        place: of this process among those that train each run together.
    """

    results: Path
    data_folder: Path | None = None
    download: bool = False
    device: str | None = None
    precision: str | None = None
    threads: int | None = None
    jobs: int | None = None
    stop_at: int | None = None
    checkpoint_every: float = 60.0
    dry_run: bool = False
    elsewhere: Elsewhere | None = None
    place: Place = field(default_factory=Place)


def start(study: Study, plan: Sequence[Run], request: Request, console: Console) -> int:
    """Carry out a plan and give the exit status of the command.

    Raises:
        UserError: the request does not fit this machine, or the images are not there.
    """
    place = request.place
    if request.dry_run:
        return 0 if place.rank else _start(study, plan, request, console, ALONE)
    with join(place.rank, place.count, place.local_rank) as ranks:
        return _start(study, plan, request, console, ranks)


def _start(study: Study, plan: Sequence[Run], request: Request, console: Console, ranks: Ranks) -> int:
    elsewhere, place = request.elsewhere, request.place
    here = elsewhere is None
    # What is asked of other machines is settled there; what is settled here then serves estimates alone.
    with ranks.agreeing():
        numerics = resolve(request.device if here else None, request.precision if here else None, request.threads, None)
        check_devices(numerics.device, place.count, place.local_count)
    alone = place.count == 1
    jobs = request.jobs or (min(cores(), len(plan)) if numerics.device == "cpu" and alone else 1)
    threads = request.threads or max(1, cores() // (jobs if alone else place.local_count))
    numerics = replace(numerics, threads=threads, ranks=place.count)
    folder = images.data_folder(request.data_folder)
    if request.download and not request.dry_run:
        ranks.lead(partial(_fetch, plan[0].data, folder))
    with ranks.agreeing():
        plan = _with_data(plan, folder, request)
        for run in plan:
            if run.images.held_out:
                check_held_out(run.images.held_out, *images.classes(run.data))
    threads = numerics.threads if here else request.threads or 1
    at_once = f"{jobs} at a time" if alone else f"one at a time on {place.count} ranks"
    how = f"by {elsewhere.name}" if elsewhere else f"{numerics.device}, {numerics.precision}, {at_once}"
    _announce(study, plan, f"{how} with {threads} thread{'s' if threads > 1 else ''} each", console)
    if here and not request.precision and (reason := fallback(numerics.device)):
        console.print(f"It computes in {reason}.", soft_wrap=True, markup=False)
    options = Options(
        results=request.results,
        device=request.device,
        precision=request.precision,
        threads=request.threads,
        default_threads=threads,
        stop_at=request.stop_at,
        stops=study.for_preset(plan[0].preset).stop_at,
        checkpoint_every=request.checkpoint_every,
    )
    if request.dry_run:
        _print_plan(plan, numerics, jobs, options, console, place)
        return 0
    todo, done, damaged = ranks.lead(partial(_sort, plan, request.results))
    if done:
        console.print(f"{len(done)} of {len(plan)} runs are complete already")
    for error in damaged if ranks.leads else ():
        print(f"repro.run: {error}", file=sys.stderr)
    outcomes: list[Outcome] = []
    stop = Stop(ranks)
    if todo:
        stays = _outlives_its_terminal(elsewhere)
        tell = _Teller(Display(console, len(todo)), stop, stays)
        with stop.listening(hangup=not stays), tell.display.showing():
            run_all = elsewhere.run_all if elsewhere else partial(local.run_all, ranks=ranks)
            side_by_side = jobs if here else request.jobs or len(todo)
            outcomes = run_all(todo, options, (todo[0].data, folder), side_by_side, tell, stop)
        if tell.lost and not stop.hung_up:
            print(f"repro.run: {tell.lost}: stopped; the same command carries on", file=sys.stderr)
            return tell.lost.status
    if not ranks.whole:
        return 1
    if stop.signal:
        with suppress(OutputLostError):  # there may be no terminal any more
            console.print("stopped; the same command carries on")
        return 128 + stop.signal
    if ranks.leads:
        _close(study, plan, request, numerics, jobs, console)
    return 1 if damaged or any(outcome.status in ("failed", "diverged") for outcome in outcomes) else 0


def _outlives_its_terminal(elsewhere: Elsewhere | None) -> bool:
    """Whether training goes on when the terminal is lost: as Slurm's jobs do, and all under nohup."""
    if elsewhere and elsewhere.goes_on:
        return True
    return HANGUP is not None and signal.getsignal(HANGUP) == signal.SIG_IGN


class _Teller:
    """Shows what launchers tell. Once that can no longer be shown, the runs stop with a checkpoint, as by a signal.

    A terminal that is lost is as good as a SIGHUP, which a command in its background is not sent; with `stays` it stops
    nothing.
    """

    def __init__(self, display: Display, stop: Stop, stays: bool) -> None:
        self.display, self.stop, self.stays = display, stop, stays
        self.lost: OutputLostError | None = None

    def __call__(self, item: Progress | Outcome) -> None:
        try:
            self.display(item)
        except OutputLostError as error:
            hung_up = error.input_output and self.display.live
            if hung_up and self.stays:
                return
            self.lost = error
            if not self.stop.signal:
                self.stop((hung_up and HANGUP) or signal.SIGTERM)


def _fetch(name: str, folder: Path) -> None:
    images.load(name, folder, download=True)


def _with_data(plan: Sequence[Run], folder: Path, request: Request) -> list[Run]:
    """The plan on the images that are really there: JPEG copies have a name of their own."""
    name = plan[0].data
    try:
        name = images.identify(name, folder)
    except DataError:
        if not request.dry_run:
            raise
    return [override(run, {"data": name}) for run in plan]


def _announce(study: Study, plan: Sequence[Run], how: str, console: Console) -> None:
    iterations = sorted({run.schedule.iterations for run in plan})
    many = "s" if len(plan) > 1 else ""
    console.print(f"{study.title}\n{study.question}", soft_wrap=True, markup=False)
    console.print(
        f"{len(plan)} run{many} of {' or '.join(f'{n:,}' for n in iterations)} iterations on {plan[0].data}, "
        f"preset {plan[0].preset}; {how}",
        soft_wrap=True,
        markup=False,
    )


def _sort(plan: Sequence[Run], results: Path) -> tuple[list[Run], list[Run], list[RecordError]]:
    """The runs to be carried out, those that are complete, and what is wrong with the records of all others."""
    todo: list[Run] = []
    done: list[Run] = []
    damaged: list[RecordError] = []
    for run in plan:
        try:
            (done if _complete(results, run) else todo).append(run)
        except RecordError as error:
            damaged.append(error)
    return todo, done, damaged


def _complete(results: Path, run: Run) -> bool:
    folder = RunFolder(results, run)
    record = folder.read()
    return record is not None and record.status == "complete"


def _print_plan(
    plan: Sequence[Run], numerics: Numerics, jobs: int, options: Options, console: Console, place: Place
) -> None:
    """The plan with what each run will take, from iterations measured now: of several ranks, from a share of them."""
    todo = [run for run in plan if not _complete(options.results, run)]
    jobs = max(1, min(jobs, len(todo)))
    company = max(jobs, place.local_count if numerics.device == "cpu" else 1)
    costs = dict(zip(todo, _measure([_share(run, place.count) for run in todo], numerics, company), strict=True))
    rows, seconds = [], []
    for run in plan:
        iteration, takes = "-", "complete"
        if run in costs:
            seconds.append(costs[run].of(run, options.last(run), _stopped_at(options.results, run)))
            iteration, takes = f"{costs[run].iteration * 1000:.1f} ms", duration(seconds[-1])
        rows.append((label(run), iteration, takes, run.path))
    headers, sides = ("run", "iteration", "estimated", "folder"), ("left", "right", "right", "left")
    console.print(tabulate(rows, headers=headers, colalign=sides), soft_wrap=True, markup=False)
    ranks = f" on {place.count} ranks, without what they wait for each other" if place.count > 1 else ""
    console.print(
        f"in all about {duration(makespan(seconds, jobs))}, {jobs} at a time{ranks}; nothing was written",
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


def _measure(plan: Sequence[Run], numerics: Numerics, jobs: int) -> list[Cost]:
    try:
        return measure(plan, numerics, jobs)
    except Exception as error:
        if out_of_memory(error):
            raise RecordError(f"{jobs} of these runs at a time do not fit into the memory of this machine") from error
        raise


def _close(
    study: Study, plan: Sequence[Run], request: Request, numerics: Numerics, jobs: int, console: Console
) -> None:
    console.print()
    console.print(results_table(plan, request.results), markup=False, soft_wrap=True)
    sentence = finding(plan, request.results)
    if sentence:
        console.print(f"\n{sentence}", markup=False, soft_wrap=True)
    results = str(request.results)
    drawn = "" if request.results.absolute() == _REPORTED else f" --results {shlex.quote(results)} --out FOLDER"
    console.print(
        f"\nRecords are in {printable(results)}; python -m repro.report{printable(drawn)} draws them.",
        markup=False,
        soft_wrap=True,
    )
    whole = {run.network for run in plan} == {run.network for run in study.runs(plan[0].preset)}
    if plan[0].preset == "demo" and whole and not request.stop_at and numerics.ranks == 1:
        console.print(f"\n{real_thing(study, numerics, jobs)}", markup=False, soft_wrap=True)
