"""Networks of Table 1 on photographs, through the command: trained, stopped, killed and carried on, and reported."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from repro.records import read_curve
from repro.report import main as report
from repro.run import main

SYNSETS = [f"n{number:08}" for number in range(10)]
WORDS = ["table-1", "--preset", "imagenette", "--only", "plain-18", "--precision", "fp32", "--jobs", "1"]
WORDS += ["--threads", "1"]
#: Of 30 photographs, so that iteration 3 of 8 holds the end of an epoch and the beginning of the next.
SMALL = {"model.width": 4, "images.crop": 32, "images.shorter_side": [33, 48], "optimiser.batch_size": 8}
FEW = {"schedule.iterations": 10, "log_every": 1, "evaluate_every": 5}


def photograph(seed):
    """Noise of some size, smoothed."""
    numbers = np.random.default_rng(seed)
    height, width = numbers.integers(30, 60, 2)
    return Image.fromarray(numbers.integers(0, 256, (5, 5, 3), dtype=np.uint8)).resize((width, height))


def write(root):
    """Ten classes of three photographs to train on and one to test on: grey, CMYK, PNG-named-JPEG and rotated ones."""
    for label, synset in enumerate(SYNSETS):
        for split, count in (("train", 3), ("val", 1)):
            folder = root / split / synset
            folder.mkdir(parents=True)
            for number in range(count):
                photograph(100 * label + number).save(folder / f"{split}_{number}.JPEG", "JPEG")
    train = root / "train"
    photograph(1).convert("L").save(train / SYNSETS[0] / "train_0.JPEG", "JPEG")
    photograph(2).convert("CMYK").save(train / SYNSETS[1] / "train_1.JPEG", "JPEG")
    photograph(3).save(train / SYNSETS[2] / "train_2.JPEG", "PNG")
    exif = Image.Exif()
    exif[0x0112] = 6
    photograph(4).save(train / SYNSETS[3] / "train_0.JPEG", "JPEG", exif=exif)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "data")
    return tmp_path / "data"


def settings(**more):
    pairs = SMALL | FEW | more
    return [word for key, value in pairs.items() for word in ("--set", f"{key}={json.dumps(value)}")]


def train(folder, results, *words):
    """Train a small network; gives the folder of its run."""
    assert main([*WORDS, *settings(), "--data-dir", str(folder), "--results", results, *words]) == 0
    return next(Path(results).glob("imagenette/imagenette/plain-18+*/seed-0"))


def record(folder):
    return json.loads((folder / "run.json").read_text())


def test_a_run_on_photographs_is_recorded_and_reported(folder):
    done = train(folder, "results")
    found = record(done)
    assert found["status"] == "complete" and found["data"]["train_images"] == 30 and found["data"]["test_images"] == 10
    assert found["data"]["shape"] == [3, 32, 32]
    curve = read_curve(done / "curve.csv")
    assert [row.iteration for row in curve] == list(range(1, 11))
    assert curve[3].epoch == pytest.approx(4 * 8 / 30)
    assert found["final"]["test_error"] == curve[-1].test_error
    assert len(found["wrong_test_images"]) == 4
    assert report(["--results", "results", "--out", "pages"]) == 0
    assert "Imagenette" in Path("pages/REPORT.md").read_text()


def test_a_run_that_was_stopped_in_the_middle_of_an_epoch_comes_to_the_same_bits(folder):
    whole = train(folder, "whole")
    train(folder, "parts", "--stop-at", "5", "--workers", "2")
    parts = train(folder, "parts")
    one, other = record(whole), record(parts)
    assert one["weights_sha256"] == other["weights_sha256"]
    assert one["data"] == other["data"]
    assert [(session["from"], session["to"]) for session in other["sessions"]] == [(0, 5), (5, 10)]
    for file in ("health.csv", "responses.csv"):
        assert (whole / file).read_bytes() == (parts / file).read_bytes()
