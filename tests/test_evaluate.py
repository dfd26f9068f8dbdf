import json
import re
import shutil
from pathlib import Path

import pytest
import torch

from repro.data import load
from repro.evaluate import main
from repro.models import build
from repro.records import read_responses
from repro.run import main as run

NETWORK = ["--network", "resnet-8", "--data", "digits", "--device", "cpu"]


def train(place, network, *settings, precision="fp32"):
    """The folder of a short run of ours on the CPU."""
    study = place / "small.toml"
    study.write_text(
        f'title = "t"\nquestion = "q"\nexpected = "e"\npaper = "p"\nnetworks = ["{network}"]\n', encoding="utf-8"
    )
    changes = [word for setting in settings for word in ("--set", setting)]
    assert run([str(study), "--results", str(place), "--device", "cpu", "--precision", precision, *changes]) == 0
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


def test_responses_are_those_of_the_record_and_others_by_population_statistics(trained, tmp_path, capsys):
    ours, theirs = (read_responses(path) for path in (trained / "responses.csv", written(trained, tmp_path, capsys)))
    assert [row[:2] for row in ours] == [row[:2] for row in theirs]
    assert [row[2] for row in theirs] == pytest.approx([row[2] for row in ours], rel=1e-5)
    others = read_responses(written(trained, tmp_path, capsys, "--statistics", "population"))
    assert ", by population statistics; mean response " in (said := capsys.readouterr().out)
    mean = sum(row[2] for row in others) / 7
    assert f"mean response {mean:.3f} over 7 layers, each in {tmp_path / 'r.csv'}" in said
    # Sixty iterations change weights fast, and statistics of the last ten of them are others.
    assert [row[2] for row in others] != pytest.approx([row[2] for row in ours], rel=1e-2)


def written(trained, place, capsys, *more):
    capsys.readouterr()
    file = place / "r.csv"
    assert main([str(trained / "checkpoint.pt"), "--device", "cpu", "--responses", str(file), *more]) == 0
    return file


def test_responses_that_cannot_be_written_are_an_error_in_one_line(trained, tmp_path, capsys):
    checkpoint, absent = trained / "checkpoint.pt", tmp_path / "none"
    assert f"there is no folder {absent}" in problem(capsys, [checkpoint, "--responses", absent / "r.csv"], 2)
    assert f"{tmp_path}: is a folder" in problem(capsys, [checkpoint, "--responses", tmp_path], 2)
    assert "name too long" in problem(capsys, [checkpoint, "--responses", tmp_path / ("r" * 300) / "r.csv"], 2)
    longest = tmp_path / f"{'r' * 251}.csv"  # so that there is none for the temporary file beside it
    text = problem(capsys, [checkpoint, "--device", "cpu", "--responses", longest], 1)
    assert f"{longest}: cannot be written: " in text


def test_what_the_weights_do_not_tell_is_read_from_the_run_beside_them(tmp_path, capsys):
    """Option A has no parameters: nothing in a checkpoint says whether it averages."""
    folder = train(tmp_path, "resnet-8", "schedule.iterations=30", "model.subsample=average")
    found = evaluated(folder / "checkpoint.pt", "resnet-8", capsys)
    assert found == pytest.approx(recorded(folder), abs=0.01)
    alone = (folder / "checkpoint.pt").rename(tmp_path / "alone.pt")
    assert evaluated(alone, "resnet-8", capsys) == found, "a checkpoint keeps its record"
    assert abs(evaluated(weights_of(alone), "resnet-8", capsys) - found) > 0.5, "it matters"


@pytest.mark.parametrize(("trained_as", "asked"), [("resnet-8", "plain-8"), ("plain-8", "resnet-8-A")])
def test_a_twin_has_the_same_weights_and_is_another_network(tmp_path, capsys, trained_as, asked):
    folder = train(tmp_path, trained_as, "schedule.iterations=2")
    checkpoint = folder / "checkpoint.pt"
    alone = shutil.copy(checkpoint, tmp_path / "alone.pt")
    for path in (checkpoint, alone):
        text = problem(capsys, [path, "--network", asked, "--data", "digits", "--device", "cpu"], 1)
        assert f"{path}: is of {trained_as}, not {asked}" in text
    assert evaluated(weights_of(Path(alone)), asked, capsys), "alone, nothing tells them apart"


