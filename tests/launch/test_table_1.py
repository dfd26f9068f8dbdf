"""Networks of Table 1 on small images, through the command: trained, measured and evaluated."""

import json
from pathlib import Path

from repro.evaluate import main as evaluate
from repro.launch import remarks
from repro.records import Source, collect
from repro.run import main


def test_it_is_read_with_as_many_responses_as_it_has_3x3_layers_and_evaluated_as_what_it_is(
    tmp_path, monkeypatch, capsys
):
    # A 3x3 stem and 16 blocks: of two 3x3 layers at 34 layers, and of one at 50.
    monkeypatch.chdir(tmp_path)
    words = ["table-1", "--preset", "table-1-demo", "--only", "resnet-34-B,resnet-50", "--results", "results"]
    words += ["--threads", "1", "--jobs", "1", "--precision", "fp32"]
    words += ["--set", "schedule.iterations=6", "--set", "log_every=1", "--set", "evaluate_every=3"]
    assert main(words) == 0
    (folder,) = Path("results/digits/table-1-demo").glob("resnet-50+*/seed-0")
    records = collect([Source("local", Path("results"))])
    assert records.damaged == ()
    assert dict(records.responses.groupby("network").size()) == {"resnet-34-B": 33, "resnet-50": 17}
    depths = records.runs.set_index("network")[["depth", "option"]].T.to_dict("list")
    assert depths == {"resnet-34-B": [34, "B"], "resnet-50": [50, "B"]}
    assert remarks.other_source(list(records.runs["run"]), Path("results")) is None
    record = json.loads((folder / "run.json").read_text())
    spec = record["spec"]
    assert (spec["family"], spec["model"]["stem"], spec["model"]["width"]) == ("imagenet", "3x3", 16)
    capsys.readouterr()
    assert evaluate([str(folder / "checkpoint.pt"), "--network", "resnet-50-B"]) == 0
    assert f"{record['final']['test_error']:.2f} %" in capsys.readouterr().out
    assert evaluate([str(folder / "checkpoint.pt"), "--network", "resnet-34"]) == 1
    assert "is of resnet-50, not resnet-34" in capsys.readouterr().err
