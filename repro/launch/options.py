"""What a command asks for besides its runs. Importing this needs no torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from repro.data import data_folder
from repro.data.table import DATA_SETS
from repro.errors import UserError, unknown
from repro.launch.torchrun import Place
from repro.spec import Run

#: What --launcher and --log take, with the package that each needs.
LAUNCHERS = {"local": None, "ray": "ray", "slurm": "submitit"}
LOGS = {None: None, "tensorboard": "tensorboard"}


@dataclass(frozen=True)
class Options:
    """How runs are to be carried out; nothing of it changes what they are.

    Attributes:
        results: the results folder.
        data_dir: where the images are.
        download: fetch the images if they are not there.
        device, precision, threads: None to take what a run began with, or else the best of the machine that trains it.
        default_threads: where none are asked for and the run has not begun.
        jobs: how many runs side by side; None for as many as there is room for.
        stop_at: end each run after this iteration of its unchanged schedule, to be resumed later.
        stops: likewise for single networks, by name, where `stop_at` is None.
        checkpoint_every: seconds between checkpoints.
        dry_run: estimate, train nothing.
        log: tensorboard, or None.
        launcher: local, ray or slurm.
        address: of a Ray cluster that exists.
        gpus_per_run: with ray or slurm.
        slurm: settings of each job, by submitit's names.
        place: of this process among the ranks.
    """

    results: Path
    data_dir: Path | None = None
    download: bool = False
    device: str | None = None
    precision: str | None = None
    threads: int | None = None
    default_threads: int | None = None
    jobs: int | None = None
    stop_at: int | None = None
    stops: Mapping[str, int] = field(default_factory=dict)
    checkpoint_every: float = 60.0
    dry_run: bool = False
    log: str | None = None
    launcher: str = "local"
    address: str | None = None
    gpus_per_run: float | None = None
    slurm: Mapping[str, Any] = field(default_factory=dict)
    place: Place = field(default_factory=Place)

    def last(self, run: Run) -> int:
        """The iteration after which a run ends here."""
        stop = self.stop_at or self.stops.get(run.network)
        return min(run.schedule.iterations, stop or run.schedule.iterations)

    def check(self, plan: Sequence[Run]) -> None:
        """Raise UserError for options that do not fit each other, or the plan, or need a package that is missing."""
        name, gpus = self.launcher, self.gpus_per_run
        if name not in LAUNCHERS:
            raise unknown("launcher", name, LAUNCHERS)
        for option, given, takers in (
            ("--address", self.address, ["ray"]),
            ("--gpus-per-run", gpus is not None, ["ray", "slurm"]),
            ("--slurm", self.slurm, ["slurm"]),
        ):
            if given and name not in takers:
                raise UserError(f"{option} is for --launcher {' and '.join(takers)}, not {name}")
        if gpus is not None and not 0 < gpus < float("inf"):
            raise UserError(f"--gpus-per-run {gpus:g}: more than 0 is needed; without it a run takes no GPU")
        if gpus and gpus != int(gpus) and (gpus > 1 or name == "slurm"):
            raise UserError(f"--gpus-per-run {gpus:g}: a whole number is needed{' above 1' if name == 'ray' else ''}")
        if self.place.count > 1:
            self._check_ranks(plan, self.place.count)
        if self.log not in LOGS:
            raise unknown("log", str(self.log), filter(None, LOGS))
        for option, package in ((f"--launcher {name}", LAUNCHERS[name]), (f"--log {self.log}", LOGS[self.log])):
            if package and find_spec(package) is None:
                raise UserError(f"{option} needs the package {package}: python -m pip install {package}")
        data = plan[0].data
        if data in DATA_SETS and DATA_SETS[data].in_folder and not (self.download or self.dry_run):
            self._check_folder(data)

    def _check_folder(self, data: str) -> None:
        folder = data_folder(self.data_dir)
        with suppress(OSError):  # reading it says why
            if not folder.exists() and not folder.is_symlink():
                raise UserError(
                    f"{folder}: there is no such folder: give --data-dir the one with {data}, or --download to fetch it"
                )

    def _check_ranks(self, plan: Sequence[Run], ranks: int) -> None:
        name = self.launcher
        if name != "local":
            raise UserError(f"--launcher {name} starts processes of its own: leave it out, or start without torchrun")
        if self.jobs not in (None, 1):
            raise UserError(f"--jobs {self.jobs}: under torchrun all ranks train one run at a time: leave it out")
        for run in plan:
            batch, shares = run.optimiser.batch_size, run.model.norm_shares
            if batch % ranks:
                raise UserError(
                    f"optimiser.batch_size is {batch}, which {ranks} ranks cannot share out equally: give "
                    "--nproc-per-node a number that divides it"
                )
            if shares % ranks and ranks % shares:
                raise UserError(
                    f"model.norm_shares is {shares} and there are {ranks} ranks: one must be a multiple of the other"
                )
