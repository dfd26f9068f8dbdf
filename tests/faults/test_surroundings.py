"""What goes wrong around a run: the clock, the memory, the images, the numbers themselves."""

import datetime
import itertools
import resource
import sys
import time
from pathlib import Path

import commands
import numpy as np
import pytest
import torch
from commands import Command, assert_same_bits
from PIL import Image

from repro import report
from repro.data import cifar10
from repro.data.pixels import CLASSES
from repro.launch import attempt, local
from repro.launch.failure import out_of_memory
from repro.launch.options import Options
from repro.launch.scheduler import Scheduler
from repro.launch.stop import Stop
from repro.records import RunFolder, Source, collect, read_curve
from repro.run import main
from repro.spec import Run

# The clock


def test_a_clock_that_goes_backwards_changes_nothing(study, undisturbed, tmp_path, monkeypatch, capsys):
    hours = itertools.count()

    class Backwards(datetime.datetime):
        @classmethod
        def now(cls, tz=None):
            return cls(2026, 1, 31, tzinfo=tz) - datetime.timedelta(hours=next(hours))

    monkeypatch.setattr(attempt.datetime, "datetime", Backwards)
    monkeypatch.setattr(time, "time", lambda: 1e9 - 3600 * next(hours))
    assert main([*commands.arguments(study, tmp_path), "--stop-at", "12"]) == 0
    assert main(commands.arguments(study, tmp_path)) == 0
    assert_same_bits(study, tmp_path, undisturbed)
    for run in commands.runs(study):
        record = commands.record(RunFolder(tmp_path, run))
        assert 0 < record["seconds"] < 3600
        sessions = record["sessions"]
        assert sessions[1]["began"] < sessions[0]["began"], "the clock did go backwards"
        assert [session["to"] for session in sessions] == [12, 30]


# The numbers


@pytest.mark.parametrize("jobs", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_a_loss_that_is_none_ends_the_run_and_keeps_its_record(jobs, tmp_path, undisturbed, capsys):
    """With a learning rate beyond all bounds; the other variant goes on."""
    study = tmp_path / "study.toml"
    study.write_text(commands.STUDY.format(iterations=30) + "[[variants]]\nschedule.lr = 1e30\n[[variants]]\n")
    words = commands.arguments(str(study), tmp_path / "results", "--only", "resnet-8", jobs=jobs)
    assert main(words) == 1
    out = capsys.readouterr().out
    assert "Traceback" not in out
    wild, tame = (RunFolder(tmp_path / "results", run) for run in commands.runs(str(study), "resnet-8"))
    record = commands.record(wild)
    assert record["status"] == "diverged"
    assert record["error"] == f"the loss is nan at iteration {record['iteration']}"
    assert record["sessions"][-1]["how"] == "diverged"
    assert out.count(f"diverged: {record['error']}") == 1
    assert np.isnan(read_curve(wild.curve_path)[-1].train_loss)
    assert commands.record(tame)["status"] == "complete"
    assert_same_bits(commands.study(tmp_path), tmp_path / "results", undisturbed, "resnet-8")

    before = wild.record_path.read_bytes()
    assert main(words) == 1
    assert "diverged before: the loss is nan" in capsys.readouterr().out
    assert wild.record_path.read_bytes() == before
    runs = collect([Source("here", tmp_path / "results")]).runs
    assert sorted(runs["status"]) == ["complete", "diverged"]


def test_a_diverging_run_that_was_stopped_diverges_at_the_same_iteration(tmp_path, capsys):
    study = commands.study(tmp_path)
    words = ["--only", "resnet-8", "--set", "schedule.lr=1e30"]
    assert main(commands.arguments(study, tmp_path / "one", *words)) == 1
    assert main([*commands.arguments(study, tmp_path / "two", *words), "--stop-at", "1"]) == 0
    assert main(commands.arguments(study, tmp_path / "two", *words)) == 1
    ends = [path.read_text().split('"error": "')[1].split('"')[0] for path in tmp_path.glob("*/digits/**/run.json")]
    assert len(ends) == 2
    assert ends[0] == ends[1]


# Memory

ERRORS = {
    "torch on a GPU": torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."),
    "torch on the CPU": RuntimeError(
        "[enforce fail at alloc_cpu.cpp:127] err == 0. DefaultCPUAllocator: can't allocate memory: you tried "
        "to allocate 68719476736 bytes. Error code 12 (Cannot allocate memory)"
    ),
    "torch on Windows": RuntimeError("[enforce fail] data. DefaultCPUAllocator: not enough memory: you tried to"),
    "Apple": RuntimeError("MPS backend out of memory (MPS allocated: 8 GB)"),
    "Python": MemoryError(),
    "numpy": np._core._exceptions._ArrayMemoryError((10**6, 10**6), np.dtype("f4")),
}


@pytest.mark.parametrize("error", ERRORS.values(), ids=ERRORS.keys())
def test_memory_that_runs_out_fails_one_run_and_the_next_start_carries_on(
    error, study, undisturbed, tmp_path, monkeypatch, capsys
):
    really = attempt.train

    def greedy(training, data, run, *more, **options):
        for row in really(training, data, run, *more, **options):
            yield row
            if training.state.iteration == 17 and run.network == "plain-8":
                raise error

    monkeypatch.setattr(attempt, "train", greedy)
    assert main([*commands.arguments(study, tmp_path), "--checkpoint-every", "0"]) == 1
    out = capsys.readouterr().out
    assert "Traceback" not in out
    assert out.count("close other programs or give fewer --jobs, start again") == 1
    assert out.count("failed: out of memory (") == 1
    folder = commands.folder(study, tmp_path, "plain-8")
    assert commands.record(folder)["status"] == "failed"
    assert commands.record(folder)["error"].startswith("out of memory (")
    assert commands.record(folder)["traceback"] is None
    assert commands.record(commands.folder(study, tmp_path, "resnet-8"))["status"] == "complete"
    monkeypatch.undo()
    assert main(commands.arguments(study, tmp_path)) == 0
    assert "carries on from iteration 17" in capsys.readouterr().out
    assert_same_bits(study, tmp_path, undisturbed)


def test_other_errors_of_torch_are_not_taken_for_a_want_of_memory():
    assert not out_of_memory(RuntimeError("mat1 and mat2 shapes cannot be multiplied"))
    assert not out_of_memory(ValueError("out of memory"))


def _little_memory():
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + 150_000_000, resource.RLIM_INFINITY))


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_a_limit_to_memory(study, tmp_path):
    """As the system itself refuses it: a batch whose activations find no room."""
    words = commands.arguments(study, tmp_path / "results", "--only", "plain-8", "--set", "optimiser.batch_size=60000")
    command = Command(words, tmp_path / "log", _little_memory)
    assert command.wait() == 1
    assert command.text.count("failed: out of memory (") == 1
    assert "Traceback" not in command.text
    (record,) = (tmp_path / "results").rglob("run.json")
    assert '"status": "failed"' in record.read_text()


