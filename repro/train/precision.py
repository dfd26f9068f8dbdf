"""Where and how precisely to compute: device, floating-point format, threads, as resolved on this machine."""

from __future__ import annotations

import math
import os
import re
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

import torch

from repro.environment import instructions, processor
from repro.errors import RecordError, UserError, unknown
from repro.train.allocator import keep_memory
from repro.train.mps import mps_is_sound

DEVICES = ("cpu", "cuda", "mps")
PRECISIONS = ("fp32", "bf16", "fp16")
_DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}


@dataclass(frozen=True)
class Numerics:
    """What the bits of a run depend on besides its spec.

    Attributes:
        device: "cpu", "cuda" or "mps".
        precision: of what passes through the network, forward and backward, logits among it: "fp32", "bf16" or "fp16"
            by autocast. Weights, momentum, batch normalisation's statistics and the loss are fp32 always.
        threads: of one run on the CPU; of several ranks, of each.
        ranks: processes that train the run together, each a share of every batch.
    """

    device: str
    precision: str
    threads: int
    ranks: int = 1

    def to_dict(self) -> dict[str, Any]:
        """As JSON types; one rank goes without saying, as it did before there could be several."""
        return {key: value for key, value in asdict(self).items() if (key, value) != ("ranks", 1)}

    def autocast(self) -> AbstractContextManager[Any]:
        """The context in which the network runs forward."""
        if self.precision == "fp32":
            return nullcontext()
        # A CUDA graph cannot be captured with the cache; each weight is cast once per pass with or without.
        return torch.autocast(self.device, _DTYPES[self.precision], cache_enabled=False)

    def memory_format(self) -> torch.memory_format:
        """How weights lie in memory: channels-last on the CPU, and on CUDA in bf16.

        In fp32 and fp16 batch normalisation on CUDA is cuDNN's. Channels-last it may overflow on large finite inputs
        (NVIDIA's notes on CUDNN_BATCHNORM_SPATIAL_PERSISTENT), which deep plain nets have. In bf16 it is torch's own.
        """
        last = self.device == "cpu" or (self.device, self.precision) == ("cuda", "bf16")
        return torch.channels_last if last else torch.contiguous_format


def resolve(
    device: str | None,
    precision: str | None,
    threads: int | None,
    recorded: dict[str, Any] | None,
    default_threads: int | None = None,
    ranks: int = 1,
) -> Numerics:
    """Settle device, precision and threads: what is asked for, else what the run began with, else this machine's best.

    Raises:
        UserError: a device that this machine lacks, an unknown precision, or another than what the run began with, as
            the number of ranks may be.
    """
    recorded = recorded or {}
    began = recorded.get("ranks") or 1
    if recorded and began != ranks:
        how = "without torchrun" if began == 1 else f"with torchrun --nproc-per-node {began}"
        raise RecordError(
            f"the run began on {began} rank{'s' if began > 1 else ''}, not {ranks}: start it {how} to carry on with "
            "the same bits, or give another --results folder"
        )
    for name, asked in (("device", device), ("precision", precision), ("threads", threads)):
        if asked and recorded and asked != recorded.get(name):
            raise RecordError(
                f"the run began with {name} {recorded.get(name)}, not {asked}: leave --{name} out to carry on with the "
                "same bits, or give another --results folder"
            )
    began_on = recorded.get("device")
    if began_on in DEVICES and not has_device(began_on):
        raise RecordError(
            f"the run began on {began_on}, and there is none here: carry on where there is one, or give another "
            "--results folder"
        )
    device = device or began_on or best_device()
    check_device(device)
    precision = precision or recorded.get("precision") or best_precision(device)
    if precision not in PRECISIONS:
        raise unknown("precision", precision, PRECISIONS)
    if precision == "fp16" and device == "cpu":
        raise UserError("precision fp16 needs a GPU: use bf16 or fp32 on the CPU")
    threads = threads or recorded.get("threads") or default_threads or cores()
    return Numerics(device, precision, threads, ranks)


def best_device() -> str:
    """CUDA, else Apple's GPU where that computes right, else the CPU."""
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() and mps_is_sound() else "cpu"


def check_device(device: str) -> None:
    """Raise UserError for a device that is unknown, not here, or that computes wrongly."""
    if device.startswith("cuda:"):
        number = device.removeprefix("cuda:")
        raise UserError(f"device {device!r}: set CUDA_VISIBLE_DEVICES={number} and give --device cuda to have that GPU")
    if device not in DEVICES:
        raise unknown("device", device, DEVICES)
    if not has_device(device):
        cure = ", or install a CUDA build of torch" if device == "cuda" else ""
        raise UserError(f"no {device.upper()} device is available here: use --device cpu{cure}")
    if device == "mps" and not mps_is_sound():
        raise UserError(f"MPS gives other gradients than the CPU with torch {torch.__version__}: use --device cpu")


def check_gpu(card: int | None = None) -> None:
    """Have this process compute on a CUDA device, by default the current one, where it stays from now on.

    Only a process that trains calls this: it takes some of the GPU's memory, and an exclusive GPU serves one process.

    Raises:
        UserError: the device computes nothing.
    """
    if problem := gpu_problem(card):
        which = "this GPU" if card is None else f"CUDA device {card}"
        raise UserError(
            f"{which} cannot compute ({problem}): use --device cpu, or another GPU by CUDA_VISIBLE_DEVICES, or install "
            "a build of torch for it"
        )


@cache
def gpu_problem(card: int | None = None) -> str | None:
    """Why a CUDA device computes nothing, as where this build of torch has no kernels for it; None where it does."""
    try:
        if card is not None:
            torch.cuda.set_device(card)
        torch.ones(1, device="cuda").add_(1).item()
    except torch.OutOfMemoryError:
        return None
    except RuntimeError as error:
        return str(error).strip().splitlines()[0]
    return None


