"""A run's state on disk: written whole or not at all, the one before it kept, read back without executing anything."""

from __future__ import annotations

import hashlib
import io
import re
import zipfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from repro.disk import replacing
from repro.errors import RecordError
from repro.train.loop import State, Training

FORMAT = 1


def save(path: Path, run_hash: str, training: Training, kept: Mapping[str, Any]) -> None:
    """Write everything that resuming needs; the checkpoint before becomes `previous(path)`.

    Args:
        kept: for resuming where the files beside it are damaged: the "record", and the texts of "tables" by name.
    """
    content = {
        "format": FORMAT,
        "hash": run_hash,
        **_content(training),
        "kept": dict(kept),
    }
    # By way of memory, so that a full disk is told as the OSError that it is.
    buffer = io.BytesIO()
    torch.save(content, buffer)
    with replacing(path) as temporary:
        temporary.write_bytes(buffer.getbuffer())
        if path.exists():
            path.replace(previous(path))


def weights_hash(net: nn.Module) -> str:
    """SHA-256 in hex over the names, shapes and bytes of a network's weights and running statistics."""
    digest = hashlib.sha256()
    for name, tensor in net.state_dict().items():
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def packed(training: Training) -> bytes:
    """All of a training, for another process to take up by `unpack`."""
    buffer = io.BytesIO()
    torch.save(_content(training), buffer)
    return buffer.getvalue()


def unpack(content: bytes, training: Training) -> None:
    """Put a training of the same run where the packed one was."""
    device = training.state.wrong.device
    _take_up(torch.load(io.BytesIO(content), map_location=device, weights_only=True), training)


def _content(training: Training) -> dict[str, Any]:
    return {
        "model": training.net.state_dict(),
        "optimiser": training.optimiser.state_dict(),
        "scaler": training.scaler.state_dict(),
        "state": vars(training.state),
    }


def _take_up(content: Mapping[str, Any], training: Training) -> None:
    training.net.load_state_dict(content["model"])
    training.optimiser.load_state_dict(content["optimiser"])
    training.scaler.load_state_dict(content["scaler"])
    training.state = _state(content["state"], training.state)


def previous(path: Path) -> Path:
    """Where the checkpoint before the newest one is."""
    return path.with_name("checkpoint.previous.pt")


def resume(newest: Path, run_hash: str, training: Training) -> tuple[dict[str, Any] | None, list[str]]:
    """Put a training where the newest checkpoint that can be read left it.

    Returns:
        What was kept with it, or None where there is no checkpoint; and what the user should know about it.

    Raises:
        RecordError: all that there are are damaged, or of another run.
        torch.OutOfMemoryError: the device has no room for one.
    """
    problems: list[str] = []
    for path in _there(newest):
        try:
            content, kept = _read_own(path, run_hash, training.state.wrong.device)
            _take_up(content, training)
        except torch.OutOfMemoryError:  # which says nothing against the file
            raise
        except RecordError as error:
            problems.append(str(error))
        except (AttributeError, KeyError, TypeError, ValueError, RuntimeError) as error:
            problems.append(f"{path}: is not a checkpoint of this run: {_first_line(error)}")
        else:
            note = f"carries on from iteration {training.state.iteration}"
            if problems:
                # Left where it is, the damaged one would push the good one out when the next is saved.
                newest.replace(newest.with_name("checkpoint.damaged.pt"))
                path.replace(newest)
                note += " of the checkpoint before"
            return kept, [*problems, note]
    if problems:
        raise RecordError(f"{'; '.join(problems)}: remove the file to begin this run anew")
    return None, []


def kept(newest: Path, run_hash: str) -> dict[str, Any] | None:
    """What was kept with the newest checkpoint that can be read; None where there is none."""
    for path in _there(newest):
        with suppress(RecordError):
            return _read_own(path, run_hash, "cpu")[1]
    return None


def _there(newest: Path) -> list[Path]:
    return [path for path in (newest, previous(newest)) if path.exists()]


def record_in(content: Any) -> Mapping[str, Any] | None:
    """The record that was kept in what a file of torch.save held; None where it is no checkpoint of this project."""
    kept = content.get("kept") if isinstance(content, Mapping) else None
    record = kept.get("record") if isinstance(kept, Mapping) else None
    return record if isinstance(record, Mapping) else None


def read(path: Path, device: torch.device | str = "cpu") -> Any:
    """Read a file of torch.save; tensors and plain containers only, checksums verified.

    Raises:
        RecordError: it cannot be read, is damaged, or holds anything that would have to be executed.
        torch.OutOfMemoryError: the device has no room for it.
    """
    try:
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                bad = archive.testzip()
            if bad is not None:
                raise RecordError(f"{path}: is damaged: {bad} does not match its checksum")
        return torch.load(path, map_location=device, weights_only=True)
    except (RecordError, torch.OutOfMemoryError):
        raise
    except Exception as error:  # torch.load documents no exceptions of its own: any of them means unreadable here
        raise RecordError(f"{path}: {_unreadable(error)}") from error


def _unreadable(error: Exception) -> str:
    """What is wrong with a file, without torch's advice to execute what it holds."""
    text = str(error)
    if found := re.search(r"GLOBAL (\S+) was not an allowed global", text):
        return f"is not read: it holds {found[1]}, which loading would execute; tensors and plain containers are needed"
    if "weights_only" in text or isinstance(error, EOFError):
        return "is no PyTorch checkpoint"
    return f"cannot be read as a checkpoint: {_first_line(error)}"


def _read_own(path: Path, run_hash: str, device: torch.device | str) -> tuple[dict[str, Any], dict[str, Any]]:
    """A checkpoint of this run, and what was kept with it."""
    content = read(path, device)
    if not isinstance(content, dict) or content.get("format") != FORMAT or content.get("hash") != run_hash:
        raise RecordError(f"{path}: is not a checkpoint of this run")
    kept = content.get("kept")
    if not (
        isinstance(kept, dict)
        and isinstance(kept.get("record"), dict)
        and kept["record"].get("hash") == run_hash
        and isinstance(kept.get("tables"), dict)
        and all(isinstance(text, str) for text in kept["tables"].values())
    ):
        raise RecordError(f"{path}: is not a checkpoint of this run: it keeps no record of it")
    return content, kept


def _state(values: Mapping[str, Any], like: State) -> State:
    """The state with these values, which must be of the kinds of a fresh one's."""
    state = State(**values)
    for name, expected in vars(like).items():
        value = getattr(state, name)
        if isinstance(expected, Tensor):
            good = isinstance(value, Tensor) and value.shape == expected.shape and value.dtype == expected.dtype
        elif name == "warm_until":
            good = value is None or type(value) is int
        else:
            good = type(value) is type(expected) and value >= 0
        if not good:
            raise ValueError(f"its {name} is not what a state has")
    return state


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return " ".join(line.strip() for line in lines[:2]) if lines else repr(error)
