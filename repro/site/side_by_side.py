"""What `--compare` asks for: networks of any sources side by side, a block for each data set and preset."""

from __future__ import annotations

from collections.abc import Sequence

from repro.errors import UserError, unknown
from repro.figures import side_by_side as figure
from repro.groups import Group, Trained, all_trained, groups, narrow
from repro.records import Records
from repro.site import protocol
from repro.site.exhibits import Block, Exhibit, Maker
from repro.tables import side_by_side as tables

TITLE = "Networks side by side"


def named(records: Records, words: Sequence[str]) -> list[Trained]:
    """The networks that some words name.

    Raises:
        UserError: a network that there is not (the nearest is named), or no two of one data set and preset.
    """
    known = {trained.name: trained for trained in all_trained(records.runs)}
    for word in words:
        if word not in known:
            raise unknown("network to compare", word, known)
    chosen = [known[word] for word in dict.fromkeys(words)]
    if words and not compared_in(records, chosen):
        there = {group: [trained.name for trained in _there(records, group, chosen)] for group in groups(records)}
        where = "; ".join(
            f"{', '.join(found)} on {group.data}, {group.preset}" for group, found in there.items() if found
        )
        raise UserError(f"--compare needs two networks of one data set and preset; there is {where}")
    return chosen


def compared_in(records: Records, chosen: Sequence[Trained]) -> list[Group]:
    """The groups that have at least two of some networks."""
    return [group for group in groups(records) if len(_there(records, group, chosen)) > 1]


def _there(records: Records, group: Group, chosen: Sequence[Trained]) -> list[Trained]:
    known = all_trained(narrow(records, group).runs)
    return [trained for trained in chosen if trained in known]


def part(maker: Maker, chosen: Sequence[Trained]) -> dict[str, object] | None:
    """The part of a report that shows them; None where none are asked for."""
    if not chosen:
        return None
    asked = compared_in(maker.gathered.records, chosen)
    blocks = tuple(_block(maker, group, chosen) for group in maker.groups if group in asked)
    exhibit = Exhibit("Errors during training, and at the end", anchor="compared", blocks=blocks)
    said = f"{', '.join(trained.name for trained in chosen)}, as asked for with --compare."
    return {"anchor": "side-by-side", "title": TITLE, "said": said, "exhibits": [exhibit]}


def _block(maker: Maker, group: Group, chosen: Sequence[Trained]) -> Block:
    records = narrow(maker.gathered.records, group)
    there = _there(records, group, chosen)
    drawn = figure.draw("compared", TITLE, records, {trained: trained.name for trained in there})
    pictures = [maker.picture(drawn, group.key)] if drawn else []
    table = maker.table(tables.table(records, there), group.key)
    runs = records.runs
    shown = [Trained(*names) in there for names in zip(runs["source"], runs["network"], runs["variant"], strict=True)]
    return Block(group, pictures, [table], protocol.protocols(runs[shown]))
