"""What the ranks other than 0 say when they end; what they compute is in test_torchrun.py."""

from types import SimpleNamespace

import pytest

from repro.launch import follow
from repro.launch.execute import Begin, Options
from repro.spec import Run
from repro.train.precision import Numerics
from repro.train.ranks import RankError


@pytest.mark.parametrize(
    ("device", "error", "told"),
    [
        ("cuda", ZeroDivisionError("by zero"), "repro.run: rank 1: ZeroDivisionError: by zero\n"),
        ("cuda", RankError("rank 2: no room; start again to carry on"), ""),
        ("cpu", ZeroDivisionError("by zero"), ""),
    ],
)
def test_what_ends_a_rank_on_a_gpu_is_told_by_itself(device, error, told, tmp_path, monkeypatch, capsys):
    def fail(*_):
        raise error

    monkeypatch.setattr(follow, "_take_part", fail)
    ranks = SimpleNamespace(rank=1, whole=False, hear=lambda: Begin(Numerics(device, "fp32", 1, 3), None))
    run = Run("resnet-8", data="digits")
    outcome = follow.follow(run, Options(tmp_path), None, None, None, ranks)
    assert outcome.status == "failed" and str(error) in outcome.message
    assert capsys.readouterr().err == told
