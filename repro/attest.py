"""Repeat reference runs on this machine, and say of each: same bits, consistent with what seeds do, or differs.

Exit status: 0 none differs, 1 one differs, or could not be trained or read, 2 bad usage; if stopped, as repro.run.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from pathlib import Path

from tabulate import tabulate

from repro import names, places, study
from repro.errors import RecordError
from repro.records.record import MOST_THREADS
from repro.shell import Parser, command, whole

#: Where attestations are collected.
ATTESTATIONS = places.RESULTS / "attestations"


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; gives its exit status."""
    return command("repro.attest", lambda: _attest(_parser().parse_args(argv)))


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        prog="python -m repro.attest",
        description=__doc__,
    )
    add = parser.add_argument
    usual = ["plain-20", "resnet-20"]
    add("networks", nargs="*", default=usual, metavar="NETWORK", help=f"what to repeat (default: {' '.join(usual)})")
    add("--preset", default="demo", help="preset of the runs to repeat (default: demo)")
    add("--seed", type=int, default=0, help="seed of the runs to repeat (default: 0)")
    add(
        "--threads",
        type=whole(1, MOST_THREADS),
        help="instead of the reference's number: bits differ then, results should not",
    )
    add("--data-dir", type=Path, metavar="DIR", help="where the images are, unless the preset trains on digits")
    add("--results", type=Path, default=places.LOCAL, metavar="DIR", help="where the repeated runs go, or already are")
    add("--by", default="", metavar="NAME", help="your name, for the attestation (default: none)")
    add("--out", type=Path, metavar="FILE.json", help=f"what to write (default: a new file in {ATTESTATIONS})")
    return parser


def _attest(arguments: argparse.Namespace) -> int:
    # Imported here so that bad usage is answered at once.
    from repro import run
    from repro.environment import environment
    from repro.records import Source, collect
    from repro.repeat import REPEATED, compare, file_name, find, write

    networks = [str(names.parse(name, study.family_of(arguments.preset))) for name in arguments.networks]
    if not places.reference().is_dir():
        raise RecordError(places.NO_REFERENCE)
    sources = [Source("reference", places.reference()), Source(REPEATED, arguments.results)]
    references = find(collect(sources[:1]), networks, arguments.preset, arguments.seed)
    if limit := references.limit():
        # oneDNN reads it once, when torch first computes.
        os.environ["ONEDNN_MAX_CPU_ISA"] = limit
        print(f"Training with ONEDNN_MAX_CPU_ISA={limit}: as the reference, without AMX.")
    for words in references.commands(arguments.threads):
        if "DIR" in words:
            at = words.index("DIR")
            words[at - 1 : at + 1] = ["--data-dir", str(arguments.data_dir)] if arguments.data_dir else []
        if status := run.main([*words, "--results", str(arguments.results)]):
            return status
    repeats = compare(collect(sources), references)
    path = arguments.out or ATTESTATIONS / file_name()
    write(path, repeats, references, arguments.by)
    if environment()["changed"]:
        print("\nThis checkout is changed: its code is not that of its commit, as the attestation says too.")
    rows = [(repeat.network, repeat.seed, repeat.verdict, repeat.why) for repeat in repeats]
    print(f"\n{tabulate(rows, headers=('network', 'seed', 'verdict', 'because'))}")
    print(f"\nThe attestation is {path}; add it to {ATTESTATIONS} of the project, whatever it says.")
    return int(any(repeat.verdict == "differs" for repeat in repeats))


if __name__ == "__main__":
    raise SystemExit(main())
