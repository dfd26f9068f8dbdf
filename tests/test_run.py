"""The command line of `python -m repro.run`: bad usage in one line that says what to do, and nothing written."""

import json
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from repro import names
from repro import study as studies
from repro.run import main

ROOT = Path(__file__).resolve().parents[1]
TINY = """
title = "Tiny"
question = "Does it run?"
expected = "Yes."
paper = "none"
networks = ["plain-8", "resnet-8"]
[settings]
schedule.iterations = 4
log_every = 2
evaluate_every = 4
"""


@pytest.fixture
def place(tmp_path, monkeypatch):
    """An empty folder to be in, so that whatever is written is seen."""
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.delenv("REPRO_DATA", raising=False)
    return tmp_path / "here"


@pytest.fixture
def tiny(tmp_path):
    path = tmp_path / "tiny.toml"
    path.write_text(TINY)
    return str(path)


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
        (["nothing.toml"], "nothing.toml: cannot be read as an experiment file: [Errno 2] No such file"),
        (["degradation", "--preset", "shrt"], "unknown preset 'shrt': did you mean 'short'?"),
        (["degradation", "--preset", "../demo"], "unknown preset '../demo': did you mean 'demo'?"),
        (["degradation", "--data", "cifar11"], "unknown data set 'cifar11': did you mean 'cifar10'?"),
        (["degradation", "--data", "../../etc"], "unknown data set '../../etc'"),
        (
            ["degradation", "--only", "plain-21"],
            "did you mean 'plain-20'?",
        ),
        (
            ["degradation", "--only", "resnet-1202"],
            "study 'degradation' has no network 'resnet-1202': it has plain-20, ",
        ),
        (["degradation", "--only", ","], "argument --only: at least one is needed"),
        (
            ["degradation", "--only", "plain-20,,resnet-2"],
            "did you mean 'resnet-8'?",
        ),
        (["degradation", "--set", "schedule.iteration=5"], "did you mean 'schedule.iterations'?"),
        (["degradation", "--set", "schedule.iterations"], "KEY=VALUE is needed, such as schedule.iterations=4000"),
        (["degradation", "--set", "schedule.iterations=many"], "schedule.iterations is 'many': a whole number"),
        (["degradation", "--set", "schedule.iterations=0"], "schedule.iterations is 0: 1 or more"),
        (["degradation", "--set", "schedule.lr=nan"], "schedule.lr is nan: a finite number"),
        (["degradation", "--set", "schedule.lr={}"], "schedule.lr is {}: a number is needed"),
        (
            ["degradation", "--set", "schedule.warm_up=of"],
            "value of schedule.warm_up 'of': did you mean 'off'?",
        ),
        (["degradation", "--set", "seed=1"], "seed is no setting of a run: use seeds of the study, or --seeds"),
        (["degradation", "--set", "variant=../.."], "they name the variant"),
        (["degradation", "--set", "log_every=7"], "the first must be a multiple of the second"),
        (["degradation", "--set", "images.evaluate_on=held-out"], "hold some out"),
        (["degradation", "--seeds", "one"], "'one' is no seed: give numbers such as 0,1,2 or 0-4"),
        (["degradation", "--seeds", ""], "argument --seeds: at least one is needed"),
        (["degradation", "--seeds=-1"], "'-1' is no seed"),
        (["degradation", "--seeds", "4-1"], "the smaller number comes first"),
        (["degradation", "--seeds", "0-999999999999"], "more than 10,000 seeds"),
        (["degradation", "--seeds", "1" * 30], "or less is needed"),
        (["degradation", "--seeds", "1" * 5000], "is no seed"),
        (["degradation", "--jobs", "0"], "'0' is no whole number from 1"),
        (["degradation", "--jobs", "²"], "is no whole number from 1"),
        (["degradation", "--stop-at", "1.5"], "'1.5' is no whole number from 1"),
        (["degradation", "--threads", "100000"], "100000 is more than 1,024"),
        (["degradation", "--checkpoint-every", "often"], "'often' is no number of seconds"),
        (["degradation", "--checkpoint-every", "nan"], "'nan' is no number of seconds"),
        (["degradation", "--checkpoint-every=-1"], "'-1' is no number of seconds"),
        (["degradation", "--results", __file__], "test_run.py is a file: give a folder, which may be new"),
        (["degradation", "--results", f"{__file__}/in/it"], "argument --results: "),
        (["degradation", "--set", "images.held_out=100000", "--dry-run"], "a multiple of 10 below 1"),
        (["degradation", "--set", "images.held_out=15"], "images.held_out is 15: a multiple of 10"),
        (
            ["degradation", "--preset", "paper", "--set", "images.held_out=50000", "--dry-run"],
            "images.held_out is 50000: a multiple of 10 below 50000 is needed",
        ),
        (["degradation", "--device", "gpu"], "unknown device 'gpu': did you mean 'cpu'?"),
        (["degradation", "--precision", "fp64"], "unknown precision 'fp64': did you mean 'fp16'?"),
        (["degradation", "--device", "cpu", "--precision", "fp16"], "fp16 needs a GPU: use bf16 or fp32"),
        (["degradation", "--launcher", "rey"], "unknown launcher 'rey': did you mean 'ray'?"),
        (["degradation", "--lanucher", "ray"], "unrecognized arguments: --lanucher ray (--help lists the options)"),
        (["degradation", "--preset"], "argument --preset: expected one argument"),
        (["degradation", "shortcuts"], "unrecognized arguments: shortcuts"),
        (["degra\x1b[2J\ndation"], r"unknown study 'degra\x1b[2J\ndation': did you mean 'degradation'?"),
    ],
    ids=range(49),
)
def test_bad_usage_is_one_line_with_the_nearest_choice_and_nothing_is_written(arguments, said, place, capsys):
    assert said in refused(capsys, place, *arguments)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("seeds = 3", "seeds is 3"),
        ("[presets.demo]\nsettings = 5", "settings is 5: a table"),
        ("stop_at = { resnet-1202 = 5 }", "unknown network of stop_at 'resnet-1202'"),
        ("x = " + "[" * 5000, "nested too deep"),
        ("x = 0x1" + "0" * 9000, "cannot be read"),
        ("\x00", "cannot be read"),
    ],
    ids=range(6),
)
def test_an_experiment_file_that_is_wrong_is_named(line, said, place, tmp_path, capsys):
    path = tmp_path / "mine.toml"
    head, _, tail = TINY.partition("[settings]")
    path.write_text(f"{head}{line}\n[settings]{tail}" if "[presets" not in line else f"{TINY}{line}\n")
    err = refused(capsys, place, str(path))
    assert said in err
    assert str(path) in err


