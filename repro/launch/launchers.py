"""Where runs can train besides this machine, by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from typing import Any

from repro.errors import UserError, unknown
from repro.launch.execute import Outcome
from repro.train.precision import DEVICES, PRECISIONS

#: What --launcher takes, with the package that each needs and the extra of this project that installs it.
_PACKAGES = {"local": None, "ray": ("ray", "cluster"), "slurm": ("submitit", "slurm")}


@dataclass(frozen=True)
class Elsewhere:
    """Other machines.

    Attributes:
        name: of the launcher.
        run_all: carries out a plan there; takes and gives what `repro.launch.local.run_all` does.
        goes_on: without the one who gave the plan, whose loss of a terminal therefore stops nothing.
    """

    name: str
    run_all: Callable[..., list[Outcome]]
    goes_on: bool = False


def find(
    name: str,
    *,
    address: str | None = None,
    gpus: float | None = None,
    slurm: Mapping[str, Any] | None = None,
    device: str | None = None,
    precision: str | None = None,
) -> Elsewhere | None:
    """The launcher of a name, or None for this machine.

    Args:
        name: local, ray or slurm.
        address: of a Ray cluster that exists.
        gpus: of each run.
        slurm: settings of each job, by submitit's names.
        device, precision: asked for; only their names can be checked from here.

    Raises:
        UserError: an unknown name, an option of another launcher, or a package that is not installed.
    """
    if name not in _PACKAGES:
        raise unknown("launcher", name, _PACKAGES)
    for option, given, takers in (
        ("--address", address, ["ray"]),
        ("--gpus-per-run", gpus is not None, ["ray", "slurm"]),
        ("--slurm", slurm, ["slurm"]),
    ):
        if given and name not in takers:
            raise UserError(f"{option} is for --launcher {' and '.join(takers)}, not {name}")
    needed = _PACKAGES[name]
    if needed is None:
        return None
    for kind, asked, known in (("device", device, DEVICES), ("precision", precision, PRECISIONS)):
        if asked and asked not in known:
            raise unknown(kind, asked, known)
    _check_gpus(name, gpus)
    package, extra = needed
    if find_spec(package) is None:
        raise UserError(f"--launcher {name} needs the package {package}: python -m pip install -e '.[{extra}]'")
    if name == "ray":
        from repro.launch.ray import run_all

        return Elsewhere(name, partial(run_all, address=address, gpus=gpus or 0.0))
    from repro.launch.slurm import check, submit_all

    return Elsewhere(name, partial(submit_all, settings=check(slurm or {}), gpus=int(gpus or 0)), goes_on=True)


def _check_gpus(name: str, gpus: float | None) -> None:
    if gpus is None:
        return
    if not 0 < gpus < float("inf"):
        raise UserError(f"--gpus-per-run {gpus:g}: more than 0 is needed; without it a run takes no GPU")
    if gpus != int(gpus) and (gpus > 1 or name == "slurm"):
        raise UserError(f"--gpus-per-run {gpus:g}: a whole number is needed{' above 1' if name == 'ray' else ''}")
