"""The figures and tables of a report, each with what the runs at hand show of it; what teaches comes first."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType

import pandas as pd

from repro import paper
from repro import study as studies
from repro.ends import ends as ends_of
from repro.ends import reading
from repro.figures import drawing, figure1, figure4, figure6, figure7, health
from repro.figures.drawing import Drawing
from repro.groups import Group, narrow, shown, sources, usual
from repro.records import Records
from repro.site import protocol
from repro.site.content import (
    Block,
    Download,
    Exhibit,
    Kind,
    Opening,
    Part,
    Picture,
    Tabled,
    address,
    protocol_of,
    slug,
)
from repro.site.load import Gathered
from repro.tables import ends, paper_tables, provenance, responses, table1, table6, variants
from repro.tables import table as tables
from repro.tables.table import Table

_NAMES = {"md": "Markdown", "tex": "LaTeX"}


@dataclass(frozen=True)
class Maker:
    """Makes the exhibits of a report, and writes their files below `out`."""

    gathered: Gathered
    out: Path
    kind: Kind

    def picture(self, drawn: Drawing, source: str, *parts: str) -> Picture:
        """Write a figure's files."""
        folder = self.out.joinpath("figures", *parts)
        folder.mkdir(parents=True, exist_ok=True)
        files = drawing.save(drawn, folder, ("svg", "png") if self.kind == "committed" else ("svg", "png", "pdf"))
        if self.kind == "pages":
            files.append(folder / f"{drawn.name}.csv")
            drawn.data.to_csv(files[-1], index=False, float_format="%.6g", lineterminator="\n")
        return Picture(drawn, source, files[0].read_text(encoding="utf-8"), self._downloads(files))

    def table(self, table: Table, *parts: str) -> Tabled:
        """Write a table's files."""
        folder = self.out.joinpath("tables", *parts)
        folder.mkdir(parents=True, exist_ok=True)
        forms = ("csv",) if self.kind == "committed" else ("md", "csv", "tex", "html")
        return Tabled(table, self._downloads(tables.save(table, folder, "/".join([".."] * (len(parts) + 1)), forms)))

    def _downloads(self, files: list[Path]) -> tuple[Download, ...]:
        return tuple(
            Download(_NAMES.get(file.suffix[1:], file.suffix[1:].upper()), file.relative_to(self.out).as_posix())
            for file in files
        )

    def pictures(self, group: Group, networks: Sequence[str], draw: Callable[..., Drawing | None]) -> Block:
        """A figure of each source of a group; all have one scale, as they stand one below the other."""
        records = self.gathered.of(group)
        drawn = {source: draw(narrow(records, source=source), records) for source in sources(records)}
        pictures = tuple(
            self.picture(found, source, slug(group.data, group.preset), slug(source))
            for source, found in drawn.items()
            if found is not None
        )
        return Block(group, pictures, (), protocol_of(usual(records.runs, tuple(networks))))

    def filled(self, exhibit: Exhibit, blocks: Iterable[Block | None], *named: str) -> Exhibit:
        """An exhibit with those of its blocks that show something, and what would fill the others."""
        full = [block for block in blocks if block is not None and (block.pictures or block.tables)]
        lacks = [group for group in self.gathered.groups if group not in [block.group for block in full]]
        missing = tuple((Block(group), _commands(named, group)) for group in lacks)
        return replace(exhibit, blocks=tuple(full), missing=missing, command=_commands(named))


def opening(maker: Maker, group: Group) -> Opening:
    """What the paper is about, told by the first group's first source that has something to show."""
    records = maker.gathered.of(group)
    found = [(source, narrow(records, source=source)) for source in sources(records)]
    drawn = [(source, mine, figure6.draw(mine, None, "in-short")) for source, mine in found]
    source, mine, figure = next((item for item in drawn if item[2] is not None), (*found[0], None))
    nets = ends_of(mine, ("plain-20", "plain-56", "resnet-20", "resnet-56"))
    end = {str(row["network"]): row for row in nets.to_dict("records")}
    complete = {name: row for name, row in end.items() if not row["note"]}
    numbers = tuple(
        (f"{complete[name]['train_error']:.1f} %", f"training error of {shown(name)}, {said}")
        for name, said in (("plain-56", "without shortcuts"), ("resnet-56", "with them, and no weight more"))
        if name in complete
    )
    picture = maker.picture(figure, source, slug(group.data, group.preset), slug(source)) if figure else None
    return Opening(tuple(_lines(group, complete)), numbers, picture)


