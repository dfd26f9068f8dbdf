"""The command: from results folders to a folder of pages."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

import pytest
from planted import plant, plant_paper_like

from repro import report

VOID = {"meta", "link", "img", "br", "hr", "input", "source"}


class Page(HTMLParser):
    """What a page holds: ids, addresses, texts; fails on tags that do not nest."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.ids: list[str] = []
        self.addresses: list[str] = []
        self.scripts = 0
        self.text = ""
        self.open: list[str] = []
        self.feed(path.read_text(encoding="utf-8"))
        assert not self.open, f"{path} leaves {self.open} open"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {key: value or "" for key, value in attrs}
        if "id" in values:
            self.ids.append(values["id"])
        self.addresses += [values[key] for key in ("href", "src") if key in values]
        self.scripts += tag == "script"
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag, f"</{tag}> does not close what is open"

    def handle_data(self, data: str) -> None:
        self.text += data


HOSTILE = "<script>alert(1)</script>"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report of three groups and two sources, of runs that ended in every way."""
    root = tmp_path_factory.mktemp("report")
    yours, theirs = root / "yours", root / "theirs"
    plant_paper_like(yours)
    for network, end in (("plain-20", 18.0), ("plain-56", 32.0)):
        plant(yours, network, data="cifar10-jpeg", test_end=end, train_end=end - 2)
        plant(theirs, network, data="cifar10-jpeg", test_end=end, train_end=end - 2)
    settings = {"data": "digits", "preset": "demo"}
    plant(yours, "plain-20", **settings)
    plant(yours, "resnet-20", **settings, settings={"optimiser.nesterov": True})
    plant(theirs, "resnet-110", **settings, status="diverged", extra={"error": HOSTILE})
    plant(
        theirs,
        "resnet-32",
        **settings,
        status="failed",
        extra={"traceback": HOSTILE, "environment": {"commit": HOSTILE}},
    )
    plant(theirs, "resnet-44", **settings, status="stopped", extra={"sessions": [{"how": HOSTILE}], "hash": HOSTILE})
    broken = theirs / HOSTILE.replace("/", "")
    broken.mkdir()
    (broken / "run.json").write_text("{")
    odd = json.loads((theirs / "digits/demo/resnet-44/seed-0/run.json").read_text())
    odd["spec"] |= {"variant": HOSTILE, "preset": "../../" + HOSTILE, "data": HOSTILE}
    (theirs / "odd").mkdir()
    (theirs / "odd" / "run.json").write_text(json.dumps(odd))
    assert report.main(["--results", str(yours), "--results", f"second={theirs}", "--out", str(root / "out")]) == 0
    return root / "out"


def pages(folder: Path) -> dict[Path, Page]:
    return {path: Page(path) for path in folder.rglob("*.html")}


def test_pages_are_well_formed_and_every_address_leads_somewhere(folder: Path) -> None:
    found = pages(folder)
    for path, page in found.items():
        assert len(page.ids) == len(set(page.ids)), path
        for address in page.addresses:
            assert "//" not in address and not address.startswith("/"), f"{path}: {address} leaves the report"
            file, _, anchor = address.partition("#")
            target = (path.parent / unquote(file)).resolve() if file else path
            assert target.is_file(), f"{path}: {address}"
            assert target.is_relative_to(folder.resolve())
            assert not anchor or anchor in found[target].ids, f"{path}: {address}"


def test_nothing_asks_the_network(folder: Path) -> None:
    for path in folder.rglob("*"):
        if path.suffix in (".html", ".css", ".js"):
            text = path.read_text().replace("http://www.w3.org/", "")
            assert not re.search(r"https?://|@import|url\((?!#)", text), path


def test_what_teaches_comes_first_and_the_papers_own_tables_last(folder: Path) -> None:
    page = Page(folder / "index.html")
    exhibits = [name for name in page.ids if re.fullmatch(r"(figure|table)-\d+|claims|opening|signals", name)]
    assert exhibits == [
        "opening", "figure-1", "figure-6", "table-6", "figure-7", "signals", "table-1", "claims", "table-2", "figure-4",
        "table-3", "table-4", "table-5", *(f"table-{number}" for number in range(7, 15)),
    ]  # fmt: skip
    assert [name for name in page.ids if re.fullmatch(r"H\d+", name)] == [f"H{number}" for number in range(1, 26)]


def test_it_opens_with_ten_lines_and_two_numbers_of_the_runs(tmp_path: Path) -> None:
    for network, end in (("plain-20", 1.0), ("plain-56", 70.5), ("resnet-56", 8.25)):
        plant(tmp_path / "r", network, data="digits", preset="demo", train_end=end, test_end=end)
    for kind in ([], ["--committed"]):
        assert report.main(["--results", str(tmp_path / "r"), "--out", str(tmp_path / "o"), *kind]) == 0
        text = (tmp_path / "o" / "REPORT.md").read_text()
        start = text[: text.index("## In short")]
        assert len(re.findall("^- [A-Z]", start, re.MULTILINE)) == 10
        assert "- **70.5 %** training error of plain-56" in start and "- **8.2 %** training error of ResNet-56" in start
        assert "not overfitting" in start and start.count("![") == 1


def test_what_is_committed_has_no_pages_and_few_forms(tmp_path: Path) -> None:
    plant(tmp_path / "r", "plain-20", data="digits", preset="demo")
    assert report.main(["--results", str(tmp_path / "r"), "--out", str(tmp_path / "o"), "--committed"]) == 0
    files = [path.relative_to(tmp_path / "o") for path in (tmp_path / "o").rglob("*") if path.is_file()]
    assert {path.suffix for path in files if "figures" in path.parts} == {".svg", ".png"}
    assert {path.suffix for path in files if "tables" in path.parts} == {".csv"}
    assert {path.name for path in files if len(path.parts) == 1} == {
        "REPORT.md", "claims.json", ".resnet-repro-report.json",
    }  # fmt: skip
    text = (tmp_path / "o" / "REPORT.md").read_text()
    for address in re.findall(r"\]\(([^)]+)\)", text):
        assert (tmp_path / "o" / unquote(address)).is_file(), address


def test_own_results_come_before_the_references(elsewhere: Path) -> None:
    """By default every folder under results/ is a source; a report opens with what is not the project's own."""
    results = elsewhere / "results"
    for network in ("plain-20", "plain-56", "resnet-20", "resnet-56"):
        plant(results / "reference", network, data="cifar10-jpeg", responses=1.0)
    for source in ("local", "jsg"):
        plant(results / source, "plain-20", data="digits", preset="demo")
    plant(results / "reference", "plain-20", data="digits", preset="demo")
    attestations = results / "attestations"
    attestations.mkdir()
    (attestations / "theirs.json").write_text(
        '{"format": 1, "date": "2026-01-02", "data": "digits", "preset": "demo", "environment": {}, "repeats": ['
        '{"network": "plain-44", "seed": 7, "verdict": "differs", "why": "so", "outputs": []}]}'
    )
    assert report.main([]) == 0
    text = (elsewhere / "report" / "REPORT.md").read_text()
    assert "plain-44, seed 7" in text and "differs" in text
    own = Page(elsewhere / "report" / "runs" / "local--digits--demo--plain-20--seed-0.html")
    assert "the same as the reference's" in own.text
    short = text[text.index("## In short") :]
    assert re.findall(r"^Source \*\*(.*)\*\*:", short, re.MULTILINE)[:4] == ["local", "jsg", "reference", "reference"]
    assert short.index("8×8 digits") < short.index("JPEG copy")


