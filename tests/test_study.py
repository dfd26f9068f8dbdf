"""Experiment files: the runs that they make, and what is said of those that are wrong, hostile or none."""

import os
import shutil
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from repro import claims, names
from repro import study as studies
from repro.errors import UserError
from repro.study import load, parse_settings, presets

HEAD = 'title = "t"\nquestion = "q"\nexpected = "e"\n'
GOOD = HEAD + 'networks = ["plain-20", "resnet-20"]\n'


@pytest.fixture
def file(tmp_path):
    def write(content):
        path = tmp_path / "study.toml"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return str(path)

    return write


def refusal(path):
    with pytest.raises(UserError) as caught:
        load(path)
    text = str(caught.value)
    assert caught.value.status == 2
    assert "\n" not in text
    assert path in text
    assert len(text) < 600 + len(path)
    return text


def test_a_network_has_one_name_and_is_trained_once(file):
    study = load(file(f"{HEAD}networks = ['resnet-20', 'resnet-20-A', 'resnet-32-A']\nstop_at = {{resnet-32-A = 5}}"))
    assert study.networks == ("resnet-20", "resnet-32") and study.stop_at == {"resnet-32": 5}
    assert [run.network for run in study.runs("demo", only=["resnet-20-A"])] == ["resnet-20"]


@pytest.mark.parametrize("name", studies.names())
@pytest.mark.parametrize("preset", presets())
def test_every_study_plans_at_every_preset_of_its_family(name, preset):
    study = load(name)
    if study.family != presets()[preset].get("family", "cifar"):
        with pytest.raises(UserError, match=f"study '{name}' trains .* networks: its presets are"):
            study.runs(preset)
        return
    plan = study.runs(preset)
    assert plan
    assert len({run.path for run in plan}) == len({run.hash for run in plan}) == len(plan)
    assert {run.preset for run in plan} == {preset}
    for run in plan:
        assert run.network == str(run.parsed)
    assert study.for_preset(preset).stop_at.keys() <= {run.network for run in plan}


def test_the_main_study_is_of_the_papers_depths():
    plan = load("degradation").runs("paper")
    depths = {kind: [names.parse(r.network).depth for r in plan if r.network.startswith(kind)] for kind in ("pl", "re")}
    assert depths == {"pl": [20, 32, 44, 56], "re": [20, 32, 44, 56, 110]}
    assert {run.schedule.iterations for run in plan} == {64_000}


def test_the_1202_layer_net_is_planned_with_a_warm_up_and_stopped_early_in_the_demo_alone():
    study = load("depth")
    (run,) = study.runs("paper", only=["resnet-1202"])
    assert str(run.path) == "cifar10/paper/resnet-1202/seed-0"
    assert names.parse(run.network).blocks_per_stage == 200
    assert run.schedule.warm_up == "auto"
    assert study.for_preset("paper").stop_at == {}
    assert 0 < study.for_preset("demo").stop_at["resnet-1202"] < study.runs("demo")[0].schedule.iterations


def test_runs_come_in_the_order_of_the_file_once_each(file):
    study = load(file(GOOD + "seeds = [1, 0, 1]\nvariants = [{}, {schedule.lr = 0.05}, {schedule.lr = 0.1}]\n"))
    plan = study.runs("short")
    assert [(run.network, run.variant, run.seed) for run in plan] == [
        (network, variant, seed)
        for network in ("plain-20", "resnet-20")
        for variant in ("", "schedule.lr=0.05")
        for seed in (1, 0)
    ]


def test_only_seeds_settings_and_data_of_the_command_line_win_over_the_file(file):
    study = load(file(GOOD + "seeds = [5]\n[settings]\nschedule.lr = 0.05\noptimiser.momentum = 0.8\n"))
    (run,) = study.runs("demo", only=["resnet-20"], seeds=[2], settings={"schedule.lr": 0.2}, data="cifar10")
    assert (run.network, run.seed, run.data) == ("resnet-20", 2, "cifar10")
    assert (run.schedule.lr, run.optimiser.momentum) == (0.2, 0.8)
    assert run.variant == "optimiser.momentum=0.8,schedule.lr=0.2"


def test_a_preset_changes_a_study(file):
    text = "seeds = [0]\n[settings]\nschedule.lr = 0.05\noptimiser.momentum = 0.8\n"
    text += '[presets.demo]\nnetworks = ["plain-8"]\nseeds = [7]\nsettings.schedule.lr = 0.2\n'
    study = load(file(GOOD + text + "stop_at = { plain-8 = 3 }\n"))
    (run,) = study.runs("demo")
    assert (run.network, run.seed, run.schedule.lr, run.optimiser.momentum) == ("plain-8", 7, 0.2, 0.8)
    assert study.for_preset("demo").stop_at == {"plain-8": 3}
    assert [run.network for run in study.runs("short")] == ["plain-20", "resnet-20"]


@pytest.fixture
def preset_file(tmp_path, monkeypatch):
    """The project's own experiments with other text at the end of presets.toml."""
    folder = Path(shutil.copytree(studies.EXPERIMENTS, tmp_path / "experiments"))
    monkeypatch.setattr(studies, "EXPERIMENTS", folder)

    def add(text):
        studies.presets.cache_clear()
        with (folder / "presets.toml").open("a") as file:
            file.write(text)
        return folder / "presets.toml"

    yield add
    studies.presets.cache_clear()


