import warnings
from pathlib import Path

import pytest
import torch
from torch import nn

from repro.errors import RecordError, UserError
from repro.train import precision
from repro.train.mps import agrees_with_cpu
from repro.train.precision import (
    Numerics,
    check_gpu,
    cores,
    gpu_problem,
    quota,
    resolve,
    settle,
)


@pytest.fixture
def machine(monkeypatch):
    """Pretend to be a machine with these devices."""

    def pretend(cuda=False, mps=False, bf16=False, flags="", sound=True):
        monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda)
        monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation=True: bf16)
        monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)
        monkeypatch.setattr(precision, "mps_is_sound", lambda: sound)
        monkeypatch.setattr(Path, "read_text", lambda self, **_: f"flags : fpu {flags}\n")
        monkeypatch.setattr(precision, "cores", lambda: 6)

    return pretend


@pytest.mark.parametrize(
    ("here", "expected"),
    [
        ({"cuda": True, "mps": True, "bf16": True}, ("cuda", "bf16")),
        # fp16 is too narrow for deep plain nets.
        ({"cuda": True}, ("cuda", "fp32")),
        ({"mps": True}, ("mps", "fp32")),
        # One that gives wrong gradients is not used.
        ({"mps": True, "sound": False}, ("cpu", "fp32")),
        # A CPU takes bf16 only where it is native.
        ({"flags": "avx512f avx512_bf16"}, ("cpu", "bf16")),
        ({"flags": "amx_bf16 amx_tile"}, ("cpu", "bf16")),
        ({"flags": "avx512f"}, ("cpu", "fp32")),
        ({}, ("cpu", "fp32")),
    ],
)
def test_the_best_of_a_machine(machine, here, expected):
    machine(**here)
    assert resolve(None, None, None, None) == Numerics(*expected, 6)


def began(device):
    return {"device": device, "precision": "fp32", "threads": 1}


THERE = {"cuda": True, "bf16": True}
CPU, MPS_IS_WRONG = began("cpu"), r"MPS gives other gradients .* use --device cpu"
REFUSED = [
    ({"mps": True, "sound": False}, ("mps", None, None), None, UserError, MPS_IS_WRONG),
    ({"mps": True, "sound": False}, (None, None, None), began("mps"), UserError, MPS_IS_WRONG),
    # A run is not carried on with other bits.
    (THERE, (None, "bf16", None), CPU, RecordError, "began with precision"),
    (THERE, (None, None, 2), CPU, RecordError, "began with threads"),
    (THERE, ("cuda", None, None), CPU, RecordError, "began with device"),
    ({}, ("gpu", None, None), None, UserError, "unknown device 'gpu'"),
    ({}, ("cuda:1", None, None), None, UserError, "CUDA_VISIBLE_DEVICES=1 .*--device cuda"),
    ({}, ("cpu", "bf61", None), None, UserError, "did you mean 'bf16'"),
    ({}, ("cpu", "fp16", None), None, UserError, "needs a GPU"),
    # A run of a GPU is not sent to the CPU, which it would refuse.
    *(({}, (asked, None, None), began(kind), RecordError, f"began on {kind}, and there is none here: carry on where")
      for kind in ("cuda", "mps") for asked in (None, kind)),
    *(({}, (kind, None, None), None, UserError, f"no {kind.upper()} device is available here: use --device cpu")
      for kind in ("cuda", "mps")),
]  # fmt: skip


@pytest.mark.parametrize(("here", "asked", "recorded", "kind", "text"), REFUSED)
def test_what_is_not_there_or_would_change_a_runs_bits_is_said_in_one_line(machine, here, asked, recorded, kind, text):
    machine(**here)
    with pytest.raises(kind, match=text) as caught:
        resolve(*asked, recorded)
    assert "\n" not in str(caught.value)


def test_a_run_is_carried_on_by_as_many_ranks(machine):
    machine()
    with pytest.raises(RecordError, match=r"began on 1 rank, not 2: start it without torchrun"):
        resolve(None, None, None, CPU, ranks=2)


