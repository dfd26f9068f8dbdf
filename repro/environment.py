"""On what a run was made: versions, processor and commit, without a path or a name of the machine."""

from __future__ import annotations

import json
import os
import platform
import subprocess
from functools import cache
from importlib.metadata import PackageNotFoundError, distribution, version
from pathlib import Path
from typing import Any

PACKAGES = ("torch", "torchvision", "numpy")
#: As Linux names them.
INSTRUCTIONS = ("avx2", "fma", "avx512f", "avx512_vnni", "avx512_bf16", "avx512_fp16", "amx_bf16")
#: By these oneDNN and torch are told to leave instructions unused.
ISA_LIMITS = ("ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA", "ATEN_CPU_CAPABILITY")


@cache
def environment() -> dict[str, Any]:
    """Versions of Python and of the packages that make the numbers, operating system, processor, and commit."""
    return {
        "python": platform.python_version(),
        **{name: _version(name) for name in PACKAGES},
        "system": platform.system(),
        "machine": platform.machine(),
        "processor": processor(),
        "instructions": instructions(),
        **_commit(),
    }


def processor() -> str:
    """The processor's model name, or what the platform says of it."""
    return _cpuinfo("model name") or platform.processor() or platform.machine()


def instructions() -> str | None:
    """Which of an x86 processor's instructions torch's kernels choose by, and any limit that the environment sets.

    With other instructions sums are taken in another order, and bits differ. None where the system does not say.
    """
    flags = _cpuinfo("flags").split()
    known = [name for name in INSTRUCTIONS if name in flags]
    limits = [f"{name}={os.environ[name]}" for name in ISA_LIMITS if os.environ.get(name)]
    return " ".join([*known, *limits]) or None


def _cpuinfo(key: str) -> str:
    """What Linux says of the first processor; empty where it says nothing."""
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines():
            if line.partition(":")[0].strip() == key:
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return ""


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _commit() -> dict[str, Any]:
    """The commit of this code, and whether files of it were changed since; None where that is not known."""
    here = Path(__file__).resolve().parent
    if not (here.parent / ".git").exists():
        return {"commit": _installed_commit(here), "changed": None}
    try:
        commit = _git(here, "rev-parse", "HEAD").strip()
        # Records that a run adds change no code, so only the code and the experiments are looked at.
        changed = bool(_git(here.parent, "status", "--porcelain", "--", "repro", "experiments").strip())
    except (OSError, subprocess.SubprocessError):
        return {"commit": None, "changed": None}
    return {"commit": commit, "changed": changed}


def _installed_commit(package: Path) -> str | None:
    """The commit that pip installed this package from, if it was one: `pip install git+…`."""
    try:
        installed = distribution("resnet-repro")
        if Path(str(installed.locate_file(package.name))).resolve() != package:
            return None  # that is another copy than this one
        told = json.loads(installed.read_text("direct_url.json") or "{}")
        return str(told["vcs_info"]["commit_id"])
    except (PackageNotFoundError, ValueError, LookupError, TypeError):
        return None


def _git(folder: Path, *arguments: str) -> str:
    command = ["git", "-C", str(folder), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=20).stdout
