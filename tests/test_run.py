"""The command line of `python -m repro.run`: bad usage in one line that says what to do, and nothing written."""

import json
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from runs import write_study

from repro import study as studies
from repro.run import main

ROOT = Path(__file__).resolve().parents[1]
STUDY, TABLE_1 = "degradation", ("table-1", "--preset", "table-1-demo")


@pytest.fixture
def place(tmp_path, monkeypatch):
    """An empty folder to be in, so that whatever is written is seen."""
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.delenv("REPRO_DATA", raising=False)
    return tmp_path / "here"


@pytest.fixture
def tiny(tmp_path):
    return write_study(tmp_path, iterations=4, log_every=2, evaluate_every=4)


def refused(capsys, place, *arguments, status=2):
    """The one line of a refusal."""
    assert main(list(arguments)) == status
    err = capsys.readouterr().err
    assert err.count("\n") == 1 and err.endswith("\n")
    assert err.startswith("repro.run: ")
    assert list(place.iterdir()) == []
    return err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "name a study: ambiguities, degradation"),
        (["degradaton"], "unknown study 'degradaton': did you mean 'degradation'?"),
        (["../experiments/degradation"], "did you mean 'degradation'?"),
        (["presets"], "unknown study 'presets'"),
        ([STUDY, "--preset", "shrt"], "unknown preset 'shrt': did you mean 'short'?"),
        ([STUDY, "--data", "../../etc"], "unknown data set '../../etc'"),
        (["table-1", "--preset", "demo"], "its presets are table-1-demo, table-1-short, table-1-wide"),
        ([*TABLE_1, "--only", "resnet-20"], "did you mean 'resnet-18'?"),
        ([*TABLE_1, "--set", "model.stem=7x7"], "the stem 7x7 needs images of 32 pixels or more, and those of digits"),
        ([STUDY, "--only", "resnet-1202"], "study 'degradation' has no network 'resnet-1202': it has plain-20, "),
        ([STUDY, "--only", ","], "argument --only: at least one is needed"),
        ([STUDY, "--set", "schedule.iteration=5"], "did you mean 'schedule.iterations'?"),
        ([STUDY, "--set", "seed=1"], "seed is no setting of a run: use seeds of the study, or --seeds"),
        ([STUDY, "--set", "images.held_out=15"], "images.held_out is 15: a multiple of 10"),
        ([STUDY, "--seeds", "one"], "'one' is no seed: give numbers such as 0,1,2 or 0-4"),
        ([STUDY, "--seeds", "0-999999999999"], "more than 10,000 seeds"),
        ([STUDY, "--jobs", "0"], "'0': a whole number from 1 to"),
        ([STUDY, "--threads", "100000"], "'100000': a whole number from 1 to 1,024"),
        ([STUDY, "--checkpoint-every", "nan"], "'nan' is no number of seconds"),
        ([STUDY, "--device", "gpu"], "unknown device 'gpu': did you mean 'cpu'?"),
        ([STUDY, "--device", "cpu", "--precision", "fp16"], "fp16 needs a GPU: use bf16 or fp32"),
        ([STUDY, "--launcher", "rya"], "unknown launcher 'rya': did you mean 'ray'?"),
        ([STUDY, "--address", "head:6379"], "--address is for --launcher ray, not local"),
        ([STUDY, "--launcher", "slurm", "--slurm", "time"], "--slurm time: KEY=VALUE is needed, such as time=240"),
        ([STUDY, "--launcher", "ray", "--gpus-per-run", "2"], "a run trains on one GPU"),
        ([STUDY, "--launcher", "ray", "--log", "tensorboard"], "--log is for --launcher local and slurm, not ray"),
        ([STUDY, "--launcher", "slurm", "--gpus-per-run", "0.5"], "Slurm gives whole GPUs: give 1"),
        ([STUDY, "--lanucher", "ray"], "unrecognized arguments: --lanucher ray (--help lists the options)"),
        ([STUDY, "--budget", "soon"], "argument --budget: 'soon' is no time: give 90s, 20m, 1h30m or 2d"),
        ([STUDY, "--budget", "1h", "--stop-at", "5"], "--budget plans whole runs: leave out --stop-at"),
        ([STUDY, "--yes"], "--yes is for --budget TIME"),
        (["degra\x1b[2J\ndation"], r"unknown study 'degra\x1b[2J\ndation': did you mean 'degradation'?"),
    ],
    ids=range(32),
)
def test_bad_usage_is_one_line_with_the_nearest_choice_and_nothing_is_written(
    arguments, said, place, capsys, monkeypatch
):
    monkeypatch.setattr("repro.launch.options.find_spec", lambda name: name)  # the packages are there
    assert said in refused(capsys, place, *arguments)


@pytest.mark.parametrize(
    ("option", "name", "package"),
    [("--launcher", "ray", "ray"), ("--launcher", "slurm", "submitit"), ("--log", "tensorboard", "tensorboard")],
)
def test_a_package_that_is_not_installed_is_named_with_the_command_that_installs_it(
    place, monkeypatch, capsys, option, name, package
):
    monkeypatch.setitem(sys.modules, package, None)
    assert f"{package}: python -m pip install {package}" in refused(capsys, place, STUDY, option, name)


@pytest.mark.parametrize(("line", "said"), [("seeds = 3", "seeds is 3"), ("x = " + "[" * 5000, "nested too deep")])
def test_an_experiment_file_that_is_wrong_is_named(line, said, place, tiny, capsys):
    content = Path(tiny).read_text().replace("seeds = [0]", "")
    Path(tiny).write_text(content.replace("[settings]", f"{line}\n[settings]"))
    err = refused(capsys, place, tiny)
    assert said in err and tiny in err


