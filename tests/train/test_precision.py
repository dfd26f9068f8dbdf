import warnings
from pathlib import Path
from types import SimpleNamespace as Fake

import pytest
import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode

from repro import models
from repro.data.augment import memory_format
from repro.errors import RecordError, UserError
from repro.train import precision
from repro.train.mps import agrees_with_cpu
from repro.train.precision import (
    Numerics,
    best_precision,
    cores,
    fallback,
    gpu_problem,
    quota,
    resolve,
    settle,
    without_tf32,
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
        monkeypatch.setattr(precision, "gpu_problem", lambda: None)

    return pretend


def test_cuda_comes_first_and_takes_bf16_where_it_has_it(machine):
    machine(cuda=True, mps=True, bf16=True)
    assert resolve(None, None, None, None) == Numerics("cuda", "bf16", 6)
    machine(cuda=True, bf16=False)
    assert resolve(None, None, None, None) == Numerics("cuda", "fp32", 6), "fp16 is too narrow for deep plain nets"
    assert resolve(None, "fp16", None, None) == Numerics("cuda", "fp16", 6), "where asked for"


def test_mps_is_fp32(machine):
    machine(mps=True)
    assert resolve(None, None, None, None) == Numerics("mps", "fp32", 6)


def test_mps_that_gives_wrong_gradients_is_not_used(machine):
    machine(mps=True, sound=False)
    assert resolve(None, None, None, None) == Numerics("cpu", "fp32", 6)
    assert "MPS gives other gradients" in fallback("cpu")
    for asked, recorded in (("mps", None), (None, {"device": "mps", "precision": "fp32", "threads": 1})):
        with pytest.raises(UserError, match=r"MPS gives other gradients .* use --device cpu"):
            resolve(asked, None, None, recorded)


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


@pytest.mark.parametrize(("factor", "sound"), [(1.0, True), (1.05, False), (float("nan"), False)])
def test_a_device_with_a_wrong_gradient_in_one_layer_is_found_out(monkeypatch, factor, sound):
    moved = nn.Module.to

    def to(net, *args, **kwargs):
        """Only the copy that goes to the device under test computes wrongly."""
        net.layer2[0].bn1.register_forward_hook(lambda module, inputs, output: scaled(factor)(output))
        return moved(net, *args, **kwargs)

    monkeypatch.setattr(nn.Module, "to", to)
    assert agrees_with_cpu(torch.device("cpu")) == sound


def test_a_device_on_which_a_step_fails_is_not_taken(monkeypatch):
    def to(net, *args, **kwargs):
        raise RuntimeError("an operator is missing")

    monkeypatch.setattr(nn.Module, "to", to)
    assert not agrees_with_cpu(torch.device("cpu"))


@pytest.mark.parametrize(
    ("flags", "expected"),
    [("avx512f avx512_bf16", "bf16"), ("amx_bf16 amx_tile", "bf16"), ("avx512f", "fp32"), ("", "fp32")],
)
def test_a_cpu_takes_bf16_only_where_it_is_native(machine, flags, expected):
    machine(flags=flags)
    assert resolve(None, None, None, None) == Numerics("cpu", expected, 6)


@pytest.mark.parametrize(
    ("device", "pretended", "words"),
    [
        ("cpu", {"flags": "avx512f"}, "processor is not known to multiply bf16"),
        ("cpu", {"flags": "avx512_bf16"}, None),
        ("cuda", {"cuda": True, "bf16": False}, "fp32, because this GPU has no bf16"),
        ("cuda", {"cuda": True, "bf16": True}, None),
        ("mps", {"mps": True}, "not been tried on MPS"),
    ],
)
def test_what_falls_back_says_why(machine, device, pretended, words):
    machine(**pretended)
    reason = fallback(device)
    assert (reason is None) if words is None else (words in reason and reason.startswith(best_precision(device)))


def test_what_is_asked_for_wins_over_the_machine_and_a_record_over_both(machine):
    machine(flags="avx512_bf16")
    assert resolve("cpu", "fp32", 3, None) == Numerics("cpu", "fp32", 3)
    recorded = {"device": "cpu", "precision": "fp32", "threads": 1}
    assert resolve(None, None, None, recorded, default_threads=4) == Numerics("cpu", "fp32", 1)
    assert resolve(None, None, None, None, default_threads=4).threads == 4


@pytest.mark.parametrize(
    ("asked", "field"),
    [((None, "bf16", None), "precision"), ((None, None, 2), "threads"), (("cuda", None, None), "device")],
)
def test_a_run_is_not_carried_on_with_other_bits(machine, asked, field):
    machine(cuda=True)
    with pytest.raises(RecordError, match=f"began with {field}"):
        resolve(*asked, {"device": "cpu", "precision": "fp32", "threads": 1})


@pytest.mark.parametrize(
    ("asked", "text"),
    [
        (("cuda", None), "no CUDA device"),
        (("mps", None), "no MPS device"),
        (("gpu", None), "unknown device 'gpu'"),
        (("cpu", "bf61"), "did you mean 'bf16'"),
        (("cpu", "fp16"), "needs a GPU"),
    ],
)
def test_what_is_not_there_is_said_in_one_line(machine, asked, text):
    machine()
    with pytest.raises(UserError, match=text) as caught:
        resolve(*asked, None, None)
    assert "\n" not in str(caught.value)


def test_autocast_is_what_the_name_says():
    product = torch.ones(8, 8)
    with Numerics("cpu", "bf16", 1).autocast():
        assert (product @ product).dtype == torch.bfloat16
    with Numerics("cpu", "fp32", 1).autocast():
        assert (product @ product).dtype == torch.float32


def test_tf32_is_off_by_the_flags_that_this_torch_has():
    old = Fake(cudnn=Fake(allow_tf32=True), cuda=Fake(matmul=Fake(allow_tf32=True)))
    without_tf32(old)
    assert old == Fake(cudnn=Fake(allow_tf32=False), cuda=Fake(matmul=Fake(allow_tf32=False)))

    def flags(precision, **also):
        return Fake(fp32_precision=precision, **also)

    new = Fake(
        cudnn=Fake(allow_tf32=True, conv=flags("tf32"), rnn=flags("tf32")),
        cuda=Fake(matmul=flags("none", allow_tf32=False)),
    )
    without_tf32(new)
    assert new.cudnn == Fake(allow_tf32=True, conv=flags("ieee"), rnn=flags("ieee")), "the old flags untouched"
    assert new.cuda.matmul == flags("ieee", allow_tf32=False)


def test_what_settles_the_numerics_turns_tf32_off_without_a_warning():
    backends = torch.backends
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        settle(Numerics("cpu", "fp32", torch.get_num_threads()))
    if hasattr(backends.cudnn, "conv"):
        operators = (backends.cudnn.conv, backends.cudnn.rnn, backends.cuda.matmul)
        assert [operator.fp32_precision for operator in operators] == ["ieee"] * 3
    else:
        assert not backends.cudnn.allow_tf32
        assert not backends.cuda.matmul.allow_tf32


@pytest.mark.parametrize("device", ["cuda", "mps"])
@pytest.mark.parametrize("asked", [None, "cuda", "mps"])
def test_a_run_of_a_gpu_is_not_sent_to_the_cpu_which_it_would_refuse(machine, device, asked):
    machine()
    recorded = {"device": device, "precision": "fp32", "threads": 1}
    if asked in (None, device):
        with pytest.raises(RecordError, match=f"began on {device}, and there is none here: carry on where there is"):
            resolve(asked, None, None, recorded)
    with pytest.raises(UserError, match=f"no {device.upper()} device is available here: use --device cpu"):
        resolve(device, None, None, None)


def test_threads_and_determinism_are_settled(monkeypatch):
    asked = []
    monkeypatch.setattr(torch, "set_num_threads", asked.append)
    before = torch.are_deterministic_algorithms_enabled()
    try:
        torch.use_deterministic_algorithms(False)
        settle(Numerics("cpu", "fp32", 3))
        assert asked == [3] and torch.are_deterministic_algorithms_enabled()
    finally:
        torch.use_deterministic_algorithms(before, warn_only=True)


def test_a_gpu_without_kernels_in_this_build_of_torch_is_one_line_with_the_cure(monkeypatch):
    """As torch answers for a GPU that is too old, or too new, for it."""

    def ones(*_, device):
        raise RuntimeError("CUDA error: no kernel image is available for execution on the device\nFor debugging ...")

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch, "ones", ones)
    gpu_problem.cache_clear()
    try:
        with pytest.raises(UserError, match=r"no kernel image.*use --device cpu") as caught:
            resolve("cuda", "fp32", 1, None)
        assert "\n" not in str(caught.value)
    finally:
        gpu_problem.cache_clear()


