"""Reference runs repeated on this machine: which have the same bits, which agree within what seeds do, which differ."""

from __future__ import annotations

import datetime
import math
import re
import secrets
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Literal

from pydantic import TypeAdapter
from pydantic_core import from_json

from repro import study
from repro.checked import Text, checked
from repro.claims.evidence import REFERENCE, WORDS, Ended, Evidence, Measure, departures
from repro.disk import read_text, write_json
from repro.environment import environment, instructions
from repro.errors import RecordError, UserError, unknown
from repro.records import Record, Records, bits
from repro.records.record import LARGEST_RECORD, Environment
from repro.spec import Run
from repro.statistics import half_width

#: A value of ONEDNN_MAX_CPU_ISA.
WITHOUT_AMX = "AVX512_CORE_BF16"
#: The source that repeated runs are collected as.
REPEATED = "repeated"

Word = Literal["same bits", "consistent", "differs"]
#: Version of an attestation's file.
FORMAT = 1
#: The results that are compared where bits differ.
MEASURES: tuple[Measure, ...] = ("train_error", "test_error", "response")
#: The chance that of all outputs of an attestation any is told to differ although chance alone moves it.
FALSE_ALARM = 0.05


@dataclass(frozen=True)
class Output:
    """One result of a repeated run, and where the reference's seeds lead to expect it.

    Attributes:
        measure: which result; errors in percent.
        found: of the repeated run.
        mean: of the reference's runs of this network.
        runs: how many these are.
        low, high: another run of the same protocol is expected between these.
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


@dataclass(frozen=True)
class References:
    """Complete runs of the reference that are to be repeated: of one data set, preset and seed."""

    evidence: Evidence
    seed: int
    records: dict[str, Record]

    def commands(self, threads: int | None) -> list[list[str]]:
        """What repeats them, as arguments of repro.run; equally computed runs of a study go together."""
        groups: dict[tuple[str, ...], list[str]] = {}
        for network, record in self.records.items():
            numerics = record.numerics
            how = ["--precision", str(numerics.precision), "--threads", str(threads or numerics.threads)]
            key = (self._study(network, record.spec), *how, "--device", str(numerics.device))
            groups.setdefault(key, []).append(network)
        about = ["--preset", self.evidence.preset, "--seeds", str(self.seed), "--data", self.evidence.data]
        return [[name, *about, *how, "--only", ",".join(networks)] for (name, *how), networks in groups.items()]

    def limit(self) -> str | None:
        """The limit on oneDNN's instructions with which this machine may have the reference's bits, if it needs one.

        A processor with AMX multiplies bf16 by that, in another order than by AVX512-BF16, which it has as well.
        """
        here = (instructions() or "").split()
        used = [(record.environment.instructions or "").split() for record in self.records.values()]
        by_amx = any("amx_bf16" in words and not any("=" in word for word in words) for words in used)
        return None if by_amx or "amx_bf16" not in here or any("=" in word for word in here) else WITHOUT_AMX

    def _study(self, network: str, run: Run) -> str:
        for name in study.names():
            found = study.load(name)
            if found.fits(run.preset) and network in found.for_preset(run.preset).networks:
                planned = found.runs(run.preset, seeds=[run.seed], only=[network], data=run.data)
                if run in planned and not found.for_preset(run.preset).stop_at.get(network):
                    return name
        raise RecordError(f"{network}: no study trains it as the reference's run was: give another network")


def find(records: Records, networks: Sequence[str], preset: str, seed: int) -> References:
    """The reference's complete runs of these networks.

    Raises:
        UserError: an unknown preset.
        RecordError: a network has no such run; which ones have.
    """
    if preset not in study.presets():
        raise unknown("preset", preset, study.presets())
    data = study.preset_run(preset, networks[0]).data
    evidence = Evidence(records, source=REFERENCE, data=data, preset=preset)
    found = {}
    for network in networks:
        run = _run(evidence, network, seed)
        if run is None:
            runs = records.runs.query("source == @REFERENCE and data == @data and preset == @preset and variant == ''")
            known = sorted(set(runs.loc[(runs["status"] == "complete") & (runs["seed"] == seed), "network"]))
            there = f": there is {', '.join(known)}" if known else ""
            damaged = "".join(f"; passed over: {item.reason}" for item in records.damaged[:1])
            none = f"{network}: the reference has no complete run of seed {seed}, preset {preset}"
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
    before, now = records.record(REFERENCE, reference.folder), records.record(REPEATED, mine.folder)
    difference = bits.first_difference(records, (REFERENCE, reference.folder), (REPEATED, mine.folder))
    if difference is None:
        return Repeat(network, seed, "same bits", "", ())
    measured = [measure for measure in MEASURES if theirs.runs(network, measure) and mine.has(measure)]
    found = tuple(_output(theirs, mine, measure, level) for measure in measured)
    outside = [WORDS[output.measure] for output in found if not output.low <= output.found <= output.high]
    reasons = bits.reasons(before, now)
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
    """Write an attestation: what was repeated, by whom, on what, and what came of it."""
    about = {"data": references.evidence.data, "preset": references.evidence.preset, "environment": environment()}
    found = [asdict(repeat) for repeat in repeats]
    path.parent.mkdir(parents=True, exist_ok=True)
    write_json(path, {"format": FORMAT, "date": _today(), "by": by, **about, "repeats": found})


def read(path: Path) -> Attestation:
    """Read an attestation, which anyone may have written.

    Raises:
        RecordError: unreadable, or no attestation of a format known here.
    """
    text = read_text(path, "record of repeated runs", LARGEST_RECORD)
    try:
        found: Attestation = checked(_attestations(), from_json(text, allow_inf_nan=False))
        return found
    except (UserError, ValueError) as error:
        raise RecordError(f"{path}: cannot be read as an attestation: {error}") from error


@cache
def _attestations() -> TypeAdapter[Attestation]:
    return TypeAdapter(Attestation)


def file_name() -> str:
    """A name for an attestation of this machine, made today."""
    machine = re.sub(r"[^A-Za-z0-9]+", "-", environment()["processor"]).strip("-").lower()
    return f"{_today()}-{machine}-{secrets.token_hex(3)}.json"


def _today() -> str:
    return datetime.datetime.now(datetime.UTC).date().isoformat()
