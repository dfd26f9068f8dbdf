"""Networks of Table 1 on photographs, through the command: trained, stopped, killed and carried on, and reported."""

import json
import os
import signal
import tarfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image
from processes import begin, family, kill, wait_until

from repro.data import load
from repro.data.table import DATA_SETS
from repro.evaluate import main as evaluate
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


def words(folder, results, *more, settings=FEW):
    pairs = (SMALL | settings).items()
    given = [word for key, value in pairs for word in ("--set", f"{key}={json.dumps(value)}")]
    return [*WORDS, *given, "--data-dir", str(folder), "--results", str(results), *more]


def train(folder, results, *more, settings=FEW):
    """Train a small network; gives the folder of its run."""
    assert main(words(folder, results, *more, settings=settings)) == 0
    return run_in(results)


def run_in(results, network="plain-18"):
    return next(Path(results).glob(f"imagenette/imagenette/{network}+*/seed-0"))


def record(folder):
    return json.loads((folder / "run.json").read_text())


def test_a_run_on_photographs_is_recorded_evaluated_and_reported(folder, capsys):
    done = train(folder, "results")
    found = record(done)
    assert found["status"] == "complete" and found["data"]["train_images"] == 30 and found["data"]["test_images"] == 10
    assert found["data"]["shape"] == [3, 32, 32]
    curve = read_curve(done / "curve.csv")
    assert [row.iteration for row in curve] == list(range(1, 11))
    assert curve[3].epoch == pytest.approx(4 * 8 / 30)
    assert found["final"]["test_error"] == curve[-1].test_error
    assert len(found["wrong_test_images"]) == 4
    assert found["data"]["statistics"]["crops"] == 30
    (session,) = found["sessions"]
    assert "are not those of Imagenette: has 30 photographs" in session["notes"][0]
    assert not any(str(folder) in note for note in session["notes"])
    capsys.readouterr()
    assert evaluate([str(done / "checkpoint.pt"), "--data-dir", str(folder)]) == 0
    told = capsys.readouterr().out
    assert f"{found['final']['test_error']:.2f} % (" in told and "trained on" not in told
    photograph(999).save(folder / "train" / SYNSETS[0] / "train_0.JPEG", "JPEG")
    assert evaluate([str(done / "checkpoint.pt"), "--data-dir", str(folder)]) == 0
    assert "(trained on other images than these)" in capsys.readouterr().out
    assert report(["--results", "results", "--out", "pages", "--committed"]) == 0
    assert "Imagenette" in Path("pages/REPORT.md").read_text()


@pytest.fixture
def whole(folder):
    """A run that nothing disturbed."""
    return train(folder, "whole")


def test_stopped_in_the_middle_of_an_epoch_or_beside_another_run_it_comes_to_the_same_bits(folder, whole):
    train(folder, "parts", "--stop-at", "5", "--workers", "2")
    parts = train(folder, "parts")
    one, other = record(whole), record(parts)
    assert one["weights_sha256"] == other["weights_sha256"]
    assert one["data"] == other["data"]
    assert [(session["from"], session["to"]) for session in other["sessions"]] == [(0, 5), (5, 10)]
    for file in ("health.csv", "responses.csv"):
        assert (whole / file).read_bytes() == (parts / file).read_bytes()
    train(folder, "beside", "--only", "plain-18,resnet-18", "--jobs", "2", "--workers", "1")
    assert record(run_in("beside", "resnet-18"))["status"] == "complete"
    assert record(run_in("beside"))["weights_sha256"] == one["weights_sha256"]


def test_a_photograph_that_is_damaged_ends_the_run_in_a_line(folder, capsys):
    damaged = folder / "train" / SYNSETS[4] / "train_1.JPEG"
    damaged.write_bytes(damaged.read_bytes()[:200])
    assert main(words(folder, "results")) == 1
    assert f"{damaged}: cannot be decoded" in capsys.readouterr().out


