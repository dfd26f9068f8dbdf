"""Records and tables of strangers: whatever they hold, the report is written, or passes them over by name."""

import copy
import json
import random

import pytest
from planted import plant

from repro import report
from repro.records import Source, collect

VALUES = [
    None, True, 0, -1, 0.1, 1e308, 2**53, 10**15, "", "nan", "<script>alert(1)</script>", "\u202e", "\u2028",
    [], {}, [1], [[]], [None], {"a": 1}, {"": None},
    "1970-01-01", "2026-01-01T00:00:00+00:00", "$\\frac{", "| a | b |", "x" * 5000,
]  # fmt: skip
CELLS = ["", "nan", "inf", "1e308", "1e-320", "0", "100", "1000000000"]
STATUSES = ["failed", "diverged", "stopped", "running", "foreign", "complete"]


def places(node, path=()):
    """The keys that lead to each value of a record."""
    items = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, value in items:
        yield (*path, key)
        yield from places(value, (*path, key))


def other(value, chance):
    """Another value, more often than not of the same kind: a record with others is refused before its values tell."""
    same = [another for another in VALUES if type(another) is type(value)]
    return copy.deepcopy(chance.choice(same if same and chance.random() < 0.7 else VALUES))


def changed(record, chance):
    record = copy.deepcopy(record)
    for _ in range(chance.choice([1, 1, 2, 3])):
        path = chance.choice([path for path in places(record) if path[0] != "format"])
        node = record
        for key in path[:-1]:
            node = node[key]
        if chance.random() < 0.2:
            del node[path[-1]]
        else:
            node[path[-1]] = other(node[path[-1]], chance)
    if chance.random() < 0.4:
        part = chance.choice(["error", "traceback", "seconds", "warm_up_ended", "environment", "sessions", "data"])
        record[part] = other(record.get(part), chance)
    if chance.random() < 0.4:
        record["status"] = chance.choice(STATUSES)
    return record


def changed_table(text, chance):
    header, *lines = text.splitlines()
    for _ in range(chance.choice([0, 0, 1, 3])):
        number = chance.randrange(len(lines))
        cells = lines[number].split(",")
        cells[chance.randrange(1, len(cells))] = chance.choice(CELLS)
        lines[number] = ",".join(cells)
    return "\n".join([header, *lines[: chance.choice([0, 1, len(lines), len(lines), len(lines)])]]) + "\n"


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    root = tmp_path_factory.mktemp("good")
    for network in ("plain-20", "plain-56", "resnet-20", "resnet-56", "resnet-110"):
        for settings in ({"data": "digits", "preset": "demo"}, {"data": "cifar10", "preset": "paper"}):
            plant(root, network, coarse=10, responses=1.0, health=(0.5, 0.5), **settings)
    return sorted(path.parent for path in root.rglob("run.json"))


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(6))
def test_a_report_of_a_hundred_of_them(seed, good, tmp_path, capsys):
    chance = random.Random(seed)
    for number in range(100):
        source, folder = chance.choice(good), tmp_path / "theirs" / str(number)
        folder.mkdir(parents=True)
        record = json.loads((source / "run.json").read_text())
        (folder / "run.json").write_text(json.dumps(changed(record, chance)))
        for path in source.glob("*.csv"):
            if chance.random() < 0.9:
                (folder / path.name).write_text(changed_table(path.read_text(), chance))
    found = collect([Source("theirs", tmp_path / "theirs")])
    assert len(found.runs) > 10 < len(found.damaged)
    assert report.main(["--results", "theirs=" + str(tmp_path / "theirs"), "--out", str(tmp_path / "out")]) == 0
    assert f"; {len(found.damaged)} unreadable\n" in capsys.readouterr().out
    for page in (tmp_path / "out").rglob("*.html"):
        assert "<script>alert" not in page.read_text()


def test_more_iterations_than_anyone_trains_need_no_more_memory_than_others(tmp_path):
    for network, iterations in (("plain-20", 1), ("plain-56", 10**15), ("resnet-20", 2**53)):
        path = plant(tmp_path / "theirs", network, coarse=10) / "run.json"
        record = json.loads(path.read_text())
        record["spec"]["schedule"]["iterations"] = record["iteration"] = iterations
        path.write_text(json.dumps(record))
    assert report.main(["--results", f"theirs={tmp_path / 'theirs'}", "--out", str(tmp_path / "out")]) == 0
    assert (tmp_path / "out" / "index.html").is_file()
