"""The same bits again: in another process, after a stop, from the command line, and on two GPUs."""

import csv
import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from on_device import DEVICE, precisions

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = Path(__file__).with_name("on_device.py")
NETWORK = "resnet-20"
COMMAND = [
    *("-m", "repro.run", "degradation", "--only", NETWORK, "--device", DEVICE, "--threads", "1"),
    *("--set", "schedule.iterations=60", "--set", "log_every=5", "--set", "evaluate_every=20"),
]

pytestmark = pytest.mark.skipif(DEVICE == "mps", reason="of CUDA alone")


def python(*arguments, status=0):
    words = [sys.executable, *map(str, arguments)]
    result = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=600)
    assert result.returncode == status, result.stderr[-3000:] or result.stdout[-3000:]
    return result.stdout


def records(folder):
    return {path.parent: json.loads(path.read_text()) for path in sorted(Path(folder).rglob("run.json"))}


def weights(folder):
    return [record["weights_sha256"] for record in records(folder).values()]


def curve(folder):
    (path,) = Path(folder).rglob("curve.csv")
    with path.open() as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("precision", precisions())
def test_two_processes_and_a_stop_give_the_same_bits(precision, tmp_path):
    whole, again = (python(SCRIPT, DEVICE, precision, 30) for _ in range(2))
    assert whole == again
    checkpoint = tmp_path / "checkpoint.pt"
    assert python(SCRIPT, DEVICE, precision, 10, checkpoint) != whole
    assert python(SCRIPT, DEVICE, precision, 30, checkpoint) == whole


def test_a_run_that_is_ended_and_carried_on_has_the_same_bits(tmp_path):
    python(*COMMAND, "--seeds", 0, "--results", tmp_path / "undisturbed")
    command = [sys.executable, *COMMAND, "--seeds", "0", "--results", str(tmp_path / "ended")]
    process = subprocess.Popen([*command, "--checkpoint-every", "0"], cwd=ROOT, stdout=subprocess.DEVNULL)
    while process.poll() is None and not list((tmp_path / "ended").rglob("checkpoint.pt")):
        time.sleep(0.01)
    process.send_signal(signal.SIGTERM)
    assert process.wait() in (143, 0)  # 0: it was faster
    python(*COMMAND, "--seeds", 0, "--results", tmp_path / "ended")
    assert weights(tmp_path / "ended") == weights(tmp_path / "undisturbed")
    assert curve(tmp_path / "ended") == curve(tmp_path / "undisturbed")


def test_two_jobs_give_the_bits_of_one(tmp_path):
    for jobs in (1, 2):
        python(*COMMAND, "--seeds", "0-1", "--jobs", jobs, "--results", tmp_path / str(jobs))
    assert len(weights(tmp_path / "1")) == 2 and weights(tmp_path / "2") == weights(tmp_path / "1")


def test_two_gpus_give_what_one_gives(tmp_path, cuda):
    """NCCL refuses two ranks on one device, so that they have one each."""
    if torch.cuda.device_count() < 2:
        pytest.skip("there is one GPU")
    command = [*COMMAND, "--seeds", "0", "--precision", "fp32", "--stop-at", "5", "--set", "model.norm_shares=2"]
    python(*command, "--results", tmp_path / "one")
    torchrun = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")
    python(*torchrun, *command, "--results", tmp_path / "two")
    one, two = (curve(tmp_path / each)[0]["train_loss"] for each in ("one", "two"))
    assert float(two) == pytest.approx(float(one), rel=1e-5)
