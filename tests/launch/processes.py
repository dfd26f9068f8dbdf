"""Starts commands as a user would, waits for what they do, and leaves none of their processes behind."""

import contextlib
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def begin(environment, words, *before):
    """`python -m repro.run` with these words, in a session of its own; another program may come before."""
    return subprocess.Popen(
        [sys.executable, "-m", *(before or ["repro.run"]), *map(str, words)],
        cwd=ROOT,
        env={**environment, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def wait_until(condition, process, seconds=600):
    """What the condition then is."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline
        assert process.poll() is None, process.communicate()[0]
        time.sleep(0.02)
    return found


def family(pid):
    """This process and all that it started, the oldest first."""
    parents = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            parents[int(path.parent.name)] = int(path.read_text().rsplit(")", 1)[1].split()[1])
        except OSError:
            continue
    found = [pid]
    for one in found:
        found += [child for child, parent in parents.items() if parent == one]
    return found


def under_way(pid, results):
    """The folders in these results of the runs that this process trains, in whichever folder it does."""
    place = Path(tempfile.gettempdir())  # a node of a cluster has one of its own there
    scratch = [*place.glob("repro-*/**/holder.lock"), *place.glob("*/repro-*/**/holder.lock")]
    found = []
    for claim in [*results.glob("**/holder.lock"), *scratch]:
        with contextlib.suppress(OSError, IndexError):
            if claim.read_text().split()[1] == str(pid):
                found.append(results / Path(*claim.parts[-5:-1]))  # these parts name the run
    return found


def trainers(pids, results, rows, least=0, besides=()):
    """Of these processes those that train a run of which this folder has a checkpoint and `least` to `rows` rows.

    Runs whose folders are `besides` do not count.
    """
    found = []
    for pid in pids:
        for run in under_way(pid, results):
            if (run / "checkpoint.pt").exists() and run not in besides:
                curve = run / "curve.csv"  # begun after the first rows, which the checkpoint may precede
                lines = curve.read_text().splitlines() if curve.exists() else []
                found += [pid] if least <= max(len(lines) - 1, 0) <= rows else []
    return found


def seize(find):
    """One of the processes that `find` gives, held still while it is still among them; None where there is none."""
    for pid in find():
        try:
            os.kill(pid, signal.SIGSTOP)
            if pid in find():
                return pid
            os.kill(pid, signal.SIGCONT)
        except ProcessLookupError:
            continue
    return None


def has_coming(number, pid):
    """Whether this process, if it is held still, will take that signal as soon as it goes on; or has done so."""
    try:
        status = dict(line.split(":\t", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    except OSError:  # it has ended
        return True
    pending = int(status["ShdPnd"], 16) | int(status["SigPnd"], 16)
    return not status["State"].startswith("T") or bool(pending >> (number - 1) & 1)


def let_go(pid):
    """Have a process that is held still go on, if it has not ended."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGCONT)


def kill(process):
    """With all its family, at once."""
    if process.poll() is None:
        for pid in family(process.pid):
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
    process.wait()


def seen_under_way(output, iterations):
    """The names of runs that the output told of before they had come to their end."""
    return set(re.findall(rf"(?m)^(.*): (?!{iterations}/)\d+/{iterations} loss", output))
