"""What the columns of another program's curves hold, by their words and their numbers; no guess that is not safe."""

from __future__ import annotations

import math
import re
import shlex
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Literal, get_args

from repro.errors import UserError

if TYPE_CHECKING:
    import pandas as pd

What = Literal[
    "iteration", "epoch", "network", "seed", "train_error", "test_error", "train_accuracy", "test_accuracy", "split",
    "ignore",
]  # fmt: skip
_SPLITS = {"train": {"train", "training", "trn"}}
_SPLITS["test"] = {"test", "testing", "val", "valid", "validate", "validation", "eval", "evaluation", "dev"}
#: Others than fb.resnet.torch, whose top1 are errors, mean accuracies by these.
_KINDS = {"error": {"error", "err"}, "accuracy": {"accuracy", "acc"}, "top": {"top", "prec"}}
#: What curves are of; "top" may be errors or accuracies.
QUANTITIES = tuple(f"{split}_{kind}" for split in _SPLITS for kind in _KINDS)
#: What is none of these, or a part of it: losses, the top five or k, the best so far, the range of several runs.
_OTHER = {"loss", "3", "5", "10", "k", "best", "min", "max", "std"}
#: What counts nothing, though it be of an epoch or iteration.
_TIMES = {"time", "seconds", "secs", "sec", "ms", "duration", "eta", "speed"}
#: In points of percent: a larger change tells errors from accuracies.
_CLEAR = 5
_Table = tuple[list[str], dict[int, list[str]]]


def columns_of(header: Sequence[str], told: Mapping[str, str], where: str) -> dict[str, str]:
    """What each column holds, by its name; those of no use are left out.

    Args:
        header: their names.
        told: what some hold, as the user says.
        where: the file, for an error.

    Raises:
        UserError: two hold the same; or it cannot be told of which split one is.
    """
    found = {name: told.get(name) or meaning_of(name) for name in header}
    found = {name: what for name, what in found.items() if what != "ignore"}
    bare = [name for name, what in found.items() if what in _KINDS]
    for name in bare:
        kind, known = found[name], found.values()
        # Keras writes accuracy beside val_accuracy.
        if len(bare) > 1 or f"test_{kind}" not in known or f"train_{kind}" in known:
            choices = " or ".join(what for what in get_args(What)[4:8] if kind == "top" or what.endswith(kind))
            per_row = ", or --column COLUMN=split for one that says so by row"
            raise UserError(f"{where}: column {name!r}: which of them is it? Give {option(name, choices)}{per_row}")
        found[name] = f"train_{kind}"
    alike: dict[str, list[str]] = {}
    for name, what in found.items():
        if header.count(name) > 1:
            raise UserError(f"{where}: has several columns {name!r}: rename those that are not meant")
        # An error and an accuracy of one split say the same.
        alike.setdefault(re.sub("accuracy|top", "error", what), []).append(name)
    for what, names in alike.items():
        if what == "iteration":  # a step may be of something else
            own = {split for name in names for split in splits_of(name)}
            if len(own) > 1 or sum(name in told for name in names) > 1:
                each = " and ".join(map(repr, names))
                raise UserError(f"{where}: columns {each} are both iterations: give training and test a file each")
            for other in sorted(names, key=lambda name: (name not in told, "step" in name.lower()))[1:]:
                del found[other]
        elif len(names) > 1:
            # What is told, or named so exactly, comes before such as epochs, their number, or epoch_step, a schedule.
            chosen = [name for name in names if name in told] or [name for name in names if words_of(name) == [what]]
            if len(chosen) == 1:
                for other in {*names} - {*chosen}:
                    del found[other]
                continue
            both = " and ".join(dict.fromkeys(found[name].replace("_", " ") for name in names[:2]))
            raise UserError(
                f"{where}: columns {names[0]!r} and {names[1]!r} are both {both}: "
                f"give {option(names[1], 'ignore')}, or the other one"
            )
    return found


def with_errors(header: list[str], rows: dict[int, list[str]], told: Mapping[str, str]) -> _Table:
    """Without the rows that hold no error, where these count by a column that no row with errors has.

    As mmengine's do: a step is an iteration where losses stand beside it, and an epoch in the rows of a test.
    """
    wanted = [at for at, name in enumerate(header) if told.get(name) in QUANTITIES or is_quantity(name)]
    having = {line: cells for line, cells in rows.items() if any(cells[at] for at in wanted)}
    counts = [at for at, name in enumerate(header) if meaning_of(name) in ("epoch", "iteration")]
    of_others = {header[at] for at in counts for line, cells in rows.items() if cells[at] and line not in having}
    empty = of_others - {header[at] for at in counts for cells in having.values() if cells[at]}
    if not having or not empty:
        return header, rows
    kept = [at for at, name in enumerate(header) if name not in empty]
    return [header[at] for at in kept], {line: [cells[at] for at in kept] for line, cells in having.items()}


