"""What a command asks for besides its runs. Importing this needs no torch."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from repro.data import data_folder
from repro.data.table import DATA_SETS
from repro.errors import UserError, unknown
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
        launcher: local, ray or slurm.
        address: of a Ray cluster that exists.
        gpus_per_run: with ray or slurm: 1, or with ray a part of one; None for none.
        slurm: settings of each job, by submitit's names.
        log: tensorboard, or None.
        workers: processes of each run, or of each of its ranks, that read photographs; 0 to read them in between.
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
    launcher: str = "local"
    address: str | None = None
    gpus_per_run: float | None = None
    slurm: Mapping[str, Any] = field(default_factory=dict)
    log: str | None = None
    workers: int = 0

    def last(self, run: Run) -> int:
        """The iteration after which a run ends here."""
        stop = self.stop_at or self.stops.get(run.network)
        return min(run.schedule.iterations, stop or run.schedule.iterations)

    def check(self) -> None:
        """Raise UserError for options that do not fit each other, or need a package that is missing."""
        name, gpus = self.launcher, self.gpus_per_run
        if name not in LAUNCHERS:
            raise unknown("launcher", name, LAUNCHERS)
        for option, given, takers in (
            ("--address", self.address, ["ray"]),
            ("--gpus-per-run", gpus is not None, ["ray", "slurm"]),
            ("--slurm", self.slurm, ["slurm"]),
            # From a node of Ray only the files of a record and its checkpoints come back.
            ("--log", self.log, ["local", "slurm"]),
        ):
            if given and name not in takers:
                raise UserError(f"{option} is for --launcher {' and '.join(takers)}, not {name}")
        if gpus is not None and not 0 < gpus <= 1:
            raise UserError(f"--gpus-per-run {gpus:g}: a run trains on one GPU: give 1, or with ray a part of one")
        if gpus is not None and gpus < 1 and name == "slurm":
            raise UserError(f"--gpus-per-run {gpus:g}: Slurm gives whole GPUs: give 1")
        if self.log not in LOGS:
            raise unknown("log", str(self.log), filter(None, LOGS))
        for option, package in ((f"--launcher {name}", LAUNCHERS[name]), (f"--log {self.log}", LOGS[self.log])):
            if package and find_spec(package) is None:
                raise UserError(f"{option} needs the package {package}: python -m pip install {package}")

    def check_images(self, data: str) -> None:
        """Raise UserError where the folder that a data set is to be read from is not there."""
        folder = data_folder(self.data_dir)
        if data not in DATA_SETS or not DATA_SETS[data].in_folder or self.download or self.dry_run:
            return
        with suppress(OSError):  # reading it says why
            if not folder.exists() and not folder.is_symlink():
                raise UserError(
                    f"{folder}: there is no such folder: give --data-dir the one with {data}, or --download to fetch it"
                )
