"""Studies of two small nets that train in seconds, and what of their results must be the same to the bit."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch

from repro.records import RunFolder
from repro.run import main
from repro.spec import Run
from repro.study import load

STUDY = """
title = "Small nets"
question = "Do they train alike, whatever happens?"
expected = "They do."
paper = "none"
networks = ["plain-8", "resnet-8"]
seeds = [{seeds}]
[settings]
{settings}
"""
#: What of a record says how a run was trained and what came of it.
EQUAL = ("spec", "hash", "iteration", "numerics", "data", "warm_up_ended", "final", "wrong_test_images")


def write_study(folder: Path, iterations: int = 30, seeds: str = "0", **settings: int) -> str:
    """An experiment file; gives its path."""
    path = folder / f"small-{iterations}.toml"
    settings = {"schedule.iterations": iterations, "log_every": 5, "evaluate_every": 10, **settings}
    lines = "\n".join(f'"{key}" = {value}' for key, value in settings.items())
    path.write_text(STUDY.format(seeds=seeds, settings=lines))
    return str(path)


def words(study: str, results: Path, *more: object, jobs: int | None = 1) -> list[str]:
    """Of a command that trains a study, at a precision that every machine has."""
    options = ["--threads", "1", "--precision", "fp32", "--device", "cpu", *(["--jobs", str(jobs)] if jobs else [])]
    return [study, "--results", str(results), *options, *map(str, more)]


def trained(place: Path, iterations: int, **more: Any) -> tuple[str, Path]:
    """A study, and its results on this machine when nothing goes wrong."""
    study = write_study(place, iterations, **more)
    assert main(words(study, place / "undisturbed")) == 0
    return study, place / "undisturbed"


def runs(study: str, network: str | None = None) -> list[Run]:
    return load(study).runs("demo", only=[network] if network else None)


def folder_of(study: str, results: Path, network: str) -> RunFolder:
    """That of the first seed."""
    return RunFolder(results, runs(study, network)[0])


def records(results: Path) -> list[dict[str, Any]]:
    return [json.loads(path.read_text()) for path in sorted(results.glob("**/run.json"))]


def bits(results: Path, network: str = "") -> dict[str, Any]:
    """By complete run: what its record says, its tables, and all that its checkpoint holds but times of day."""
    found = {}
    for path in results.glob(f"*/*/{network}*/*/run.json"):
        record = json.loads(path.read_text())
        if record["status"] != "complete":
            continue
        content = torch.load(path.with_name("checkpoint.pt"), weights_only=True)
        del content["kept"], content["state"]["seconds"]
        tables = [path.with_name(name).read_bytes() for name in ("curve.csv", "responses.csv", "health.csv")]
        found[path.parent.relative_to(results).as_posix()] = [record.get(key) for key in EQUAL], tables, plain(content)
    return found


def plain(value: Any) -> Any:
    """Without tensors, which have no plain equality."""
    if isinstance(value, torch.Tensor):
        return str(value.dtype), tuple(value.shape), value.contiguous().numpy().tobytes()
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    return [plain(item) for item in value] if isinstance(value, list | tuple) else value


def assert_same_bits(one: Path, other: Path, network: str = "") -> None:
    """The same runs are complete in both results folders, and equal; and nothing is left lying about."""
    assert bits(one, network) == bits(other, network) != {}
    assert not [*one.rglob(".*.tmp"), *one.rglob("holder.lock")]
