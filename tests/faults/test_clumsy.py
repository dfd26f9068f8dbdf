"""Words of a clumsy or hostile user: each is done, or refused in one line, and nothing is half-written."""

import importlib
import os
import shutil

import commands
import pytest
import torch

from repro import evaluate, places, report, run
from repro.models import build

LONG = "a" * 300


@pytest.fixture
def place(tmp_path, undisturbed, monkeypatch):
    """A folder to be in, with results, a symbolic link to itself, a pipe that nobody writes to, a file, curves."""
    shutil.copytree(undisturbed, tmp_path / "results")
    (tmp_path / "loop").symlink_to("loop")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "file").write_text("mine")
    (tmp_path / "curves.csv").write_text("epoch,test_error\n1,50\n")
    (tmp_path / "wide.csv").write_text('epoch,test_error\n1,"' + "5" * 200_000 + '"\n')
    (tmp_path / "project" / "results").mkdir(parents=True)
    monkeypatch.setattr(places, "RESULTS", tmp_path / "project" / "results")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("REPRO_DATA", raising=False)
    # The command imports this when it needs it, and a user without rights may not be able to.
    importlib.import_module("repro.site.build")
    return tmp_path


def contents(place):
    """All there is but locks."""
    return {
        path: path.read_bytes() if path.is_file() and os.access(path, os.R_OK, effective_ids=True) else None
        for path in place.rglob("*")
        if not path.name.endswith(".lock") and path.name != "loop"
    }


def refused(place, capsys, main, words, status):
    before = contents(place)
    assert main(words) == status
    out, err = capsys.readouterr()
    assert contents(place) == before
    told = [line for line in err.splitlines() if line.startswith("repro.")]
    assert len(told) == err.count("\n") == 1, err
    assert "\x1b" not in out + err
    return told[0]


CURVES = ["--as", "theirs", "--network", "resnet-20", "--import-curves"]
#: Words of each command that others of its words follow.
REPORT, EVALUATE = ["--results", "x=results", "--out", "out"], ["--network", "resnet-8", "--data", "digits"]


@pytest.mark.parametrize(
    ("command", "words", "status", "said"),
    [
        (report, ["--out", "loop/below"], 1, "loop/below: the report cannot be written: "),
        (report, ["--out", "/"], 1, "/ is no folder for a report"),
        (report, ["--out", LONG], 1, "the report cannot be written: File name too long"),
        (report, ["--out", "results"], 1, "results is no report of ours but holds digits"),
        (report, ["--results", LONG], 2, "cannot name a source"),
        (report, ["--results", "loop"], 1, "there is no folder loop"),
        (report, ["--no\x1b[2Jpe\n"], 2, r"unrecognized arguments: --no\x1b[2Jpe\n (--help lists the options)"),
        (report, [*CURVES, "/dev/zero"], 1, "/dev/zero: is no file"),
        (report, [*CURVES, "wide.csv"], 1, "wide.csv: cannot be read as a table: field larger"),
        (report, [*CURVES, "curves.csv", "--seed", "-3"], 2, "argument --seed: '-3': a whole number from 0"),
        (evaluate, ["results"], 1, "results: is no file"),
        (evaluate, ["loop"], 1, "loop: cannot be read: Too many levels of symbolic links"),
        (evaluate, ["file"], 1, "file: cannot be read as a checkpoint"),
        (evaluate, ["file", "--mean", "nan", "--std", "1"], 2, "'nan': numbers such as"),
        (evaluate, ["weights", "--data", "cifar10", "--data-dir", "~nobody-of-this-name/x"], 1, "whose home that is"),
        (evaluate, ["weights", "--data", "cifar10", "--data-dir", "pipe"], 1, "pipe: is no folder"),
        (run, ["--data", "cifar10", "--data-dir", "~nobody-of-this-name/x"], 1, "whose home that is is not known"),
        (run, ["--set", 'schedule.lr=1\nschedule.factor="2"'], 2, r"schedule.lr is '1\nschedule.factor="),
        (run, ["--results", "loop"], 1, "loop/digits/demo/"),
    ],
    ids=range(19),
)
def test_words_that_cannot_be_are_refused_in_a_line(command, words, status, said, place, study, capsys):
    torch.save(build("resnet-8").state_dict(), place / "weights")
    train = commands.arguments(study, place / "new", "--only", "plain-8")
    words = [*{report: REPORT, evaluate: EVALUATE, run: train}[command], *words]
    assert said in refused(place, capsys, command.main, words, status)


def test_results_that_may_not_be_read(place, capsys, unprivileged):
    (place / "results").chmod(0o000)
    with unprivileged():
        said = refused(place, capsys, report.main, ["--results", "x=results", "--out", "out"], 1)
    assert "no run in results; 1 unreadable: results: Permission denied" in said


def test_a_report_within_the_results_it_is_of(place, capsys):
    for _ in range(2):
        assert report.main(["--results", "x=results", "--out", "results/digits/report", "--committed"]) == 0
        assert "2 runs (2 x)\n" in capsys.readouterr().out