def _lines(group: Group, complete: dict[str, dict[object, object]]) -> list[str]:
    said = [
        "A plain net is a stack of layers; each works on the output of the one before it.",
        "A shortcut carries the input x of two layers past them and adds it to their output F(x): the two then learn "
        "what to add to x, and learn nothing simply by giving 0.",
        "A plain net with such shortcuts is a residual net, or ResNet. The shortcuts have no weights: plain-56 and "
        "ResNet-56 have as many as each other.",
        "A deeper net should do at least as well as a shallower one on the images that it learns from: its further "
        "layers could pass on what they get.",
        "The figure shows errors while nets learn: dashed on training images, bold on test images; 20 layers are "
        "olive, 56 red.",
    ]
    if {"plain-20", "plain-56"} <= complete.keys():
        deep, shallow = complete["plain-56"], complete["plain-20"]
        higher = float(str(deep["train_error"])) > float(str(shallow["train_error"]))
        said.append(
            f"At the end plain-56 has a training error of {deep['train_error']:.1f} %, plain-20 of "
            f"{shallow['train_error']:.1f} %"
            + (": the deeper net is worse. The paper calls this degradation." if higher else ", unlike in the paper.")
        )
        if higher:
            said.append(
                "This is not overfitting: a net that overfits has a low training error and a high test error. Here the "
                "training error itself is high: the deep plain net is harder to train."
            )
    if "resnet-56" in complete:
        net = complete["resnet-56"]
        said.append(
            f"With shortcuts, ResNet-56 ends at {net['train_error']:.1f} % training and {net['test_error']:.1f} % test "
            "error."
        )
    if not group.comparable:
        said.append(
            f"These are runs on {group.title.replace(' · ', ', ')}: smaller or shorter than the paper's, so that which "
            "net is worse can be compared with the paper, but not by how much."
        )
    said.append(
        f"The paper's own end points, on CIFAR-10 after 64,000 iterations, read from its Figure 6: plain-20 "
        f"{reading('plain-20', 'train_error')[0]} %, plain-56 {reading('plain-56', 'train_error')[0]} %, ResNet-56 "
        f"{reading('resnet-56', 'train_error')[0]} % training error."
    )
    return said


def parts(maker: Maker) -> tuple[Part, ...]:
    """What was run here, the error curves first."""
    return (
        Part(
            "degradation",
            "Depth with and without shortcuts",
            "Beyond some depth plain nets get worse with more layers, also on the images that they learn from; "
            "residual nets do not (Sections 1 and 4.2).",
            (
                _curves(maker, figure1, "Figure 1", _ends(figure1.NETWORKS)),
                _curves(
                    maker,
                    figure6,
                    "Figure 6",
                    "In the paper plain nets end with a higher test error the deeper they are, and from 44 layers on "
                    "with a higher training error; ResNets of up to 110 layers with a lower one. With 1202 layers the "
                    "training error is as low as with 110, the test error higher.",
                ),
                _table6(maker),
            ),
        ),
        Part(
            "analysis",
            "What the layers do, and what else was tried",
            "How strongly layers respond (Section 4.2), whether signals vanish (Section 4.1), and what the choices "
            "move that the paper leaves open.",
            (_figure7(maker), _signals(maker), _shortcuts(maker), _settings(maker), _table1(maker)),
        ),
        Part(
            "provenance",
            "What it took, and whether others get the same",
            "The computing time of all runs, and repetitions of reference runs on other machines, those that disagree "
            "included.",
            tuple(_provenance(maker)),
        ),
    )