def test_a_numbered_gpu_is_had_by_the_environment():
    with pytest.raises(UserError, match=r"CUDA_VISIBLE_DEVICES=1 .*--device cuda"):
        resolve("cuda:1", None, None, None)


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


@pytest.mark.parametrize("name", ["resnet-8-B", "plain-8"])
@pytest.mark.parametrize("precision", ["fp32", "fp16", "bf16"])
def test_on_cuda_no_channels_last_batch_is_normalised_by_cudnn(name, precision):
    """There its persistent mode may overflow on large finite inputs. torch says here, too, whose kernels it would take:
    of tensors that have shape, strides and device alone.
    """
    dtype = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}[precision]
    net = models.build(name).to(memory_format=Numerics("cuda", precision, 1).memory_format()).train()
    seen = []

    def look(norm, inputs):
        (x,) = inputs
        form = "last" if x.is_contiguous(memory_format=torch.channels_last) else "first"
        statistics = (norm.running_mean, norm.running_var)
        backend = torch._C._select_batch_norm_backend(x, norm.weight, norm.bias, *statistics, True, norm.eps)
        seen.append((form, str(backend).partition(".")[2]))

    with FakeTensorMode(), torch.device("cuda"):
        for module in net.modules():
            # As autocast would have it, which torch leaves out where there is no CUDA.
            cast = isinstance(module, nn.Conv2d | nn.Linear)
            for key, tensor in module.named_parameters(recurse=False):
                fake = torch.empty_strided(tensor.shape, tensor.stride(), dtype=dtype if cast else None)
                setattr(module, key, nn.Parameter(fake))
            for key, tensor in module.named_buffers(recurse=False):
                setattr(module, key, torch.empty(tensor.shape, dtype=tensor.dtype))
            if isinstance(module, nn.BatchNorm2d):
                module.register_forward_pre_hook(look)
        images = torch.empty(8, 3, 32, 32, dtype=dtype)
        net(images.contiguous(memory_format=memory_format(images.device)))
    # Without a GPU torch does not tell in what form cuDNN gives bf16; tests/gpu/ looks.
    assert {backend for _, backend in seen} == {"Native"} if precision == "bf16" else set(seen) == {("first", "Cudnn")}
