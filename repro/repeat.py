"""Runs repeated: the command that does it, and of the reference's which have the same bits, agree or differ."""

from __future__ import annotations

import datetime
import math
import re
import secrets
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from functools import cache
from pathlib import Path
from typing import Literal

from pydantic import TypeAdapter

from repro import study
from repro.checked import Text, checked
from repro.claims.evidence import REFERENCE, WORDS, Ended, Evidence, Measure, departures
from repro.disk import write_json
from repro.environment import environment, instructions
from repro.errors import RecordError, UserError
from repro.records import Record, Records, bits
from repro.records.record import Environment, Numerics, read_json
from repro.spec import Run
from repro.statistics import half_width

#: The source that repeated runs are collected as.
REPEATED = "repeated"

Word = Literal["same bits", "consistent", "differs"]
#: The results that are compared where bits differ.
MEASURES: tuple[Measure, ...] = ("train_error", "test_error", "response")
#: The chance that of all outputs of an attestation any is told to differ although chance alone moves it.
FALSE_ALARM = 0.05


@dataclass(frozen=True)
class Output:
    """One result of a repeated run, errors in percent, beside the mean of so many runs of the reference's network.

    Another run of the same protocol is expected between `low` and `high`.
    """

    measure: Measure
    found: float
    mean: float
    runs: int
    low: float
    high: float


@dataclass(frozen=True)
class Repeat:
    """What came of one reference run that was repeated; `why` says by what it differs."""

    network: str
    seed: int
    verdict: Word
    why: str
    outputs: tuple[Output, ...]


@dataclass(frozen=True)
class Attestation:
    """What an attestation says; `by` is whoever made it, or nothing."""

    format: Literal[1]
    date: Text
    data: Text
    preset: Text
    environment: Environment
    repeats: tuple[Repeat, ...]
    by: Text = ""


def words(run: Run, numerics: Numerics) -> list[str] | None:
    """What `repro.run` is to be told to train a run again, its network last; None where no study plans that.

    On like machines it has the same bits. CIFAR-10 is found by --data-dir, for which the words have DIR.

    Args:
        numerics: device, precision and threads, as recorded.
    """
    name = _study_of(replace(run, seed=0))
    if name is None:
        return None
    said = [name, "--preset", run.preset, *study.data_words(run.preset, run.data), "--seeds", str(run.seed)]
    for key, value in study.settings_of(run).items():
        said += ["--set", f"{key}={_toml(value)}"]
    for key in ("device", "precision", "threads"):
        if (value := getattr(numerics, key)) is not None:
            said += [f"--{key}", str(value)]
    return [*said, "--only", run.network]


@cache
def _study_of(run: Run) -> str | None:
    """The study that plans a run and the fewest others, if it is asked for this network and these settings.

    One that stops the network early comes last.
    """
    found = {}
    for name in study.names():
        with suppress(UserError):  # it has no such network, or no numbers for the preset
            planned = _study(name, run.preset)
            if run.network in planned.networks:
                plan = planned.runs(
                    run.preset, seeds=[0], only=[run.network], settings=study.settings_of(run), data=run.data
                )
                if run in plan:
                    found[name] = (run.network in planned.stop_at, len(plan))
    return min(found, key=lambda name: found[name], default=None)


@cache
def _study(name: str, preset: str) -> study.Study:
    return study.load(name).for_preset(preset)


