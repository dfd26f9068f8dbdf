"""Where things lie: the studies with this code, results and reports below the working folder.

In a checkout `experiments/` and the project's own records are beside the package. An installed package holds the
studies (setup.py puts them there) and no records.
"""

from __future__ import annotations

from pathlib import Path

PACKAGE = Path(__file__).resolve().parent
_INSTALLED = PACKAGE / "experiments"
EXPERIMENTS = _INSTALLED if _INSTALLED.is_dir() else PACKAGE.parent / "experiments"

#: Each folder in it is a source of records with its own name.
RESULTS = Path("results")
#: Where a user's runs go.
LOCAL = RESULTS / "local"

#: What is said where `reference` gives a folder that is not there.
NO_REFERENCE = (
    f"the project's own records are not here: copy results/reference/ of its repository to {RESULTS / 'reference'}"
)


def reference() -> Path:
    """The folder of the project's own records: the working folder's, or else that of the checkout."""
    here = RESULTS / "reference"
    beside = PACKAGE.parent / here
    return beside if beside.is_dir() and not here.is_dir() else here
