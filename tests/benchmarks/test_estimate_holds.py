"""What `--dry-run` says beside what the runs then take, side by side as the demo trains them."""

import json
import time
from datetime import datetime

import bench_support
import pytest

from repro.measure.cost import makespan, measure
from repro.study import load
from repro.train.precision import Numerics, best_precision, cores

NETWORKS = ["plain-44", "resnet-44"]


@pytest.mark.timeout(1800)
def test_estimate(benchmark, tmp_path):
    jobs = cores()
    plan = load("degradation").runs("demo", only=NETWORKS)
    numerics = Numerics("cpu", best_precision("cpu"), 1)
    estimated = [cost.of(run) for cost, run in zip(measure(plan, numerics), plan, strict=True)]
    arguments = ("--only", ",".join(NETWORKS), "--jobs", jobs, "--results", tmp_path)
    began = time.perf_counter()
    benchmark.pedantic(bench_support.command, args=("-m", "repro.run", "degradation", *arguments), rounds=1)
    whole = time.perf_counter() - began
    runs = [
        {"network": run.network, "estimated": seconds, "taken": taken(tmp_path / run.path / "run.json")}
        for run, seconds in zip(plan, estimated, strict=True)
    ]
    benchmark.extra_info.update(
        about="estimate", runs=runs, all={"estimated": makespan(estimated, jobs), "taken": whole}
    )


def taken(record):
    """Seconds from the beginning of a run to its end, by its record."""
    (session,) = json.loads(record.read_text())["sessions"]
    return (datetime.fromisoformat(session["ended"]) - datetime.fromisoformat(session["began"])).total_seconds()
