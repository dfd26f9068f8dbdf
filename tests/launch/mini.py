"""A study that trains in seconds, and what of its results must be the same to the bit wherever it trained."""

import csv
from pathlib import Path

import torch

ROOT = Path(__file__).resolve().parents[2]

STUDY = """
title = "Small nets"
question = "Do they train alike here and there?"
expected = "They do."
paper = "none"
networks = ["plain-8", "resnet-8", "resnet-1202"]
seeds = [{seeds}]
[settings]
"schedule.iterations" = {iterations}
"optimiser.batch_size" = {batch_size}
"""


def write_study(folder, iterations, seeds="0, 1", batch_size=64):
    """Its path. A study of which not all networks are asked for ends without an estimate of its real cost."""
    path = folder / "mini.toml"
    path.write_text(STUDY.format(iterations=iterations, seeds=seeds, batch_size=batch_size))
    return path


def bits(results):
    """By run: the curve without its seconds, which are a clock's, the other tables, and the weights' bytes."""
    found = {}
    for path in sorted(results.glob("**/run.json")):
        folder = path.parent
        with (folder / "curve.csv").open() as file:
            curve = [{k: v for k, v in row.items() if k != "seconds"} for row in csv.DictReader(file)]
        model = torch.load(folder / "checkpoint.pt", weights_only=True)["model"]
        weights = {name: value.numpy().tobytes() for name, value in model.items()}
        tables = [(folder / name).read_bytes() for name in ("responses.csv", "health.csv")]
        found[folder.relative_to(results).as_posix()] = curve, weights, tables
    return found
