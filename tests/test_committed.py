"""What is committed under reports/ is what results/reference/ gives: nobody has to take a number on trust."""

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from repro import report
from repro.claims.evidence import RELATIVE_ELSEWHERE, RESPONSES, Evidence
from repro.records import Source, collect

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def records():
    return collect([Source("reference", ROOT / "results" / "reference")])


def texts(folder):
    """What is read as text, but for pictures, which differ between versions of matplotlib: path and content."""
    kept = [folder / "REPORT.md", folder / "claims.json", *(folder / "tables").rglob("*.csv")]
    return {path.relative_to(folder).as_posix(): path.read_text(encoding="utf-8") for path in kept}


def test_the_readmes_verdicts_and_numbers_are_those_of_the_report():
    verdicts = json.loads((ROOT / "reports" / "claims.json").read_text(encoding="utf-8"))["verdicts"]
    judged = {v["id"]: v for v in verdicts if (v["data"], v["preset"]) == ("cifar10-jpeg", "short")}
    assert len((ROOT / "README.md").read_text("utf-8").split()) <= 900
    rows = re.findall(r"^\| (H\d+): .* \| ([a-z ]+): (.*) \|$", (ROOT / "README.md").read_text("utf-8"), re.MULTILINE)
    assert [name for name, *_ in rows] == ["H1", "H2", "H5", "H6", "H10"]
    assert [v["verdict"] for v in verdicts if (v["id"], v["data"], v["preset"]) == ("H6", "cifar10", "paper")] == [
        "holds"
    ]
    for name, verdict, said in rows:
        assert verdict == judged[name]["verdict"]
        known = [float(number) for number in re.findall(r"\d+\.\d+", judged[name]["evidence"])]
        numbers = re.findall(r"\d+\.(\d+)", said), re.findall(r"\d+\.\d+", said)
        for decimals, number in zip(*numbers, strict=True):
            near = 0.5 * 10.0 ** -len(decimals) + 1e-9
            assert any(abs(float(number) - value) <= near for value in known), f"{name}: {number}"


def test_what_the_page_of_findings_says_is_in_the_records(records):
    """Numbers that no table of the report has."""
    findings = " ".join((ROOT / "docs" / "findings.md").read_text("utf-8").split())

    def response(network, preset, *, variant="", mode="std", first=1):
        rows = records.responses.query("network == @network and preset == @preset and variant == @variant")
        return rows[rows["layer"] >= first][mode].astype(float).mean()

    late = [response(name, "short", mode="std_training", first=19) for name in ("plain-56", "resnet-56")]
    assert "In the other 37 the mean is {:.2f} in training mode, as ResNet-56's {:.2f}.".format(*late) in findings
    warm = response("plain-56", "demo", variant="schedule.warm_up=on"), response("resnet-56", "demo")
    assert "it has {:.2f} against ResNet-56's {:.2f} over all layers".format(*warm) in findings
    ends = records.runs.query("preset == 'demo' and status == 'complete'").groupby(["network", "variant"])[
        "train_error"
    ]
    single, plain, usual = (
        ends.mean()[key] for key in (("resnet-56", "model.block=one-layer"), ("plain-56", ""), ("resnet-56", ""))
    )
    said = f"at {single:.1f} % training error, the plain one at {plain:.1f} %, and ResNet-56 at {usual:.1f} %"
    assert said in findings
    originals = records.runs.query("preset == 'paper' and data == 'cifar10'").set_index("network")
    for name, run in originals.iterrows():
        net = name.replace("resnet", "ResNet")
        assert f"{net} ends at {run['test_error']:.2f} % test and {run['train_error']:.2f} % training error" in findings
    plain, usual = originals["test_error"][["plain-20", "resnet-20"]]
    readme = " ".join((ROOT / "README.md").read_text("utf-8").split())
    assert f"ResNet-20 ends at {usual:.2f} % test error (one seed; paper 8.75, others 7.84 to 8.29)" in readme
    assert f"plain-20 at {plain:.2f} % (paper 9.7, read from its Figure 6; another 9.40)" in readme
    plain, usual = originals["train_error"][["plain-20", "resnet-20"]]
    assert f"For these two H6 (below) holds, by {plain - usual:.2f} points of training error" in readme
    for preset in ("table-1-short", "imagenette"):
        small = records.runs.query(f"preset == '{preset}'").set_index("network")
        paragraph = findings[findings.index(f"--preset {preset}") :]
        for name in ("plain-18", "plain-34", "resnet-18", "resnet-34"):
            train, test = small.loc[name, ["train_error", "test_error"]]
            said = re.search(rf"{name}(?: ends)? at ([\d.]+) %(?: training)? and ([\d.]+) %", paragraph, re.IGNORECASE)
            assert said and (said[1], said[2]) == (f"{train:.1f}", f"{test:.1f}")
    curves = records.curves.query("preset == 'paper' and data == 'cifar10-jpeg'")
    for pair in (("plain-56", "plain-20"), ("ResNet-56", "ResNet-20")):
        end = curves[curves["network"] == pair[0].lower()]["iteration"].max()
        window = curves[curves["iteration"].between(end - 999, end)]
        deep, shallow = (window[window["network"] == name.lower()]["train_error"].mean() for name in pair)
        assert re.search(
            rf"{pair[0]}(?: has)? {deep:.2f} %(?: training error)?, where {pair[1]} had {shallow:.2f} %", findings
        )


