"""Around the commands: output that no one reads, finds no room or lacks the letters; Ctrl-C; closed channels."""

import errno
import io
import os
import pickle
import signal
import subprocess
import sys
from pathlib import Path

import commands
import pytest
from disks import snapshot
from runs import assert_same_bits, folder_of

from repro import evaluate, report, run
from repro.launch import start
from repro.shell import OutputLostError
from repro.site import build

ROOT = Path(__file__).resolve().parents[2]
#: A name in Cyrillic, one with a byte that is no text, and one that would rewrite what a terminal shows.
NAMES = {"имя": r"\u0438\u043c\u044f", os.fsdecode(b"bad\xff"): r"bad\udcff", "new\nline\x1b[2J": r"new\nline\x1b[2J"}


class Place(io.RawIOBase):
    """Where output goes; after some lines it takes no more."""

    def __init__(self, lines=10**9, number=errno.EPIPE):
        self.content, self.lines, self.number = b"", lines, number

    def writable(self):
        return True

    def write(self, data):
        if self.content.count(b"\n") >= self.lines:
            raise OSError(self.number, os.strerror(self.number))
        self.content += bytes(data)
        return len(data)


@pytest.fixture
def output(monkeypatch):
    """Let the output go to a place, in an encoding."""

    def to(place, encoding="utf-8"):
        monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(io.BufferedWriter(place), encoding=encoding))
        return place

    return to


# Encodings


@pytest.mark.parametrize(("name", "encoding"), [*zip(NAMES, ["ascii", "utf-8", "latin-1"], strict=True)], ids=range(3))
def test_names_that_the_output_has_no_letters_for_are_shown_escaped(
    name, encoding, undisturbed, study, tmp_path, output, capsys
):
    (tmp_path / name).symlink_to(undisturbed)
    place = output(Place(), encoding)
    assert run.main(commands.arguments(study, tmp_path / name)) == 0
    said = place.content.decode(encoding).replace("'", "")
    assert f"{NAMES[name]} --out FOLDER draws these records" in said
    place = output(Place(), encoding)
    words = ["--results", f"x={tmp_path / name}", "--out", str(tmp_path / "o" / name)]
    assert report.main([*words, "--committed"]) == 0
    assert f"{NAMES[name]}/REPORT.md: 2 runs (2 x)" in place.content.decode(encoding)
    assert evaluate.main([str(tmp_path / f"{name}.pt"), "--network", "resnet-8", "--data", "digits"]) == 1
    err = capsys.readouterr().err
    assert NAMES[name] in err or (name.isprintable() and name in err)
    assert err.count("\n") == 1


# Output that cannot be written


def test_training_that_can_tell_no_more_stops_with_a_checkpoint(long, tmp_path, output, capsys, monkeypatch):
    study, undisturbed = long
    for name in ("LINE_EVERY", "LOOK_EVERY"):
        monkeypatch.setattr(f"repro.launch.display.{name}", 0.0)
    output(Place(lines=4, number=errno.ENOSPC))
    assert run.main([*commands.arguments(study, tmp_path), "--checkpoint-every", "1000"]) == 1
    told = f"repro.run: its output cannot be written: {os.strerror(errno.ENOSPC)}\n"
    assert capsys.readouterr().err == told
    for folder in (folder_of(study, tmp_path, name) for name in ("plain-8", "resnet-8")):
        if folder.record_path.exists():
            record = commands.record(folder)
            assert record["status"] in ("stopped", "complete")
            assert commands.at(folder) == record["iteration"]
    assert record["status"] == "stopped"
    monkeypatch.undo()
    assert run.main(commands.arguments(study, tmp_path)) == 0
    assert_same_bits(tmp_path, undisturbed)


