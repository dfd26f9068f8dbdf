"""From the command to the first iteration: the whole command with --stop-at 1, which also writes and prints the end."""

import itertools

import bench_support
import pytest

CASES = {
    "degradation, demo, resnet-20": ("--preset", "demo", "--only", "resnet-20"),
    "degradation, short, resnet-20": ("--preset", "short", "--only", "resnet-20"),
    "degradation, short, resnet-110": ("--preset", "short", "--only", "resnet-110"),
}


@pytest.mark.timeout(900)
@pytest.mark.parametrize("case", CASES)
def test_start_up(benchmark, case, cifar, tmp_path):
    fresh = (tmp_path / str(number) for number in itertools.count())

    def start():
        arguments = (*CASES[case], "--data-dir", cifar, "--results", next(fresh))
        bench_support.command("-m", "repro.run", "degradation", *arguments, "--stop-at", "1")

    benchmark.extra_info.update(about="start-up", case=case)
    # Warm: all that is imported has been read by this process already.
    benchmark.pedantic(start, rounds=3)
