"""python -m repro.report: writes the report from results folders. It parses, loads and renders; no logic of its own."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from repro import places, study
from repro.errors import RecordError, UserError, printable, unknown
from repro.records.foreign import add_options
from repro.shell import Parser, command

if TYPE_CHECKING:  # it brings pandas, see below
    from repro.records import Source


def main(argv: Sequence[str] | None = None) -> int:
    """Write a report; give the exit status."""
    return command("repro.report", lambda: _report(parser().parse_args(argv)))


def parser() -> argparse.ArgumentParser:
    """The command's arguments."""
    result = Parser(
        prog="python -m repro.report",
        description="Write the report: the paper's figures, tables and claims beside what the runs at hand show. "
        "Exit status: 0 written, 1 nothing to report on, something cannot be read or written, or (--strict) a claim "
        "contradicted, 2 bad usage, 130 stopped by Ctrl-C, 141 the program that read its output has ended.",
    )
    add = result.add_argument
    add(
        "--results",
        action="append",
        default=[],
        metavar="D | NAME=D",
        help="a results folder, by default under its own name; may be repeated "
        "(default: every folder under results/ here, and the project's own records)",
    )
    add("--out", type=Path, default=Path("report"), metavar="D", help="the report's folder (default: report/ here)")
    add(
        "--preset",
        action="append",
        default=[],
        metavar="NAME",
        help="only runs of this preset; may be repeated. Curves brought in are filed under it (else under paper)",
    )
    add(
        "--committed",
        action="store_true",
        help="write only what is committed of a report: REPORT.md, claims.json, figures as SVG and PNG, tables as CSV",
    )
    add(
        "--compare",
        nargs="+",
        default=[],
        metavar="SOURCE/NETWORK",
        help="show these networks on one axis, first of all, with their differences to the last that is named: "
        "local/myblock-56 reference/resnet-56; local/resnet-56+VARIANT for one with other settings than its preset",
    )
    add("--strict", action="store_true", help="exit with 1 if a claim is contradicted")
    add_options(result)
    return result


def _report(options: argparse.Namespace) -> int:
    sources = _sources(options.results, places.RESULTS / options.name if options.name else None)
    if options.import_curves or options.name:
        sources = _with_foreign(options, sources)
    # These bring pandas, scipy and matplotlib, which take seconds: a mistake in the command is told at once.
    from repro.site.build import build
    from repro.site.load import load
    from repro.site.output import replaced
    from repro.site.side_by_side import named

    gathered = load(sources, options.preset, places.reference().parent / places.ATTESTATIONS)
    compared = named(gathered.records, options.compare)
    with replaced(options.out) as folder:
        verdicts = build(gathered, folder, "committed" if options.committed else "pages", compared)
    runs = gathered.records.runs
    counts = {name: int((runs["source"] == name).sum()) or "none" for name in (source.name for source in sources)}
    # One that is asked for is named even if it is empty; the usual ones need not be there.
    told = [f"{count} {name}" for name, count in counts.items() if options.results or count != "none"]
    unreadable = f"; {len(gathered.troubles['unreadable'])} unreadable" if gathered.troubles["unreadable"] else ""
    front = options.out / ("REPORT.md" if options.committed else "index.html")
    print(printable(f"{front}: {len(runs)} runs ({', '.join(told)}){unreadable}"))
    if not (options.results or places.reference().is_dir()):
        print(places.NO_REFERENCE)
    failed = [verdict for verdict in verdicts if verdict.verdict == "contradicted" and options.strict]
    for verdict in failed:
        where = f"{verdict.source}, {verdict.data}, {verdict.preset}"
        print(f"repro.report: {verdict.id} is contradicted ({where}): {verdict.evidence}", file=sys.stderr)
    return int(bool(failed))


def _with_foreign(options: argparse.Namespace, sources: list[Source]) -> list[Source]:
    """Bring in foreign curves, and add their source."""
    from repro.records import Source
    from repro.records.foreign import bring_in, target_of

    if not (options.import_curves and options.name):
        raise UserError("--import-curves FILE.csv and --as NAME go together")
    folder = places.new_source(options.name)
    known = [source for source in sources if os.path.realpath(source.path) != os.path.realpath(folder)]
    if options.name in (source.name for source in known):
        raise UserError(f"--as {options.name}: there is a source of that name already, give another one")
    for preset in options.preset:
        if preset not in study.presets():
            raise unknown("preset", preset, study.presets())
    preset = options.preset[0] if len(options.preset) == 1 else "paper"
    target = target_of(options, preset)
    for line in bring_in(options.import_curves, folder, target):
        print(printable(line))
    return [*known, Source(options.name, folder)]


def _sources(given: Sequence[str], coming: Path | None) -> list[Source]:
    """The results folders as asked for, or those of the working folder and the project's own.

    Args:
        coming: one that need not be there yet.

    Raises:
        UserError: two of one name, or a name that is not a plain word.
        RecordError: a folder that does not exist.
    """
    from repro.records import Source

    if not given:
        found = {path.name: path for path in places.RESULTS.glob("*") if path.is_dir()}
        found |= {"local": places.LOCAL, "reference": places.reference()}
        # Whoever has runs wants to see them before those of the project.
        order = sorted(found, key=lambda name: (name == "reference", name != "local", name))
        return [Source(name, found[name]) for name in order if places.is_name(name) and name != places.ATTESTATIONS]
    sources: list[Source] = []
    for text in given:
        name, sign, path = text.partition("=")
        try:
            if not sign or Path(text).is_dir():
                name, path = Path(os.path.realpath(text)).name, text
            is_coming = coming is not None and os.path.realpath(path) == os.path.realpath(coming)
            there = is_coming or Path(path).is_dir()
        except OSError:  # a name longer than any; a working folder that is gone
            there = False
        places.check_name(name, f"--results {text}", f"--results NAME={path}")
        if name in (source.name for source in sources):
            raise UserError(f"--results {text}: there are two sources {name!r}, give one as --results OTHER={path}")
        if not there:
            raise RecordError(f"--results {text}: there is no folder {path}")
        sources.append(Source(name, Path(path)))
    return sources


if __name__ == "__main__":
    # A notebook names its own backend to the programs that it starts; it need not be installed for this one.
    os.environ["MPLBACKEND"] = "agg"
    sys.exit(main())
