"""Training from the images to the records, ours against the common recipe, in turn so that both meet the same machine.

Each is a process of its own, timed within it after it has warmed up.
"""

import bench_support
import pytest

from repro.train.precision import cores

SECONDS, ROUNDS = 6, 3


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("network", ["resnet-20", "resnet-56"])
def test_against_the_common_recipe(benchmark, network, cifar, tmp_path):
    rates = {"common": [], "one": [], "several": []}

    def in_turn():
        found = bench_support.script("common_recipe.py", network, SECONDS)
        rates["common"].append(found["images"] / found["seconds"])
        for name, jobs in (("one", 1), ("several", cores())):
            results = tmp_path / f"{name}-{len(rates[name])}"
            found, _ = bench_support.our_way(network, jobs, SECONDS, cifar, results)
            rates[name].append(found)

    benchmark.pedantic(in_turn, rounds=ROUNDS)
    benchmark.extra_info.update(about="end to end", network=network, cores=cores(), rates=rates)


@pytest.mark.timeout(600)
def test_what_each_choice_gives(benchmark):
    found = []
    benchmark.pedantic(lambda: found.append(bench_support.script("choices.py", "resnet-20")), rounds=3)
    benchmark.extra_info.update(about="choices", network="resnet-20", threads=cores(), seconds=found)


@pytest.mark.timeout(600)
def test_memory(benchmark, cifar, tmp_path):
    words = ("resnet-110", 1, SECONDS, cifar, tmp_path)
    _, peak = benchmark.pedantic(bench_support.our_way, args=words, rounds=1)
    benchmark.extra_info.update(about="memory", network="resnet-110", peak=peak)