def _provenance(maker: Maker) -> Iterator[Exhibit]:
    compute = provenance.compute(maker.gathered.records.runs, maker.gathered.discarded)
    yield Exhibit("compute", "", compute.title, label="Compute", tables=(maker.table(compute),))
    attested = provenance.attested(maker.gathered.attestations)
    tables = (maker.table(attested),) if len(attested.frame) else ()
    command = "" if tables else "python -m repro.attest"
    yield Exhibit("attestations", "", attested.title, label="Attestations", tables=tables, command=command)


def paper_alone(maker: Maker) -> Part:
    """The tables and figures of which nothing here is a rerun: the paper's numbers alone."""
    return Part(
        "paper",
        "The paper's numbers alone",
        "ImageNet (Section 4.1), detection and localisation (Section 4.3 and the appendices): what they were measured "
        "on is not part of this project.",
        (
            _paper(maker, 2),
            Exhibit("figure-4", "Figure 4", figure4.TITLE, pictures=(maker.picture(figure4.draw(), ""),)),
            *(_paper(maker, number) for number in (3, 4, 5, *range(7, 15))),
        ),
    )


def _paper(maker: Maker, number: int) -> Exhibit:
    about = paper.about(number)
    return Exhibit(f"table-{number}", f"Table {number}", about.title, tables=(maker.table(paper_tables.table(number)),))


def _ends(networks: Iterable[str]) -> str:
    """Where the paper's curves end, in words."""
    said = [
        f"{shown(network)} ends at {reading(network, 'train_error')[0]} % training and "
        f"{reading(network, 'test_error')[0]} % test error"
        for network in networks
    ]
    return f"In the paper {', '.join(said)} (read from Figure 6)."


def _curves(maker: Maker, module: ModuleType, number: str, said: str) -> Exhibit:
    blocks = []
    for group in maker.gathered.groups:
        block = maker.pictures(group, module.NETWORKS, module.draw)
        note = "" if group.comparable else "The paper's own values are not marked: other data or another schedule."
        block = replace(block, note=note)
        if block.pictures and module is figure6:
            table = maker.table(ends.table(maker.gathered.of(group), group), block.key)
            block = replace(block, pictures=_with_panels(maker, block), tables=(table,))
        blocks.append(block)
    exhibit = Exhibit(number.lower().replace(" ", "-"), number, module.TITLE, said)
    return maker.filled(exhibit, blocks, "degradation")


def _with_panels(maker: Maker, block: Block) -> tuple[Picture, ...]:
    """The pictures of Figure 6, each with the files of its panels, drawn one by one."""
    records, found = maker.gathered.of(block.group), []
    for picture in block.pictures:
        mine, files = narrow(records, source=picture.source), picture.files
        for view in (name for name in figure6.VIEWS if name.startswith("figure-6-")):
            drawn = figure6.draw(mine, records, view)
            if drawn is not None:
                panel = maker.picture(drawn, picture.source, block.key, slug(picture.source))
                name = ", ".join(figure6.VIEWS[view])
                files += tuple(Download(f"{name} ({file.form})", file.target) for file in panel.files)
        found.append(replace(picture, files=files))
    return tuple(found)


def _table6(maker: Maker) -> Exhibit:
    blocks = []
    for group in maker.gathered.groups:
        runs = maker.gathered.of(group).runs
        table = maker.table(table6.table(runs, group, address), slug(group.data, group.preset))
        behind = usual(runs, tuple(row.network for row in table6.rows_of_paper()))
        blocks.append(Block(group, (), (table,), protocol_of(behind)))
    errors = paper.table(6).set_index("network")["error"]
    return Exhibit(
        anchor="table-6",
        number="Table 6",
        title=table6.TITLE,
        said=f"In the paper test error falls with depth from {errors['resnet-20']:g} % at 20 layers to "
        f"{errors['resnet-110']:g} % at 110, and is {errors['resnet-1202']:g} % at 1202.",
        command=_commands(["degradation"]),
        blocks=tuple(blocks),
        tables=(maker.table(table6.parameters()), maker.table(table6.others())),
    )


