"""A run's state on disk: written whole or not at all, the one before it kept, read back without executing anything."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import torch

from repro.errors import RecordError
from repro.records import replacing
from repro.train.loop import State, Training

FORMAT = 1


def save(path: Path, run_hash: str, training: Training) -> None:
    """Write everything that resuming needs; the checkpoint before becomes `previous(path)`."""
    content = {
        "format": FORMAT,
        "hash": run_hash,
        "model": training.net.state_dict(),
        "optimiser": training.optimiser.state_dict(),
        "scaler": training.scaler.state_dict(),
        "state": vars(training.state),
    }
    with replacing(path) as temporary:
        torch.save(content, temporary)
        if path.exists():
            path.replace(previous(path))


def previous(path: Path) -> Path:
    """Where the checkpoint before the newest one is."""
    return path.with_name("checkpoint.previous.pt")


def resume(path: Path, run_hash: str, training: Training) -> bool:
    """Put a training where a checkpoint left it; False where there is no checkpoint.

    Raises:
        RecordError: damaged, or of another run.
    """
    if not path.exists():
        return False
    content = read(path, training.state.wrong.device)
    if content.get("format") != FORMAT or content.get("hash") != run_hash:
        raise RecordError(f"{path}: is not a checkpoint of this run")
    try:
        training.net.load_state_dict(content["model"])
        training.optimiser.load_state_dict(content["optimiser"])
        training.scaler.load_state_dict(content["scaler"])
        training.state = State(**content["state"])
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise RecordError(f"{path}: is not a checkpoint of this run: {error}") from error
    return True


def read(path: Path, device: torch.device | str = "cpu") -> Any:
    """Read a file of torch.save; tensors and plain containers only, checksums verified.

    Raises:
        RecordError: it cannot be read, is damaged, or holds anything that would have to be executed.
    """
    try:
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                bad = archive.testzip()
            if bad is not None:
                raise RecordError(f"{path}: is damaged: {bad} does not match its checksum")
        return torch.load(path, map_location=device, weights_only=True)
    except RecordError:
        raise
    except Exception as error:  # torch.load documents no exceptions of its own: any of them means unreadable here
        reason = str(error).strip().splitlines()
        raise RecordError(f"{path}: cannot be read as a checkpoint: {reason[0] if reason else error!r}") from error
