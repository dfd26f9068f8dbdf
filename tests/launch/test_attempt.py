"""What a run computes beside its training: its final results; and that it has the same bits when it was stopped."""

import csv
import hashlib
import json
import sys
from collections import Counter

import pytest
import torch
import torch.nn.functional as F
from runs import assert_same_bits, records

from repro.data import load
from repro.launch import attempt as module
from repro.launch.attempt import attempt
from repro.launch.options import Options
from repro.launch.stop import Stop
from repro.models import build
from repro.records import Row, read_curve, read_health
from repro.spec import Run, override

RUN = override(Run("resnet-8", data="digits"), {"schedule.iterations": 23, "log_every": 4, "evaluate_every": 8})


@pytest.fixture(scope="module")
def digits():
    return load("digits")


def carry_out(results, digits, run=RUN, **options):
    """The status of a run, and its record."""
    outcome = attempt(run, Options(results, device="cpu", precision="fp32", threads=1, **options), digits, Stop())
    return outcome.status, records(results)[0]


@pytest.fixture(scope="module")
def undisturbed(digits, tmp_path_factory):
    results = tmp_path_factory.mktemp("undisturbed")
    assert carry_out(results, digits)[0] == "complete"
    return results


def by_hand(net):
    digest = hashlib.sha256()
    for name, tensor in net.state_dict().items():
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode() + tensor.numpy().tobytes())
    return digest.hexdigest()