def _table1(maker: Maker) -> Exhibit:
    flops = paper.table(1)["flops"] / 1e9
    return Exhibit(
        anchor="table-1",
        number="Table 1",
        title=table1.TITLE,
        said=f"In the paper: {len(flops)} networks, of {flops.min():g} to {flops.max():g} billion multiply-adds. The "
        "networks are defined here and their costs computed.",
        tables=(maker.table(table1.table()), maker.table(table1.text_comparisons())),
    )


def _figure7(maker: Maker) -> Exhibit:
    blocks = []
    for group in maker.gathered.groups:
        block = maker.pictures(group, figure7.NETWORKS, figure7.draw)
        if block.pictures:
            means = maker.table(responses.table(maker.gathered.of(group), group), block.key)
            note = "" if group.comparable else "The paper's own values are not marked: other data or another schedule."
            block = replace(block, tables=(means,), note=note)
        blocks.append(block)
    read = paper.responses()
    of_all = read[read["layer"].isna()]
    said = ", ".join(f"{shown(name)} {value}" for name, value in zip(of_all["network"], of_all["value"], strict=True))
    exhibit = Exhibit(
        anchor="figure-7",
        number="Figure 7",
        title=figure7.TITLE,
        said=f"In the paper (mean over layers, read from the figure to about 0.1): {said}.",
    )
    return maker.filled(exhibit, blocks, "responses")


def _signals(maker: Maker) -> Exhibit:
    exhibit = Exhibit(
        anchor="signals",
        number="",
        label="Signals",
        title=health.TITLE,
        said="In the paper (Section 4.1) plain nets with batch normalisation have signals of non-zero variance and "
        "gradients of healthy norms, so that degradation is not due to vanishing. It gives no number.",
    )
    blocks = [maker.pictures(group, health.NETWORKS, health.draw) for group in maker.gathered.groups]
    return maker.filled(exhibit, blocks, "degradation")


def _shortcuts(maker: Maker) -> Exhibit:
    def block(group: Group, records: Records) -> Block | None:
        table, runs = variants.shortcuts(records, group), records.runs[records.runs["variant"] == ""]
        # The options' own runs, and those of the other nets of their depths.
        behind = runs[runs["depth"].isin(runs[runs["option"].isin(["B", "C"])]["depth"])]
        return _of_table(maker, group, table, behind)

    exhibit = Exhibit(
        anchor="shortcuts",
        number="",
        label="Shortcut options",
        title="Shortcut options on CIFAR-10",
        said="The paper compares shortcut options on ImageNet only, and has option A on CIFAR-10.",
    )
    blocks = [block(group, maker.gathered.of(group)) for group in maker.gathered.groups]
    return maker.filled(exhibit, blocks, "shortcuts")


def _settings(maker: Maker) -> Exhibit:
    def block(group: Group, records: Records) -> Block | None:
        table = variants.settings(records, group, address, protocol.departs_from_usual(records.runs))
        return _of_table(maker, group, table, records.runs[records.runs["variant"] != ""])

    exhibit = Exhibit(
        anchor="settings",
        number="",
        label="Settings",
        title="What a setting moves",
        said="The paper does not say what the choices that it leaves open move. Longer training and the warm-up are "
        "variations of its own.",
    )
    blocks = [block(group, maker.gathered.of(group)) for group in maker.gathered.groups]
    return maker.filled(exhibit, blocks, "ambiguities", "longer", "warm-up")


def _of_table(maker: Maker, group: Group, table: Table | None, runs: pd.DataFrame) -> Block | None:
    """A block of one table and the protocol of the runs behind it."""
    if table is None:
        return None
    return Block(group, (), (maker.table(table, slug(group.data, group.preset)),), protocol_of(runs))


def _command(study: str, group: Group | None = None) -> str:
    """What would fill an exhibit, by default with the paper's own setting; empty if no study here has the preset."""
    if group and (group.preset not in studies.presets() or not studies.load(study).fits(group.preset)):
        return ""
    preset, data = (group.preset, group.data) if group else ("paper", "cifar10")
    return " ".join(["python -m repro.run", study, "--preset", preset, *studies.data_words(preset, data)])


def _commands(named: Iterable[str], group: Group | None = None) -> str:
    return " && ".join(filter(None, (_command(study, group) for study in named)))
