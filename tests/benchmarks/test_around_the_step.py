"""What a run does besides its steps, on ResNet-20 with one thread: where the step is quickest, it weighs the most."""

from pathlib import Path

import bench_support
import pytest
import torch

from repro.data.augment import Crops
from repro.measure.course import health
from repro.measure.responses import responses
from repro.records import RunFolder
from repro.train import checkpoint
from repro.train.evaluate import evaluate
from repro.train.loop import measure, train
from repro.train.randomness import generator, order
from repro.train.ranks import Ranks

NUMERICS = bench_support.ONE_THREAD
#: Images that a pass over 10,000 is measured on.
SOME = 2_000


@pytest.fixture(scope="module")
def begun():
    """A run after two iterations: there are momentum and a sum of losses."""
    run, training, data = bench_support.begin("resnet-20", images=SOME)
    steps = (row for row in train(training, data, run, NUMERICS) if row is None)
    next(steps), next(steps)
    return run, training, data


def about(benchmark, what, per):
    """What is measured, and how often a run does it: see `speed_page.SHARES`."""
    benchmark.extra_info.update(about="around", what=what, per=per)


def test_augmentation(benchmark):
    run, _, data = bench_support.begin("resnet-20", images=50_000)
    indices = order(run.seed, len(data.images))
    iteration = iter(range(10**6))

    def batch():
        i = next(iteration)
        return data.batch(indices(i, 128), Crops.draw(128, data.pad, data.flip, generator("augment", 0, i)))

    about(benchmark, "images drawn, cropped and mirrored", "iteration")
    x, _ = benchmark.pedantic(batch, rounds=100, warmup_rounds=5)
    assert x.shape == (128, 3, 32, 32)


def test_row(benchmark, begun, tmp_path):
    run, training, data = begun
    folder = RunFolder(tmp_path, run)
    folder.path.mkdir(parents=True)

    def row():
        training.state.since = 1
        folder.append(measure(training, data, run, NUMERICS, 0.1, Ranks()))

    about(benchmark, "a row of the curve", "row")
    benchmark.pedantic(row, rounds=100, warmup_rounds=5)


def test_checkpoint(benchmark, begun, tmp_path):
    run, training, _ = begun
    path = Path(tmp_path / "checkpoint.pt")
    about(benchmark, "a checkpoint", "minute")
    kept = {"record": {}, "tables": {"curve.csv": "0,1,2,3,4,5,6,7\n" * 1000}}
    benchmark.pedantic(checkpoint.save, args=(path, run.hash, training, kept), rounds=20, warmup_rounds=2)


def test_evaluation(benchmark, begun):
    _, training, data = begun
    about(benchmark, "the test error, of 10,000 images", "evaluation")
    benchmark.extra_info.update(scale=10_000 / SOME)
    benchmark.pedantic(lambda: evaluate(training.net, data.batches("test"), NUMERICS), rounds=5, warmup_rounds=1)


def test_responses(benchmark, begun):
    _, training, data = begun

    def measured():
        with NUMERICS.autocast():
            return responses(training.net, (x for x, _ in data.batches("test")))

    about(benchmark, "the responses, on 10,000 images", "run")
    benchmark.extra_info.update(scale=10_000 / SOME)
    assert len(benchmark.pedantic(measured, rounds=3, warmup_rounds=1)) == 19


def test_clean_training_error(benchmark, begun):
    _, training, data = begun
    about(benchmark, "the training error without augmentation, of 50,000 images", "run")
    benchmark.extra_info.update(scale=50_000 / SOME)
    benchmark.pedantic(lambda: evaluate(training.net, data.batches("train"), NUMERICS), rounds=3, warmup_rounds=1)


def test_health(benchmark, begun, tmp_path):
    run, training, data = begun
    folder = RunFolder(tmp_path, run)
    folder.path.mkdir(parents=True)
    about(benchmark, "a look at the health of the signals", "checkup")
    benchmark.pedantic(lambda: folder.add_health(health(training, data, run, NUMERICS)), rounds=5, warmup_rounds=1)
    assert torch.isfinite(training.state.loss_sum)
