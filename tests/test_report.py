"""The command: from results folders to a folder of pages."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import unquote

import pytest
from planted import HOSTILE, plant

from repro import report
from repro.site import build as site_build

VOID = {"meta", "link", "img", "br", "hr", "input", "source"}


class Page(HTMLParser):
    """What a page holds: ids, addresses, texts; fails on tags that do not nest."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.ids: list[str] = []
        self.addresses: list[str] = []
        self.tags: list[str] = []
        self.text = ""
        self.open: list[str] = []
        self.feed(path.read_text(encoding="utf-8"))
        assert not self.open, f"{path} leaves {self.open} open"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {key: value or "" for key, value in attrs}
        if "id" in values:
            self.ids.append(values["id"])
        self.addresses += [values[key] for key in ("href", "src") if key in values]
        self.tags.append(tag)
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag, f"</{tag}> does not close what is open"

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.fixture
def unbuilt(monkeypatch: pytest.MonkeyPatch) -> list[SimpleNamespace]:
    """The command without figures and pages; the verdicts that it is told."""
    verdicts: list[SimpleNamespace] = []
    monkeypatch.setattr(site_build, "build", lambda *_: verdicts)
    return verdicts


def pages(whole_report: Path) -> dict[Path, Page]:
    return {path: Page(path) for path in whole_report.rglob("*.html")}


def test_pages_are_well_formed_and_every_address_leads_somewhere(whole_report: Path) -> None:
    found = pages(whole_report)
    for path, page in found.items():
        assert len(page.ids) == len(set(page.ids)), path
        for address in page.addresses:
            assert "//" not in address and not address.startswith("/"), f"{path}: {address} leaves the report"
            file, _, anchor = address.partition("#")
            target = (path.parent / unquote(file)).resolve() if file else path
            assert target.is_file(), f"{path}: {address}"
            assert target.is_relative_to(whole_report.resolve())
            assert not anchor or anchor in found[target].ids, f"{path}: {address}"


def test_nothing_asks_the_network_and_nothing_that_a_script_shows_is_hidden_without(whole_report: Path) -> None:
    for path in whole_report.rglob("*"):
        if path.suffix in (".html", ".css", ".js"):
            text = path.read_text().replace("http://www.w3.org/", "")
            assert not re.search(r"https?://|@import|url\((?!#)", text), path
    hidden = re.findall(r"<[a-z][^>]* hidden[ >]", (whole_report / "index.html").read_text())
    assert hidden == ['<div class="evidence" hidden>'], "the bar alone, which needs the script"


def test_what_is_committed_has_no_pages_and_few_forms_and_is_the_same_each_time(tmp_path: Path) -> None:
    plant(tmp_path / "r", "plain-20", data="digits", preset="demo", responses=1.0)
    written = []
    for name in ("a", "b"):
        committed = tmp_path / name
        assert report.main(["--results", str(tmp_path / "r"), "--committed", "--out", str(committed)]) == 0
        files = [path for path in committed.rglob("*") if path.is_file()]
        written.append({path.relative_to(committed): path.read_bytes() for path in files})
    assert written[0] == written[1]
    files = [path.relative_to(committed) for path in committed.rglob("*") if path.is_file()]
    assert {path.suffix for path in files if "figures" in path.parts} == {".svg", ".png"}
    assert {path.suffix for path in files if "tables" in path.parts} == {".csv"}
    assert {path.name for path in files if len(path.parts) == 1} == {
        "REPORT.md", "claims.json", ".resnet-repro-report.json",
    }  # fmt: skip
    for address in re.findall(r"\]\(([^)]+)\)", (committed / "REPORT.md").read_text()):
        assert (committed / unquote(address)).is_file(), address


def test_own_results_come_before_the_references(elsewhere: Path) -> None:
    """By default every folder under results/ is a source; a report opens with what is not the project's own."""
    results = elsewhere / "results"
    for network in ("plain-20", "plain-56"):
        plant(results / "reference", network, data="cifar10-jpeg")
    for source in ("local", "jsg", "reference"):
        plant(results / source, "plain-20", data="digits", preset="demo")
    attestations = results / "attestations"
    attestations.mkdir()
    (attestations / "theirs.json").write_text(
        '{"format": 1, "date": "2026-01-02", "data": "digits", "preset": "demo", "environment": {}, "repeats": ['
        '{"network": "plain-44", "seed": 7, "verdict": "differs", "why": "so", "outputs": []}]}'
    )
    assert report.main(["--committed", "--out", "o"]) == 0
    text = (elsewhere / "o" / "REPORT.md").read_text()
    assert "plain-44, seed 7" in text and "differs" in text
    short = text[text.index("## In short") :]
    assert "Results of 5 training runs, 1 of them yours, beside" in short and "local: your runs" in short
    assert "reference: the project's own runs, at most 1 seed of a network. A seed is" in short
    assert re.findall(r"^Source \*\*(.*)\*\*:", short, re.MULTILINE)[:4] == ["local", "jsg", "reference", "reference"]
    assert short.index("8×8 digits") < short.index("JPEG copy")


