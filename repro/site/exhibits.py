"""All figures and tables of the paper in its order, each with what the runs at hand show of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pandas as pd

from repro import paper
from repro import study as studies
from repro.figures import draw, figure1, figure4, figure6, figure7, health
from repro.figures.chart import Chart, shown
from repro.figures.groups import Group, narrow, sources
from repro.site import protocol
from repro.site.content import Block, Download, Exhibit, Part, Picture, Tabled, address, protocol_of, slug
from repro.site.load import Gathered
from repro.tables import ends, paper_tables, responses, table1, table6, variants
from repro.tables import table as tables
from repro.tables.table import Table

_NAMES = {"md": "Markdown", "tex": "LaTeX"}


def parts(gathered: Gathered, out: Path) -> tuple[Part, ...]:
    """Make every exhibit, in the paper's order, writing its files below `out`."""
    return (
        Part(
            "introduction",
            "Section 1. The problem",
            "Plain nets degrade: beyond some depth more layers give a higher training error.",
            (_curves(gathered, out, figure1, "Figure 1", _ends(figure1.NETWORKS)),),
        ),
        Part(
            "imagenet",
            "Section 4.1. ImageNet",
            "The networks are defined here and their costs computed. Training them takes ImageNet, which no study here "
            "does: errors are the paper's alone.",
            (
                _of_table1(out),
                _of_paper(2, out),
                _of_figure4(out),
                *(_of_paper(number, out) for number in (3, 4, 5)),
            ),
        ),
        Part(
            "cifar",
            "Section 4.2. CIFAR-10 and analysis",
            "The studies here can rerun all of this section; each exhibit says what was run.",
            (
                _curves(
                    gathered,
                    out,
                    figure6,
                    "Figure 6",
                    "In the paper plain nets end with a higher test error the deeper they are, and from 44 layers on "
                    "with a higher training error; ResNets of up to 110 layers with a lower one. With 1202 layers the "
                    "training error is as low as with 110, the test error higher.",
                ),
                _of_table6(gathered, out),
                _of_figure7(gathered, out),
                _of_signals(gathered, out),
                _of_shortcuts(gathered, out),
                _of_settings(gathered, out),
            ),
        ),
        Part(
            "detection",
            "Section 4.3 and appendices. Detection and localisation",
            "The paper's numbers alone: what they were measured on is not part of this project.",
            tuple(_of_paper(number, out) for number in range(7, 15)),
        ),
    )


def _ends(networks: Iterable[str]) -> str:
    """Where the paper's curves end, in words."""
    said = [
        f"{shown(network)} ends at {ends.reading(network, 'train_error')[0]} % training and "
        f"{ends.reading(network, 'test_error')[0]} % test error"
        for network in networks
    ]
    return f"In the paper {', '.join(said)} (read from Figure 6)."


def _curves(gathered: Gathered, out: Path, module: ModuleType, number: str, said: str) -> Exhibit:
    blocks = []
    for group in gathered.groups:
        block = _pictures(gathered, out, group, module)
        if block.pictures and module is figure6:
            table = tabled(ends.table(gathered.of(group), group), out, block.key)
            block = replace(block, tables=(table,))
        blocks.append(block)
    return Exhibit(
        anchor=number.lower().replace(" ", "-"),
        number=number,
        title=module.TITLE,
        said=said,
        command=_command("degradation"),
        blocks=tuple(block for block in blocks if block.pictures),
        missing=_missing(gathered, blocks, "degradation"),
    )


def _command(study: str, group: Group | None = None) -> str:
    """What would fill an exhibit, by default with the paper's own setting; empty if no study here has the preset."""
    if group and (group.preset not in studies.presets() or not studies.load(study).fits(group.preset)):
        return ""
    preset, data = (group.preset, group.data) if group else ("paper", "cifar10")
    return " ".join(["python -m repro.run", study, "--preset", preset, *studies.data_words(preset, data)])


def _commands(named: Iterable[str], group: Group | None = None) -> str:
    return " && ".join(filter(None, (_command(study, group) for study in named)))


