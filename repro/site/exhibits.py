"""The figures and tables of a report: what each is made of, and what the runs at hand show of it."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

import pandas as pd

from repro import paper
from repro import study as studies
from repro.ends import reading
from repro.figures import drawing, errors, layers, side_by_side
from repro.figures.drawing import Drawing
from repro.groups import Group, narrow, shown, slug, sources, usual
from repro.records import Records
from repro.site import protocol, render
from repro.site.load import Gathered
from repro.site.protocol import Protocol
from repro.tables import beside_figures, complexity, imagenet, paper_tables, runs, table6, variants
from repro.tables.table import Table, latex, markdown

TEXTS: dict[str, Any] = tomllib.loads(Path(__file__).with_suffix(".toml").read_text(encoding="utf-8"))
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
class Block:
    """What the runs of one data set and preset show of an exhibit."""

    group: Group
    pictures: list[Drawing]
    tables: list[Table]
    protocols: list[Protocol]


@dataclass(frozen=True)
class Exhibit:
    """A figure or table.

    Attributes:
        draw: its figure of one source of a group: of the records of that source, and of all for the scale.
        make: its tables of a group.
        behind: of the runs of a group, those whose protocol is told with it.
        pictures, tables: what needs no runs.
        anchor, label, said, studies: see exhibits.toml.
        blocks: what there is of it.
        missing: groups that show nothing of it, and what would change that.
    """

    title: str
    draw: Callable[[Records, Records], Drawing | None] | None = None
    make: tuple[Callable[[Records, Group], Table | None], ...] = ()
    behind: Callable[[pd.DataFrame], pd.DataFrame] = lambda runs: runs
    pictures: tuple[Drawing, ...] = ()
    tables: tuple[Table, ...] = ()
    anchor: str = ""
    label: str = ""
    said: str = ""
    studies: Sequence[str] = ()
    blocks: tuple[Block, ...] = ()
    missing: tuple[tuple[Group, str], ...] = ()

    @property
    def number(self) -> str:
        """As "Figure 1"; empty for what the paper does not have."""
        return self.anchor.replace("-", " ").capitalize() if re.fullmatch(r"(figure|table)-\d+", self.anchor) else ""

    @property
    def empty(self) -> bool:
        """Whether there is nothing of it, nor anything that would fill it."""
        return not (self.pictures or self.tables or self.blocks or self.missing)


@dataclass(frozen=True)
class Maker:
    """Makes exhibits of what was gathered, of groups in this order, and writes their files below `out`."""

    gathered: Gathered
    groups: list[Group]
    out: Path
    kind: Kind

    def picture(self, drawn: Drawing, *place: str) -> Drawing:
        """Write a figure's files, and its panels one by one."""
        folder = self._folder("figures", *place)
        files = self._named(drawing.save(drawn, folder, _FIGURES[self.kind]))
        for title, panel in drawn.alone.items():
            named = self._named(drawing.save(panel, folder, ["svg", "png"]))
            files |= {f"{title} {form}": file for form, file in named.items()}
        return replace(drawn, files=files)

    def table(self, table: Table, *place: str) -> Table:
        """Write a table's files."""
        folder, root = self._folder("tables", *place), "/".join([".."] * (len(place) + 1))
        files = [folder / f"{table.name}.{form}" for form in _TABLES[self.kind]]
        for file in files:
            file.write_text(_FORMS[file.suffix[1:]](table, root), encoding="utf-8")
        return replace(table, files=self._named(files))

    def _folder(self, *place: str) -> Path:
        self.out.joinpath(*place).mkdir(parents=True, exist_ok=True)
        return self.out.joinpath(*place)

    def _named(self, files: Iterable[Path]) -> dict[str, str]:
        suffixes = [(file, file.suffix[1:]) for file in files]
        return {_NAMES.get(end, end.upper()): file.relative_to(self.out).as_posix() for file, end in suffixes}

    def filled(self, exhibit: Exhibit) -> Exhibit:
        """An exhibit with all that there is of it."""
        found = [self._block(exhibit, group) for group in self.groups if _concerns(exhibit, group)]
        lacking = [block.group for block in found if not (block.pictures or block.tables)]
        return replace(
            exhibit,
            said=render.text(exhibit.said, **_paper()),
            pictures=tuple(map(self.picture, exhibit.pictures)),
            tables=tuple(map(self.table, exhibit.tables)),
            blocks=tuple(block for block in found if block.group not in lacking),
            missing=tuple((group, _commands(exhibit, group)) for group in lacking if exhibit.studies),
        )

    def _block(self, exhibit: Exhibit, group: Group) -> Block:
        records = narrow(self.gathered.records, group)
        pictures = []
        for source in sources(records) if exhibit.draw else []:
            drawn = exhibit.draw(narrow(records, source=source), records) if exhibit.draw else None
            if drawn is not None:
                pictures.append(self.picture(replace(drawn, source=source), group.key, slug(source)))
        found = [make(records, group) for make in exhibit.make] if pictures or not exhibit.draw else []
        tables = [self.table(table, group.key) for table in found if table is not None]
        return Block(group, pictures, tables, protocol.protocols(exhibit.behind(records.runs)))