def test_a_report_opens_with_the_runs_nearest_to_the_paper_that_show_degradation(elsewhere: Path) -> None:
    """Although shorter runs settle more claims; but not with runs at the paper's length of which too few are there."""
    reference = elsewhere / "results" / "reference"
    for network in ("plain-20", "plain-56", *(f"resnet-{depth}" for depth in (20, 32, 44, 56, 110))):
        plant(reference, network)
    plant(reference, "plain-20", preset="paper", coarse=10)
    titles = {}
    for out in ("few", "enough"):
        assert report.main(["--committed", "--out", out]) == 0
        short = (elsewhere / out / "REPORT.md").read_text().partition("## In short")[2]
        titles[out] = re.findall(r"^### CIFAR-10 · preset (\w+)", short, re.MULTILINE)[:2]
        plant(reference, "plain-56", preset="paper", coarse=10)
    assert titles == {"few": ["short", "paper"], "enough": ["paper", "short"]}


def test_figures_tables_and_verdicts_are_there_in_every_form(whole_report: Path) -> None:
    page, text = Page(whole_report / "index.html").text.replace("\u00a0", " "), (whole_report / "REPORT.md").read_text()
    for said in ("CIFAR-10 · preset paper", "8×8 digits · preset demo", "6.43 (6.61 ± 0.16, n = 5)", "not comparable"):
        assert said in page and said in text
    for heading in ("Figure 1", "Table 6", "Figure 6", "Figure 7", "Table 14", "H25"):
        assert f"\n### {heading}" in text
    for form in ("png", "svg", "pdf", "csv"):
        assert len(list(whole_report.glob(f"figures/cifar10--paper/*/figure-1.{form}"))) == 1
        assert len(list(whole_report.glob(f"figures/cifar10-jpeg--short/*/figure-1.{form}"))) == 2
    panels = {path.name for path in whole_report.glob("figures/cifar10--paper/yours/figure-6-*")}
    names = [f"figure-6-{panel}" for panel in ("plain-nets", "resnets", "110-and-1202-layers")]
    assert panels == {f"{name}.{form}" for name in names for form in ("svg", "png")}
    for form in ("md", "csv", "tex", "html"):
        assert (whole_report / "tables" / "cifar10--paper" / f"table-6.{form}").is_file()
        assert (whole_report / "tables" / f"table-14.{form}").is_file()
    for address in re.findall(r"\]\(([^)]+)\)", text):
        assert (whole_report / unquote(address)).is_file(), address
    found = json.loads((whole_report / "claims.json").read_text())["verdicts"]
    judged = {(item["source"], item["data"], item["preset"]) for item in found}
    assert ("yours", "cifar10", "paper") in judged and len(found) == 25 * len(judged)


def test_each_comparison_has_its_protocol(whole_report: Path) -> None:
    text = (whole_report / "REPORT.md").read_text()
    for exhibit in ("### Figure 1", "### Figure 6", "### Table 6"):
        mine = text[text.index(exhibit) :]
        mine = mine[mine.index("#### CIFAR-10, JPEG copy · preset short") :].partition("\n#")[0]
        assert "Protocol of **yours**" in mine and "Protocol of **second**" in mine
        assert "8,000 iterations of training in place of 64,000" in mine and "- precision: bf16" in mine


def test_markup_in_records_is_shown_and_not_executed(whole_report: Path) -> None:
    for path, page in pages(whole_report).items():
        own = 0 if path.parent.name != "out" and "tables" in path.parts else 1
        data = path.read_text().count('<script type="application/json">')
        assert page.tags.count("script") == own + data, path
    text = (whole_report / "index.html").read_text()
    assert '<span class="name">plain-56</span>' in text and "&lt;span" not in text
    text = (whole_report / "runs.html").read_text()
    assert "&lt;script&gt;alert(2)&lt;/script&gt;" in text
    assert HOSTILE not in text
    assert HOSTILE not in re.sub(r"`[^`]*`", "", (whole_report / "REPORT.md").read_text())


def test_runs_that_did_not_end_well_are_listed(whole_report: Path) -> None:
    text = Page(whole_report / "runs.html").text
    assert "resnet-110, seed 0 (digits, demo): diverged at iteration 300: " + HOSTILE in text
    assert "resnet-32, seed 0 (digits, demo): failed at iteration 300" in text
    assert "second: <img src=x" in text, "the damaged one, by its folder"
    assert "1 unreadable; 2 failed or diverged" in Page(whole_report / "index.html").text