def test_an_error_that_no_one_foresaw_is_kept_with_where_it_happened(study, undisturbed, tmp_path, monkeypatch, capsys):
    def broken(*arguments):
        raise KeyError("surprise")

    monkeypatch.setattr(attempt, "train", broken)
    assert main(commands.arguments(study, tmp_path, "--only", "plain-8")) == 1
    folder = commands.folder(study, tmp_path, "plain-8")
    out = capsys.readouterr().out
    assert f"failed: KeyError: 'surprise' (details in {folder.record_path})" in out
    assert "Traceback" not in out
    assert "in broken" in commands.record(folder)["traceback"]
    monkeypatch.undo()
    assert main(commands.arguments(study, tmp_path)) == 0
    assert "traceback" not in commands.record(folder)
    assert_same_bits(study, tmp_path, undisturbed)


def test_a_failure_is_recorded_while_the_run_is_still_held(study, tmp_path, monkeypatch):
    """Else another process may have taken it up in between, and its record would be overwritten."""
    held = []
    write = RunFolder.write

    def watched(self, record):
        if record["status"] == "failed":
            with RunFolder(tmp_path, self.run).claim() as free:
                held.append(not free)
        write(self, record)

    monkeypatch.setattr(RunFolder, "write", watched)
    monkeypatch.setattr(attempt, "train", lambda *arguments: 1 / 0)
    assert main(commands.arguments(study, tmp_path)) == 1
    assert held == [True, True]


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
    study = commands.study(tmp_path)
    place = tmp_path / "pictures"
    assert main(on_pictures(tmp_path, study, tmp_path / "undisturbed")) == 0
    assert main(on_pictures(tmp_path, study, tmp_path / "results", "--stop-at", "12")) == 0
    (folder,) = {path.parent for path in (tmp_path / "results").rglob("run.json")}
    before = {path.name: path.read_bytes() for path in folder.iterdir()}

    def refused(*words, told):
        capsys.readouterr()
        assert main([*on_pictures(tmp_path, study, tmp_path / "results"), *words]) == 1
        out, err = capsys.readouterr()
        assert "Traceback" not in out + err
        assert len([line for line in (out + err).splitlines() if told in line]) == 1, out + err
        assert {path.name: path.read_bytes() for path in folder.iterdir()} == before

    place.rename(tmp_path / "elsewhere")
    refused(told=str(place))
    (tmp_path / "elsewhere").rename(place)
    image = next((place / "train" / "ship").iterdir())
    content = image.read_bytes()
    image.unlink()
    refused(told="the training set has 19 images, not 20")
    image.write_bytes(content[:100])
    refused(told=str(image))
    pictures(seed=1)
    refused(told="was begun on other images than these: give the same ones to carry on")
    pictures(seed=0)
    assert main(on_pictures(tmp_path, study, tmp_path / "results")) == 0
    (one,), (other,) = ([*(tmp_path / name).rglob("curve.csv")] for name in ("results", "undisturbed"))
    assert [row.train_loss for row in read_curve(one)] == [row.train_loss for row in read_curve(other)]


