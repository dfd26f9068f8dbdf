"""Options that do not fit are refused before anything is begun, in one line."""

import sys

import pytest
from mini import write_study

from repro.errors import UserError
from repro.run import main


@pytest.mark.parametrize(
    ("option", "name", "package"),
    [("--launcher", "ray", "ray"), ("--launcher", "slurm", "submitit"), ("--log", "tensorboard", "tensorboard")],
)
def test_a_package_that_is_not_installed_is_named_with_the_command_that_installs_it(
    tmp_path, monkeypatch, capsys, option, name, package
):
    monkeypatch.setitem(sys.modules, package, None)
    study = write_study(tmp_path, iterations=10)
    assert main([str(study), option, name, "--results", str(tmp_path / "results")]) == 2
    error = capsys.readouterr().err
    assert f"{package}: python -m pip install {package}" in error
    assert len(error.splitlines()) == 1
    assert not (tmp_path / "results").exists()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--log", "tensorbord"], "unknown log 'tensorbord': did you mean 'tensorboard'?"),
        (["--launcher", "rya"], "unknown launcher 'rya': did you mean 'ray'?"),
        (["--address", "head:6379"], "--address is for --launcher ray, not local"),
        (["--slurm", "time=60"], "--slurm is for --launcher slurm, not local"),
        (["--launcher", "slurm", "--slurm", "time"], "--slurm time: KEY=VALUE is needed, such as time=240"),
        (["--launcher", "slurm", "--address", "head:6379"], "--address is for --launcher ray, not slurm"),
        (["--gpus-per-run", "1"], "--gpus-per-run is for --launcher ray and slurm, not local"),
        (["--launcher", "ray", "--gpus-per-run", "-1"], "more than 0 is needed"),
        (["--launcher", "ray", "--gpus-per-run", "nan"], "more than 0 is needed"),
        (["--launcher", "ray", "--gpus-per-run", "1.5"], "a whole number is needed above 1"),
        (["--launcher", "slurm", "--gpus-per-run", "0.5"], "a whole number is needed"),
        (["--launcher", "ray", "--device", "cud"], "unknown device 'cud': did you mean 'cuda'?"),
        (["--launcher", "slurm", "--precision", "fp33"], "unknown precision 'fp33': did you mean 'fp32'?"),
        (["--device", "cuda:1"], "CUDA_VISIBLE_DEVICES=1"),
    ],
)
def test_options_that_do_not_fit_are_refused(tmp_path, monkeypatch, capsys, options, words):
    monkeypatch.setattr("repro.launch.options.find_spec", lambda name: name)  # the packages are there
    assert main([str(write_study(tmp_path, iterations=10)), *options]) == 2
    error = capsys.readouterr().err
    assert words in error
    assert len(error.splitlines()) == 1


def test_settings_of_slurm_are_those_that_submitit_knows():
    check = pytest.importorskip("repro.launch.slurm", reason="submitit is not installed").check
    check({"partition": "gpu", "time": 240})
    with pytest.raises(UserError, match="unknown setting of --slurm 'partitoin': did you mean 'partition'"):
        check({"partitoin": "gpu"})
    with pytest.raises(UserError, match="time=1-00: a whole number of minutes is needed"):
        check({"time": "1-00"})