def _missing(gathered: Gathered, blocks: Sequence[Block], *named: str) -> tuple[tuple[Block, str], ...]:
    """The groups that show nothing of an exhibit, and what would change that."""
    filled = {block.group for block in blocks if block.pictures or block.tables}
    return tuple((Block(group), _commands(named, group)) for group in gathered.groups if group not in filled)


def _pictures(gathered: Gathered, out: Path, group: Group, module: ModuleType, *more: Tabled) -> Block:
    """A figure of each source of a group."""
    records = gathered.of(group)
    narrowed = {source: narrow(records, source=source) for source in sources(records)}
    charts: dict[str, Chart] = {source: module.chart(mine) for source, mine in narrowed.items()}
    charts = {source: chart for source, chart in charts.items() if not chart.empty}
    # Sources stand one below the other: one scale for all of them.
    top = max((chart.panels[0].y_limits[1] for chart in charts.values()), default=0.0)
    pictures = []
    for source, chart in charts.items():
        same = chart if chart.panels[0].y_limits[1] == top else module.chart(narrowed[source], top)
        pictures.append(_saved(same, source, out, slug(group.data, group.preset), slug(source)))
    runs = records.runs[records.runs["network"].isin(module.NETWORKS) & (records.runs["variant"] == "")]
    unmarked = (
        ""
        if group.comparable or module is health
        else "The paper's own values are not marked: other data or another schedule."
    )
    return Block(group, tuple(pictures), tuple(more), protocol_of(runs), unmarked)


def _saved(chart: Chart, source: str, out: Path, *parts: str) -> Picture:
    folder = out.joinpath("figures", *parts)
    folder.mkdir(parents=True, exist_ok=True)
    return Picture(chart, source, _downloads(draw.save(chart, folder), out))


def tabled(table: Table, out: Path, *parts: str) -> Tabled:
    """Write a table's files below `out`/tables."""
    folder = out.joinpath("tables", *parts)
    folder.mkdir(parents=True, exist_ok=True)
    return Tabled(table, _downloads(tables.save(table, folder, "/".join([".."] * (len(parts) + 1))), out))


def _downloads(files: list[Path], out: Path) -> tuple[Download, ...]:
    return tuple(
        Download(_NAMES.get(file.suffix[1:], file.suffix[1:].upper()), file.relative_to(out).as_posix())
        for file in files
    )


def _of_table1(out: Path) -> Exhibit:
    flops = paper.table(1)["flops"] / 1e9
    return Exhibit(
        anchor="table-1",
        number="Table 1",
        title=table1.TITLE,
        said=f"In the paper: {len(flops)} networks, of {flops.min():g} to {flops.max():g} billion multiply-adds.",
        tables=(tabled(table1.table(), out), tabled(table1.text_comparisons(), out)),
    )


def _of_figure4(out: Path) -> Exhibit:
    return Exhibit(
        anchor="figure-4",
        number="Figure 4",
        title=figure4.TITLE,
        said="",
        pictures=(_saved(figure4.chart(), "", out),),
    )


def _of_paper(number: int, out: Path) -> Exhibit:
    about = paper.about(number)
    return Exhibit(
        anchor=f"table-{number}",
        number=f"Table {number}",
        title=about.title,
        said="",
        tables=(tabled(paper_tables.table(number), out),),
    )


def _of_table6(gathered: Gathered, out: Path) -> Exhibit:
    blocks = []
    for group in gathered.groups:
        runs = gathered.of(group).runs
        table = table6.table(runs, group, address)
        behind = runs[runs["network"].isin([row.network for row in table6.rows_of_paper()]) & (runs["variant"] == "")]
        blocks.append(Block(group, (), (tabled(table, out, slug(group.data, group.preset)),), protocol_of(behind)))
    errors = paper.table(6).set_index("network")["error"]
    return Exhibit(
        anchor="table-6",
        number="Table 6",
        title=table6.TITLE,
        said=f"In the paper test error falls with depth from {errors['resnet-20']:g} % at 20 layers to "
        f"{errors['resnet-110']:g} % at 110, and is {errors['resnet-1202']:g} % at 1202.",
        command=_command("degradation"),
        blocks=tuple(blocks),
        tables=(tabled(table6.parameters(), out), tabled(table6.others(), out)),
    )


