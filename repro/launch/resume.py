"""Where a run that was begun before stands, by its record and its checkpoints, of which any may be damaged or gone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from repro.errors import RecordError, UserError
from repro.records import Record, RunFolder
from repro.train import checkpoint
from repro.train.loop import Training
from repro.train.precision import Numerics


def take_up(folder: RunFolder, training: Training, notes: list[str]) -> dict[str, Any] | None:
    """Take up the newest checkpoint that can be read and give what was kept with it; what the user should know about it
    is added to the notes.
    """
    newest, problems = folder.checkpoint_path, []
    for path in (newest, checkpoint.previous(newest)):
        try:
            kept = checkpoint.resume(path, folder.run.hash, training)
        except RecordError as error:
            problems.append(str(error))
            continue
        if kept is None:
            continue
        note = f"carries on from iteration {training.state.iteration}"
        if problems:
            checkpoint.fall_back(newest)
            note += " of the checkpoint before"
        notes += [*problems, note]
        return kept
    if problems:
        raise RecordError(f"{'; '.join(problems)}: remove the file to begin this run anew")
    return None


def check_numerics(numerics: Numerics, record: Mapping[str, Any], folder: RunFolder) -> None:
    """Raise RecordError where run.json was edited to have other numerics than the training that made the checkpoint."""
    if record.get("numerics") != numerics.to_dict():
        raise RecordError(
            f"{folder.record_path}: was changed, its checkpoint was made with {record.get('numerics')}: undo that, or "
            "remove run.json, which is then written anew"
        )


def changes(record: Record | None, now: Mapping[str, Any], notes: list[str]) -> dict[str, str]:
    """Which of device, its instructions, torch and NVIDIA's libraries, on which a run's bits depend as well, are others
    than in the session before: as they are now. What the user should know about it is added to the notes.
    """
    before = record.environment.to_dict() if record else {}
    decide = ("device", "instructions", "torch", "torch_build", "cuda", "cudnn", "driver")
    found = {key: str(now[key]) for key in decide if before.get(key) not in (None, now.get(key))}
    if found:
        said = ", ".join(f"{key} {before[key]} to {value}" for key, value in found.items())
        notes.append(f"its machine has changed ({said}), and the bits may: both are recorded")
    return found


def record_of_checkpoint(folder: RunFolder) -> Record | None:
    """The record as it was when a checkpoint was written, for a run whose own is gone."""
    for path in (folder.checkpoint_path, checkpoint.previous(folder.checkpoint_path)):
        kept = checkpoint.kept(path, folder.run.hash)
        try:
            record = Record.of(kept.get("record"))
        except UserError:
            continue
        if record.spec == folder.run:
            return record
    return None