def test_figures_and_tables_are_there_with_their_downloads(folder: Path) -> None:
    page = Page(folder / "index.html")
    for group in ("CIFAR-10 · preset paper", "CIFAR-10, JPEG copy · preset short", "8×8 digits · preset demo"):
        assert group in page.text
    assert "6.43 (6.61 ± 0.16, n = 5)" in page.text
    assert "other data: not comparable" in page.text
    for form in ("png", "svg", "pdf", "csv"):
        assert len(list(folder.glob(f"figures/cifar10--paper/*/figure-1.{form}"))) == 1
        assert len(list(folder.glob(f"figures/cifar10-jpeg--short/*/figure-1.{form}"))) == 2
    for form in ("md", "csv", "tex", "html"):
        assert (folder / "tables" / "cifar10--paper" / f"table-6.{form}").is_file()
        assert (folder / "tables" / f"table-14.{form}").is_file()


def test_markup_in_records_is_shown_and_not_executed(folder: Path) -> None:
    for path, page in pages(folder).items():
        own = 0 if path.parent.name != "out" and "tables" in path.parts else 1
        data = path.read_text().count('<script type="application/json">')
        assert page.scripts == own + data, path
    text = (folder / "runs.html").read_text()
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in text
    assert HOSTILE not in text
    assert HOSTILE not in re.sub(r"`[^`]*`", "", (folder / "REPORT.md").read_text())