def test_network_and_data_are_those_of_the_run_beside_it(trained, tmp_path, capsys):
    assert main([str(trained / "checkpoint.pt"), "--device", "cpu"]) == 0
    assert f"resnet-8-B on digits: test error {recorded(trained):.2f} %" in capsys.readouterr().out
    moved = shutil.copy(trained / "checkpoint.pt", tmp_path)
    assert main([moved, "--device", "cpu"]) == 0
    assert f"resnet-8-B on digits: test error {recorded(trained):.2f} %" in capsys.readouterr().out
    alone = weights_of(Path(moved))
    assert "--network is needed" in problem(capsys, [alone, "--data", "digits"], 2)
    content = torch.load(moved, weights_only=True)
    content["kept"]["record"]["format"] = 99
    torch.save(content, moved)
    assert f"{moved}: its record" in problem(capsys, [moved, "--data", "digits"], 1)


def test_other_images_than_those_of_the_training_are_told(trained, tmp_path, capsys):
    record = json.loads((trained / "run.json").read_text())
    record["spec"]["data"] = "cifar10"
    (tmp_path / "run.json").write_text(json.dumps(record))
    copy = shutil.copy(trained / "checkpoint.pt", tmp_path)
    assert main([copy, "--data", "digits", "--device", "cpu"]) == 0
    assert "resnet-8-B on digits (trained on cifar10): test error" in capsys.readouterr().out


def test_small_images_and_photographs_are_for_networks_of_their_own(trained, tmp_path, capsys):
    text = problem(capsys, [trained / "checkpoint.pt", "--data", "imagenette", "--data-dir", tmp_path], 2)
    assert "--data imagenette is of photographs" in text and "--family imagenet" in text
    record = json.loads((trained / "run.json").read_text())
    record["spec"]["images"] |= {"crop": 64, "shorter_side": [73, 137]}
    (tmp_path / "run.json").write_text(json.dumps(record))
    copy = shutil.copy(trained / "checkpoint.pt", tmp_path)
    assert "--data digits is of small images" in problem(capsys, [copy, "--data", "digits"], 2)


def test_held_out_images_are_not_called_the_test_set(tmp_path, capsys):
    settings = ("schedule.iterations=2", "images.held_out=100", "images.evaluate_on=held-out")
    folder = train(tmp_path, "resnet-8", *settings)
    capsys.readouterr()
    assert main([str(folder / "checkpoint.pt"), "--device", "cpu"]) == 0
    said = capsys.readouterr().out
    assert f"resnet-8 on digits: error on held-out images {recorded(folder):.2f} %" in said
    assert "of 100 wrong" in said
    assert "test" not in said


def test_it_is_as_precise_as_in_training_unless_told_otherwise(tmp_path, capsys):
    folder = train(tmp_path, "resnet-8", "schedule.iterations=20", precision="bf16")
    loss = json.loads((folder / "run.json").read_text())["final"]["test_loss"]
    alone = shutil.copy(folder / "checkpoint.pt", tmp_path)

    def said(checkpoint, *more):
        capsys.readouterr()
        arguments = ["--network", "resnet-8", "--data", "digits", "--device", "cpu", *more]
        assert main([str(checkpoint), *arguments]) == 0
        words = re.search(r"test loss ([\d.]+), in (\w+)", capsys.readouterr().out)
        return float(words[1]), words[2]

    # The record has the loss in bf16, whose 8 bits move it.
    assert said(folder / "checkpoint.pt") == (pytest.approx(loss, abs=1e-4), "bf16")
    exact, precision = said(folder / "checkpoint.pt", "--precision", "fp32")
    assert precision == "fp32"
    # Further apart than what passes for equal here, so that neither is taken for the other.
    assert 1e-4 < abs(exact - loss) < 0.1
    assert said(alone) == (pytest.approx(loss, abs=1e-4), "bf16")
    assert said(weights_of(Path(alone))) == (exact, "fp32"), "nothing says otherwise"


def weights_of(checkpoint):
    """A file of its weights alone, as another program would have it."""
    path = checkpoint.with_name("weights.pt")
    torch.save(torch.load(checkpoint, weights_only=True)["model"], path)
    return path