def scaled(factor):
    """An autograd function that changes a gradient and nothing else."""

    class Function(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x.clone()

        @staticmethod
        def backward(ctx, gradient):
            return gradient * factor

    return Function.apply


def fails(x):
    raise RuntimeError("an operator is missing")


@pytest.mark.parametrize(
    ("layer", "sound"), [(scaled(1.0), True), (scaled(1.05), False), (scaled(float("nan")), False), (fails, False)]
)
def test_a_device_with_one_wrong_layer_is_found_out(monkeypatch, layer, sound):
    moved = nn.Module.to

    def to(net, *args, **kwargs):
        """Only the copy that goes to the device under test computes wrongly."""
        net.layer2[0].bn1.register_forward_hook(lambda module, inputs, output: layer(output))
        return moved(net, *args, **kwargs)

    monkeypatch.setattr(nn.Module, "to", to)
    assert agrees_with_cpu(torch.device("cpu")) == sound


def test_what_is_asked_for_wins_over_the_machine_and_a_record_over_both(machine):
    machine(cuda=True, bf16=True, flags="avx512_bf16")
    assert resolve("cpu", "fp32", 3, None) == Numerics("cpu", "fp32", 3)
    assert resolve(None, "fp16", None, None) == Numerics("cuda", "fp16", 6)
    assert resolve(None, None, None, CPU, default_threads=4) == Numerics("cpu", "fp32", 1)
    assert resolve(None, None, None, None, default_threads=4).threads == 4


def test_threads_determinism_and_tf32_are_settled_without_a_warning(monkeypatch):
    backends, asked = torch.backends, []
    monkeypatch.setattr(torch, "set_num_threads", asked.append)
    before = torch.are_deterministic_algorithms_enabled()
    try:
        torch.use_deterministic_algorithms(False)
        monkeypatch.setattr(backends.cudnn, "benchmark", True)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            settle(Numerics("cpu", "fp32", 3))
        assert asked == [3] and torch.are_deterministic_algorithms_enabled()
        assert not backends.cudnn.benchmark
    finally:
        torch.use_deterministic_algorithms(before, warn_only=True)
    if hasattr(backends.cudnn, "conv"):
        operators = (backends.cudnn.conv, backends.cudnn.rnn, backends.cuda.matmul)
        assert [operator.fp32_precision for operator in operators] == ["ieee"] * 3
    else:
        assert not backends.cudnn.allow_tf32
        assert not backends.cuda.matmul.allow_tf32


def test_a_gpu_without_kernels_in_this_build_of_torch_is_one_line_with_the_cure(monkeypatch):
    """As torch answers for a GPU that is too old, or too new, for it."""

    def ones(*_, device):
        raise RuntimeError("CUDA error: no kernel image is available for execution on the device\nFor debugging ...")

    monkeypatch.setattr(torch, "ones", ones)
    monkeypatch.setattr(torch.cuda, "set_device", lambda card: None)
    gpu_problem.cache_clear()
    try:
        with pytest.raises(UserError, match=r"this GPU .*no kernel image.*use --device cpu") as caught:
            settle(Numerics("cuda", "fp32", 1))
        assert "\n" not in str(caught.value)
        with pytest.raises(UserError, match=r"CUDA device 2 .*no kernel image"):
            check_gpu(2)
    finally:
        gpu_problem.cache_clear()


def test_runs_side_by_side_have_the_cards_of_one_model(monkeypatch):
    """A card for the screen may be too old for this build of torch: it would take each run in turn, and fail it."""
    names = ["A", "old", "A"]
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: len(names))
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda card: names[card])
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 0)
    assert precision.cards() == [0, 2]
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert precision.cards() == []


@pytest.mark.parametrize(
    ("files", "own", "expected"),
    [
        ({}, None, float("inf")),
        ({"cpu.max": "max 100000"}, "0::/", float("inf")),
        ({"cpu.max": "250000 100000"}, "0::/", 2.5),
        # Of nested groups the tightest limit holds.
        ({"a/cpu.max": "400000 100000", "a/b/cpu.max": "600000 100000"}, "0::/a/b", 4),
        ({"cpu/cpu.cfs_quota_us": "150000", "cpu/cpu.cfs_period_us": "100000"}, "3:cpu,cpuacct:/docker/1", 1.5),
        ({"cpu,cpuacct/cpu.cfs_quota_us": "-1", "cpu,cpuacct/cpu.cfs_period_us": "100000"}, None, float("inf")),
        ({"cpu.max": "nonsense"}, "nonsense", float("inf")),
    ],
)
def test_a_container_s_share_of_processors_counts(tmp_path, monkeypatch, files, own, expected):
    for name, text in files.items():
        (tmp_path / "cgroup" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "cgroup" / name).write_text(text + "\n")
    if own:
        (tmp_path / "own").write_text(own + "\n")
    found = quota(tmp_path / "cgroup", tmp_path / "own")
    assert found == expected
    monkeypatch.setattr(precision, "quota", lambda: found)
    monkeypatch.setattr(precision.os, "sched_getaffinity", lambda _: set(range(8)), raising=False)
    assert cores() == min(8, int(expected) if expected < 8 else 8)


def test_on_cuda_weights_lie_channels_last_in_bf16_alone():
    """cuDNN normalises channels-last batches in a mode that may overflow; in bf16 torch does it: see tests/gpu/."""
    forms = {precision: Numerics("cuda", precision, 1).memory_format() for precision in ("fp32", "fp16", "bf16")}
    assert [name for name, form in forms.items() if form == torch.channels_last] == ["bf16"]
