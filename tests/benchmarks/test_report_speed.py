"""The report from a hundred runs."""

import itertools

import bench_support
import pytest
from planted import plant

NETWORKS = [f"{family}-{depth}" for family in ("plain", "resnet") for depth in (20, 32, 44, 56, 110)]


@pytest.mark.timeout(900)
def test_report_of_a_hundred_runs(benchmark, tmp_path):
    results = tmp_path / "results"
    for seed, network in itertools.product(range(10), NETWORKS):
        plant(results, network, seed=seed, train_end=1 + seed / 10, responses=1.0, health=(0.5, 0.5))
    benchmark.extra_info.update(about="report", runs=10 * len(NETWORKS))

    def report():
        bench_support.command("-m", "repro.report", "--results", f"planted={results}", "--out", tmp_path / "report")

    benchmark.pedantic(report, rounds=2)
    assert (tmp_path / "report" / "index.html").is_file()