def cards() -> list[int]:
    """The CUDA devices for runs side by side: those of the current one's model, so that equal runs have equal bits."""
    if not torch.cuda.is_available():
        return []
    names = [torch.cuda.get_device_name(card) for card in range(torch.cuda.device_count())]
    return [card for card, name in enumerate(names) if name == names[torch.cuda.current_device()]]


def has_device(device: str) -> bool:
    """Whether a device of `DEVICES` is here."""
    if device == "cuda":
        return torch.cuda.is_available()
    return device == "cpu" or torch.backends.mps.is_available()


def device_name(device: torch.device) -> str:
    """The model of the device, for the record."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return processor() if device.type == "cpu" else device.type


def build_of_torch(device: torch.device) -> dict[str, str | None]:
    """Which build of torch computes, and on CUDA with which driver and libraries of NVIDIA's, for the record."""
    build: dict[str, str | None] = {"torch_build": str(torch.__version__), "cuda": None, "cudnn": None, "driver": None}
    if device.type == "cuda":
        build |= {"cuda": torch.version.cuda, "cudnn": _cudnn(), "driver": _driver()}
    return build


def _cudnn() -> str | None:
    """The version of cuDNN. The first question fails where another card is too old for it; a second has an answer."""
    for _ in range(2):
        with suppress(RuntimeError):
            return str(torch.backends.cudnn.version())  # type: ignore[no-untyped-call]
    return None


def _driver() -> str | None:
    """The version of NVIDIA's driver, where Linux says it."""
    try:
        text = Path("/proc/driver/nvidia/version").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    found = re.search(r" (\d+\.[\d.]+) ", text)
    return found[1] if found else None


def best_precision(device: str) -> str:
    """bf16 where the processor computes in it natively, else fp32.

    Never fp16: it ends at 65,504, and in deep plain nets outputs of convolutions, before they are normalised, come to
    have standard deviations of thousands (56 layers) and of millions or more (110; health.csv of the reference). A net
    would then fail for a reason that is not the paper's.
    """
    if device == "cuda":
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp32"
    if device == "cpu":
        return "bf16" if cpu_has_bf16() else "fp32"
    return "fp32"


def fallback(device: str) -> str | None:
    """Why the best precision of this device is not bf16; None where it is."""
    if best_precision(device) == "bf16":
        return None
    if device == "cpu" and torch.backends.mps.is_available() and not mps_is_sound():
        return "fp32 on the CPU, because with this torch MPS gives other gradients than the CPU"
    return {
        "cpu": "fp32, because this processor is not known to multiply bf16 natively, and emulated it would be slower",
        "cuda": "fp32, because this GPU has no bf16; --precision fp16 is faster, but too narrow for deep plain nets",
        "mps": "fp32, because lower precision has not been tried on MPS",
    }[device]


def cpu_has_bf16() -> bool:
    """Whether Linux says that this x86 CPU multiplies bf16 natively (AVX512-BF16 or AMX); of others it is not known.

    Emulated bf16 is slower than fp32.
    """
    return bool({"avx512_bf16", "amx_bf16"} & set((instructions() or "").split()))


def cores() -> int:
    """Processors that this process may use, by its affinity and by the quota of its container."""
    here = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return int(max(1, min(here, quota())))


def quota(root: Path = Path("/sys/fs/cgroup"), own: Path = Path("/proc/self/cgroup")) -> float:
    """For how many processors Linux gives this process time, as a container's limit says; infinite without one."""
    try:
        groups = [line.rstrip().split(":", 2)[2].lstrip("/") for line in own.read_text().splitlines()]
    except (OSError, ValueError, IndexError):
        groups = []
    # A limit holds for all groups below its own. Inside a container its own group is the root.
    places = {folder for group in groups for folder in (Path(group), *Path(group).parents)} | {Path()}
    found = [math.inf]
    for place in places:
        for files in (("cpu.max",), ("cpu.cfs_quota_us", "cpu.cfs_period_us")):
            for hierarchy in (root, root / "cpu", root / "cpu,cpuacct"):
                with suppress(OSError, ValueError):
                    time, period = " ".join((hierarchy / place / file).read_text() for file in files).split()
                    found += [int(time) / int(period)] if int(time) > 0 < int(period) else []
    return min(found)


def settle(numerics: Numerics) -> torch.device:
    """Set torch up for a run, so that equal runs give equal bits, and give its device.

    Raises:
        UserError: it is a GPU that computes nothing.
    """
    if numerics.device == "cuda":
        check_gpu()
    torch.set_num_threads(numerics.threads)
    keep_memory()
    # Where only a non-deterministic kernel exists, a warning beats a refusal; none is used by these networks.
    torch.use_deterministic_algorithms(True, warn_only=True)
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    # Filling new memory makes only code that reads it unwritten repeatable, and costs a pass over each activation.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    without_tf32(torch.backends)
    torch.backends.cudnn.benchmark = False  # which would choose kernels, and so bits, by their time
    return torch.device(numerics.device)


def without_tf32(backends: Any) -> None:
    """Have "fp32" be fp32 on GPUs too: by default, torch lets convolutions there round to TF32's 10 bits.

    Args:
        backends: torch.backends. From torch 2.9 on, the flags of old warn, and may not be mixed with those that say it
            by operator.
    """
    if hasattr(backends.cudnn, "conv"):
        for operator in (backends.cudnn.conv, backends.cudnn.rnn, backends.cuda.matmul):
            operator.fp32_precision = "ieee"
    else:
        backends.cudnn.allow_tf32 = backends.cuda.matmul.allow_tf32 = False