def test_images_are_normalised_as_told_and_the_result_says_how(tmp_path, capsys):
    """A network in evaluation mode, its images normalised by hand."""
    torch.manual_seed(3)
    net = build("resnet-8", channels=1)
    net.fc.bias.data.normal_(0, 0.1)
    digits = load("digits")
    net.eval()

    def expected(images):
        with torch.no_grad():
            return f"{100 * (net(images).argmax(1) != digits.test_labels).double().mean().item():.2f} %"

    def said(weights, *more):
        torch.save(weights, tmp_path / "n.pt")
        capsys.readouterr()
        assert main([str(tmp_path / "n.pt"), *NETWORK, *more]) == 0
        error, images, *_ = capsys.readouterr().out.splitlines()
        return re.search(r"test error ([\d.]+ %)", error)[1], images

    pixels = digits.test_images.float() / 255
    weights = net.state_dict()
    assert said(weights, "--mean", "0.3", "--std", "0.4") == (
        expected((pixels - 0.3) / 0.4),
        "images: by --mean and --std",
    )
    error, images = said(weights, "--mean", "76.5", "--std", "102")
    assert error == expected((pixels - 0.3) / 0.4)
    assert "0 to 255" in images
    mean = (digits.train_images.double() / 255).mean(0).float()
    error, images = said(weights)
    assert error == expected(pixels - mean)
    assert "mean per pixel" in images
    # As nn.Sequential(Normalise(), net) has them.
    inside = {f"1.{key}": value for key, value in weights.items()}
    inside |= {"0.mean": torch.tensor([0.2]).view(1, 1, 1), "0.std": torch.tensor([0.7]).view(1, 1, 1)}
    error, images = said(inside)
    assert error == expected((pixels - 0.2) / 0.7)
    assert "the file's own" in images


def test_an_error_of_guessing_brings_a_hint(tmp_path, capsys):
    weights = build("resnet-8", channels=1).state_dict()
    weights["fc.weight"].zero_()
    weights["fc.bias"].copy_(torch.arange(10.0))
    torch.save(weights, tmp_path / "n.pt")
    assert main([str(tmp_path / "n.pt"), *NETWORK]) == 0
    assert "hint: " in capsys.readouterr().out


