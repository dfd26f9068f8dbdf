"""What the tests on a GPU share; as a script: a training in a process of its own, which prints what it came to.

    on_device.py DEVICE PRECISION LAST [CHECKPOINT]

trains resnet-20 on noise to iteration LAST, from the checkpoint if there is one, and leaves one there.
"""

from __future__ import annotations

import itertools
import os
import sys
import warnings
from pathlib import Path

import torch

from repro.data.dataset import Dataset
from repro.spec import override
from repro.study import preset_run
from repro.train import begin as beginning
from repro.train import checkpoint
from repro.train.graph import capture
from repro.train.loop import batch_of, train
from repro.train.precision import Numerics, best_precision


def _device():
    """cuda or mps, whichever is here, else None; or what REPRO_GPU_TESTS_ON says, to try the tests themselves."""
    if asked := os.environ.get("REPRO_GPU_TESTS_ON"):
        return asked
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else None


DEVICE = _device()
#: Images of a batch: the paper's, but where the tests themselves are tried on a CPU.
BATCH = 16 if DEVICE == "cpu" else 128


def numerics(precision="fp32", device=DEVICE):
    return Numerics(device, precision, 1)


def precisions():
    """fp32, and bf16 where the device has it (a CPU computes it in any case)."""
    return ["fp32", "bf16"] if DEVICE == "cpu" or (DEVICE and best_precision(DEVICE) == "bf16") else ["fp32"]


def noise(images=640):
    chance = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, (images, 3, 32, 32), dtype=torch.uint8, generator=chance)
    labels = torch.arange(images) % 10
    return Dataset("cifar10", pixels, labels, pixels[:100], labels[:100], tuple("0123456789"), 4, True, "noise")


def begin(network="resnet-20", how=None, captured="whole", **settings):
    """A run on noise before its first iteration: its training, its data and itself.

    Captured "whole", or the passes through the "net" alone, as where not all of an iteration can be, or None.
    """
    how = how or numerics()
    usual = {"optimiser.batch_size": BATCH, "log_every": 10**6, "evaluate_every": 10**6, "schedule.iterations": 10**6}
    run = override(preset_run("short", network, 0), usual | settings)
    training, data = beginning.begin(run, noise(), how)
    if captured == "whole":
        record(training, data, run, how)
    elif captured:
        training.forward, obstacle = capture(training.net.train(), batch_of(data, run, 0)[0], how)
        assert obstacle is None and (training.forward is not training.net) == (how.device == "cuda")
    return training, data, run


def record(training, data, run, how):
    """As a run begins: captured, which on CUDA must succeed."""
    assert beginning.capture_step(training, data, run, how) is None
    assert bool(training.whole) == (how.device == "cuda")


def iterate(training, data, run, how, times):
    for _ in itertools.islice(train(training, data, run, how), times):
        pass


def state(training):
    """All that training changes, on the CPU."""
    optimiser = training.optimiser.state_dict()["state"]
    momentum = [optimiser[key]["momentum_buffer"] for key in sorted(optimiser)]
    tensors = [*training.net.state_dict().values(), *momentum, training.state.loss_sum, training.state.wrong]
    return [tensor.detach().cpu().clone() for tensor in tensors]


def same(ours, theirs):
    return len(ours) == len(theirs) and all(map(torch.equal, ours, theirs))


def relative(found, expected):
    """Norm of the difference over the norm of what is expected."""
    found, expected = found.detach().cpu().double(), expected.detach().cpu().double()
    return ((found - expected).norm() / expected.norm()).item()


def _main(device, precision, last, path=None):
    warnings.filterwarnings("error", message=".*determinis")
    how = numerics(precision, device)
    training, data, run = begin(how=how, captured=None)
    if path:
        checkpoint.resume(Path(path), run.hash, training)
    record(training, data, run, how)
    iterate(training, data, run, how, int(last) - training.state.iteration)
    if path:
        checkpoint.save(Path(path), run.hash, training, {"record": {"hash": run.hash}, "tables": {}})
    print(checkpoint.weights_hash(training.net), *(tensor.double().sum().item().hex() for tensor in state(training)))


if __name__ == "__main__":
    _main(*sys.argv[1:])
