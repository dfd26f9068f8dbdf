"""A complete run is sealed: what was changed afterwards, by one byte, is told, and is no evidence any more."""

import shutil
import subprocess

import pytest
from runs import trained, words

from repro.records import RunFolder, Source, collect, read_record
from repro.records.seal import NAME
from repro.run import main


@pytest.fixture(scope="module")
def study_and_results(tmp_path_factory):
    return trained(tmp_path_factory.mktemp("sealed"), 10)


@pytest.fixture
def sealed(study_and_results, tmp_path):
    """The folder of a copy of one of the runs."""
    shutil.copytree(study_and_results[1], tmp_path / "copy")
    return next((tmp_path / "copy").rglob("resnet-8*/seed-0"))


def problems(folder):
    return [damaged.reason for damaged in collect([Source("copy", folder.parents[3])]).damaged]


@pytest.mark.skipif(shutil.which("sha256sum") is None, reason="no sha256sum here")
def test_the_seal_is_what_sha256sum_checks(sealed):
    checked = subprocess.run(["sha256sum", "--check", NAME], cwd=sealed, capture_output=True, text=True, check=True)
    assert checked.stdout.split() == [
        word for name in ("run.json", "curve.csv", "responses.csv", "health.csv") for word in (f"{name}:", "OK")
    ]


@pytest.mark.parametrize("name", ["run.json", "curve.csv", "responses.csv", "health.csv"])
def test_one_byte_that_was_changed_is_told(name, sealed):
    assert problems(sealed) == []
    content = bytearray((sealed / name).read_bytes())
    # The last digit of the file, so that it can be read as before.
    at = max(place for place, byte in enumerate(content) if chr(byte).isdigit())
    content[at] = ord("1") if content[at] != ord("1") else ord("2")
    (sealed / name).write_bytes(content)
    (said,) = problems(sealed)
    assert str(sealed / name) in said and "was changed" in said


def a_folder(path):
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda folder: (folder / "health.csv").unlink(), "health.csv: is gone"),
        (lambda folder: a_folder(folder / "curve.csv"), "curve.csv: cannot be read: Is a directory"),
        (lambda folder: (folder / NAME).write_text(f"{'0' * 64}  ../../etc/passwd\n"), f"{NAME}: is no list of hashes"),
        (lambda folder: (folder / NAME).write_bytes(b"\xff"), f"{NAME}: cannot be read"),
    ],
)
def test_what_else_is_not_as_it_was(change, said, sealed):
    change(sealed)
    assert said in problems(sealed)[0]


def test_a_run_that_goes_on_is_sealed_anew(study_and_results, sealed):
    """Stopped after its seal was written and before its record called it complete."""
    folder = RunFolder(sealed.parents[3], read_record(sealed / "run.json").spec)
    record = folder.read()
    assert record is not None
    before = (sealed / "curve.csv").read_bytes()
    folder.write({**record.to_dict(), "status": "running", "final": None})
    assert problems(sealed) == []
    assert main(words(study_and_results[0], folder.path.parents[3], "--only", "resnet-8")) == 0
    assert problems(sealed) == []
    assert (sealed / "curve.csv").read_bytes() == before, "no clock is in a curve"