@pytest.mark.parametrize("jobs", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_images_that_vanish_once_the_plan_is_made(jobs, pictures, tmp_path, capsys, monkeypatch):
    study = commands.study(tmp_path)
    begin = Scheduler.carry_out

    def late(*arguments):
        (tmp_path / "pictures").rename(tmp_path / "elsewhere")
        return begin(*arguments)

    monkeypatch.setattr(Scheduler, "carry_out", late)
    words = on_pictures(tmp_path, study, tmp_path / "results", "--seeds", "0,1")
    words[words.index("--jobs") + 1] = str(jobs)
    assert main(words) == 1
    out, err = capsys.readouterr()
    assert err.count("\n") == 1
    assert str(tmp_path / "pictures") in err
    assert "Traceback" not in out + err


def test_reading_that_fails_for_want_of_memory_or_by_the_disk_is_one_line(study, tmp_path, monkeypatch, capsys):
    for error, told in ((MemoryError(), "out of memory"), (OSError(5, "Input/output error"), "Input/output error")):

        def fails(*arguments, error=error):
            raise error

        monkeypatch.setattr(local, "load", fails)
        assert main(commands.arguments(study, tmp_path)) == 1
        err = capsys.readouterr().err
        assert err.count("\n") == 1
        assert told in err


# Names


def test_records_of_strangers_lead_nowhere_and_are_shown_as_text(tmp_path, capsys):
    """What they say of themselves ends in no path and no page as it is."""
    hostile = '../../../<img src=x onerror="alert(1)">\x1b[2J'
    record = '{"format": 1, "status": "running", "iteration": 3, "spec": %s}'
    for number, spec in enumerate(
        [{"variant": hostile}, {"preset": hostile}, {"data": hostile}, {"variant": "../" * 80 + "x"}, {"seed": 7}]
    ):
        run = Run.from_dict({"network": "resnet-20", **spec})
        place = tmp_path / "results" / str(number)
        place.mkdir(parents=True)
        (place / "run.json").write_text(record % commands.json.dumps(run.to_dict()))
        assert RunFolder(tmp_path, run).path.resolve().is_relative_to(tmp_path)
    out = tmp_path / "deep" / "down" / "report"
    out.parent.mkdir(parents=True)
    assert report.main(["--results", str(tmp_path / "results"), "--out", str(out)]) == 0
    said = capsys.readouterr()
    assert "\x1b" not in said.out + said.err
    assert "2 runs (2 results); 3 unreadable" in said.out
    for path in out.rglob("*.html"):
        text = path.read_text()
        assert "<img src=x" not in text
        assert "\x1b" not in text
    outside = [path for path in tmp_path.rglob("*") if path.is_file() and path.suffix != ".lock"]
    ours = (out, tmp_path / "results")
    assert [path for path in outside if not any(path.is_relative_to(place) for place in ours)] == []


def test_a_signal_that_comes_before_the_first_iteration_stops_all_the_same(study, tmp_path):
    stop = Stop()
    stop(15)
    options = Options(results=tmp_path, precision="fp32", threads=1)
    run = commands.runs(study, "plain-8")[0]
    outcome = attempt.attempt(run, options, local.images("digits", options), stop)
    assert (outcome.status, outcome.message) == ("stopped", "at iteration 0")
    assert commands.at(RunFolder(tmp_path, run)) == 0
