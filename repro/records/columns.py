"""What the columns of another program's curves hold, by their words and their numbers; no guess that is not safe."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Literal, get_args

from repro.errors import UserError

if TYPE_CHECKING:
    import pandas as pd

What = Literal[
    "iteration", "epoch", "network", "seed", "train_error", "test_error", "train_accuracy", "test_accuracy", "ignore"
]
QUANTITIES = ("train_error", "test_error", "train_accuracy", "test_accuracy")
_SPLITS = {"train": {"train", "training", "trn"}}
_SPLITS["test"] = {"test", "testing", "val", "valid", "validation", "eval", "evaluation", "dev"}
_KINDS = {"error": {"error", "err"}, "accuracy": {"accuracy", "acc", "top", "prec"}}
#: What is none of these, or a part of it: losses, the top five, the range of several runs.
_OTHER = {"loss", "5", "min", "max", "std"}


def columns_of(header: Sequence[str], told: Mapping[str, str], where: str) -> dict[str, str]:
    """What each column holds, by its name; those of no use are left out.

    Args:
        header: their names.
        told: what some hold, as the user says.
        where: the file, for an error.

    Raises:
        UserError: two hold the same; or it cannot be told of which split one is.
    """
    found = {name: told.get(name) or _meaning(name) for name in header}
    found = {name: what for name, what in found.items() if what != "ignore"}
    bare = [name for name, what in found.items() if what in _KINDS]
    for name in bare:
        kind, known = found[name], found.values()
        # Keras writes accuracy beside val_accuracy.
        if len(bare) > 1 or f"test_{kind}" not in known or f"train_{kind}" in known:
            raise UserError(f"{where}: column {name!r}: of training or of test? Give --column {name}=train_{kind}")
        found[name] = f"train_{kind}"
    alike: dict[str, list[str]] = {}
    for name, what in found.items():
        if header.count(name) > 1:
            raise UserError(f"{where}: has several columns {name!r}: rename those that are not meant")
        # An error and an accuracy of one split say the same.
        alike.setdefault(what.replace("accuracy", "error"), []).append(name)
    for what, names in alike.items():
        if what == "iteration":  # a step may be of something else
            for other in sorted(names, key=lambda name: (name not in told, "step" in name.lower()))[1:]:
                del found[other]
        elif len(names) > 1:
            raise UserError(
                f"{where}: columns {names[0]!r} and {names[1]!r} are both {what.replace('_', ' ')}: "
                f"give --column {names[1]}=ignore, or the other one"
            )
    return found


def _meaning(name: str) -> str:
    """What a column holds by its words: a `What`, or an error or accuracy of who knows what."""
    words = set(re.findall(r"[a-z]+|\d+", re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name).lower()))
    if words & _OTHER:
        return "ignore"
    for kind, known in _KINDS.items():
        if words & known:
            splits = [split for split, known in _SPLITS.items() if words & known]
            return f"{splits[0]}_{kind}" if len(splits) == 1 else kind
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


def unit_of(values: pd.Series, iterations: pd.Series, early: float, where: str) -> str:
    """Whether a column is in percent or a fraction.

    Args:
        values: a column named as one of `QUANTITIES`.
        early: no training has errors below 1 % by this iteration.
        where: the file and column, for an error.

    Raises:
        UserError: it may be either: errors late in training, none of which is above 1.
    """
    if values.max() > 1:
        return "percent"
    # No network has an accuracy of 1 %, ten times worse than chance.
    if not values.any() or str(values.name).endswith("accuracy") or iterations[values > 0].min() <= early:
        return "fraction"
    raise UserError(f"{where} may be percent or fractions, as none is above 1: give --unit percent or --unit fraction")