def test_runs_that_did_not_end_well_are_listed(folder: Path) -> None:
    text = Page(folder / "runs.html").text
    assert "resnet-110, seed 0 (digits, demo): diverged at iteration 300: " + HOSTILE in text
    assert "resnet-32, seed 0 (digits, demo): failed at iteration 300" in text
    assert "second: <script>alert(1)<script>" in text, "the damaged one, by its folder"
    assert "1 unreadable, 2 failed or diverged" in Page(folder / "index.html").text
    assert "second: " in (folder / "REPORT.md").read_text()


def test_each_run_has_a_page_with_what_repeats_it(folder: Path) -> None:
    assert len(list((folder / "runs").iterdir())) == 25
    page = Page(folder / "runs" / "yours--digits--demo--resnet-20+optimiser.nesterov=true--seed-0.html")
    assert "python -m repro.run ambiguities --preset demo" in page.text or "--set optimiser.nesterov=true" in page.text
    assert "Nesterov momentum, not plain" in page.text
    assert "600 iterations of training in place of 64,000" in page.text
    assert (
        "Diverged after 300 of 600 iterations"
        in Page(folder / "runs" / "second--digits--demo--resnet-110--seed-0.html").text
    )
    assert "<script>alert(1)</script>" in Page(folder / "runs" / "second--digits--demo--resnet-32--seed-0.html").text


def test_what_a_setting_moves_is_a_table(folder: Path) -> None:
    table = (folder / "tables" / "digits--demo" / "settings.md").read_text()
    assert "Nesterov momentum, not plain" in table
    assert "nothing to compare with" in table


def test_the_markdown_report_says_the_same(folder: Path) -> None:
    text = (folder / "REPORT.md").read_text()
    for heading in (
        "### Figure 1",
        "### Table 6",
        "### Figure 6",
        "### Figure 7",
        "### Table 14",
        "### H25",
        "## Runs",
    ):
        assert f"\n{heading}" in text
    assert "6.43 (6.61 ± 0.16, n = 5)" in text
    assert "not comparable" in text
    for address in re.findall(r"\]\(([^)]+)\)", text):
        assert (folder / unquote(address)).is_file(), address


def test_claims_are_there_for_machines(folder: Path) -> None:
    found = json.loads((folder / "claims.json").read_text())["verdicts"]
    groups = {(item["source"], item["data"], item["preset"]) for item in found}
    assert ("yours", "cifar10", "paper") in groups
    assert len(found) == 25 * len(groups)


