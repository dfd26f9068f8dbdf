"""What a record says of the machine: enough to repeat the run, and nothing that names the machine or its user."""

import json
import os
import platform
import subprocess
from pathlib import Path

import pytest

from repro import environment as module

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def environment():
    """Asked anew, and forgotten afterwards."""
    module.environment.cache_clear()
    yield module.environment
    module.environment.cache_clear()


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """A repository of its own with a copy of the module's place in it."""
    for folder in ("repro", "experiments", "results"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "file").write_text("1")
    git(tmp_path, "init", "-q")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-q", "-m", "first")
    monkeypatch.setattr(module, "__file__", str(tmp_path / "repro" / "environment.py"))
    return tmp_path


def git(folder, *arguments):
    known = ["-c", "user.name=n", "-c", "user.email=e@example.org", "-c", "commit.gpgsign=false"]
    environ = {key: value for key, value in os.environ.items() if not key.startswith("GIT_")}
    command = ["git", "-C", folder, *known, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, env=environ, check=True)
    return done.stdout.strip()


def test_neither_machine_nor_user_nor_folder_is_named(environment):
    text = json.dumps(environment())
    for private in (platform.node(), str(ROOT), str(Path.home()), os.environ.get("USER")):
        if private and len(private) > 3:
            assert private not in text


def test_the_commit_is_told_and_whether_code_was_changed_since(environment, checkout):
    found = environment()
    assert found["commit"] == git(checkout, "rev-parse", "HEAD")
    assert found["changed"] is False
    (checkout / "results" / "file").write_text("2")
    environment.cache_clear()
    assert environment()["changed"] is False
    (checkout / "experiments" / "new.toml").touch()
    environment.cache_clear()
    assert environment()["changed"] is True


@pytest.mark.parametrize("problem", ["no checkout", "no git", "no commit", "git fails"])
def test_without_a_commit_there_is_none(problem, environment, checkout, monkeypatch):
    def fails(command, **options):
        raise {
            "no git": FileNotFoundError("git"),
            "git fails": subprocess.CalledProcessError(128, command, stderr="dubious ownership"),
        }[problem]

    if problem == "no checkout":
        monkeypatch.setattr(module, "__file__", str(checkout / "results" / "a" / "b" / "environment.py"))
    elif problem == "no commit":
        git(checkout, "update-ref", "-d", "HEAD")
    else:
        monkeypatch.setattr(subprocess, "run", fails)
    assert {key: environment()[key] for key in ("commit", "changed")} == {"commit": None, "changed": None}


@pytest.mark.parametrize("other", [False, True], ids=["this copy", "another copy"])
def test_of_an_installed_package_the_commit_is_what_pip_was_given(other, environment, tmp_path, monkeypatch):
    (tmp_path / "repro").mkdir()
    about = tmp_path / "resnet_repro-0.1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: resnet-repro\nVersion: 0.1.0\n")
    source = {"url": "https://example.org/it.git", "vcs_info": {"vcs": "git", "commit_id": "c0ffee"}}
    (about / "direct_url.json").write_text(json.dumps(source))
    monkeypatch.syspath_prepend(tmp_path)
    package = tmp_path / ("elsewhere" if other else "") / "repro"
    monkeypatch.setattr(module, "__file__", str(package / "environment.py"))
    assert environment()["commit"] == (None if other else "c0ffee")
    environment.cache_clear()
    (about / "direct_url.json").write_text('{"url": "file:///it.whl", "archive_info": {}}')
    assert environment()["commit"] is None


def test_the_processor_is_named_as_the_system_names_it(monkeypatch):
    cpuinfo = ["processor: 0\nmodel name\t: A Processor: Fast\nflags: x\nmodel name\t: Other\n"]
    monkeypatch.setattr(Path, "read_text", lambda path, **options: cpuinfo.pop())
    monkeypatch.setattr(platform, "processor", lambda: "said by the platform")
    assert module.processor() == "A Processor: Fast"
    cpuinfo.append("processor: 0\nBogoMIPS: 50\n")
    assert module.processor() == "said by the platform"


def test_the_instructions_are_those_that_choose_a_kernel(monkeypatch):
    cpuinfo = "processor: 0\nvmx flags: avx512f\nflags\t\t: fpu amx_bf16 avx2 sse\nmodel name: x\n"
    monkeypatch.setattr(Path, "read_text", lambda path, **options: cpuinfo)
    for name in module.ISA_LIMITS:
        monkeypatch.delenv(name, raising=False)
    assert module.instructions() == "avx2 amx_bf16"
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", "AVX2")
    assert module.instructions() == "avx2 amx_bf16 ONEDNN_MAX_CPU_ISA=AVX2"
    monkeypatch.setattr(Path, "read_text", lambda path, **options: "Features: bf16\n")
    monkeypatch.delenv("ONEDNN_MAX_CPU_ISA")
    assert module.instructions() is None
