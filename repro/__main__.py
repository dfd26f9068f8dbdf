"""resnet-repro COMMAND …: as python -m repro.COMMAND …, for run, report, evaluate and attest; each has a --help."""

from __future__ import annotations

import runpy
import sys

from repro.errors import unknown
from repro.shell import command

COMMANDS = ("run", "report", "evaluate", "attest")


def main() -> None:
    """Carry out a command as a program of its own, which ends this one with its exit status."""
    if sys.argv[1:2] and sys.argv[1] in COMMANDS:
        runpy.run_module(f"repro.{sys.argv.pop(1)}", run_name="__main__", alter_sys=True)
    else:
        sys.exit(command("resnet-repro", lambda: _help(sys.argv[1:])))


def _help(words: list[str]) -> int:
    if words and words[0] not in ("-h", "--help"):
        raise unknown("command", words[0], COMMANDS)
    print(__doc__)
    return 0


if __name__ == "__main__":
    main()