def padded_by_hand(net, digits, zeros, subsample):
    """The error of a resnet-8 whose option A is computed here."""

    def block(x, part, stride):
        y = part.bn2(part.conv2(torch.relu(part.bn1(part.conv1(x)))))
        if stride == 2:
            x = (
                x[:, :, ::2, ::2]
                if subsample == "stride"
                else x.unflatten(3, (-1, 2)).unflatten(2, (-1, 2)).mean((3, 5))
            )
            nothing = torch.zeros_like(x)
            half = nothing[:, : x.shape[1] // 2]
            x = torch.cat([x, nothing] if zeros == "end" else [half, x, half], 1)
        return torch.relu(x + y)

    mean = (digits.train_images.double() / 255).mean(0).float()
    with torch.no_grad():
        x = torch.relu(net.bn1(net.conv1(digits.test_images.float() / 255 - mean)))
        for stage, stride in ((net.layer1, 1), (net.layer2, 2), (net.layer3, 2)):
            x = block(x, stage[0], stride)
        return 100 * (net.fc(x.mean((2, 3))).argmax(1) != digits.test_labels).double().mean().item()


def test_option_a_is_as_told_and_the_result_says_so(tmp_path, capsys):
    torch.manual_seed(4)
    net, digits = build("resnet-8", channels=1).eval(), load("digits")
    torch.save(net.state_dict(), tmp_path / "n.pt")
    found = set()
    for subsample in ("stride", "average"):
        for zeros in ("both", "end"):
            capsys.readouterr()
            assert main([str(tmp_path / "n.pt"), *NETWORK, "--subsample", subsample, "--zeros", zeros]) == 0
            said = capsys.readouterr().out
            expected = padded_by_hand(net, digits, zeros, subsample)
            assert f"test error {expected:.2f} %" in said
            assert ("second pixel" if subsample == "stride" else "mean of 2x2") in said
            assert ("at the end" in said) == (zeros == "end")
            assert "assumed" not in said
            found.add(expected)
    assert len(found) > 2, "it matters"
    assert main([str(tmp_path / "n.pt"), *NETWORK]) == 0
    assert "(assumed: --subsample, --zeros)" in capsys.readouterr().out
    assert main([str(tmp_path / "n.pt"), *NETWORK, "--zeros", "end"]) == 0
    assert "(assumed: --subsample)" in capsys.readouterr().out


def test_the_run_json_of_another_program_is_passed_over_with_a_word(trained, tmp_path, capsys):
    expected = evaluated(trained / "checkpoint.pt", "resnet-8-B", capsys)
    copy = shutil.copy(trained / "checkpoint.pt", tmp_path)
    # As sacred has it; a list; and what is no JSON at all.
    for text in (
        '{"format": "MongoObserver-0.7.0", "status": "COMPLETED", "experiment": {}}',
        "[1]",
        "train: yes",
        "3",
    ):
        (tmp_path / "run.json").write_text(text)
        assert main([copy, "--device", "cpu"]) == 0
        said = capsys.readouterr().out
        assert f"{tmp_path / 'run.json'}: passed over" in said
        assert f"test error {expected:.2f} %" in said, "the record within says what it is"
    record = json.loads((trained / "run.json").read_text())
    (tmp_path / "run.json").write_text(json.dumps(record | {"status": "asleep"}))
    assert "'asleep'" in problem(capsys, [copy, "--device", "cpu"], 1), "one of ours that is wrong is none"


def problem(capsys, arguments, status):
    assert main([str(word) for word in arguments]) == status
    error = capsys.readouterr().err.strip()
    assert "\n" not in error
    return error


def test_files_that_hold_no_weights(tmp_path, capsys):
    (tmp_path / "text.pt").write_text("not a checkpoint")
    torch.save({"epoch": 3, "history": [1, 2]}, tmp_path / "empty.pt")
    assert "No such file" in problem(capsys, [tmp_path / "absent.pt", *NETWORK], 1)
    shutil.copy("README.md", tmp_path)
    for name in ("text.pt", "README.md"):
        assert f"{name}: cannot be read as a checkpoint" in problem(capsys, [tmp_path / name, *NETWORK], 1)
    assert "no network's weights found among epoch, history" in problem(capsys, [tmp_path / "empty.pt", *NETWORK], 1)


def test_bad_usage(trained, tmp_path, capsys):
    checkpoint = trained / "checkpoint.pt"
    assert "did you mean 'resnet-8'" in problem(capsys, [checkpoint, "--network", "resnet-9", "--data", "digits"], 2)
    assert "go together" in problem(capsys, [checkpoint, *NETWORK, "--mean", "0.5"], 2)
    torch.save(build("resnet-8-B", channels=1).state_dict(), tmp_path / "b.pt")
    of_a = [tmp_path / "b.pt", "--network", "resnet-8-B", "--data", "digits", "--subsample", "average"]
    assert "option A's shortcuts, of which a resnet-8-B has none" in problem(capsys, of_a, 2)
    wrong = [checkpoint, "--network", "resnet-8-B", "--data", "digits", "--mean", "1,2,3", "--std", "1,2,3"]
    assert "need 1 numbers each" in problem(capsys, wrong, 2)
    for mean, std in (("125.3", "0.25"), ("0.5", "63"), ("-0.5", "1"), ("300", "60"), ("0.5", "0")):
        one = [checkpoint, "--network", "resnet-8-B", "--data", "digits", f"--mean={mean}", f"--std={std}"]
        assert "--std" in problem(capsys, one, 2) or "--mean" in problem(capsys, one, 2)
    empty = ["--network", "resnet-8", "--data", "cifar10", "--data-dir", tmp_path]
    torch.save(build("resnet-8").state_dict(), tmp_path / "rgb.pt")
    assert str(tmp_path / "rgb.pt") not in (text := problem(capsys, [tmp_path / "rgb.pt", *empty], 1))
    assert str(tmp_path) in text
    # Images take seconds to read: what needs none is told first.
    text = problem(capsys, [weights_of(Path(shutil.copy(checkpoint, tmp_path))), *empty], 1)
    assert "weights.pt: not the weights of a resnet-8" in text