def test_each_run_has_a_page_with_what_repeats_it(whole_report: Path) -> None:
    assert len(list((whole_report / "runs").iterdir())) == 15 + 4 + 5 + 1
    page = Page(whole_report / "runs" / "yours--digits--demo--resnet-20+optimiser.nesterov=true--seed-0.html")
    assert "python -m repro.run ambiguities --preset demo" in page.text or "--set optimiser.nesterov=true" in page.text
    assert "Nesterov momentum, not plain" in page.text
    diverged = Page(whole_report / "runs" / "second--digits--demo--resnet-110--seed-0.html").text
    assert "Diverged, 300 of 600 iterations" in diverged and HOSTILE in diverged
    assert HOSTILE in Page(whole_report / "runs" / "second--digits--demo--resnet-32--seed-0.html").text


def test_strict_fails_where_a_claim_is_contradicted(
    tmp_path: Path, unbuilt: list[SimpleNamespace], capsys: pytest.CaptureFixture[str]
) -> None:
    plant(tmp_path / "r", "plain-20", data="digits", preset="demo")
    arguments = ["--results", str(tmp_path / "r"), "--out", str(tmp_path / "o")]
    assert report.main([*arguments, "--strict"]) == 0
    said = {"id": "H2", "verdict": "contradicted", "source": "r", "data": "digits", "preset": "demo", "evidence": "so"}
    unbuilt.append(SimpleNamespace(**said))
    assert report.main(arguments) == 0
    assert report.main([*arguments, "--strict"]) == 1
    assert "H2 is contradicted (r, digits, demo): so" in capsys.readouterr().err


def test_foreign_curves_are_brought_in_and_shown(
    tmp_path: Path, elsewhere: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "curves.csv"
    file.write_text("epoch,train_error,test_error\n1,0.6,0.5\n164,0.0071,0.0784\n")
    arguments = ["--import-curves", str(file), "--as", "jsg", "--network", "resnet-20", "--out", str(tmp_path / "o")]
    assert report.main([*arguments, "--committed"]) == 0
    assert "marked foreign" in capsys.readouterr().out
    assert (tmp_path / "results/jsg/cifar10/paper/resnet-20/seed-0/run.json").is_file()
    assert "7.84 (n = 1 foreign)" in (tmp_path / "o" / "REPORT.md").read_text()
    shutil.rmtree(tmp_path / "results" / "jsg")
    assert report.main([*arguments, "--committed", "--results", "results/jsg"]) == 0, "it is there when it is needed"
    assert "1 runs (1 jsg)" in capsys.readouterr().out
    assert report.main([*arguments[:2], "--network", "resnet-20"]) == 2
    assert report.main([*arguments[:2], "--as", "local"]) == 2
    (tmp_path / "jsg2").mkdir()
    assert report.main([*arguments[:3], "jsg2", *arguments[4:], "--results", "jsg2"]) == 2
    assert not (tmp_path / "results" / "jsg2").exists(), "two sources of one name: nothing is brought in"


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (["--results", "{empty}"], 1, "no run in"),
        (["--results", "{yours}", "--preset", "shrot"], 2, "did you mean 'short'?"),
        (["--results", "{yours}", "--preset", "short"], 1, "no run of preset short in"),
        (["--results", "{yours}", "--results", "yours={empty}"], 2, "two sources 'yours'"),
    ],
)
def test_mistakes_are_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], status: int, said: str
) -> None:
    places = {name: tmp_path / name for name in ("empty", "yours")}
    for place in places.values():
        place.mkdir()
    plant(places["yours"], "plain-20", data="digits", preset="demo")
    out = ["--out", str(tmp_path / "out")]
    assert report.main([text.format(**places) for text in arguments] + out) == status
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_a_notebooks_backend_is_no_hindrance(tmp_path: Path) -> None:
    """A kernel names a backend in the environment that need not be installed where the command runs."""
    result = subprocess.run(
        [sys.executable, "-m", "repro.report", "--results", str(tmp_path), "--out", str(tmp_path / "out")],
        env={**os.environ, "MPLBACKEND": "module://matplotlib_inline.backend_inline"},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert result.returncode == 1 and result.stderr.startswith("repro.report: no run in"), "matplotlib was imported"


def test_without_the_projects_records_a_report_is_of_the_others_and_says_where_to_have_those(
    elsewhere: Path, unbuilt: list[SimpleNamespace], capsys: pytest.CaptureFixture[str]
) -> None:
    assert report.main(["--out", "out"]) == 1
    assert "no run in" in capsys.readouterr().err
    plant(elsewhere / "results" / "local", "plain-20", data="digits", preset="demo")
    assert report.main(["--out", "out"]) == 0
    written, missing = capsys.readouterr().out.splitlines()
    assert "1 local" in written
    assert "results/reference/" in missing and "repository" in missing
    plant(elsewhere / "results" / "reference", "plain-20", data="digits", preset="demo")
    assert report.main(["--out", "out"]) == 0
    assert "1 local, 1 reference" in capsys.readouterr().out.splitlines()[-1]
