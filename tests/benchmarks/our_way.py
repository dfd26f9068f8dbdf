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

from repro.launch.execute import Options, Progress, Stop
from repro.launch.local import run_all
from repro.study import Study
from repro.train.precision import cores

WARM_UP = 5


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
    stop = Stop()
    seen: dict[int, list[tuple[float, int]]] = {run.seed: [] for run in plan}

    def tell(item):
        if not isinstance(item, Progress):
            return
        if item.iteration >= WARM_UP:
            seen[item.run.seed].append((time.perf_counter(), item.iteration))
        if (
            all(seen.values())
            and time.perf_counter() - max(times[0][0] for times in seen.values()) >= arguments.seconds
        ):
            stop(signal.SIGTERM)

    options = Options(results=arguments.results, default_threads=max(1, cores() // arguments.jobs))
    run_all(plan, options, ("cifar10", arguments.data), arguments.jobs, tell, stop)
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