@pytest.mark.parametrize(("words", "folder"), [(["--data-dir", "nowhere"], "nowhere"), ([], "data")])
def test_a_folder_of_images_that_is_not_there_is_bad_usage(words, folder, place, capsys):
    err = refused(capsys, place, "degradation", "--preset", "short", *words)
    assert f" {folder}: there is no such folder" in err and "--data-dir" in err and "--download" in err


def test_images_that_are_not_there_are_told_with_what_to_do(place, tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    err = refused(capsys, place, "degradation", "--preset", "short", "--data-dir", str(tmp_path / "empty"), status=1)
    assert f"{tmp_path / 'empty'}: no CIFAR-10 there, it holds nothing" in err


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("demo", "demo is a preset: give a study, as in python -m repro.run degradation --preset demo"),
        ("paper", "--preset paper"),
        ("resnet-56", "resnet-56 is a network, which a study trains: python -m repro.run degradation --only resnet-56"),
        ("resnet-20-A", "python -m repro.run degradation --only resnet-20"),
        ("resnet-1202", "python -m repro.run depth --only resnet-1202"),
        ("resnet-8", "resnet-8 is a network, which a study trains: name it in an experiment file of your own"),
    ],
)
def test_a_preset_or_a_network_in_place_of_a_study_is_told_with_what_to_type(word, said, place, capsys):
    assert said in refused(capsys, place, word)