def test_copies_that_were_encoded_anew_are_told(folder, monkeypatch):
    def packed(split):
        """In an archive, but for the blocks that end it."""
        with tarfile.open(folder / "all.tar", "w", format=tarfile.USTAR_FORMAT) as archive:
            for path in sorted((folder / split).glob("*/*")):
                archive.add(path, path.name)
            return archive.offset

    row = replace(DATA_SETS["imagenette"], train_images=30, test_images=10, archives=(packed("train"), packed("val")))
    monkeypatch.setitem(DATA_SETS, "imagenette", row)
    assert load("imagenette", folder).notes == ()
    for path in (folder / "val").glob("*/*"):
        with Image.open(path) as image:
            image.copy().save(path, "JPEG", quality=10)
    (note,) = load("imagenette", folder).notes
    assert "its validation images are not those of Imagenette but copies" in note


def test_a_plan_says_how_fast_photographs_are_read_and_taken(folder, capsys):
    for where, told in (
        (folder, "1 worker read"),
        (folder / "elsewhere", "no photographs are here, or copied yet, to time reading by"),
    ):
        assert main(words(where, "results", "--dry-run", "--workers", "1")) == 0
        assert told in capsys.readouterr().out
    assert not Path("results").exists()


def test_crops_of_other_statistics_than_before_are_told(folder):
    stopped = train(folder, "parts", "--stop-at", "5")
    text = (stopped / "run.json").read_text()
    first = record(stopped)["data"]["statistics"]["pixel_mean_sha256"]
    (stopped / "run.json").write_text(text.replace(first, "0" * 64))
    *_, session = record(train(folder, "parts"))["sessions"]
    assert session["from"] == 5 and any("its crops have other statistics" in note for note in session["notes"])


def test_a_plan_copies_no_photographs_out_of_parquet_files_and_training_does(folder, tmp_path, capsys):
    hub = tmp_path / "hub"
    hub.mkdir()
    for split, name in (("train", "train"), ("val", "validation")):
        paths = sorted((folder / split).glob("*/*"))
        images = [{"bytes": path.read_bytes(), "path": path.name} for path in paths]
        labels = [SYNSETS.index(path.parent.name) for path in paths]
        pq.write_table(pa.table({"image": images, "label": labels}), hub / f"{name}-00000-of-00001.parquet")
    before = sorted(tmp_path.rglob("*"))
    assert main(words(hub, "results", "--dry-run")) == 0
    assert "copied yet, to time reading by" in capsys.readouterr().out
    assert sorted(tmp_path.rglob("*")) == before
    few = FEW | {"schedule.iterations": 5}
    one, other = record(train(hub, "results", settings=few)), record(train(folder, "loose", settings=few))
    assert one["weights_sha256"] == other["weights_sha256"]
    assert main(words(hub, "results", "--dry-run", settings=FEW)) == 0
    assert "between iterations the run reads" in capsys.readouterr().out


@pytest.mark.slow
def test_killed_in_the_middle_of_an_epoch_with_four_workers_and_carried_on(folder):
    many = FEW | {"schedule.iterations": 300, "evaluate_every": 300}
    whole = train(folder, "whole", settings=many)
    more = ("--workers", "4", "--checkpoint-every", "0")
    process = begin(os.environ, words(folder, Path("killed").resolve(), *more, settings=many))
    try:
        curve = wait_until(lambda: next(Path("killed").glob("**/curve.csv"), None), process)
        wait_until(lambda: len(curve.read_text().splitlines()) > 20, process)
        started = family(process.pid)
        os.kill(process.pid, signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
    finally:
        kill(process)
    assert len(started) >= 5, "itself and four workers"
    killed = train(folder, "killed", "--workers", "4", settings=many)
    at = record(killed)["sessions"][-1]["from"]
    assert 15 < at < 300 and at * 8 % 30, "in the middle of an epoch"
    assert record(killed)["weights_sha256"] == record(whole)["weights_sha256"]
    assert (killed / "curve.csv").read_bytes() == (whole / "curve.csv").read_bytes()
    while not all(map(ended, started)):  # workers look for their parent now and then
        time.sleep(0.1)


def ended(pid):
    """Also one whose parent has not yet asked how, as in a container that nobody tidies."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"
    except OSError:
        return True