def test_writing_again_gives_identical_files(folder: Path, tmp_path: Path) -> None:
    root = folder.parent
    arguments = ["--results", str(root / "yours"), "--results", f"second={root / 'theirs'}"]
    assert report.main([*arguments, "--out", str(tmp_path / "again")]) == 0
    again = {p.relative_to(tmp_path / "again"): p.read_bytes() for p in (tmp_path / "again").rglob("*") if p.is_file()}
    assert again == {p.relative_to(folder): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def opened(results: Path, out: Path) -> str:
    """Title of the group with which the report of these results opens."""
    assert report.main(["--results", str(results), "--out", str(out)]) == 0
    option = re.search(r"<option value=\"[^\"]*\" selected>([^<]*)<", (out / "index.html").read_text(encoding="utf-8"))
    assert option
    return option[1]


def test_it_opens_with_the_group_nearest_to_the_paper_of_which_most_headlines_are_judged(tmp_path: Path) -> None:
    results, out = tmp_path / "results", tmp_path / "out"
    for network in ("plain-20", "plain-56", "resnet-20", "resnet-56", "resnet-110"):
        plant(results, network, data="digits", preset="demo", responses=1.0)
    plant(results, "plain-20", data="cifar10-jpeg", responses=1.0)
    plant(results, "plain-56", data="cifar10-jpeg", responses=1.0)
    assert opened(results, out) == "8×8 digits · preset demo", "two headlines of five do not suffice"
    plant(results, "resnet-56", data="cifar10-jpeg", responses=1.0)
    assert opened(results, out) == "CIFAR-10, JPEG copy · preset short", "three do, though there are fewer networks"


def test_the_markdown_report_has_that_group_first_all_through(tmp_path: Path) -> None:
    results, out = tmp_path / "results", tmp_path / "out"
    for network in ("plain-20", "plain-56", "resnet-20", "resnet-56", "resnet-110"):
        plant(results, network, data="digits", preset="demo", responses=1.0)
    plant(results, "plain-20", data="cifar10-jpeg")
    assert opened(results, out) == (title := "8×8 digits · preset demo")
    text = (out / "REPORT.md").read_text(encoding="utf-8")
    for start in ("## In short", "### Figure 1", "### Table 6", "### H1"):
        assert text[text.index(f"\n{start}") :].partition(title)[0].count("JPEG copy · preset") == 0, start


def test_it_opens_with_the_most_networks_where_hardly_a_headline_is_judged(tmp_path: Path) -> None:
    plant(tmp_path / "results", "plain-20", data="cifar10-jpeg")
    for network in ("plain-20", "plain-32"):
        plant(tmp_path / "results", network, data="digits", preset="demo")
    assert opened(tmp_path / "results", tmp_path / "out") == "8×8 digits · preset demo"


def test_a_preset_alone(folder: Path, tmp_path: Path) -> None:
    status = report.main(["--results", str(folder.parent / "yours"), "--preset", "demo", "--out", str(tmp_path / "o")])
    assert status == 0
    text = Page(tmp_path / "o" / "index.html").text
    assert "digits · preset demo" in text
    assert "CIFAR-10 · preset paper" not in text


def test_strict_fails_where_a_claim_is_contradicted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plant(tmp_path / "r", "plain-20", data="digits", preset="demo", train_end=30, test_end=30)
    plant(tmp_path / "r", "plain-56", data="digits", preset="demo", train_end=3, test_end=3)
    arguments = ["--results", str(tmp_path / "r"), "--out", str(tmp_path / "o")]
    assert report.main(arguments) == 0
    assert report.main([*arguments, "--strict"]) == 1
    assert "H2 is contradicted (r, digits, demo)" in capsys.readouterr().err
    plant(tmp_path / "s", "plain-20", data="digits", preset="demo", train_end=3, test_end=3)
    plant(tmp_path / "s", "plain-56", data="digits", preset="demo", train_end=30, test_end=30)
    assert report.main(["--results", str(tmp_path / "s"), "--out", str(tmp_path / "o"), "--strict"]) == 0


def test_foreign_curves_are_brought_in_and_shown(
    tmp_path: Path, elsewhere: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "curves.csv"
    file.write_text("epoch,train_error,test_error\n1,0.6,0.5\n164,0.0071,0.0784\n")
    arguments = ["--import-curves", str(file), "--as", "jsg", "--network", "resnet-20", "--out", str(tmp_path / "o")]
    assert report.main(arguments) == 0
    assert "marked foreign" in capsys.readouterr().out
    assert (tmp_path / "results/jsg/cifar10/paper/resnet-20/seed-0/run.json").is_file()
    assert "7.84 (n = 1 foreign)" in Page(tmp_path / "o" / "index.html").text
    page = Page(tmp_path / "o" / "runs" / "jsg--cifar10--paper--resnet-20--seed-0.html").text
    assert "Foreign: curves of another program" in page
    assert "To repeat it" not in page
    assert report.main([*arguments[:2], "--network", "resnet-20"]) == 2
    assert report.main([*arguments[:2], "--as", "local"]) == 2


def test_a_folder_without_runs_is_told_beside_one_that_has_some(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plant(tmp_path / "yours", "plain-20", data="digits", preset="demo")
    (tmp_path / "empty").mkdir()
    arguments = ["--results", str(tmp_path / "yours"), "--results", str(tmp_path / "empty")]
    assert report.main([*arguments, "--out", str(tmp_path / "o")]) == 0
    assert "1 runs (1 yours, none empty)" in capsys.readouterr().out


def test_a_preset_that_only_a_stranger_has_can_be_asked_for(tmp_path: Path) -> None:
    plant(tmp_path / "theirs", "plain-20", data="digits", preset="demo")
    (tmp_path / "theirs/digits/demo").rename(tmp_path / "theirs/digits/tiny")
    record = tmp_path / "theirs/digits/tiny/plain-20/seed-0/run.json"
    record.write_text(record.read_text(encoding="utf-8").replace('"demo"', '"tiny"'), encoding="utf-8")
    plant(tmp_path / "theirs", "plain-20", data="digits", preset="demo")
    arguments = ["--results", str(tmp_path / "theirs"), "--preset", "tiny", "--out", str(tmp_path / "o")]
    assert report.main(arguments) == 0
    assert not (tmp_path / "o" / "runs" / "theirs--digits--demo--plain-20--seed-0.html").exists()
    assert (tmp_path / "o" / "runs" / "theirs--digits--tiny--plain-20--seed-0.html").exists()


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (["--results", "{empty}"], 1, "no run in"),
        (["--results", "{empty}/nowhere"], 1, "there is no folder"),
        (["--results", "{yours}", "--preset", "shrot"], 2, "did you mean 'short'?"),
        (["--results", "{yours}", "--preset", "short"], 1, "no run of preset short in"),
        (["--results", "{yours}", "--results", "yours={empty}"], 2, "two sources 'yours'"),
        (["--results", "a<b={yours}"], 2, "cannot name a source"),
        (["--results", "paper={yours}"], 2, "cannot name a source"),
        (["--results", "{yours}", "--out", "{full}"], 1, "no report of ours"),
    ],
)
def test_mistakes_are_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], status: int, said: str
) -> None:
    places = {name: tmp_path / name for name in ("empty", "yours", "full")}
    for place in places.values():
        place.mkdir()
    plant(places["yours"], "plain-20", data="digits", preset="demo")
    (places["full"] / "thesis.tex").touch()
    out = [] if "--out" in arguments else ["--out", str(tmp_path / "out")]
    assert report.main([text.format(**places) for text in arguments] + out) == status
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_without_the_projects_records_a_report_is_of_the_others_and_says_where_to_have_those(
    elsewhere: Path, capsys: pytest.CaptureFixture[str]
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


def test_the_command_does_not_import_torch() -> None:
    code = "import sys, repro.report; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