def test_usage_errors_need_no_torch(place):
    code = (
        "import sys; from repro.run import main; status = main(['degradation', '--preset', 'shrt']);"
        "sys.exit(10 * status + ('torch' in sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 20
    assert "did you mean 'short'?" in done.stderr


def test_a_study_that_cannot_be_read_hides_no_other(place, capsys, monkeypatch):
    folder = Path(shutil.copytree(studies.EXPERIMENTS, place / "experiments"))
    (folder / "mine.toml").write_text("title = 5\n")
    monkeypatch.setattr(studies, "EXPERIMENTS", folder)
    assert main(["--list"]) == 0
    said = capsys.readouterr().out
    assert "mine.toml" in said and "title is 5" in said and "degradation" in said and "warm-up" in said


def test_the_list_names_every_study_and_preset(place, capsys):
    assert main(["--list"]) == 0
    out, err = capsys.readouterr()
    for name in [*studies.names(), *studies.presets()]:
        assert any(line.startswith(f"{name} ") for line in out.splitlines())
    assert studies.load("degradation").title in out
    assert not err
    assert list(place.iterdir()) == []


def test_help_tells_every_option(capsys):
    with pytest.raises(SystemExit) as caught:
        main(["--help"])
    assert caught.value.code == 0
    out = capsys.readouterr().out
    for option in (
        "--preset",
        "--data-dir",
        "--seeds",
        "--only",
        "--stop-at",
        "--set",
        "--dry-run",
        "--list",
        "--jobs",
        "cifar10-jpeg",
        "Exit status: 0",
    ):
        assert option in out


def test_a_dry_run_tells_the_plan_and_writes_nothing(place, tiny, capsys):
    arguments = [tiny, "--dry-run", "--threads", "1", "--jobs", "1", "--seeds", "0,2-3", "--set", "schedule.lr=0.05"]
    assert main(arguments) == 0
    out, err = capsys.readouterr()
    variant = "evaluate_every=4,log_every=2,schedule.iterations=4,schedule.lr=0.05"
    for network in ("plain-8", "resnet-8"):
        for seed in (0, 2, 3):
            assert f"digits/demo/{network}+{variant}/seed-{seed}" in out
    assert "6 runs of 4 iterations on digits, preset demo" in out
    assert "nothing was written" in out
    assert not err
    assert list(place.iterdir()) == []


def test_a_dry_run_of_images_that_are_not_there_still_tells_the_plan(place, capsys):
    arguments = ["degradation", "--preset", "paper", "--only", "plain-20", "--dry-run", "--threads", "1"]
    assert main([*arguments, "--set", "optimiser.batch_size=2", "--data-dir", str(place / "none")]) == 0
    out = capsys.readouterr().out
    assert "cifar10/paper/plain-20+optimiser.batch_size=2/seed-0" in out
    assert list(place.iterdir()) == []


def test_the_plan_with_1202_layers_is_made_without_building_it(place):
    (run,) = studies.load("depth").runs("paper", only=["resnet-1202"], seeds=[3])
    assert str(run.path) == "cifar10/paper/resnet-1202/seed-3"
    assert names.parse(run.network).blocks_per_stage == 200


def test_a_study_of_ones_own_runs_where_it_is_told_to(place, tiny, capsys):
    assert main([tiny, "--threads", "1", "--jobs", "1", "--results", "out", "--seeds", "1", "--only", "resnet-8"]) == 0
    out, err = capsys.readouterr()
    (record,) = place.glob("out/**/run.json")
    content = json.loads(record.read_text())
    assert content["status"] == "complete"
    assert content["spec"]["network"] == "resnet-8" and content["spec"]["seed"] == 1
    assert not err
    assert "Tiny" in out
    assert [path.name for path in place.iterdir()] == ["out"]


def test_without_telling_where_runs_go_to_results_local(place, tiny):
    assert main([tiny, "--threads", "1", "--jobs", "1", "--only", "plain-8", "--stop-at", "1"]) == 0
    (record,) = place.glob("results/local/digits/demo/**/run.json")
    assert json.loads(record.read_text())["iteration"] == 1


@pytest.mark.parametrize(("words", "ends"), [([], 2), (["--stop-at", "3"], 3), (["--stop-at", "9"], 4)])
def test_the_command_line_overrides_where_a_study_stops(words, ends, place, tiny):
    path = Path(tiny)
    path.write_text(TINY.replace("[settings]", "stop_at = { plain-8 = 2 }\n[settings]"))
    assert main([tiny, "--threads", "1", "--jobs", "1", "--only", "plain-8", *words]) == 0
    (record,) = place.glob("results/local/digits/demo/**/run.json")
    assert json.loads(record.read_text())["iteration"] == ends


def test_the_command_that_draws_the_results_names_them_where_a_report_does_not_look(place, tiny, capsys):
    arguments = [tiny, "--threads", "1", "--jobs", "1", "--only", "plain-8", "--stop-at", "1"]
    assert main([*arguments, "--results", "my results"]) == 0
    said = "Records are in my results; python -m repro.report --results 'my results' --out FOLDER draws them."
    assert said in capsys.readouterr().out
    assert main(arguments) == 0
    assert f"Records are in {Path('results/local')}; python -m repro.report draws them." in capsys.readouterr().out


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


def test_ctrl_c_before_or_after_the_training_is_no_traceback(place, capsys, monkeypatch):
    def interrupted(name):
        signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(studies, "load", interrupted)
    assert main(["degradation"]) == 130
    assert capsys.readouterr().err == "repro.run: stopped\n"


WORDS = st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"]), max_size=20)
OPTIONS = st.sampled_from(
    [*("--preset", "--data", "--only", "--seeds", "--set", "--jobs", "--threads", "--stop-at", "--checkpoint-every")]
)


@given(name=WORDS, pairs=st.lists(st.tuples(OPTIONS, WORDS), max_size=3))
@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_words_end_in_a_traceback(name, pairs, place, capsys, monkeypatch):
    """Of a study that does not exist, or with --precision that does not, so that nothing is trained."""
    words = [word for pair in pairs for word in pair]
    for arguments in ([f"x{name}", *words], ["degradation", *words, "--precision", "none"]):
        assert main(arguments) in (1, 2)
        assert capsys.readouterr().err.count("\n") == 1
    assert list(place.iterdir()) == []
