"""A complete run is sealed: SHA256SUMS has the hash of each file of its folder, as sha256sum writes and checks it."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

from repro.disk import read_text, write_text
from repro.errors import RecordError

NAME = "SHA256SUMS"
#: What a seal covers. A checkpoint is not part of a record; the hash of its weights is in run.json.
FILES = ("run.json", "curve.csv", "responses.csv", "health.csv")
_LINE = re.compile(r"([0-9a-f]{64})  (\S+)")


def seal(folder: Path, record: str) -> None:
    """Write the hashes of a folder's files, of which run.json is about to have the text `record`.

    Written before run.json calls the run complete: stopped between the two, the run is carried on and sealed again.
    """
    contents = {name: (folder / name).read_bytes() for name in FILES[1:] if (folder / name).exists()}
    contents["run.json"] = record.encode()
    lines = [f"{hashlib.sha256(contents[name]).hexdigest()}  {name}" for name in FILES if name in contents]
    write_text(folder / NAME, "\n".join(lines) + "\n")


def check(folder: Path) -> None:
    """Compare a complete run's files with its seal; a run of the first versions, which has none, passes.

    Raises:
        RecordError: a file was changed, added or removed since the run was complete; which.
    """
    path = folder / NAME
    if not path.exists():
        return
    lines = [_LINE.fullmatch(line) for line in read_text(path, "list of hashes").splitlines()]
    sealed = {match[2]: match[1] for match in lines if match}
    if len(sealed) != len(lines) or not sealed.keys() <= set(FILES):
        raise RecordError(f"{path}: is no list of hashes as sha256sum writes it: fetch this run's folder again")
    for name in FILES:
        file = folder / name
        try:
            found = hashlib.sha256(file.read_bytes()).hexdigest() if file.exists() else None
        except OSError as error:
            raise RecordError(f"{file}: cannot be read: {error.strerror}") from error
        if found != sealed.get(name):
            how = "is gone" if found is None else "was changed" if name in sealed else "was added"
            raise RecordError(
                f"{file}: {how} since the run was complete (its SHA-256 is not that in {NAME}): fetch the run's "
                f"folder again, or remove {NAME} if the change is meant"
            )