def test_the_lines_of_pandas_in_the_docs_give_the_means_of_the_records(records, monkeypatch):
    monkeypatch.chdir(ROOT)
    lines = re.search(r"```python\n(import json.*?)```", (ROOT / "docs" / "records.md").read_text("utf-8"), re.DOTALL)
    names: dict[str, Any] = {}
    exec(lines[1], names)
    found = names["runs"].groupby(["spec.data", "spec.preset", "run"])["final.test_error"].mean()
    ours = records.runs.query("status == 'complete' and variant == ''").groupby(["data", "preset", "network"])
    for key, mean in ours["test_error"].mean().items():
        assert found[key] == pytest.approx(mean)


@pytest.mark.slow
def test_the_committed_report_is_that_of_the_committed_records(tmp_path):
    out = tmp_path / "reports"
    assert report.main(["--results", str(ROOT / "results" / "reference"), "--committed", "--out", str(out)]) == 0
    expected, found = texts(ROOT / "reports"), texts(out)
    stale = [path for path in {**expected, **found} if found.get(path) != expected.get(path)]
    assert stale == [], "run: make report"
    assert len(expected) > 25
    pictures = {path.relative_to(out) for path in out.rglob("*.svg")}
    assert pictures == {path.relative_to(ROOT / "reports") for path in (ROOT / "reports").rglob("*.svg")}, "make report"


def test_the_committed_report_stays_small():
    listed = subprocess.run(["git", "ls-files", "-z", "reports"], cwd=ROOT, capture_output=True, check=True, text=True)
    files = [ROOT / name for name in listed.stdout.split("\0") if name]
    assert 0 < len(files) <= 120
    assert sum(path.stat().st_size for path in files if path.exists()) <= 5_000_000
    assert not [path for path in files if path.suffix in (".html", ".tex", ".pdf")]


def test_the_spread_assumed_of_responses_is_not_less_than_the_demo_shows(records):
    """Three seeds or ten; of the plain net of 110 layers, which does not train, and of 20 layers it says nothing."""
    demo = Evidence(records, source="reference", data="digits", preset="demo")
    networks = ["plain-32", "plain-44", "plain-56", *(f"resnet-{name}" for name in (32, 44, 56, "56-B", "56-C", 110))]
    for measure in RESPONSES:
        found = [np.array([run.value(measure) for run in demo.runs(name, measure)]) for name in networks]
        assert all(len(values) in (3, 10) for values in found)
        shown = np.sqrt(np.mean([(values.std(ddof=1) / values.mean()) ** 2 for values in found]))
        assert shown < RELATIVE_ELSEWHERE
