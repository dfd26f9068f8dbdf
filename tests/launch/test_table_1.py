"""Networks of Table 1 on small images, through the command: trained, stopped and carried on, measured, and reported."""

import json
from pathlib import Path

import pytest

from repro.evaluate import main as evaluate
from repro.launch import remarks
from repro.records import Source, collect
from repro.run import main

WORDS = ["table-1", "--preset", "table-1-demo", "--threads", "1", "--jobs", "1", "--precision", "fp32"]
FEW = ["--set", "schedule.iterations=6", "--set", "log_every=1", "--set", "evaluate_every=3"]
NETS = ["plain-18", "resnet-18"]


@pytest.fixture
def trained(tmp_path, monkeypatch):
    """Trains networks for six iterations; gives, by network, the folder of each."""
    monkeypatch.chdir(tmp_path)

    def train(results, *words, nets=NETS):
        assert main([*WORDS, *FEW, "--only", ",".join(nets), "--results", results, *words]) == 0
        return {net: next(Path(results, "digits", "table-1-demo").glob(f"{net}+*/seed-0")) for net in nets}

    return train


def test_a_run_that_was_stopped_comes_to_the_same_bits(trained):
    whole = trained("whole")
    trained("parts", "--stop-at", "4")
    parts = trained("parts")
    for net in NETS:
        records = [json.loads((folder / "run.json").read_text()) for folder in (whole[net], parts[net])]
        assert [record["status"] for record in records] == ["complete", "complete"]
        assert [len(record["sessions"]) for record in records] == [1, 2]
        assert records[0]["weights_sha256"] == records[1]["weights_sha256"]
        for file in ("responses.csv", "health.csv"):
            assert (whole[net] / file).read_bytes() == (parts[net] / file).read_bytes()
        spec = records[0]["spec"]
        assert (spec["family"], spec["model"]["stem"], spec["model"]["width"]) == ("imagenet", "3x3", 16)


def test_it_is_read_with_as_many_responses_as_it_has_3x3_layers_and_evaluated_as_what_it_is(trained, capsys):
    # A 3x3 stem and 16 blocks: of two 3x3 layers at 34 layers, and of one at 50.
    folder = trained("results", nets=["resnet-34-B", "resnet-50"])["resnet-50"]
    records = collect([Source("local", Path("results"))])
    assert records.damaged == ()
    assert dict(records.responses.groupby("network").size()) == {"resnet-34-B": 33, "resnet-50": 17}
    depths = records.runs.set_index("network")[["depth", "option"]].T.to_dict("list")
    assert depths == {"resnet-34-B": [34, "B"], "resnet-50": [50, "B"]}
    assert remarks.other_source(list(records.runs["run"]), Path("results")) is None
    record = json.loads((folder / "run.json").read_text())
    capsys.readouterr()
    assert evaluate([str(folder / "checkpoint.pt"), "--network", "resnet-50-B"]) == 0
    assert f"{record['final']['test_error']:.2f} %" in capsys.readouterr().out
    assert evaluate([str(folder / "checkpoint.pt"), "--network", "resnet-34"]) == 1
    assert "is of resnet-50, not resnet-34" in capsys.readouterr().err
