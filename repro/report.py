"""python -m repro.report: writes the report from results folders. It parses, loads and renders; no logic of its own."""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Sequence
from pathlib import Path

from repro import study
from repro.errors import RecordError, UserError, unknown
from repro.records import Source
from repro.site.build import build
from repro.site.load import load
from repro.site.output import replaced

ROOT = Path(__file__).resolve().parent.parent
DEFAULT_SOURCES = ("reference", "local")


def main(argv: Sequence[str] | None = None) -> int:
    """Write a report; give the exit status."""
    try:
        options = parser().parse_args(argv)
        sources = _sources(options.results)
        for preset in options.preset:
            if preset not in study.presets():
                raise unknown("preset", preset, study.presets())
        evidence = load(sources, options.preset)
        with replaced(options.out) as folder:
            build(evidence, folder)
    except UserError as error:
        print(f"repro.report: {error}", file=sys.stderr)
        return error.status
    runs = evidence.records.runs
    counts = ", ".join(f"{count} {name}" for name, count in runs["source"].value_counts(sort=False).items())
    damaged = f"; {len(evidence.records.damaged)} damaged" if evidence.records.damaged else ""
    print(f"{options.out / 'index.html'}: {len(runs)} runs ({counts}){damaged}")
    return 0


def parser() -> argparse.ArgumentParser:
    """The command's arguments."""
    result = argparse.ArgumentParser(
        prog="python -m repro.report",
        description="Write the report: the paper's figures and tables beside those of the runs at hand.",
    )
    result.add_argument(
        "--results",
        action="append",
        default=[],
        metavar="D | NAME=D",
        help="a results folder, by default under its own name; may be repeated "
        "(default: results/reference and results/local of this project)",
    )
    result.add_argument(
        "--out", type=Path, default=ROOT / "reports", metavar="D", help="the report's folder (default: reports/)"
    )
    result.add_argument(
        "--preset", action="append", default=[], metavar="NAME", help="only runs of this preset; may be repeated"
    )
    return result


def _sources(given: Sequence[str]) -> list[Source]:
    """The results folders as asked for, or the project's own.

    Raises:
        UserError: two of one name, or a name that is not a plain word.
        RecordError: a folder that does not exist.
    """
    if not given:
        return [Source(name, ROOT / "results" / name) for name in DEFAULT_SOURCES]
    sources: list[Source] = []
    for text in given:
        name, sign, path = text.partition("=")
        if not sign or Path(text).is_dir():
            name, path = Path(text).resolve().name, text
        if not re.fullmatch(r"\w[\w .+-]{0,39}", name) or name == "paper":
            raise UserError(f"--results {text}: {name!r} cannot name a source, give --results NAME={path}")
        if name in (source.name for source in sources):
            raise UserError(f"--results {text}: there are two sources {name!r}, give one as --results OTHER={path}")
        if not Path(path).is_dir():
            raise RecordError(f"--results {text}: there is no folder {path}")
        sources.append(Source(name, Path(path)))
    return sources


if __name__ == "__main__":
    sys.exit(main())
