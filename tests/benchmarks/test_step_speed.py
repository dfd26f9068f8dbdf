"""The training step by depth: data, forward, backward, update; one thread, as when one run has one core."""

import bench_support
import pytest

from repro.measure.complexity import complexity
from repro.train.loop import train

#: Rounds by depth: a step of 1,202 layers takes a quarter of a minute.
ROUNDS = {20: 40, 32: 24, 44: 16, 56: 12, 110: 8, 1202: 3}
#: Bytes of a number between layers.
WIDTH = 4 if bench_support.ONE_THREAD.precision == "fp32" else 2


@pytest.mark.timeout(1200)
@pytest.mark.parametrize("depth", ROUNDS)
def test_step(benchmark, depth):
    network = f"resnet-{depth}"
    run, training, data = bench_support.begin(network)
    steps = (row for row in train(training, data, run, bench_support.ONE_THREAD) if row is None)
    benchmark.extra_info.update(
        about="step", network=network, depth=depth, **limits(network), precision=bench_support.ONE_THREAD.precision
    )
    benchmark.pedantic(next, args=(steps,), rounds=ROUNDS[depth], warmup_rounds=1 if depth > 200 else 3)
    assert training.state.iteration >= ROUNDS[depth]


def limits(network):
    """Floating-point operations and least bytes of a step.

    Operations: of the convolutions and the classifier, two per multiply-add, forward, and backward for the weights and
    for the layer's input, which the first layer's has no need of. Bytes: each convolution's output and its gradient in
    the step's precision, written once and read once, and the output read once more going backward; each weight, its
    gradient and its momentum in 32 bits, read and written once.
    """
    cost = complexity(network)
    first = cost.layers[0].macs
    operations = bench_support.BATCH * 2 * (3 * cost.macs - first)
    maps = sum(outputs(layer) for layer in cost.layers if layer.macs and layer.name != "fc")
    return {"operations": operations, "bytes": bench_support.BATCH * maps * WIDTH * 5 + cost.parameters * 4 * 6}


def outputs(layer):
    """Numbers in a convolution's output for one image: multiply-adds are weights times output pixels."""
    pixels = layer.macs // layer.parameters
    width = {32: 16, 16: 32, 8: 64}[round(pixels**0.5)]
    return pixels * width
