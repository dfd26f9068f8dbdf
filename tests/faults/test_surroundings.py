"""What goes wrong around a run: the memory, the images, the numbers themselves."""

from pathlib import Path

import commands
import numpy as np
import pytest
import torch
from PIL import Image
from runs import assert_same_bits, bits, folder_of, runs, write_study

from repro.data import cifar10
from repro.data.pixels import CLASSES
from repro.launch import attempt
from repro.launch.failure import out_of_memory, reason
from repro.records import RunFolder, read_curve
from repro.run import main

# The numbers


def test_a_loss_that_is_none_ends_the_run_and_keeps_its_record(tmp_path, undisturbed, capsys):
    """With a learning rate beyond all bounds; the other variant goes on."""
    study = Path(write_study(tmp_path))
    study.write_text(study.read_text() + "[[variants]]\nschedule.lr = 1e30\n[[variants]]\n")
    words = commands.arguments(str(study), tmp_path / "results", "--only", "resnet-8")
    assert main(words) == 1
    out = capsys.readouterr().out
    assert "Traceback" not in out
    wild, tame = (RunFolder(tmp_path / "results", run) for run in runs(str(study), "resnet-8"))
    record = commands.record(wild)
    assert record["status"] == "diverged"
    assert record["error"] == f"the loss is nan at iteration {record['iteration']}"
    assert out.count(f"diverged: {record['error']}") == 1
    assert np.isnan(read_curve(wild.curve_path)[-1].train_loss)
    assert commands.record(tame)["status"] == "complete"
    assert bits(tmp_path / "results") == bits(undisturbed, "resnet-8")

    before = wild.record_path.read_bytes()
    assert main(words) == 1
    assert "diverged before: the loss is nan" in capsys.readouterr().out
    assert wild.record_path.read_bytes() == before


# Memory

ERRORS = {
    "torch on a GPU": torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."),
    "torch on the CPU": RuntimeError(
        "[enforce fail at alloc_cpu.cpp:127] err == 0. DefaultCPUAllocator: can't allocate memory: you tried "
        "to allocate 68719476736 bytes. Error code 12 (Cannot allocate memory)"
    ),
    "Apple": RuntimeError("MPS backend out of memory (MPS allocated: 8 GB)"),
    "numpy": np._core._exceptions._ArrayMemoryError((10**6, 10**6), np.dtype("f4")),
}


@pytest.mark.parametrize("error", ERRORS.values(), ids=ERRORS.keys())
def test_errors_that_tell_of_memory_that_ran_out(error):
    assert out_of_memory(error)
    assert reason(error, Path()).startswith("out of memory (")


@pytest.mark.parametrize(
    ("error", "told"), [(MemoryError(), "out of memory ("), (KeyError("surprise"), "KeyError: 'surprise' (details in")]
)
def test_an_error_fails_one_run_and_the_next_start_carries_on(
    error, told, study, undisturbed, tmp_path, monkeypatch, capsys
):
    """One that nobody foresaw is kept with where it happened."""
    really = attempt.train

    def broken(training, data, run, *more, **options):
        for row in really(training, data, run, *more, **options):
            yield row
            if training.state.iteration == 17 and run.network == "plain-8":
                raise error

    monkeypatch.setattr(attempt, "train", broken)
    assert main([*commands.arguments(study, tmp_path), "--checkpoint-every", "0"]) == 1
    out = capsys.readouterr().out
    assert "Traceback" not in out and out.count(f"failed: {told}") == 1
    folder = folder_of(study, tmp_path, "plain-8")
    record = commands.record(folder)
    assert record["status"] == "failed" and record["error"].startswith(told[:10])
    where = record["traceback"]
    assert where is None if isinstance(error, MemoryError) else "in broken" in where
    monkeypatch.undo()
    assert main(commands.arguments(study, tmp_path)) == 0
    assert "carries on from iteration 17" in capsys.readouterr().out
    assert "traceback" not in commands.record(folder)
    assert_same_bits(tmp_path, undisturbed)


# The images


@pytest.fixture
def pictures(tmp_path, monkeypatch):
    """Twenty training and ten test images, and how to write them."""
    monkeypatch.setattr(cifar10, "TRAIN_PER_CLASS", 2)
    monkeypatch.setattr(cifar10, "TEST_PER_CLASS", 1)
    place = tmp_path / "pictures"

    def write(seed):
        chance = np.random.default_rng(seed)
        for split, count in (("train", 2), ("test", 1)):
            for name in CLASSES:
                (place / split / name).mkdir(parents=True, exist_ok=True)
                for number in range(count):
                    pixels = chance.integers(0, 256, (32, 32, 3), dtype=np.uint8)
                    Image.fromarray(pixels).save(place / split / name / f"{number}.png")
        return place

    write(0)
    return write


def on_pictures(tmp_path, study, results, *more):
    small = ("--only", "resnet-8", "--data", "cifar10", "--data-dir", str(tmp_path / "pictures"))
    return [*commands.arguments(study, results, *small), "--set", "optimiser.batch_size=4", *more]


def test_images_that_vanish_between_two_starts(pictures, tmp_path, capsys):
    study = write_study(tmp_path)
    place = tmp_path / "pictures"
    assert main(on_pictures(tmp_path, study, tmp_path / "undisturbed")) == 0
    assert main(on_pictures(tmp_path, study, tmp_path / "results", "--stop-at", "12")) == 0
    (folder,) = {path.parent for path in (tmp_path / "results").rglob("run.json")}
    before = {path.name: path.read_bytes() for path in folder.iterdir()}

    def refused(told):
        capsys.readouterr()
        assert main(on_pictures(tmp_path, study, tmp_path / "results")) == 1
        out, err = capsys.readouterr()
        assert "Traceback" not in out + err
        assert len([line for line in (out + err).splitlines() if told in line]) == 1, out + err
        assert {path.name: path.read_bytes() for path in folder.iterdir()} == before

    next((place / "train" / "ship").iterdir()).unlink()
    refused("the training set has 19 images, not 20")
    pictures(seed=1)
    refused("was begun on other images than these: give the same ones to carry on")
    pictures(seed=0)
    assert main(on_pictures(tmp_path, study, tmp_path / "results")) == 0
    (one,), (other,) = ([*(tmp_path / name).rglob("curve.csv")] for name in ("results", "undisturbed"))
    assert [row.train_loss for row in read_curve(one)] == [row.train_loss for row in read_curve(other)]
