"""Train as the program does, for a while, and tell how fast it went.

    python our_way.py NETWORK JOBS SECONDS DATA RESULTS

So many runs side by side, of one network with different seeds, the cores shared out among them; from the launcher to
the records on disk, with a row of the curve every 10 iterations. Prints JSON: images per second of all runs together
while all were training, and this process's peak of resident memory in GiB (with one job, that of the run).
"""

from __future__ import annotations

import argparse
import json
import re
import signal
import time
from pathlib import Path

from rich.console import Console

from repro.launch.display import Display, progress
from repro.launch.local import Here, launcher
from repro.launch.options import Options
from repro.launch.scheduler import Scheduler
from repro.launch.stop import Stop
from repro.records import RunFolder
from repro.study import Study
from repro.train.precision import cores
from repro.train.ranks import ALONE


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("network")
    parser.add_argument("jobs", type=int)
    parser.add_argument("seconds", type=float)
    parser.add_argument("data", type=Path)
    parser.add_argument("results", type=Path)
    arguments = parser.parse_args()
    study = Study("speed", "speed", "", "", "", networks=(arguments.network,))
    plan = study.runs("short", seeds=range(arguments.jobs), settings={"log_every": 10, "evaluate_every": 1000})
    stop, seen = Stop(), {run.seed: [] for run in plan}
    options = Options(
        arguments.results,
        data_dir=arguments.data,
        default_threads=max(1, cores() // arguments.jobs),
        jobs=arguments.jobs,
    )

    class Watch(Display):
        """Notes when each row of a curve is seen, and stops once there is enough to tell a speed by."""

        def look(self):
            for run in plan:
                _, rows = progress(RunFolder(arguments.results, run))
                times = seen[run.seed]
                if rows and (not times or times[-1][1] < rows[-1].iteration):
                    times.append((time.perf_counter(), rows[-1].iteration))
            if all(seen.values()):
                shared = time.perf_counter() - max(times[0][0] for times in seen.values())
                if shared >= arguments.seconds and not stop.signal:
                    stop(signal.SIGTERM)

    watch = Watch(Console(quiet=True), options, len(plan), stop)
    here = Here(options, stop, ALONE, watch.look)
    with launcher(options, plan[0].data) as places:
        Scheduler(here if arguments.jobs == 1 else places, options, watch, stop).carry_out(plan, arguments.jobs)
    print(json.dumps({"images_per_second": rate(list(seen.values())), "peak": peak()}))


def rate(runs):
    """Images per second of all runs together, over the time in which all were training."""
    begin, end = max(times[0][0] for times in runs), min(times[-1][0] for times in runs)
    total = 0.0
    for times in runs:
        (first, one), *_, (last, other) = [(at, iteration) for at, iteration in times if begin <= at <= end]
        total += (other - one) * 128 / (last - first)
    return total


def peak():
    """GiB; None where /proc does not tell. The operating system's own figure may be that of the parent process."""
    try:
        return int(re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())[1]) / 2**20
    except OSError:
        return None


if __name__ == "__main__":
    main()
