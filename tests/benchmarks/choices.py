"""What each choice of ours gives: the step of a network on one batch, from the common way to ours, all cores at work.

    python choices.py NETWORK

Prints JSON: seconds of a step by name. The allocator comes late because it stays. What was not chosen is last: the
whole net compiled, where there is a compiler, and bf16 where the processor has to emulate it.
"""

from __future__ import annotations

import itertools
import json
import shutil
import statistics
import sys
import time
from contextlib import nullcontext

import torch
import torch.nn.functional as F

from repro.models import build
from repro.train.allocator import keep_memory
from repro.train.precision import best_precision

SECONDS, LEAST = 1.0, 4


def step_seconds(network, precision="fp32", memory_format=torch.channels_last, fused=True, compiled=False):
    net = build(network).to(memory_format=memory_format)
    forward = torch.compile(net) if compiled else net
    x = torch.randn(128, 3, 32, 32).contiguous(memory_format=memory_format)
    y = torch.arange(128) % 10
    optimiser = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9, weight_decay=1e-4, fused=fused)
    ends = []
    while len(ends) < LEAST + 2 or ends[-1] - ends[1] < SECONDS:
        with torch.autocast("cpu", torch.bfloat16) if precision == "bf16" else nullcontext():
            logits = forward(x)
        F.cross_entropy(logits.float(), y).backward()
        optimiser.step()
        optimiser.zero_grad()
        ends.append(time.perf_counter())
    # The first of all is not among the intervals, and neither is the second.
    return statistics.median(after - before for before, after in itertools.pairwise(ends[1:]))


def main():
    network, best = sys.argv[1], best_precision("cpu")
    found = {
        "fp32, NCHW": step_seconds(network, memory_format=torch.contiguous_format, fused=False),
        "fp32, channels last": step_seconds(network, fused=False),
    }
    if best != "fp32":
        found[f"{best}, channels last"] = step_seconds(network, best, fused=False)
    found["and SGD fused"] = step_seconds(network, best)
    if keep_memory():
        found["and freed memory kept: ours"] = step_seconds(network, best)
    if shutil.which("g++"):
        found["not chosen: ours, compiled"] = step_seconds(network, best, compiled=True)
    if best != "bf16":
        found["not chosen: ours, in emulated bf16"] = step_seconds(network, "bf16")
    print(json.dumps(found))


if __name__ == "__main__":
    main()
