"""Tables 2 to 4: the paper's errors on ImageNet, and those of the same networks as they were trained here."""

from __future__ import annotations

from repro import paper
from repro.data.table import DATA_SETS
from repro.groups import Group, shown, sources
from repro.records import Records
from repro.tables import compare
from repro.tables.table import Links, Table, made

NUMBERS = (2, 3, 4)


def networks_of(number: int) -> tuple[str, ...]:
    """The networks of one of these tables that are the paper's own."""
    return tuple(network for network in paper.table(number)["network"] if network)


def table(records: Records, group: Group, number: int) -> Table | None:
    """The networks of one table, with columns for each source; None where none of them has ended.

    Args:
        records: of the group.
        number: of `NUMBERS`.
    """
    runs = records.runs
    printed = paper.printed(number).set_index("network")["top1"]
    columns, words, rows = ["network", "the paper on ImageNet, top-1"], list[str](), []
    for source in sources(records):
        columns += [source, f"{source}: runs"]
        words.append(columns[-1])
    ended = False
    for network in networks_of(number):
        cells: list[str | Links] = [shown(network), printed[network]]
        for source in sources(records):
            mine = compare.measured(runs, network, source)
            ended = ended or len(mine) > 0
            cells += [compare.errors_in_words(mine) if len(mine) else "not run", compare.links_to(mine)]
        rows.append(cells)
    if not ended:
        return None
    data = DATA_SETS.get(group.data)
    where = data.title if data else group.data
    photographs = data is not None and data.family == "imagenet"
    tested = "the middle of each test photograph, once" if photographs else "each test image once and whole"
    return made(
        f"table-{number}",
        f"Table {number}'s networks on {where}, preset {group.preset}: test error (%)",
        columns,
        rows,
        words=words,
        notes=[
            f"The paper's: {paper.about(number).title}.",
            f"Ours: {where}, {tested}. They compare with one another, not with the paper's.",
        ],
    )
