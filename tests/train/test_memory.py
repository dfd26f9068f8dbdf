"""A run of 110 layers fits into 3 GiB."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

#: An iteration of ResNet-110 as a run does it, in fp32, which takes the most; then the peak of resident memory.
ITERATIONS = """
import itertools, re
from pathlib import Path
import torch
from repro.data.dataset import Dataset
from repro.study import preset_run
from repro.train.begin import begin
from repro.train.loop import train
from repro.train.precision import Numerics

numerics = Numerics("cpu", "fp32", 1)
# As many images as CIFAR-10 has, all of them touched.
images, labels = torch.ones(50_000, 3, 32, 32, dtype=torch.uint8), torch.zeros(50_000, dtype=torch.int64)
classes = tuple("0123456789")
dataset = Dataset("cifar10", images, labels, images[:10_000].clone(), labels[:10_000], classes, 4, True, "made up")
run = preset_run("paper", "resnet-110", 0)
training, data = begin(run, dataset, numerics)
for _ in itertools.islice(train(training, data, run, numerics), 1):
    pass
print(re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1])
"""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the peak of a process is read from /proc")
def test_110_layers_need_no_more_than_3_gib():
    command = [sys.executable, "-c", ITERATIONS]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=200, check=True)
    peak = int(result.stdout) / 2**20
    # The feature maps that the backward pass needs are 1.5 GiB in fp32: less would mean that nothing was trained.
    assert 1.5 < peak < 3
