"""What a run computes beside its training: the network that it begins with, and its final results."""

import csv
import hashlib
import json
import sys

import pytest
import torch
import torch.nn.functional as F

from repro.data import load
from repro.launch.attempt import attempt, make_net
from repro.launch.options import Options
from repro.launch.stop import Stop
from repro.models import build
from repro.records import Row
from repro.spec import Run, override

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def digits():
    return load("digits")


def by_hand(net):
    digest = hashlib.sha256()
    for name, tensor in net.state_dict().items():
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode() + tensor.numpy().tobytes())
    return digest.hexdigest()


def test_final_results_are_those_of_the_curve_and_of_the_weights(digits, tmp_path):
    """Rows at 4, 8, ... 20 and 23: those of the last 8 iterations stand for 4, 4 and 3."""
    settings = {"schedule.iterations": 23, "log_every": 4, "evaluate_every": 8, "schedule.lr": 0.01}
    run = override(Run("resnet-8", data="digits"), settings)
    options = Options(tmp_path, device="cpu", precision="fp32", threads=1)
    assert attempt(run, options, digits, Stop()).status == "complete"
    folder = tmp_path / run.path
    final = json.loads((folder / "run.json").read_text())["final"]

    with (folder / "curve.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [int(row["iteration"]) for row in rows] == [4, 8, 12, 16, 20, 23]
    for key in ("train_error", "train_loss"):
        a, b, c = (float(row[key]) for row in rows[-3:])
        assert final[key] == pytest.approx((4 * a + 4 * b + 3 * c) / 11, rel=1e-9)

    net = build("resnet-8", channels=1)
    net.load_state_dict(torch.load(folder / "checkpoint.pt", weights_only=True)["model"])
    record = json.loads((folder / "run.json").read_text())
    assert record["weights_sha256"] == by_hand(net)
    net.double().eval()
    mean = digits.train_images.double().div(255).mean(0)
    for kind, images, labels in (
        ("clean_train", digits.train_images, digits.train_labels),
        ("test", digits.test_images, digits.test_labels),
    ):
        with torch.no_grad():
            logits = net(images.double() / 255 - mean)
        wrong = (logits.argmax(1) != labels).double().mean().item()
        assert final[f"{kind}_error"] == pytest.approx(100 * wrong, abs=0.3)
        if kind == "test":
            digits_of_bits = record["wrong_test_images"]
            bits = f"{int(digits_of_bits, 16):0{4 * len(digits_of_bits)}b}"
            found = torch.tensor([bit == "1" for bit in bits])
            assert len(bits) == 360 and found.double().mean().item() * 100 == pytest.approx(final["test_error"])
            # In float64 hardly an image is judged otherwise.
            assert (found != (logits.argmax(1) != labels)).sum() <= 1
        assert final[f"{kind}_loss"] == pytest.approx(F.cross_entropy(logits, labels).item(), rel=1e-4)

    outputs = []
    for module in net.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.register_forward_hook(lambda module, inputs, output: outputs.append(output.std(correction=0).item()))
    with torch.no_grad():
        net(digits.test_images.double() / 255 - mean)
    with (folder / "responses.csv").open() as file:
        found = [float(row["std"]) for row in csv.DictReader(file)]
    assert found == pytest.approx(outputs, rel=1e-4)


def nets(digits, **setting):
    """The network of a run as it is, and with a setting changed."""
    base = Run("resnet-8", data="digits")
    return [make_net(run, digits, CPU) for run in (base, override(base, setting))]


def test_initialisation_by_fan_out(digits):
    base, changed = nets(digits, **{"model.initialisation": "fan-out"})
    # 16 channels to 32: the same draws, of half the variance.
    torch.testing.assert_close(changed.layer2[0].conv1.weight, base.layer2[0].conv1.weight / 2**0.5)


def test_batch_normalisation_in_shares(digits):
    base, changed = nets(digits, **{"model.norm_shares": 2})
    x = digits.train_images[:16].float() / 255
    halves = torch.cat([base(x[:8]), base(x[8:])])
    torch.testing.assert_close(changed(x), halves, rtol=1e-4, atol=1e-5)
    assert (base(x) - halves).abs().max() > 0.01, "it matters"


def test_subsampling_of_option_a(digits):
    x = torch.rand(2, 16, 8, 8)
    base, changed = nets(digits, **{"model.subsample": "average"})
    for net, expected in ((base, x[:, :, ::2, ::2]), (changed, F.avg_pool2d(x, 2))):
        block = net.layer2[0].eval()
        block.bn2.weight.data.zero_()  # the residual, so that the shortcut is left
        torch.testing.assert_close(block(x).sum(1), expected.sum(1))


def test_the_seed(digits):
    base, changed = nets(digits, seed=1)
    assert not torch.equal(base.conv1.weight, changed.conv1.weight)
    (same,) = {tuple(net.conv1.weight.shape) for net in (base, changed)}
    assert same == (16, 1, 3, 3), "grey images"


def test_the_test_error_is_of_the_last_evaluation_not_the_best_and_the_record_has_the_end_of_the_warm_up(
    digits, tmp_path, monkeypatch
):
    rows = [Row(at, 0.0, 0.1, 1.0, 50.0, error / 10, error) for at, error in ((1, 5.0), (2, 4.0), (3, 9.0))]
    monkeypatch.setattr(sys.modules[attempt.__module__], "read_curve", lambda path: rows)
    settings = {"schedule.iterations": 3, "log_every": 1, "evaluate_every": 3, "optimiser.batch_size": 16}
    warm_up = {"schedule.warm_up": "on", "schedule.warm_up_until": 100.0}
    run = override(Run("resnet-8", data="digits"), {**settings, **warm_up})
    options = Options(tmp_path, device="cpu", precision="fp32", threads=1)
    assert attempt(run, options, digits, Stop()).status == "complete"
    record = json.loads((tmp_path / run.path / "run.json").read_text())
    assert (record["final"]["test_error"], record["final"]["test_loss"]) == (9.0, 0.9)
    assert record["warm_up_ended"] == 1


def test_the_record_has_the_number_of_images_that_were_tested_on(digits, tmp_path):
    settings = {"schedule.iterations": 1, "images.held_out": 30, "images.evaluate_on": "held-out"}
    run = override(Run("resnet-8", data="digits"), settings)
    options = Options(tmp_path, device="cpu", precision="fp32", threads=1)
    assert attempt(run, options, digits, Stop()).status == "complete"
    data = json.loads((tmp_path / run.path / "run.json").read_text())["data"]
    assert (data["train_images"], data["test_images"]) == (1437 - 30, 30)
