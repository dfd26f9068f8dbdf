"""The command: from results folders to a folder of pages."""

from __future__ import annotations

import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

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
        self.images: list[dict[str, str]] = []
        self.text = ""
        self.open: list[str] = []
        self.feed(path.read_text(encoding="utf-8"))
        assert not self.open, f"{path} leaves {self.open} open"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {key: value or "" for key, value in attrs}
        if "id" in values:
            self.ids.append(values["id"])
        self.addresses += [values[key] for key in ("href", "src") if key in values]
        if tag == "img":
            self.images.append(values)
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag, f"</{tag}> does not close what is open"

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report of three groups and two sources."""
    root = tmp_path_factory.mktemp("report")
    plant_paper_like(root / "yours")
    for network, end in (("plain-20", 18.0), ("plain-56", 32.0)):
        plant(root / "yours", network, data="cifar10-jpeg", test_end=end, train_end=end - 2)
        plant(root / "theirs", network, data="cifar10-jpeg", test_end=end, train_end=end - 2)
    plant(root / "yours", "plain-20", data="digits", preset="demo")
    damaged = root / "theirs" / "broken"
    damaged.mkdir()
    (damaged / "run.json").write_text("{")
    status = report.main(
        ["--results", str(root / "yours"), "--results", f"second={root / 'theirs'}", "--out", str(root / "out")]
    )
    assert status == 0
    return root / "out"


def test_pages_are_well_formed_and_every_address_leads_somewhere(folder: Path) -> None:
    pages = {path: Page(path) for path in folder.rglob("*.html")}
    for path, page in pages.items():
        assert len(page.ids) == len(set(page.ids)), path
        for address in page.addresses:
            assert "//" not in address and not address.startswith("/"), f"{path}: {address} leaves the report"
            file, _, anchor = address.partition("#")
            target = (path.parent / file).resolve() if file else path
            assert target.is_file(), f"{path}: {address}"
            assert not anchor or anchor in pages[target].ids, f"{path}: {address}"


def test_figures_and_table_are_there_with_their_downloads(folder: Path) -> None:
    page = Page(folder / "index.html")
    for anchor in ("figure-1", "table-6", "figure-6", "figure-7"):
        assert anchor in page.ids
    for group in (
        "CIFAR-10 · preset paper",
        "CIFAR-10, JPEG copy · preset short",
        "digits of scikit-learn · preset demo",
    ):
        assert group in page.text
    assert "6.43 (6.61 ± 0.16, n = 5)" in page.text
    assert "other data: not comparable" in page.text
    for form in ("png", "svg", "pdf", "csv"):
        assert len(list(folder.glob(f"figures/cifar10--paper/*/figure-1.{form}"))) == 1
        assert len(list(folder.glob(f"figures/cifar10-jpeg--short/*/figure-1.{form}"))) == 2
    for form in ("md", "csv", "tex", "html"):
        assert (folder / "tables" / "cifar10--paper" / f"table-6.{form}").is_file()


def test_damaged_records_are_listed(folder: Path) -> None:
    assert "second: broken" in Page(folder / "index.html").text
    assert "second: broken" in (folder / "REPORT.md").read_text()


def test_the_markdown_report_says_the_same(folder: Path) -> None:
    text = (folder / "REPORT.md").read_text()
    for heading in ("## Figure 1", "## Table 6", "## Figure 6", "## Figure 7", "## Runs"):
        assert f"\n{heading}" in text
    assert "6.43 (6.61 ± 0.16, n = 5)" in text
    assert "not comparable" in text


def test_writing_again_gives_identical_files(folder: Path, tmp_path: Path) -> None:
    root = folder.parent
    arguments = ["--results", str(root / "yours"), "--results", f"second={root / 'theirs'}"]
    assert report.main([*arguments, "--out", str(tmp_path / "again")]) == 0
    again = {p.relative_to(tmp_path / "again"): p.read_bytes() for p in (tmp_path / "again").rglob("*") if p.is_file()}
    assert again == {p.relative_to(folder): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_a_preset_alone(folder: Path, tmp_path: Path) -> None:
    status = report.main(["--results", str(folder.parent / "yours"), "--preset", "demo", "--out", str(tmp_path / "o")])
    assert status == 0
    text = Page(tmp_path / "o" / "index.html").text
    assert "preset demo" in text
    assert "preset paper" not in text


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


def test_absent_default_folders_are_fine_as_long_as_one_has_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(report, "ROOT", tmp_path)
    assert report.main(["--out", str(tmp_path / "out")]) == 1
    assert "no run in" in capsys.readouterr().err
    plant(tmp_path / "results" / "local", "plain-20", data="digits", preset="demo")
    assert report.main(["--out", str(tmp_path / "out")]) == 0
    assert "1 local" in capsys.readouterr().out


def test_the_command_does_not_import_torch() -> None:
    code = "import sys, repro.report; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
