"""A network added as CONTRIBUTING.md shows: trained, measured as far as it can be, and known by its source."""

import importlib
import re
from pathlib import Path
from typing import Literal

import pytest
from runs import write_study

from repro import names
from repro.figures.side_by_side import draw
from repro.groups import all_trained
from repro.launch import remarks
from repro.models import registry
from repro.models.cifar import CifarNet
from repro.records import Source, collect, read_health
from repro.run import main
from repro.tables.side_by_side import table

GUIDE = Path(__file__).resolve().parents[2] / "CONTRIBUTING.md"


@pytest.fixture
def block(tmp_path, monkeypatch):
    """The module of the block, with the very text of CONTRIBUTING.md, and its network's name registered."""
    (text,) = re.findall(r"```python\n(.*class PreActivationBlock.*?)```", GUIDE.read_text(encoding="utf-8"), re.DOTALL)
    path = tmp_path / "preact_block.py"
    path.write_text(text, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    module = importlib.import_module("preact_block")
    known = registry._net

    def net(parsed, channels, classes, model):
        if parsed.kind != "preact":
            return known(parsed, channels, classes, model)
        block = module.PreActivationBlock
        return CifarNet(parsed.blocks_per_stage, parsed.option, channels, classes, model.subsample, block)

    monkeypatch.setattr(names, "Kind", Literal["plain", "resnet", "preact"])
    monkeypatch.setattr(registry, "_net", net)
    return path


def test_a_pre_activation_block_is_trained_and_measured_as_far_as_it_can_be(block, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    study = Path(write_study(Path(), 4, log_every=2, evaluate_every=4))
    study.write_text(study.read_text().replace("plain-8", "preact-8"))
    words = [str(study), "--threads", "1", "--jobs", "1", "--precision", "fp32"]
    assert main([*words, "--dry-run"]) == 0
    said = capsys.readouterr().out
    assert [line for line in said.splitlines() if "not measured" in line] == [
        "preact-8: its responses are not measured: no batch normalisation of its number right after layer1.0.conv1"
    ]
    assert main(words) == 0
    said = capsys.readouterr().out
    assert re.search(r"\] preact-8 .*: complete.*not measured", said)
    assert not re.search(r"\] resnet-8 .*: complete.*not measured", said)

    ours, known = (next(Path("results").glob(f"local/digits/demo/{net}+*/seed-0")) for net in ("preact-8", "resnet-8"))
    assert [(folder / "responses.csv").exists() for folder in (ours, known)] == [False, True]
    rows = read_health(ours / "health.csv")
    last = [row for row in rows if row.iteration == 4]
    assert [row.name for row in last if row.activation_variance == row.activation_variance] == ["conv1"]
    assert len(last) == 7 and all(row.gradient_norm > 0 and row.conv_variance > 0 for row in last)
    records = collect([Source("local", Path("results/local"))])
    assert sorted(records.runs["network"]) == ["preact-8", "resnet-8"] and not records.damaged
    both = {trained: trained.network for trained in all_trained(records.runs)}
    assert list(draw("compared", "Both", records, both).palette) == ["preact-8", "resnet-8"]
    assert [row[0] for row in table(records, list(both)).rows] == [trained.name for trained in both]

    # Complete already: a word if the network is another by now, whose code the folder's name does not tell.
    assert main(words) == 0
    assert "has changed" not in capsys.readouterr().out
    block.write_text(block.read_text().replace("self.relu(self.bn2(y))", "self.bn2(y)"))
    remarks._source_now.cache_clear()  # a command of its own would ask anew
    assert main(words) == 0
    (line,) = [line for line in capsys.readouterr().out.splitlines() if "has changed" in line]
    assert "digits/demo/preact-8+" in line and "resnet-8" not in line