def test_final_results_are_those_of_the_curve_and_of_the_weights(digits, undisturbed):
    """Rows at 4, 8, ... 20 and 23: those of the last 8 iterations stand for 4, 4 and 3."""
    folder, (record,) = undisturbed / RUN.path, records(undisturbed)
    final = record["final"]
    with (folder / "curve.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [int(row["iteration"]) for row in rows] == [4, 8, 12, 16, 20, 23]
    for key in ("train_error", "train_loss"):
        a, b, c = (float(row[key]) for row in rows[-3:])
        assert final[key] == pytest.approx((4 * a + 4 * b + 3 * c) / 11, rel=1e-9)

    net = build("resnet-8", channels=1)
    net.load_state_dict(torch.load(folder / "checkpoint.pt", weights_only=True)["model"])
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
        assert final[f"{kind}_loss"] == pytest.approx(F.cross_entropy(logits, labels).item(), rel=1e-4)
    digits_of_bits = record["wrong_test_images"]
    bits = f"{int(digits_of_bits, 16):0{4 * len(digits_of_bits)}b}"
    found = torch.tensor([bit == "1" for bit in bits])
    assert len(bits) == 360 and found.double().mean().item() * 100 == pytest.approx(final["test_error"])
    # In float64 hardly an image is judged otherwise.
    assert (found != (logits.argmax(1) != labels)).sum() <= 1

    outputs = []
    for layer in net.modules():
        if isinstance(layer, torch.nn.BatchNorm2d):
            layer.register_forward_hook(lambda layer, inputs, output: outputs.append(output.std(correction=0).item()))
    with torch.no_grad():
        net(digits.test_images.double() / 255 - mean)
    with (folder / "responses.csv").open() as file:
        assert [float(row["std"]) for row in csv.DictReader(file)] == pytest.approx(outputs, rel=1e-4)
    # The health of the signals after 0, 1 (here still none), 10, 50 and 100 % of the iterations, in each of 7 layers.
    assert Counter(row.iteration for row in read_health(folder / "health.csv")) == {0: 7, 2: 7, 12: 7, 23: 7}


def test_stopped_at_iterations_that_are_no_rows_and_carried_on_it_has_the_same_bits(undisturbed, digits, tmp_path):
    for stop in (1, 7, 12, 21):
        for _ in range(2):  # once there, nothing more is done
            status, record = carry_out(tmp_path, digits, stop_at=stop)
            assert (status, record["iteration"]) == ("stopped", stop)
    assert [session["from"] for session in record["sessions"]] == [0, 1, 7, 12]
    assert carry_out(tmp_path, digits)[0] == "complete"
    assert_same_bits(tmp_path, undisturbed)


def test_a_rate_that_falls_at_plateaus_falls_alike_in_a_run_that_was_stopped(digits, tmp_path):
    """At an error that never falls by 100 points the rate does as soon as it may: after an epoch at one rate."""
    settings = {"schedule.iterations": 40, "schedule.plateau": [0.5, 100], "log_every": 4}
    run = override(RUN, settings)
    assert carry_out(tmp_path / "whole", digits, run)[0] == "complete"
    for stop in (10, 18, 30, None):
        carry_out(tmp_path / "parts", digits, run, stop_at=stop)
    rates = [row.lr for row in read_curve(tmp_path / "whole" / run.path / "curve.csv")]
    # An epoch is 11.2 iterations: half an epoch twice is over by iteration 12, and again by 24.
    assert rates == pytest.approx([0.1] * 3 + [0.01] * 3 + [0.001] * 4)
    assert_same_bits(tmp_path / "whole", tmp_path / "parts")


def test_the_test_error_is_of_the_last_evaluation_not_the_best_and_the_record_has_the_end_of_the_warm_up(
    digits, tmp_path, monkeypatch
):
    rows = [Row(at, 0.0, 0.1, 1.0, 50.0, error / 10, error) for at, error in ((1, 5.0), (2, 4.0), (3, 9.0))]
    monkeypatch.setattr(sys.modules[attempt.__module__], "read_curve", lambda path: rows)
    settings = {"schedule.iterations": 3, "log_every": 1, "evaluate_every": 3, "optimiser.batch_size": 16}
    warm_up = {"schedule.warm_up": "on", "schedule.warm_up_until": 100.0}
    status, record = carry_out(tmp_path, digits, override(RUN, {**settings, **warm_up}))
    assert (status, record["final"]["test_error"], record["final"]["test_loss"]) == ("complete", 9.0, 0.9)
    assert record["warm_up_ended"] == 1


def test_another_torch_or_device_than_it_began_with_is_told_and_kept_in_the_record(digits, tmp_path, monkeypatch):
    def go_on(stop, torch_version, device, driver="580.65.06"):
        monkeypatch.setattr(module, "build_of_torch", lambda _: {"driver": driver})
        monkeypatch.setattr(module, "environment", lambda: {"python": "3.12", "torch": torch_version})
        monkeypatch.setattr(module, "device_name", lambda _: device)
        session = carry_out(tmp_path, digits, stop_at=stop)[1]["sessions"][-1]
        return " ".join(session.get("notes", [])), session.get("torch"), session.get("device")

    assert go_on(1, "2.14.1", "H100") == ("", None, None)
    assert go_on(2, "2.14.1", "H100") == ("carries on from iteration 1", None, None)
    said, *now = go_on(3, "2.15.0", "A100")
    assert "its machine has changed (device H100 to A100, torch 2.14.1 to 2.15.0), and the bits may" in said
    assert now == ["2.15.0", "A100"]
    said, *_ = go_on(4, "2.15.0", "A100", driver="590.44.01")
    assert "its machine has changed (driver 580.65.06 to 590.44.01), and the bits may" in said


def test_a_network_whose_code_has_changed_is_told(digits, tmp_path):
    carry_out(tmp_path, digits, stop_at=1)
    file = tmp_path / RUN.path / "run.json"
    record = json.loads(file.read_text())
    file.write_text(json.dumps(record | {"network_sha256": "0" * 64}))
    notes = carry_out(tmp_path, digits, stop_at=2)[1]["sessions"][-1]["notes"]
    assert any("the code of its network has changed" in note for note in notes)


def test_a_signal_that_comes_before_the_first_iteration_stops_all_the_same(digits, tmp_path):
    stop = Stop()
    stop(15)
    outcome = attempt(RUN, Options(tmp_path, precision="fp32", threads=1), digits, stop)
    assert (outcome.status, outcome.message) == ("stopped", "at iteration 0")
    assert torch.load(tmp_path / RUN.path / "checkpoint.pt", weights_only=True)["state"]["iteration"] == 0
