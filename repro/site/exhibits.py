"""The figures and tables of a report: what each is made of, and what the runs at hand show of it."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import pandas as pd

from repro import paper
from repro import study as studies
from repro.ends import reading
from repro.figures import drawing, errors, figure4, layers
from repro.figures.drawing import Drawing
from repro.figures.errors import VIEWS
from repro.groups import Group, narrow, shown, slug, sources, usual
from repro.records import Records
from repro.site import protocol, render
from repro.site.load import Gathered
from repro.site.protocol import Protocol
from repro.tables import beside_figures, complexity, paper_tables, runs, table6, variants
from repro.tables.table import Table, latex, markdown

#: A report is either for reading here, with pages and every form of its files, or what is committed of it.
Kind = Literal["pages", "committed"]
_FIGURES = {"pages": ("svg", "png", "pdf", "csv"), "committed": ("svg", "png")}
_TABLES = {"pages": ("md", "csv", "tex", "html"), "committed": ("csv",)}
_NAMES = {"md": "Markdown", "tex": "LaTeX"}
#: A table in each form; the last argument is the report's folder as seen from its file.
_FORMS: dict[str, Callable[[Table, str], str]] = {
    "md": lambda table, root: f"**{table.title}**\n\n{markdown(table, root)}",
    "csv": lambda table, root: table.frame.to_csv(index=False, lineterminator="\n"),
    "tex": lambda table, root: latex(table),
    "html": lambda table, root: render.html("table.html.j2", table=table, root=root),
}


@dataclass(frozen=True)
class Exhibit:
    """A figure or table, and what it is made of.

    Attributes:
        draw: its figure of one source of a group: of the records of that source, and of all for the scale.
        tables: its tables of a group.
        behind: of the runs of a group, those whose protocol is told with it.
        fixed: figures and tables that need no runs.
        anchor, label, said, studies: see exhibits.toml.
    """

    title: str
    draw: Callable[[Records, Records], Drawing | None] | None = None
    tables: tuple[Callable[[Records, Group], Table | None], ...] = ()
    behind: Callable[[pd.DataFrame], pd.DataFrame] = lambda runs: runs
    fixed: tuple[Drawing | Table, ...] = ()
    anchor: str = ""
    label: str = ""
    said: str = ""
    studies: Sequence[str] = ()

    @property
    def number(self) -> str:
        """As "Figure 1"; empty for what the paper does not have."""
        return self.anchor.replace("-", " ").capitalize() if re.fullmatch(r"(figure|table)-\d+", self.anchor) else ""


@dataclass(frozen=True)
class Block:
    """What the runs of one data set and preset show of an exhibit."""

    group: Group
    pictures: list[Drawing]
    tables: list[Table]
    protocols: list[Protocol]


@dataclass(frozen=True)
class Filled:
    """An exhibit with what there is of it; `missing` has the groups that show nothing, and what would change that."""

    about: Exhibit
    said: str
    blocks: list[Block]
    missing: list[tuple[Group, str]]
    pictures: list[Drawing]
    tables: list[Table]


@dataclass(frozen=True)
class Part:
    """A part of the report."""

    anchor: str
    title: str
    said: str
    exhibit: list[Filled]


@dataclass(frozen=True)
class Maker:
    """Makes exhibits of what was gathered, of groups in this order, and writes their files below `out`."""

    gathered: Gathered
    groups: list[Group]
    out: Path
    kind: Kind

    def picture(self, drawn: Drawing, *place: str) -> Drawing:
        """Write a figure's files."""
        files = drawing.save(drawn, self._folder("figures", *place), _FIGURES[self.kind])
        return replace(drawn, files=self._named(files))

    def table(self, table: Table, *place: str) -> Table:
        """Write a table's files."""
        folder, root = self._folder("tables", *place), "/".join([".."] * (len(place) + 1))
        files = [folder / f"{table.name}.{form}" for form in _TABLES[self.kind]]
        for file in files:
            file.write_text(_FORMS[file.suffix[1:]](table, root), encoding="utf-8")
        return replace(table, files=self._named(files))

    def _folder(self, *place: str) -> Path:
        folder = self.out.joinpath(*place)
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def _named(self, files: Iterable[Path]) -> dict[str, str]:
        return {
            _NAMES.get(form := file.suffix[1:], form.upper()): file.relative_to(self.out).as_posix() for file in files
        }

    def filled(self, exhibit: Exhibit) -> Filled:
        """An exhibit with all that there is of it."""
        found = [self._block(exhibit, group) for group in (self.groups if exhibit.studies else [])]
        blocks = [block for block in found if block.pictures or block.tables]
        lacking = [block.group for block in found if not (block.pictures or block.tables)]
        missing = [(group, _commands(exhibit, group)) for group in lacking]
        pictures = [self.picture(item) for item in exhibit.fixed if isinstance(item, Drawing)]
        tables = [self.table(item) for item in exhibit.fixed if isinstance(item, Table)]
        return Filled(exhibit, _said(exhibit), blocks, missing, pictures, tables)

    def _block(self, exhibit: Exhibit, group: Group) -> Block:
        records = self.gathered.of(group)
        pictures = []
        for source in sources(records) if exhibit.draw else []:
            mine, place = narrow(records, source=source), (group.key, slug(source))
            drawn = exhibit.draw(mine, records) if exhibit.draw else None
            if drawn is not None:
                pictures.append(self.picture(replace(drawn, source=source), *place))
                if drawn.name == "figure-6":
                    pictures[-1].files.update(self._panels(mine, records, *place))
        found = [make(records, group) for make in exhibit.tables] if pictures or not exhibit.draw else []
        tables = [self.table(table, group.key) for table in found if table is not None]
        return Block(group, pictures, tables, protocol.protocols(exhibit.behind(records.runs)))

    def _panels(self, mine: Records, records: Records, *place: str) -> dict[str, str]:
        """The files of Figure 6's panels, drawn one by one."""
        files = {}
        for name, view in VIEWS.items():
            drawn = errors.draw(mine, records, name) if name.startswith("figure-6-") else None
            if drawn is not None:
                saved = self.picture(drawn, *place).files
                files.update({f"{', '.join(view.panels)} ({form})": target for form, target in saved.items()})
        return files