def _concerns(exhibit: Exhibit, group: Group) -> bool:
    """Whether a study that would fill it trains the networks of the group's preset, or that preset is not known."""
    if not exhibit.studies:
        return bool(exhibit.draw)
    known = group.preset in studies.presets()
    family = studies.family_of(group.preset)
    return any(not known or studies.load(name).family == family for name in exhibit.studies)


def _paper() -> dict[str, Any]:
    """What the texts of exhibits.toml say of the paper."""
    means = paper.responses().query("layer.isna()").set_index("network")["value"].to_dict()
    error = paper.table(6).set_index("network")["error"].to_dict()
    flops = [value / 1e9 for value in paper.table(1)["flops"]]
    return {"reading": reading, "shown": shown, "error": error, "responses": means, "flops": flops}


def _commands(exhibit: Exhibit, group: Group) -> str:
    """What would fill an exhibit; empty where no study here has the preset."""
    if group.preset not in studies.presets():
        return ""
    found = [name for name in exhibit.studies if studies.load(name).fits(group.preset)]
    words = " ".join(["--preset", group.preset, *studies.data_words(group.preset, group.data)])
    return " && ".join(f"python -m repro.run {name} {words}" for name in found)


def parts(maker: Maker) -> list[dict[str, Any]]:
    """The parts of exhibits.toml; the last is the paper's numbers alone, of which nothing here is a rerun."""
    made = _made(maker.gathered)

    def exhibits(texts: Iterable[dict[str, Any]]) -> list[Exhibit]:
        found = [maker.filled(replace(made[text["anchor"]], **text)) for text in texts]
        return [exhibit for exhibit in found if not exhibit.empty]

    return [{**part, "exhibits": exhibits(part["exhibit"])} for part in TEXTS["part"]]


def _made(gathered: Gathered) -> dict[str, Exhibit]:
    """By its anchor what each exhibit is made of."""

    def of(networks: tuple[str, ...]) -> Callable[[pd.DataFrame], pd.DataFrame]:
        return partial(usual, networks=networks)

    def curves(name: str) -> Exhibit:
        title, networks = errors.TITLES[name].partition(". ")[2], errors.networks_of(name)
        return Exhibit(title, lambda mine, all_: errors.draw(mine, all_, name), behind=of(networks))

    def figure_6(mine: Records, every: Records) -> Drawing | None:
        alone = {title: errors.draw(mine, every, "figure-6", title) for title in errors.VIEWS["figure-6"]}
        whole = errors.draw(mine, every, "figure-6")
        return whole and replace(whole, alone={title: drawn for title, drawn in alone.items() if drawn})

    def settings(records: Records, group: Group) -> Table | None:
        return variants.settings(records, group, protocol.departs_from_usual(records.runs))

    def alone(table: Table) -> Exhibit:
        return Exhibit(table.title, tables=(table,))

    return {
        "figure-1": curves("figure-1"),
        "figure-6": replace(curves("figure-6"), draw=figure_6, make=(beside_figures.curve_ends,)),
        "table-6": Exhibit(
            table6.TITLE,
            None,
            (table6.table,),
            of(table6.NETWORKS),
            tables=(complexity.parameters(), table6.others()),
        ),
        "figure-7": Exhibit(
            layers.RESPONSES_TITLE,
            layers.draw_responses,
            (beside_figures.mean_responses,),
            of(layers.NETWORKS),
        ),
        "signals": Exhibit(layers.SIGNALS_TITLE, layers.draw_signals, behind=of(layers.OF_SIGNALS)),
        "shortcuts": Exhibit("", make=(variants.shortcuts,), behind=variants.of_options),
        "settings": Exhibit("", make=(settings,), behind=lambda runs: runs[runs["variant"] != ""]),
        "others": Exhibit(side_by_side.OTHERS, side_by_side.draw_others, behind=side_by_side.others),
        "table-1": Exhibit(complexity.TITLE, tables=(complexity.table_1(), complexity.text_comparisons())),
        "compute": alone(runs.compute(gathered.records.runs, gathered.discarded)),
        "attestations": alone(runs.attested(gathered.attestations)),
        "figure-4": replace(curves("figure-4"), title=errors.IMAGENET_TITLE, pictures=(errors.draw_imagenet(),)),
        **{
            f"table-{number}": Exhibit(paper.about(number).title, tables=(paper_tables.table(number),))
            for number in paper_tables.NUMBERS
        },
        **{
            f"table-{number}": Exhibit(
                paper.about(number).title,
                make=(partial(imagenet.table, number=number),),
                behind=of(imagenet.networks_of(number)),
                tables=(paper_tables.table(number, gathered.tested),),
            )
            for number in imagenet.NUMBERS
        },
    }
