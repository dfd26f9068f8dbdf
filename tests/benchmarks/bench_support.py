"""What the benchmarks share: made-up data, a run on it, and other processes."""

from __future__ import annotations

import io
import json
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from PIL import Image

from repro.data.dataset import Dataset
from repro.study import preset_run
from repro.train import begin as beginning
from repro.train.precision import Numerics, best_precision

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
ONE_THREAD = Numerics("cpu", best_precision("cpu"), 1)
BATCH = 128


def noise(images):
    """CIFAR-10 as far as speed goes, with so many images in each set."""
    pixels = torch.randint(0, 256, (images, 3, 32, 32), dtype=torch.uint8)
    labels = torch.arange(images) % 10
    return Dataset("cifar10", pixels, labels, pixels, labels, tuple("0123456789"), 4, True, "noise")


def begin(network, numerics=ONE_THREAD, images=2_000):
    """A run of the preset "short" before its first iteration: the run, its training and its data."""
    run = preset_run("short", network, 0)
    return run, *beginning.begin(run, noise(images), numerics)


def write_cifar(folder):
    """60,000 images of noise (1,000 of them different) as parquet files of PNG, in the columns of the hub."""
    random = np.random.default_rng(0)
    pictures = []
    for pixels in random.integers(0, 256, (1_000, 32, 32, 3), dtype=np.uint8):
        stream = io.BytesIO()
        Image.fromarray(pixels).save(stream, "png")
        pictures.append({"bytes": stream.getvalue(), "path": "noise.png"})
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    for split, times in (("train", 50), ("test", 10)):
        image = pa.array(pictures * times, kind)
        label = pa.array(np.arange(1_000 * times) % 10, pa.int64())
        pq.write_table(pa.table({"img": image, "label": label}), folder / f"{split}-00000-of-00001.parquet")
    return folder


def command(*arguments, timeout=600):
    """Run Python on these arguments and give what it prints.

    Raises:
        AssertionError: it fails; with the end of what it said.
    """
    words = [sys.executable, *map(str, arguments)]
    result = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=timeout)
    assert result.returncode == 0, result.stderr[-2000:] or result.stdout[-2000:]
    return result.stdout


def script(name, *arguments):
    """Run a script of this folder and give the JSON of its last line."""
    return json.loads(command(HERE / name, *arguments).splitlines()[-1])


def our_way(network, jobs, seconds, data, results):
    """Train by the command for a while: so many runs side by side, of one network with different seeds.

    Gives images per second of all runs together while all were training, by the rows of their curves; and the peak of
    resident memory of the command's process, in which a single run trains, in GiB (None where /proc does not tell).
    """
    plan = ["degradation", "--preset", "short", "--only", network, "--seeds", f"0-{jobs - 1}", "--jobs", jobs]
    cadence = ["--set", "log_every=5", "--set", "evaluate_every=1000"]
    words = ["-m", "repro.run", *plan, *cadence, "--data-dir", data, "--results", results]
    seen = {}
    with subprocess.Popen([sys.executable, *map(str, words)], cwd=ROOT, stdout=subprocess.DEVNULL) as process:
        while len(seen) < jobs or time.perf_counter() < enough(seen, seconds):
            assert process.poll() is None
            for path in results.glob("**/curve.csv"):
                rows = path.read_text().count("\n") - 1
                times = seen.setdefault(path, []) if rows > 0 else [(0.0, 0)]
                if not times or times[-1][1] < 5 * rows:
                    times.append((time.perf_counter(), 5 * rows))
            time.sleep(0.02)
        status = Path(f"/proc/{process.pid}/status")
        peak = re.search(r"VmHWM:\s+(\d+) kB", status.read_text()) if status.exists() else None
        process.send_signal(signal.SIGTERM)
    return rate(list(seen.values())), int(peak[1]) / 2**20 if peak else None


def enough(seen, seconds):
    """When all will have trained together for so long, and each have shown three rows."""
    if min(map(len, seen.values())) < 3:
        return float("inf")
    return max(times[0][0] for times in seen.values()) + seconds


def rate(runs):
    """Images per second of all runs together, over the time in which all were training."""
    begin, end = max(times[0][0] for times in runs), min(times[-1][0] for times in runs)
    total = 0.0
    for times in runs:
        (first, one), *_, (last, other) = [(at, iteration) for at, iteration in times if begin <= at <= end]
        total += (other - one) * BATCH / (last - first)
    return total
