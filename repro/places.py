"""Where things lie: the studies with this code, results and reports below the working folder.

In a checkout `experiments/` and the project's own records are beside the package. An installed package holds the
studies (setup.py puts them there) and no records.
"""

from __future__ import annotations

import re
from pathlib import Path

from repro.errors import UserError

PACKAGE = Path(__file__).resolve().parent
_INSTALLED = PACKAGE / "experiments"
EXPERIMENTS = _INSTALLED if _INSTALLED.is_dir() else PACKAGE.parent / "experiments"

#: Each folder in it is a source of records with its own name.
RESULTS = Path("results")
#: Where a user's runs go.
LOCAL = RESULTS / "local"
#: What lies beside the sources and is none.
ATTESTATIONS = "attestations"

#: What is said where `reference` gives a folder that is not there.
NO_REFERENCE = (
    f"the project's own records are not here: copy results/reference/ of its repository to {RESULTS / 'reference'}"
)


def reference() -> Path:
    """The folder of the project's own records: the working folder's, or else that of the checkout."""
    here = RESULTS / "reference"
    beside = PACKAGE.parent / here
    return beside if beside.is_dir() and not here.is_dir() else here


def new_source(name: str) -> Path:
    """The folder of a source that is named by --as, for what others have measured or is measured of theirs.

    Raises:
        UserError: it is no plain word, or the name of the project's own results.
    """
    check_name(name, f"--as {name}", "another name")
    if name in ("reference", LOCAL.name, ATTESTATIONS):
        raise UserError(f"--as {name}: that is this program's own, give another name")
    return RESULTS / name


def check_name(name: str, where: str, instead: str) -> None:
    """Raise UserError where a name cannot be that of a source; `where` it is given, and what to give `instead`."""
    if not is_name(name):
        raise UserError(f"{where}: {name!r} cannot name a source, give {instead}")


def is_name(name: str) -> bool:
    """Whether a source may have this name."""
    return re.fullmatch(r"\w[\w .+-]{0,39}", name) is not None and name != "paper"