TINY = '[tiny]\nsummary = "of my own"\ndata = "digits"\nschedule.iterations = 300\n'


def test_a_preset_of_ones_own_is_a_table_in_the_file(preset_file):
    preset_file(TINY)
    plan = load("degradation").runs("tiny")
    assert {(run.preset, run.data, run.schedule.iterations) for run in plan} == {("tiny", "digits", 300)}


@pytest.mark.parametrize("name", ["longer", "ambiguities"])
def test_a_study_whose_numbers_do_not_fit_a_preset_does_not_guess(name, preset_file):
    """Three times the paper's 64,000 iterations are not three times 300."""
    preset_file(TINY)
    with pytest.raises(UserError, match=r"has numbers for demo, short, paper alone: give it those for tiny under"):
        load(name).runs("tiny")
    claim = next(claim for claim in claims.load() if claim.id == "H15")
    assert claim.command("tiny", "digits") is None
    assert claim.command("demo", "digits") is not None


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[mine]\nlog_every = 10\n", "mine: a table with a summary is needed"),
        ("[mine]\nsummary = 'x'\nseed = 3\n", "mine: seed is no setting of a preset: use seeds of the study"),
    ],
)
def test_what_is_wrong_with_a_preset_is_said_with_the_file(text, said, preset_file):
    path = preset_file(text)
    with pytest.raises(UserError) as caught:
        presets()
    assert said in str(caught.value) and str(path) in str(caught.value)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "title is missing"),
        (GOOD.replace('"t"', "5"), "title is 5: a text"),
        (GOOD.replace('"t"', r'"\u001b[2J"'), "title is '\\x1b[2J': a text that can be shown"),
        (HEAD, "networks is missing"),
        (HEAD + "networks = []", "networks is []: one or more"),
        (HEAD + 'networks = ["plain-21"]', "did you mean 'plain-20'?"),
        (GOOD + "sed = [1]", "unknown key 'sed': did you mean 'seeds'?"),
        (GOOD + "seeds = [-1]", "seeds is -1: 0 or more"),
        (GOOD + "presets.dem = {}", "unknown preset 'dem': did you mean 'demo'?"),
        (GOOD + "presets.demo.networks = ['plain-9']", "did you mean 'plain-8'?"),
        (GOOD + "stop_at = { plain-20 = 0 }", "stop_at.plain-20 is 0: 1 or more"),
        (GOOD + "stop_at = { plain-32 = 5 }", "unknown network of stop_at 'plain-32'"),
        (GOOD + "sized_for = ['dem']", "unknown preset 'dem': did you mean 'demo'?"),
        (GOOD + "x = 1" + "0" * 5000, "cannot be read as an experiment file"),
        (GOOD + "x = " + "[" * 3000 + "]" * 3000, "nested too deep"),
        ("title = ", "cannot be read as an experiment file"),
        (b"\xff\xfe\x00", "cannot be read as an experiment file"),
    ],
    ids=range(17),
)
def test_what_is_wrong_with_a_file_is_said_with_its_name(content, said, file):
    assert said in refusal(file(content))


def test_what_is_no_file_is_refused(tmp_path):
    folder, pipe, loop = tmp_path / "folder.toml", tmp_path / "pipe.toml", tmp_path / "loop.toml"
    folder.mkdir()
    os.mkfifo(pipe)
    loop.symlink_to(loop)
    huge = tmp_path / "huge.toml"
    with huge.open("wb") as sparse:
        sparse.truncate(10**12)
    assert "larger than 1,000,000 bytes" in refusal(str(huge))
    assert "is no file" in refusal(str(folder))
    assert "is no file" in refusal(str(pipe))
    assert "cannot be read" in refusal(str(loop))
    assert "No such file" in refusal(str(tmp_path / "none.toml"))
    assert "cannot be read" in refusal(str(tmp_path / ("n" * 300)) + ".toml")


@given(data=st.data())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=100)
def test_a_study_of_ours_with_bytes_changed_is_read_or_refused_in_a_line(data, file):
    content = bytearray((studies.EXPERIMENTS / "depth.toml").read_bytes())
    for _ in range(data.draw(st.integers(1, 5))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path = file(bytes(content[: data.draw(st.integers(0, len(content)))]))
    try:
        load(path).runs("demo")
    except UserError as error:
        assert "\n" not in str(error)


@pytest.mark.parametrize(
    ("word", "key", "value"),
    [
        ("schedule.iterations=4000", "schedule.iterations", 4000),
        ("schedule.lr=1e-2", "schedule.lr", 0.01),
        ("schedule.warm_up=off", "schedule.warm_up", "off"),
        ("optimiser.nesterov=true", "optimiser.nesterov", True),
        ("schedule.milestones=[0.5, 0.75]", "schedule.milestones", [0.5, 0.75]),
        ("a=b=c", "a", "b=c"),
        ("a=1\nb=2", "a", "1\nb=2"),
        ("a=" + "[" * 5000, "a", "[" * 5000),
        ("a=" + "9" * 5000, "a", "9" * 5000),
    ],
    ids=range(9),
)
def test_words_of_the_command_line_are_read_as_toml_or_else_as_texts(word, key, value):
    assert parse_settings([word]) == {key: value}


@pytest.mark.parametrize("word", ["schedule.lr", "=5", ""])
def test_a_word_without_key_or_value_is_refused(word):
    with pytest.raises(UserError, match=r"KEY=VALUE is needed, such as schedule\.iterations=4000"):
        parse_settings([word])