def _of_figure7(gathered: Gathered, out: Path) -> Exhibit:
    blocks = []
    for group in gathered.groups:
        records = gathered.of(group)
        if len(records.responses[records.responses["network"].isin(figure7.NETWORKS)]):
            means = tabled(responses.table(records, group), out, slug(group.data, group.preset))
            blocks.append(_pictures(gathered, out, group, figure7, means))
    read = paper.responses()
    of_all = read[read["layer"].isna()]
    said = ", ".join(f"{shown(name)} {value}" for name, value in zip(of_all["network"], of_all["value"], strict=True))
    return Exhibit(
        anchor="figure-7",
        number="Figure 7",
        title=figure7.TITLE,
        said=f"In the paper (mean over layers, read from the figure to about 0.1): {said}.",
        command=_command("responses"),
        blocks=tuple(block for block in blocks if block.pictures),
        missing=_missing(gathered, blocks, "responses"),
    )


def _of_signals(gathered: Gathered, out: Path) -> Exhibit:
    blocks = [_pictures(gathered, out, group, health) for group in gathered.groups]
    return Exhibit(
        anchor="signals",
        number="",
        label="Signals",
        title=health.TITLE,
        said="In the paper (Section 4.1) plain nets with batch normalisation have signals of non-zero variance and "
        "gradients of healthy norms, so that degradation is not due to vanishing. It gives no number.",
        command=_command("degradation"),
        blocks=tuple(block for block in blocks if block.pictures),
        missing=_missing(gathered, blocks, "degradation"),
    )


def _of_shortcuts(gathered: Gathered, out: Path) -> Exhibit:
    blocks = []
    for group in gathered.groups:
        records = gathered.of(group)
        table = variants.shortcuts(records, group)
        if table is not None:
            blocks.append(_tables_alone(group, table, out, _compared(records.runs)))
    return Exhibit(
        anchor="shortcuts",
        number="",
        label="Shortcut options",
        title="Shortcut options on CIFAR-10",
        said="The paper compares shortcut options on ImageNet only, and has option A on CIFAR-10.",
        command=_command("shortcuts"),
        blocks=tuple(blocks),
        missing=_missing(gathered, blocks, "shortcuts"),
    )


def _compared(runs: pd.DataFrame) -> pd.DataFrame:
    """The runs behind the table of shortcut options: of B and C, and of the other nets of their depths."""
    usual = runs[runs["variant"] == ""]
    return usual[usual["depth"].isin(usual[usual["option"].isin(["B", "C"])]["depth"])]


#: The studies whose runs depart from the others in a setting.
_DEPARTING = ("ambiguities", "longer", "warm-up")


def _of_settings(gathered: Gathered, out: Path) -> Exhibit:
    blocks = []
    for group in gathered.groups:
        records = gathered.of(group)
        table = variants.settings(records, group, address, _departures(records.runs))
        if table is not None:
            blocks.append(_tables_alone(group, table, out, records.runs[records.runs["variant"] != ""]))
    return Exhibit(
        anchor="settings",
        number="",
        label="Settings",
        title="What a setting moves",
        said="The paper does not say what the choices that it leaves open move. Longer training and the warm-up are "
        "variations of its own.",
        command=_commands(_DEPARTING),
        blocks=tuple(blocks),
        missing=_missing(gathered, blocks, *_DEPARTING),
    )


def _tables_alone(group: Group, table: Table, out: Path, runs: pd.DataFrame) -> Block:
    """A block of one table and the protocol of the runs behind it."""
    return Block(group, (), (tabled(table, out, slug(group.data, group.preset)),), protocol_of(runs))


def _departures(runs: pd.DataFrame) -> Callable[[pd.Series], str]:
    """What a run has of its own, in words, against those of its preset without variant."""

    usual = runs[runs["variant"] == ""]
    other = usual["run"].iloc[0] if len(usual) else protocol.PAPER

    def words(run: pd.Series) -> str:
        return "; ".join(protocol.deviations(run["run"], other)) or str(run["variant"])

    return words
