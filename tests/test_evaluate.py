import json
import re

import pytest
import torch

from repro.data import load
from repro.evaluate import main
from repro.models import build
from repro.run import main as run

NETWORK = ["--network", "resnet-8", "--data", "digits", "--device", "cpu"]


def train(place, network, *settings):
    """The folder of a short run of ours."""
    study = place / "small.toml"
    study.write_text(
        f'title = "t"\nquestion = "q"\nexpected = "e"\npaper = "p"\nnetworks = ["{network}"]\n', encoding="utf-8"
    )
    changes = [word for setting in settings for word in ("--set", setting)]
    assert run([str(study), "--results", str(place), "--precision", "fp32", *changes]) == 0
    (folder,) = place.glob("digits/demo/*/seed-0")
    return folder


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    return train(tmp_path_factory.mktemp("results"), "resnet-8-B", "schedule.iterations=60")


def recorded(folder):
    return json.loads((folder / "run.json").read_text())["final"]["test_error"]


def evaluated(checkpoint, network, capsys):
    capsys.readouterr()
    assert main([str(checkpoint), "--network", network, "--data", "digits", "--device", "cpu"]) == 0
    return float(re.search(r"test error ([\d.]+) %", capsys.readouterr().out)[1])


def test_our_own_checkpoint_has_the_test_error_of_its_record(trained, capsys):
    found = evaluated(trained / "checkpoint.pt", "resnet-8-B", capsys)
    assert found == pytest.approx(recorded(trained), abs=0.01)


def test_what_the_weights_do_not_tell_is_read_from_the_run_beside_them(tmp_path, capsys):
    """Option A has no parameters: nothing in a checkpoint says whether it averages."""
    folder = train(tmp_path, "resnet-8", "schedule.iterations=30", "model.subsample=average")
    found = evaluated(folder / "checkpoint.pt", "resnet-8", capsys)
    assert found == pytest.approx(recorded(folder), abs=0.01)
    alone = (folder / "checkpoint.pt").rename(tmp_path / "alone.pt")
    assert abs(evaluated(alone, "resnet-8", capsys) - found) > 0.5, "it matters"


def public(trained, rename=lambda key: key, wrap=lambda weights: weights):
    weights = torch.load(trained / "checkpoint.pt", weights_only=True)["model"]
    return wrap({rename(key): value for key, value in weights.items()})


@pytest.mark.parametrize(
    ("rename", "wrap"),
    [
        (lambda k: k, lambda w: w),
        (lambda k: "module." + k.replace("fc.", "linear."), lambda w: {"state_dict": w, "best_prec1": 93.5}),
        (lambda k: "module._orig_mod." + k.replace("downsample", "shortcut"), lambda w: {"net": w, "epoch": 3}),
        (lambda k: k, lambda w: {k: v for k, v in w.items() if "num_batches" not in k}),
    ],
)
def test_public_forms_are_the_same_network(trained, tmp_path, capsys, rename, wrap):
    torch.save(public(trained, rename, wrap), tmp_path / "public.th")
    arguments = ["--network", "resnet-8-B", "--data", "digits", "--device", "cpu"]
    assert main([str(trained / "checkpoint.pt"), *arguments]) == 0
    ours = capsys.readouterr().out
    assert main([str(tmp_path / "public.th"), *arguments]) == 0
    assert capsys.readouterr().out == ours


def test_its_own_normalisation_is_used(tmp_path, capsys):
    """A network in evaluation mode, its images normalised by hand."""
    torch.manual_seed(3)
    net = build("resnet-8", channels=1)
    torch.save(net.state_dict(), tmp_path / "n.pt")
    digits = load("digits")
    net.eval()
    with torch.no_grad():
        logits = net((digits.test_images.float() / 255 - 0.3) / 0.4)
    expected = 100 * (logits.argmax(1) != digits.test_labels).double().mean().item()
    assert main([str(tmp_path / "n.pt"), *NETWORK, "--mean", "0.3", "--std", "0.4"]) == 0
    assert f"test error {expected:.2f} %" in capsys.readouterr().out


def problem(capsys, arguments, status):
    assert main([str(word) for word in arguments]) == status
    error = capsys.readouterr().err.strip()
    assert "\n" not in error
    return error


def test_what_is_no_checkpoint_of_that_network_is_told_by_names_and_shapes(trained, tmp_path, capsys):
    checkpoint = trained / "checkpoint.pt"
    text = problem(capsys, [checkpoint, *NETWORK], 1)
    assert "not the weights of a resnet-8" in text
    assert "names too many (layer2.0.downsample" in text
    text = problem(capsys, [checkpoint, "--network", "resnet-14-B", "--data", "digits"], 1)
    assert "names missing (layer1.1.conv1.weight" in text
    weights = public(trained)
    weights["fc.weight"] = torch.zeros(100, 64)
    torch.save(weights, tmp_path / "hundred.pt")
    text = problem(capsys, [tmp_path / "hundred.pt", "--network", "resnet-8-B", "--data", "digits"], 1)
    assert "fc.weight [100, 64] instead of [10, 64]" in text


def test_files_that_hold_no_weights(tmp_path, capsys):
    (tmp_path / "text.pt").write_text("not a checkpoint")
    torch.save({"epoch": 3, "history": [1, 2]}, tmp_path / "empty.pt")
    assert "no such file" in problem(capsys, [tmp_path / "absent.pt", *NETWORK], 1)
    assert "cannot be read as a checkpoint" in problem(capsys, [tmp_path / "text.pt", *NETWORK], 1)
    assert "no network's weights found among epoch, history" in problem(capsys, [tmp_path / "empty.pt", *NETWORK], 1)


def test_bad_usage(trained, tmp_path, capsys):
    checkpoint = trained / "checkpoint.pt"
    assert "did you mean 'resnet-8'" in problem(capsys, [checkpoint, "--network", "resnet-9", "--data", "digits"], 2)
    assert "go together" in problem(capsys, [checkpoint, *NETWORK, "--mean", "0.5"], 2)
    wrong = [checkpoint, "--network", "resnet-8-B", "--data", "digits", "--mean", "1,2,3", "--std", "1,2,3"]
    assert "need 1 numbers each" in problem(capsys, wrong, 2)
    empty = [checkpoint, "--network", "resnet-8-B", "--data-dir", tmp_path]
    assert str(tmp_path) in problem(capsys, empty, 1)