def option(name: str, what: str) -> str:
    """The option that says what a column holds, as it is given in a shell."""
    return f"--column {shlex.quote(name)}={what}"


def is_quantity(name: str) -> bool:
    """Whether its words are those of an error or accuracy."""
    return meaning_of(name) in (*_KINDS, *QUANTITIES)


def words_of(name: str) -> list[str]:
    """The words and numbers of a name, in small letters; "metricValue" has two, and "accuracy05" too, as 5."""
    return re.findall(r"[a-z]+|0|[1-9]\d*", re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name).lower())


def splits_of(name: str) -> list[str]:
    """Which of "train" and "test" its words say."""
    return [split for split, known in _SPLITS.items() if known & set(words_of(name))]


def meaning_of(name: str) -> str:
    """What a column holds by its words: a `What`, or an error or accuracy of who knows what."""
    words = set(words_of(name))
    if words & _OTHER:
        return "ignore"
    for kind, known in _KINDS.items():
        if words & known:
            splits = splits_of(name)
            return f"{splits[0]}_{kind}" if len(splits) == 1 else kind
    if words & _TIMES:
        return "ignore"
    named = [key for key in get_args(What)[:4] if words & {key, f"{key}s"}]
    return named[0] if named else "iteration" if words & {"iter", "step", "steps"} else "ignore"


def first_epoch_of(table: pd.DataFrame, where: str) -> int:
    """The number of the first epoch of training: 0 where training was measured in an epoch 0.

    Args:
        table: a column "epoch", and some of `QUANTITIES`.

    Raises:
        UserError: only a test was, which may be from before training or from after the first epoch.
    """
    zero = table[table["epoch"] == 0]
    if zero.empty or (table["epoch"] % 1 > 0).any():
        return 1
    if zero.filter(like="train_").notna().any(axis=None):
        return 0
    raise UserError(
        f"{where}: it has an epoch 0: give --first-epoch 0 if that is the first one, 1 if it is before training"
    )


def unit_of(values: pd.Series, iterations: pd.Series, early: float, has_sign: bool, where: str) -> str:
    """Whether a column is in percent or a fraction.

    Args:
        values: a column named as one of `QUANTITIES`.
        early: no training has errors below 1 % by this iteration.
        has_sign: whether its cells, or its name, have the sign of percent.
        where: the file and column, for an error.

    Raises:
        UserError: it may be either: errors late in training, none of which is above 1; or numbers of fractions, with
            that sign.
    """
    if values.max() > 1 or (has_sign and not values.any()):
        return "percent"
    # No network has an accuracy of 1 %, ten times worse than chance.
    is_fraction = bool(
        not values.any() or str(values.name).endswith("accuracy") or iterations[values > 0].min() <= early
    )
    if is_fraction != has_sign:
        return "fraction" if is_fraction else "percent"
    why = "has the sign of percent, but numbers as of" if has_sign else "may be percent or"
    raise UserError(f"{where} {why} fractions, as none is above 1: give --unit percent or --unit fraction")


def kind_of(quantity: str, name: str, runs: Sequence[pd.Series], where: str) -> str:
    """Whether a column is "error" or "accuracy": as it is named, if that goes with a net that learns.

    Args:
        quantity: of `QUANTITIES`, as the words of its name say.
        runs: percent of each run, in the order of training, without gaps.
        where: the file, for an error.

    Raises:
        UserError: an error rises, an accuracy falls, or either says that nothing is learnt; "top" hardly changes.
    """
    split, kind = quantity.split("_")
    for one in ("error", "accuracy"):
        if kind in (one, "top") and all(_learns(one, values, kind == "top") for values in runs):
            return one
    start, end = runs[0].iloc[[0, -1]]
    raise UserError(
        f"{where}: column {name!r} goes from {start:.4g} to {end:.4g} %, by which it may be errors or accuracies: give "
        f"{option(name, f'{split}_error')} or {option(name, f'{split}_accuracy')}"
    )


def _learns(kind: str, values: pd.Series, clearly: bool) -> bool:
    """Whether these percent are of a net that learns or, unless that must be clear, has learnt."""
    tenth = math.ceil(len(values) / 10)
    means = values.head(tenth).mean(), values.tail(tenth).mean()
    start, end = means if kind == "error" else (100 - mean for mean in means)
    # A row alone may be of the beginning; guesses among ten classes are 90 % wrong.
    has_learnt = end <= min(start + _CLEAR, 50 if len(values) > 1 else 90)
    return start - end > _CLEAR or (has_learnt and not clearly)