def test_images_or_a_folder_that_is_not_there_are_told_with_what_to_do(place, tmp_path, capsys):
    for words, folder in (["--data-dir", "nowhere"], "nowhere"), ([], "data"):
        err = refused(capsys, place, "degradation", "--preset", "short", *words)
        assert f" {folder}: there is no such folder" in err and "--data-dir" in err and "--download" in err
    (tmp_path / "empty").mkdir()
    err = refused(capsys, place, "degradation", "--preset", "short", "--data-dir", str(tmp_path / "empty"), status=1)
    assert f"{tmp_path / 'empty'}: no CIFAR-10 there, it holds nothing" in err


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("demo", "demo is a preset: give a study, as in python -m repro.run degradation --preset demo"),
        ("resnet-20-A", "python -m repro.run degradation --only resnet-20"),
        ("resnet-1202", "python -m repro.run depth --only resnet-1202"),
        ("resnet-8", "resnet-8 is a network, which a study trains: name it in an experiment file of your own"),
    ],
)
def test_a_preset_or_a_network_in_place_of_a_study_is_told_with_what_to_type(word, said, place, capsys):
    assert said in refused(capsys, place, word)


def test_the_list_names_every_study_and_preset(place, capsys):
    assert main(["--list"]) == 0
    out, err = capsys.readouterr()
    for name in [*studies.names(), *studies.presets()]:
        assert any(line.startswith(f"{name} ") for line in out.splitlines())
    assert not err and list(place.iterdir()) == []


def test_a_dry_run_tells_the_plan_and_writes_nothing(place, tiny, capsys):
    arguments = [tiny, "--dry-run", "--threads", "1", "--jobs", "1", "--seeds", "0,2-3", "--set", "schedule.lr=0.05"]
    assert main(arguments) == 0
    out, err = capsys.readouterr()
    variant = "evaluate_every=4,log_every=2,schedule.iterations=4,schedule.lr=0.05"
    for network in ("plain-8", "resnet-8"):
        for seed in (0, 2, 3):
            assert f"digits/demo/{network}+{variant}/seed-{seed}" in out
    assert "6 runs of 4 iterations on digits, preset demo" in out
    assert not err

    # Also of images that are not there.
    arguments = ["degradation", "--preset", "paper", "--only", "plain-20", "--dry-run", "--threads", "1"]
    assert main([*arguments, "--set", "optimiser.batch_size=2", "--data-dir", str(place / "none")]) == 0
    assert "cifar10/paper/plain-20+optimiser.batch_size=2/seed-0" in capsys.readouterr().out
    assert list(place.iterdir()) == []


def test_a_study_of_ones_own_runs_where_it_is_told_to_and_its_drawing_can_be_pasted(place, tiny, capsys):
    words = [tiny, "--threads", "1", "--jobs", "1", "--seeds", "1", "--only", "resnet-8"]
    assert main([*words, "--results", "my results"]) == 0
    out, err = capsys.readouterr()
    (record,) = place.glob("my results/**/run.json")
    content = json.loads(record.read_text())
    assert content["status"] == "complete"
    assert content["spec"]["network"] == "resnet-8" and content["spec"]["seed"] == 1
    assert not err
    assert "\npython -m repro.report --preset demo --results 'my results' --out FOLDER draws" in out
    assert [path.name for path in place.iterdir()] == ["my results"]


@pytest.mark.parametrize(("words", "ends"), [([], 2), (["--stop-at", "9"], 4)])
def test_the_command_line_overrides_where_a_study_stops(words, ends, place, tiny):
    content = Path(tiny).read_text()
    Path(tiny).write_text(content.replace("[settings]", "stop_at = { plain-8 = 2 }\n[settings]"))
    assert main([tiny, "--threads", "1", "--jobs", "1", "--only", "plain-8", *words]) == 0
    (record,) = place.glob("results/local/digits/demo/**/run.json")
    assert json.loads(record.read_text())["iteration"] == ends


@pytest.mark.parametrize(
    ("terminal", "backend", "drawn"),
    [(True, "agg", True), (True, "module://matplotlib_inline.backend_inline", False), (False, "agg", False)],
    ids=["a terminal", "a notebook's", "a pipe"],
)
def test_bars_are_drawn_where_a_cursor_can_move(terminal, backend, drawn, place, tiny, capsys, monkeypatch):
    """A notebook's kernel gives its commands a terminal that shows each picture of a bar below the last."""
    for name, value in {"MPLBACKEND": backend, "FORCE_COLOR": "1", "TERM": "xterm"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys.stdout, "isatty", lambda: terminal)
    assert main([tiny, "--threads", "1", "--jobs", "1", "--only", "plain-8", "--stop-at", "2"]) == 0
    said = capsys.readouterr().out
    assert ("\x1b" in said) is drawn
    assert drawn or ": 2/2 loss" in said


WORDS = st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"]), max_size=20)
OPTIONS = st.sampled_from(
    [*("--preset", "--data", "--only", "--seeds", "--set", "--jobs", "--threads", "--stop-at", "--checkpoint-every")]
)


@given(name=WORDS, pairs=st.lists(st.tuples(OPTIONS, WORDS), max_size=3))
@settings(max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_words_end_in_a_traceback(name, pairs, place, capsys, monkeypatch):
    """Of a study that does not exist, or with --precision that does not, so that nothing is trained."""
    words = [word for pair in pairs for word in pair]
    for arguments in ([f"x{name}", *words], ["degradation", *words, "--precision", "none"]):
        assert main(arguments) in (1, 2)
        assert capsys.readouterr().err.count("\n") == 1
    assert list(place.iterdir()) == []
