"""Reference runs repeated: the same bits, the same within what seeds do, or something else."""

import json
import shutil
from pathlib import Path
from types import SimpleNamespace as Fake

import pytest
from planted import plant

from repro import attest, environment, repeat
from repro.records import read_record
from repro.records.seal import seal
from repro.records.tables import read_curve

REFERENCE = (10.0, 10.4, 9.6)


@pytest.fixture
def reference(elsewhere, monkeypatch):
    """Three seeds of plain-20 in the demo, which end at 10 ± 0.4 % training error and twice that test error."""
    folder = elsewhere / "results" / "reference"
    for seed, error in enumerate(REFERENCE):
        plant(folder, "plain-20", preset="demo", data="digits", seed=seed, train_end=error, test_end=2 * error)
    monkeypatch.setattr(repeat, "instructions", lambda: "avx2")  # else oneDNN would be limited in all later tests too
    return folder


def attested(*words):
    """Exit status, and what the attestation says of the one run in it."""
    status = attest.main([*words, "--out", "attestation.json"])
    (found,) = json.loads(Path("attestation.json").read_text(encoding="utf-8"))["repeats"]
    return status, found


@pytest.mark.parametrize(
    ("error", "status", "verdict"), [(10.0, 0, "same bits"), (10.5, 0, "consistent"), (45.0, 1, "differs")]
)
def test_a_repeated_run_is_told_by_its_results(error, status, verdict, reference, tmp_path):
    plant(tmp_path / "results" / "local", "plain-20", preset="demo", data="digits", train_end=error, test_end=2 * error)
    ended, found = attested("plain-20")
    assert (ended, found["verdict"]) == (status, verdict)
    if verdict == "same bits":
        assert found["outputs"] == []
        return
    train, test = found["outputs"]
    assert (train["found"], train["mean"], train["runs"]) == (error, pytest.approx(10.0), 3)
    assert (train["low"] <= error <= train["high"]) == (verdict == "consistent")
    assert train["mean"] - train["low"] == pytest.approx(train["high"] - train["mean"])
    assert test["mean"] == pytest.approx(20.0)


def test_one_bit_of_a_curve_or_of_the_weights_is_another(reference, tmp_path):
    own = tmp_path / "results" / "local"
    shutil.copytree(reference, own)
    folder = own / "digits" / "demo" / "plain-20" / "seed-0"
    row = read_curve(folder / "curve.csv")[3]
    curve = (folder / "curve.csv").read_text()
    (folder / "curve.csv").write_text(curve.replace(repr(row.train_loss), repr(row.train_loss * (1 + 2**-52)), 1))
    assert f"curves from iteration {row.iteration} on" in attested("plain-20")[1]["why"]
    (folder / "curve.csv").write_text(curve)
    assert attested("plain-20")[1]["verdict"] == "same bits"
    for place, digit in ((reference, "0"), (own, "1")):
        path = place / folder.relative_to(own) / "run.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), "weights_sha256": digit * 64}))
        read_record(path)
    assert "the final weights" in attested("plain-20")[1]["why"]


@pytest.mark.parametrize("changed", [True, False, None])
def test_a_changed_checkout_is_told_on_the_terminal_as_in_the_file(changed, reference, tmp_path, monkeypatch, capsys):
    plant(tmp_path / "results" / "local", "plain-20", preset="demo", data="digits", train_end=10.0, test_end=20.0)
    here = {**environment.environment(), "changed": changed}
    for module in (environment, repeat):
        monkeypatch.setattr(module, "environment", lambda: here)
    attested("plain-20")
    assert ("checkout is changed" in capsys.readouterr().out) == bool(changed)
    assert json.loads(Path("attestation.json").read_text(encoding="utf-8"))["environment"]["changed"] == changed


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (["plain-21"], 2, "plain-20"),
        (
            ["plain-56"],
            1,
            "the reference has no complete run of seed 0, preset demo, on digits: there is plain-20",
        ),
        (["plain-20", "--preset", "dem"], 2, "did you mean 'demo'"),
    ],
)
def test_what_cannot_be_repeated_is_told_in_a_line(words, status, said, reference, capsys):
    assert attest.main(words) == status
    error = capsys.readouterr().err
    assert said in error and error.count("\n") == 1


def test_an_attestation_that_cannot_be_written_is_told_in_a_line(reference, tmp_path, capsys):
    shutil.copytree(reference, tmp_path / "results" / "local")
    assert attest.main(["plain-20", "--out", str(reference / "digits")]) == 1
    error = capsys.readouterr().err
    assert f"{reference / 'digits'}: cannot be written: Is a directory" in error and error.count("\n") == 1


def test_a_reference_that_was_tampered_with_is_told(reference, capsys):
    folder = reference / "digits" / "demo" / "plain-20" / "seed-0"
    seal(folder, (folder / "run.json").read_text())
    with (folder / "curve.csv").open("a") as file:
        file.write("\n")
    assert attest.main(["plain-20"]) == 1
    error = capsys.readouterr().err
    assert str(Path("seed-0", "curve.csv")) in error and "was changed" in error and error.count("\n") == 1


@pytest.mark.parametrize(
    ("here", "there", "limit"),
    [
        ("avx512_bf16 amx_bf16", "avx512_bf16", "AVX512_CORE_BF16"),
        ("avx512_bf16 amx_bf16", "avx512_bf16 amx_bf16", None),
        ("avx512_bf16 amx_bf16 ONEDNN_MAX_CPU_ISA=AVX2", "avx512_bf16", None),
    ],
)
def test_a_processor_with_more_instructions_leaves_them_unused(here, there, limit, monkeypatch):
    monkeypatch.setattr(repeat, "instructions", lambda: here)
    record = Fake(environment=Fake(instructions=there))
    assert repeat.References(None, 0, {"plain-20": record}).limit() == limit