def _said(exhibit: Exhibit) -> str:
    means = paper.responses().query("layer.isna()").set_index("network")["value"].to_dict()
    error = paper.table(6).set_index("network")["error"].to_dict()
    flops = [value / 1e9 for value in paper.table(1)["flops"]]
    return render.text(exhibit.said, reading=reading, shown=shown, error=error, responses=means, flops=flops)


def _commands(exhibit: Exhibit, group: Group) -> str:
    """What would fill an exhibit; empty where no study here has the preset."""
    if group.preset not in studies.presets():
        return ""
    found = [name for name in exhibit.studies if studies.load(name).fits(group.preset)]
    words = " ".join(["--preset", group.preset, *studies.data_words(group.preset, group.data)])
    return " && ".join(f"python -m repro.run {name} {words}" for name in found)


def parts(maker: Maker) -> list[Part]:
    """All parts of exhibits.toml; the last is the paper's numbers alone, of which nothing here is a rerun."""
    made, found = _made(maker.gathered), []
    for part in tomllib.loads(Path(__file__).with_suffix(".toml").read_text(encoding="utf-8"))["part"]:
        exhibits = [replace(made[texts["anchor"]], **texts) for texts in part["exhibit"]]
        found.append(Part(**{**part, "exhibit": [maker.filled(exhibit) for exhibit in exhibits]}))
    return found


def _made(gathered: Gathered) -> dict[str, Exhibit]:
    """By its anchor what each exhibit is made of."""

    def curves(name: str) -> Exhibit:
        networks = VIEWS[name].networks
        return Exhibit(VIEWS[name].title, lambda mine, all_: errors.draw(mine, all_, name), behind=_of(networks))

    def settings(records: Records, group: Group) -> Table | None:
        return variants.settings(records, group, protocol.departs_from_usual(records.runs))

    def alone(*fixed: Drawing | Table, title: str = "") -> Exhibit:
        return Exhibit(title or fixed[0].title, fixed=fixed)

    return {
        "figure-1": curves("figure-1"),
        "figure-6": replace(curves("figure-6"), tables=(beside_figures.curve_ends,)),
        "table-6": Exhibit(
            table6.TITLE,
            tables=(table6.table,),
            behind=_of(table6.NETWORKS),
            fixed=(complexity.parameters(), table6.others()),
        ),
        "figure-7": Exhibit(
            layers.RESPONSES_TITLE,
            layers.draw_responses,
            tables=(beside_figures.mean_responses,),
            behind=_of(layers.NETWORKS),
        ),
        "signals": Exhibit(layers.SIGNALS_TITLE, layers.draw_signals, behind=_of(layers.NETWORKS)),
        "shortcuts": Exhibit("", tables=(variants.shortcuts,), behind=variants.of_options),
        "settings": Exhibit("", tables=(settings,), behind=lambda runs: runs[runs["variant"] != ""]),
        "table-1": alone(complexity.table_1(), complexity.text_comparisons(), title=complexity.TITLE),
        "compute": alone(runs.compute(gathered.records.runs, gathered.discarded)),
        "attestations": alone(runs.attested(gathered.attestations)),
        "figure-4": alone(figure4.draw(), title=figure4.TITLE),
        **{
            f"table-{number}": alone(paper_tables.table(number), title=paper.about(number).title)
            for number in paper_tables.NUMBERS
        },
    }


def _of(networks: Iterable[str]) -> Callable[[pd.DataFrame], pd.DataFrame]:
    return lambda table: usual(table, tuple(networks))