@pytest.mark.parametrize(("number", "status"), [(errno.EPIPE, 141), (errno.ENOSPC, 1)])
def test_a_command_whose_output_goes_nowhere_ends_without_a_traceback(
    number, status, undisturbed, study, tmp_path, output, capsys
):
    checkpoint = folder_of(study, undisturbed, "resnet-8").checkpoint_path
    results = ["--results", f"x={undisturbed}", "--out", str(tmp_path / "out")]
    for main, words in (
        (run.main, ["--list"]),
        (run.main, [*commands.arguments(study, tmp_path / "r"), "--dry-run"]),
        (run.main, commands.arguments(study, undisturbed)),
        (report.main, results),
        (evaluate.main, [str(checkpoint), "--network", "resnet-8", "--data", "digits"]),
    ):
        output(Place(lines=0, number=number))
        assert main(words) == status
        err = capsys.readouterr().err
        assert err.count("\n") == (number != errno.EPIPE), "a reader that has enough is no news"
    assert (tmp_path / "out" / "index.html").is_file(), "the report is there"
    assert not (tmp_path / "r").exists()


def test_other_ranks_are_told_of_output_that_was_lost():
    lost = pickle.loads(pickle.dumps(OutputLostError(OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)))))
    assert (str(lost), lost.status) == ("its output cannot be written: No space left on device", 1)
    assert pickle.loads(pickle.dumps(OutputLostError(BrokenPipeError()))).status == 141


def test_closed_channels(study, undisturbed, tmp_path, monkeypatch):
    """As the shell's >&- and 2>&- leave them."""
    monkeypatch.setattr(sys, "stdout", None)
    monkeypatch.setattr(sys, "stderr", None)
    assert run.main(commands.arguments(study, tmp_path)) == 0
    assert run.main(["--list"]) == 0
    assert run.main(["nosuch"]) == 2
    assert report.main(["--results", f"x={tmp_path}", "--out", str(tmp_path / "out")]) == 0
    monkeypatch.undo()
    assert_same_bits(tmp_path, undisturbed)


PIPES = {
    "{python} -m repro.run --help | true": (141, 0),
    "{python} -m repro.run --list > /dev/full": (1,),
    "env -i {python} -m repro.run --list > /dev/null": (0,),
}


@pytest.mark.skipif(sys.platform != "linux", reason="has /dev/full")
@pytest.mark.parametrize("line", PIPES)
def test_in_a_real_shell_python_adds_no_words_of_its_own_when_it_ends(line):
    """Which it would, where something is left in a buffer."""
    words = ["bash", "-o", "pipefail", "-c", line.format(python=sys.executable)]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode in PIPES[line], done.stderr
    assert done.stderr in ("", "repro.run: its output cannot be written: No space left on device\n")


# Ctrl-C


def interrupted(*arguments, **named):
    signal.raise_signal(signal.SIGINT)


def test_ctrl_c_is_one_line_in_each_command(undisturbed, study, tmp_path, monkeypatch, capsys):
    words = ["--results", f"x={undisturbed}", "--committed", "--out", str(tmp_path / "out")]
    assert report.main(words) == 0
    before = snapshot(tmp_path)
    capsys.readouterr()
    monkeypatch.setattr(build.render, "report_md", interrupted)
    monkeypatch.setattr(evaluate, "_evaluate", interrupted)
    monkeypatch.setattr(start, "_announce", interrupted)
    checkpoint = folder_of(study, undisturbed, "resnet-8").checkpoint_path
    assert report.main(words) == 130
    assert evaluate.main([str(checkpoint), "--network", "resnet-8"]) == 130
    assert run.main(commands.arguments(study, tmp_path / "results")) == 130
    assert capsys.readouterr().err == "repro.report: stopped\nrepro.evaluate: stopped\nrepro.run: stopped\n"
    assert snapshot(tmp_path) == before


def test_nothing_that_takes_long_is_imported_before_a_command_can_be_stopped_in_one_line():
    code = (
        "import sys, repro.run, repro.report, repro.evaluate;"
        "sys.exit(bool({'torch', 'pandas', 'numpy', 'scipy', 'matplotlib'} & sys.modules.keys()))"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == 0
