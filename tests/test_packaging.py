"""The pinned environment is one that the project's own requirements allow."""

import re
import tomllib
from pathlib import Path

from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[1]


def test_each_requirement_is_pinned_by_version_and_hash_and_allows_that_version():
    text = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    pins = {}
    for entry in re.split(r"\n(?=[a-z])", re.sub(r"^#.*\n", "", text, flags=re.MULTILINE)):
        requirement = Requirement(entry.partition("\\")[0].strip())
        assert re.search(r"--hash=sha256:[0-9a-f]{64}", entry), requirement.name
        pins.setdefault(requirement.name, []).append(str(requirement.specifier).removeprefix("=="))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    for wanted in map(Requirement, project["dependencies"]):
        assert all(wanted.specifier.contains(version) for version in pins[wanted.name]), wanted