def _toml(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return f"[{', '.join(map(str, value))}]" if isinstance(value, tuple) else str(value)


@dataclass(frozen=True)
class References:
    """Complete runs of the reference that are to be repeated, by network: of one data set, preset and seed."""

    evidence: Evidence
    seed: int
    records: dict[str, Record]

    def commands(self, threads: int | None) -> list[list[str]]:
        """What repeats them, as `words`; those that differ in their network alone go together."""
        groups: dict[tuple[str, ...], list[str]] = {}
        for network, record in self.records.items():
            said = words(record.spec, record.numerics.model_copy(update={"threads": threads} if threads else {}))
            if said is None:
                raise RecordError(f"{network}: no study trains it as the reference's run was: give another network")
            groups.setdefault(tuple(said[:-1]), []).append(network)
        return [[*said, ",".join(networks)] for said, networks in groups.items()]

    def limit(self) -> str | None:
        """The ONEDNN_MAX_CPU_ISA with which this machine may have the reference's bits, if it needs one.

        A processor with AMX multiplies bf16 by that, in another order than by AVX512-BF16, which it has as well.
        """
        here = (instructions() or "").split()
        used = [(record.environment.instructions or "").split() for record in self.records.values()]
        by_amx = any("amx_bf16" in said and not any("=" in word for word in said) for said in used)
        limited = any("=" in word for word in here)
        return None if by_amx or limited or "amx_bf16" not in here else "AVX512_CORE_BF16"


def find(records: Records, networks: Sequence[str], preset: str, seed: int) -> References:
    """The reference's complete runs of these networks.

    Raises:
        UserError: an unknown preset.
        RecordError: a network has no such run; which ones have.
    """
    data = study.preset_run(preset, networks[0]).data
    evidence = Evidence(records, source=REFERENCE, data=data, preset=preset)
    found = {}
    for network in networks:
        run = _run(evidence, network, seed)
        if run is None:
            known = [name for name in dict.fromkeys(records.runs["network"]) if _run(evidence, name, seed)]
            there = f": there is {', '.join(known)}" if known else ""
            damaged = "".join(f"; passed over: {item.reason}" for item in records.damaged[:1])
            none = f"{network}: the reference has no complete run of seed {seed}, preset {preset}, on {data}"
            raise RecordError(f"{none}{there}{damaged}")
        found[network] = records.record(REFERENCE, run.folder)
    return References(evidence, seed, found)


def compare(records: Records, references: References) -> list[Repeat]:
    """Compare repeated runs, of source `REPEATED`, with those of the reference.

    Raises:
        RecordError: a run is not complete, or is of another protocol.
    """
    theirs = references.evidence
    ours = Evidence(records, source=REPEATED, data=theirs.data, preset=theirs.preset)
    level = 1 - FALSE_ALARM / (len(MEASURES) * len(references.records))
    return [_repeat(records, theirs, ours, network, references.seed, level) for network in references.records]


def _repeat(records: Records, theirs: Evidence, ours: Evidence, network: str, seed: int, level: float) -> Repeat:
    mine, reference = _run(ours, network, seed), _run(theirs, network, seed)
    if mine is None or reference is None:
        raise RecordError(f"{network} seed {seed}: is not complete: the same command carries on")
    if other := departures([mine, reference]):
        raise RecordError(f"{network} seed {seed}: was trained with another {', '.join(other)} than the reference")
    keys = (REFERENCE, reference.folder), (REPEATED, mine.folder)
    difference = bits.first_difference(records, *keys)
    if difference is None:
        return Repeat(network, seed, "same bits", "", ())
    measured = [measure for measure in MEASURES if theirs.runs(network, measure) and mine.has(measure)]
    found = tuple(_output(theirs, mine, measure, level) for measure in measured)
    outside = [WORDS[output.measure] for output in found if not output.low <= output.found <= output.high]
    reasons = bits.reasons(*(records.records[key] for key in keys))
    why = f"bits differ in {difference}" + (f" ({'; '.join(reasons)})" if reasons else "")
    if outside:
        return Repeat(network, seed, "differs", f"{', '.join(outside)} beyond what seeds do; {why}", found)
    return Repeat(network, seed, "consistent", why, found)


def _run(evidence: Evidence, network: str, seed: int) -> Ended | None:
    return next((run for run in evidence.runs(network) if run.seed == seed and not run.foreign), None)


def _output(theirs: Evidence, mine: Ended, measure: Measure, level: float) -> Output:
    """Another run lies within mean ± t s √(1 + 1/n) of n runs, s² their moderated variance."""
    side = theirs.side(theirs.runs(mine.network, measure), measure)
    (spread, df), n = side.spread, len(side.values)
    half = float(half_width(math.sqrt(spread * (1 + 1 / n)), df, level))
    return Output(measure, mine.value(measure), side.mean, n, side.mean - half, side.mean + half)


def write(path: Path, repeats: Iterable[Repeat], references: References, by: str = "") -> None:
    """Write an attestation: what was repeated, by whom, on what, and what came of it.

    Raises:
        RecordError: it cannot be written.
    """
    about = {"data": references.evidence.data, "preset": references.evidence.preset, "environment": environment()}
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_json(
            path, {"format": 1, "date": _today(), "by": by, **about, "repeats": [asdict(one) for one in repeats]}
        )
    except OSError as error:
        raise RecordError(f"{path}: cannot be written: {error.strerror}") from error


def read(path: Path) -> Attestation:
    """Read an attestation, which anyone may have written.

    Raises:
        RecordError: unreadable, or no attestation of a format known here.
    """
    found: Attestation = read_json(path, "attestation", lambda values: checked(TypeAdapter(Attestation), values))
    return found


def file_name() -> str:
    """A name for an attestation of this machine, made today."""
    machine = re.sub(r"[^A-Za-z0-9]+", "-", environment()["processor"]).strip("-").lower()
    return f"{_today()}-{machine}-{secrets.token_hex(3)}.json"


def _today() -> str:
    return datetime.datetime.now(datetime.UTC).date().isoformat()
