"""The limits that keep the house small: lines of a function and of a file, parameters, and imports that go one way."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
FILES = sorted((ROOT / "repro").rglob("*.py"))
LINES_OF_FUNCTION, PARAMETERS, LINES_OF_FILE = 60, 6, 400
#: Data moves down this list; a module imports only from its own floor or from those above.
FLOORS = (
    ("errors", "environment", "disk", "shell", "checked", "lock", "places"),
    ("names", "paper", "statistics"),
    ("spec", "study", "data"),
    ("models", "records"),
    ("measure", "train", "groups", "ends"),
    ("launch", "claims"),
    ("figures", "tables", "repeat", "budget", "photographs"),
    ("site",),
    ("run", "report", "evaluate", "attest", "__main__"),
)


def functions():
    for path in FILES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                yield path.relative_to(ROOT), node


def test_no_function_is_longer_than_a_screen():
    lengths = {f"{path}:{node.name}": node.end_lineno - node.lineno + 1 for path, node in functions()}
    assert {name: length for name, length in lengths.items() if length > LINES_OF_FUNCTION} == {}


def test_no_function_takes_more_parameters_than_one_keeps_in_mind():
    found = {}
    for path, node in functions():
        arguments = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
        count = len([argument for argument in arguments if argument.arg not in ("self", "cls")])
        if count > PARAMETERS:
            found[f"{path}:{node.name}"] = count
    assert found == {}


def test_no_file_is_too_long_to_read():
    lengths = {str(path.relative_to(ROOT)): len(path.read_text(encoding="utf-8").splitlines()) for path in FILES}
    assert {name: length for name, length in lengths.items() if length > LINES_OF_FILE} == {}


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_go_one_way(path):
    floors = {room: floor for floor, rooms in enumerate(FLOORS) for room in rooms}
    own = path.relative_to(ROOT / "repro").parts[0].removesuffix(".py")
    if own == "__init__":
        return
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module == "repro":
            rooms = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("repro."):
            rooms = [node.module.split(".")[1]]
        else:
            rooms = []
        for room in rooms:
            assert floors[room] <= floors[own], f"{path}: imports repro.{room}, which lies below it"
