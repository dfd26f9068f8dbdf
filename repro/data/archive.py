"""Files out of a .tar.gz, in memory: only those asked for by name, of no more than a size; nothing is unpacked."""

from __future__ import annotations

import tarfile
import zlib
from collections.abc import Container
from pathlib import Path, PurePosixPath

from repro.data.pixels import reason
from repro.errors import DataError


def read_members(path: Path, wanted: Container[str], largest: int, remedy: str) -> dict[str, bytes]:
    """The contents of an archive's files with those names, in whichever folder of it; larger ones are left out.

    Raises:
        DataError: the archive is truncated or unreadable.
    """
    found = {}
    try:
        with tarfile.open(path, "r:gz") as archive:
            for member in archive:
                name = PurePosixPath(member.name).name
                file = archive.extractfile(member) if name in wanted and member.isfile() else None
                if file is not None and member.size <= largest:
                    found[name] = file.read()
    except PermissionError as error:
        raise DataError(f"{path}: cannot be read: {reason(error)}") from error
    except (OSError, EOFError, tarfile.TarError, zlib.error) as error:
        raise DataError(f"{path}: is damaged or incomplete ({reason(error)}): {remedy}") from error
    return found
