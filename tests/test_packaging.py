"""What is installed: the pinned environment, and a wheel that works wherever it lies, without a checkout."""

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from repro.places import NO_REFERENCE

ROOT = Path(__file__).resolve().parents[1]


def test_each_requirement_is_pinned_by_version_and_hash_and_allows_that_version():
    text = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    pins = {}
    for entry in re.split(r"\n(?=[a-z])", re.sub(r"^#.*\n", "", text, flags=re.MULTILINE)):
        requirement = Requirement(entry.partition("\\")[0].strip())
        assert re.search(r"--hash=sha256:[0-9a-f]{64}", entry), requirement.name
        pins.setdefault(requirement.name, []).append(str(requirement.specifier).removeprefix("=="))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    for wanted in map(Requirement, project["dependencies"]):
        assert all(wanted.specifier.contains(version) for version in pins[wanted.name]), wanted


def pip(*words: object) -> None:
    command = [sys.executable, "-m", "pip", "--no-input", *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.skipif(not shutil.which("make") or sys.platform != "linux", reason="needs make, and a choice of builds")
@pytest.mark.parametrize("gpu", [False, True])
def test_make_demo_brings_cuda_only_where_it_is_of_use_and_falls_back_where_it_cannot_choose(gpu, tmp_path):
    """With a Python that only writes down what it is told, and cannot reach another index than the usual one."""
    for file in ("Makefile", "pyproject.toml", "setup.py"):
        shutil.copy(ROOT / file, tmp_path)
    programs = tmp_path / ".venv" / "bin"
    programs.mkdir(parents=True)
    for name, text in {
        "python": 'echo "$*" >>told; case "$*" in *index-url*) exit 1;; esac',
        "nvidia-smi": f"exit {int(not gpu)}",
    }.items():
        (programs / name).write_text(f"#!/bin/sh\n{text}\n")
        (programs / name).chmod(0o755)
    environ = {**os.environ, "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}", "MAKEFLAGS": ""}
    words = ["make", "demo", "PYTHON=python", "TORCH_INDEX=https://example.org"]
    done = subprocess.run(words, cwd=tmp_path, env=environ, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    told = (tmp_path / "told").read_text().splitlines()[1:]  # after the check of its version
    if not gpu:
        assert re.fullmatch("-m pip install .*--index-url https://example.org torch torchvision", told.pop(0))
    assert told[0] == "-m pip install --editable ."
    assert [words.split()[1] for words in told[1:]] == ["repro.run", "repro.report"]
    assert ("1.5 GB" in done.stdout) is not gpu and "6" in done.stdout


@pytest.mark.slow
def test_a_wheel_trains_and_reports_in_an_empty_folder_without_git_or_a_checkout(tmp_path):
    source, site, here = tmp_path / "source", tmp_path / "site", tmp_path / "here"
    here.mkdir()
    for folder in ("repro", "experiments"):
        shutil.copytree(ROOT / folder, source / folder, ignore=shutil.ignore_patterns("__pycache__"))
    for file in ("pyproject.toml", "setup.py", "README.md", "LICENSE"):
        shutil.copy(ROOT / file, source)
    pip("wheel", "--no-index", "--no-deps", "--no-build-isolation", "--wheel-dir", tmp_path, source)
    (wheel,) = tmp_path.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    studies = {Path(name).name for name in names if name.startswith("repro/experiments/")}
    assert studies == {path.name for path in (ROOT / "experiments").iterdir()}
    assert {name.split("/")[0] for name in names if ".dist-info/" not in name} == {"repro"}
    pip("install", "--no-index", "--no-deps", "--target", site, wheel)

    # As a notebook's kernel has it; git is on no path.
    inline = "module://matplotlib_inline.backend_inline"
    environ = {**os.environ, "PYTHONPATH": str(site), "PATH": str(site / "bin"), "MPLBACKEND": inline}

    def printed(*words: str, status: int = 0) -> str:
        command = [sys.executable, site / "bin" / "resnet-repro", *words]
        done = subprocess.run(command, cwd=here, env=environ, capture_output=True, text=True, check=False)
        assert done.returncode == status, done.stderr
        return done.stdout if not status else done.stderr

    settings = ["--set", "schedule.iterations=20", "--set", "evaluate_every=10", "--threads", "1"]
    # Side by side, so that worker processes find their way from the command as well.
    said = printed("run", "degradation", "--only", "plain-20,resnet-20", "--jobs", "2", *settings)
    assert "\npython -m repro.report --preset demo draws these records." in said
    paths = list(here.glob("results/local/digits/demo/*/seed-0/run.json"))
    assert len(paths) == 2
    for record in (json.loads(path.read_text()) for path in paths):
        assert (record["status"], record["iteration"], record["environment"]["commit"]) == ("complete", 20, None)
    assert printed("report").splitlines()[1:] == [NO_REFERENCE]
    assert "plain-20" in (here / "report" / "index.html").read_text(encoding="utf-8")
    assert {path.name for path in here.iterdir() if path.suffix != ".lock"} == {"results", "report"}
    assert printed("reprot", status=2) == "resnet-repro: unknown command 'reprot': did you mean 'report'?\n"
