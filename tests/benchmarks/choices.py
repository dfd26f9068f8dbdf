"""What each choice of ours gives: the step of a network on one batch, from the common way to ours, all cores at work.

    python choices.py NETWORK

Prints JSON: seconds of a step by name. The allocator comes last because it stays.
"""

from __future__ import annotations

import itertools
import json
import statistics
import sys
import time
from contextlib import nullcontext

import torch
import torch.nn.functional as F

from repro.models import build
from repro.train.allocator import keep_memory

SECONDS, LEAST = 1.0, 4


def step_seconds(network, precision, memory_format, fused):
    net = build(network).to(memory_format=memory_format)
    x = torch.randn(128, 3, 32, 32).contiguous(memory_format=memory_format)
    y = torch.arange(128) % 10
    optimiser = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9, weight_decay=1e-4, fused=fused)
    ends = []
    while len(ends) < LEAST + 2 or ends[-1] - ends[1] < SECONDS:
        with torch.autocast("cpu", torch.bfloat16) if precision == "bf16" else nullcontext():
            logits = net(x)
        F.cross_entropy(logits.float(), y).backward()
        optimiser.step()
        optimiser.zero_grad()
        ends.append(time.perf_counter())
    # The first of all is not among the intervals, and neither is the second.
    return statistics.median(after - before for before, after in itertools.pairwise(ends[1:]))


def main():
    network = sys.argv[1]
    nchw, last = torch.contiguous_format, torch.channels_last
    found = {
        "fp32, NCHW": step_seconds(network, "fp32", nchw, fused=False),
        "fp32, channels last": step_seconds(network, "fp32", last, fused=False),
        "bf16, NCHW": step_seconds(network, "bf16", nchw, fused=False),
        "bf16, channels last": step_seconds(network, "bf16", last, fused=False),
        "and SGD fused": step_seconds(network, "bf16", last, fused=True),
    }
    if keep_memory():
        found["and freed memory kept"] = step_seconds(network, "bf16", last, fused=True)
    print(json.dumps(found))


if __name__ == "__main__":
    main()
