"""Ranks compute what one process does: gradients, statistics, loss and weights, in float64 against torch's layers."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import torch.multiprocessing as mp
import torch.nn.functional as F
from torch import Tensor, nn

from repro.errors import UserError
from repro.models import build, cifar
from repro.spec import Run
from repro.train import ranks as module
from repro.train.evaluate import evaluate
from repro.train.precision import Numerics
from repro.train.ranks import ALONE, Ranks, join

FP32 = Numerics("cpu", "fp32", 1)
BATCH = 16
#: Shares of the batch that are normalised apart, and whether activations are computed again as in a ResNet-1202.
CASES = [(1, False), (1, True), (2, False), (4, True)]


def images(step: int = 0) -> tuple[Tensor, Tensor]:
    """Batches whose halves differ in mean and variance."""
    g = torch.Generator().manual_seed(step)
    scale = torch.linspace(0.5, 2, BATCH, dtype=torch.float64)[:, None, None, None]
    return torch.randn(BATCH, 1, 8, 8, generator=g, dtype=torch.float64) * scale + scale, torch.arange(BATCH) % 10


def trained(ranks: Ranks, shares: int, again: bool) -> dict[str, Tensor]:
    """Two steps of gradient descent; all that the second one leaves, and a net's loss and error on more images."""
    cifar.DEEP = 1 if again else 200
    net = build("resnet-14-B", channels=1, norm_shares=shares, generator=torch.Generator().manual_seed(0)).double()
    net = ranks.arrange(net.train(), shares)
    for step in range(2):
        net.zero_grad()
        x, y = (each[ranks.part(BATCH)] for each in images(step))
        logits = net(x)
        loss = F.cross_entropy(logits, y)
        loss.backward()
        loss, wrong = ranks.average(net, loss.detach(), (logits.argmax(1) != y).sum())
        with torch.no_grad():
            for p in net.parameters():
                p.sub_(p.grad, alpha=0.05)
    more = [images(step) for step in range(2, 5)]
    found = {f"gradient {name}": p.grad for name, p in net.named_parameters()} | net.state_dict()
    return found | {
        "loss": loss,
        "wrong": wrong,
        "evaluated": torch.tensor(evaluate(net, more[ranks.turns], FP32, ranks)),
    }


def work(rank: int, count: int, port: int, folder: str) -> None:
    torch.set_num_threads(1)
    place = {"RANK": rank, "WORLD_SIZE": count, "LOCAL_RANK": rank, "LOCAL_WORLD_SIZE": count, "MASTER_PORT": port}
    os.environ.update({name: str(value) for name, value in place.items()})
    os.environ.update(MASTER_ADDR="127.0.0.1", TORCHELASTIC_RUN_ID="here")
    with join() as ranks:
        cases = [case for case in CASES if count == 2] or [(2, False)]
        found = {case: trained(ranks, *case) for case in cases}
        torch.save((found, words(ranks)), f"{folder}/{rank}")


def words(ranks: Ranks) -> dict[str, object]:
    """What comes of each other collective, on this rank."""

    def fail() -> None:
        raise UserError("not today")

    said: dict[str, object] = {}
    with pytest.raises(UserError, match="not today"):
        ranks.broadcast(fail)
    said["broadcast"] = ranks.broadcast(lambda: {"rank": ranks.rank})
    said["largest"] = ranks.largest(7 * ranks.rank)
    said["total"] = ranks.total(1.5, ranks.rank)
    said["turns"] = list(range(5)[ranks.turns])
    # Of a mean of thousands of standard deviations, which E[x^2] - E[x]^2 would not survive in float32.
    norm = ranks.arrange(nn.Sequential(nn.BatchNorm2d(1)), 1)
    said["normalised"] = norm(images()[0].float()[ranks.part(BATCH)] + OFFSET).detach()
    return said


OFFSET = 3e3


def together(count: int, folder: str) -> list[tuple[dict[tuple[int, bool], dict[str, Tensor]], dict[str, object]]]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    mp.spawn(work, (count, port, folder), nprocs=count)
    return [torch.load(f"{folder}/{rank}", weights_only=True) for rank in range(count)]


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    return together(2, str(tmp_path_factory.mktemp("two")))


def alone(shares: int, again: bool) -> dict[str, Tensor]:
    try:
        return trained(ALONE, shares, again)
    finally:
        cifar.DEEP = 200


def assert_equal_to_one_process(found: dict[str, Tensor], shares: int, again: bool) -> None:
    expected = alone(shares, again)
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        # The loss of an evaluation is float32.
        tight = {"rtol": 1e-6, "atol": 0.0} if name == "evaluated" else {"rtol": 1e-8, "atol": 1e-10}
        torch.testing.assert_close(found[name], value, **tight, msg=lambda m, name=name: f"{name}: {m}")


@pytest.mark.parametrize(("shares", "again"), CASES)
def test_two_ranks_compute_what_one_process_does(two, shares, again):
    """With one share the one process has torch's own layer, and so nothing in common with what the ranks do."""
    for found, _ in two:
        assert_equal_to_one_process(found[shares, again], shares, again)


def test_ranks_have_the_same_bits_after_each_step(two):
    for case in CASES:
        one, other = (found[case] for found, _ in two)
        assert all(torch.equal(one[name], other[name]) for name in one)


def test_shares_differ_from_the_whole_batch():
    whole, shared = alone(1, False), alone(2, False)
    assert not torch.allclose(whole["gradient conv1.weight"], shared["gradient conv1.weight"], rtol=1e-3)


@pytest.mark.slow
def test_a_share_may_lie_on_two_of_four_ranks(tmp_path):
    for found, _ in together(4, str(tmp_path)):
        assert_equal_to_one_process(found[2, False], 2, False)


def test_the_other_collectives(two):
    one, other = (said for _, said in two)
    assert one["broadcast"] == other["broadcast"] == {"rank": 0}
    assert one["largest"] == other["largest"] == 7
    assert one["total"] == other["total"] == (3.0, 1.0)
    assert (one["turns"], other["turns"]) == ([0, 2, 4], [1, 3])
    found = torch.cat([one["normalised"], other["normalised"]]).double()
    expected = nn.BatchNorm2d(1).double()((images()[0].float() + OFFSET).double())
    torch.testing.assert_close(found, expected, rtol=3e-3, atol=3e-3)


@pytest.mark.parametrize(("device", "expected"), [("cpu", "gloo"), ("cuda", "nccl")])
def test_gpus_use_nccl(device, expected, monkeypatch):
    made = []

    class There(nn.Linear):
        def parameters(self, recurse: bool = True) -> Iterator[Any]:
            return iter([SimpleNamespace(device=torch.device(device))])

    monkeypatch.setattr(module.dist, "new_group", lambda members, timeout, backend: made.append(backend))
    Ranks(0, 2).arrange(There(1, 1), 1)
    assert set(made) == {expected}


@pytest.mark.parametrize(
    ("device", "cards", "words"),
    [("mps", 0, "several ranks need --device cpu or cuda"), ("cuda", 1, "2 ranks need a CUDA")],
)
def test_devices_that_ranks_cannot_have(device, cards, words, monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: cards)
    with pytest.raises(UserError, match=words):
        Ranks(0, 2, here=2).check(Run("resnet-8"), device)
