"""Where a run that was begun before stands, by its record and its checkpoints, of which any may be damaged or gone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from repro.errors import RecordError, UserError
from repro.record_check import check, check_for_resuming
from repro.records import RunFolder
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


def check_numerics(numerics: Numerics, record: dict[str, Any], folder: RunFolder) -> None:
    """Raise RecordError where run.json was edited to have other numerics than the training that made the checkpoint."""
    if record.get("numerics") != numerics.to_dict():
        raise RecordError(
            f"{folder.record_path}: was changed, its checkpoint was made with {record.get('numerics')}: undo that, or "
            "remove run.json, which is then written anew"
        )


def changes(record: Mapping[str, Any] | None, now: Mapping[str, Any], notes: list[str]) -> dict[str, str]:
    """Which of device, its instructions and torch, on which a run's bits depend as well, are others than in the session
    before: as they are now. What the user should know about it is added to the notes.
    """
    before = (record or {}).get("environment") or {}
    decide = ("device", "instructions", "torch")
    found = {key: str(now[key]) for key in decide if before.get(key) not in (None, now.get(key))}
    if found:
        said = ", ".join(f"{key} {before[key]} to {value}" for key, value in found.items())
        notes.append(f"its machine has changed ({said}), and the bits may: both are recorded")
    return found


def record_of_checkpoint(folder: RunFolder) -> dict[str, Any] | None:
    """The record as it was when a checkpoint was written, for a run whose own is gone."""
    for path in (folder.checkpoint_path, checkpoint.previous(folder.checkpoint_path)):
        record = checkpoint.kept(path, folder.run.hash).get("record")
        try:
            if record is not None and check(record) == folder.run:
                check_for_resuming(record, folder.run)
                return dict(record)
        except UserError:
            continue
    return None


def came_far(record: dict[str, Any], folder: RunFolder) -> bool:
    """Whether a run had more to show than its record."""
    return bool(record["iteration"] or folder.curve_path.exists())


def fingerprint(record: dict[str, Any]) -> str | None:
    """Of the images that a run was begun on, where its record has it."""
    found: str | None = (record.get("data") or {}).get("fingerprint")
    return found
