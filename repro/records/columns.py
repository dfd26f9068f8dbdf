"""What the columns of another program's curves hold, by their words and their numbers; no guess that is not safe."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Literal, get_args

from repro.errors import UserError

What = Literal[
    "iteration", "epoch", "network", "seed", "train_error", "test_error", "train_accuracy", "test_accuracy", "ignore"
]
QUANTITIES = ("train_error", "test_error", "train_accuracy", "test_accuracy")
_TRAIN = {"train", "training", "trn"}
_TEST = {"test", "testing", "val", "valid", "validation", "eval", "evaluation", "dev"}
_ERROR, _ACCURACY = {"error", "err"}, {"accuracy", "acc", "top", "prec"}
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
    found: dict[str, str] = {}
    bare = {}
    for name in header:
        words = set(re.findall(r"[a-z]+|\d+", re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name).lower()))
        if name in told:
            what: str | None = told[name]
        elif words & _OTHER:
            what = None
        elif kind := "error" if words & _ERROR else "accuracy" if words & _ACCURACY else "":
            splits = [split for split, known in (("train", _TRAIN), ("test", _TEST)) if words & known]
            what = f"{splits[0]}_{kind}" if len(splits) == 1 else None
            if what is None:
                bare[name] = kind
        else:
            what = next((key for key in get_args(What)[:4] if words & {key, f"{key}s"}), None)
            what = "iteration" if what is None and words & {"iter", "step", "steps"} else what
        if what and what != "ignore":
            found[name] = what
    for name, kind in bare.items():
        # Keras writes accuracy beside val_accuracy.
        if f"test_{kind}" in found.values() and f"train_{kind}" not in found.values() and len(bare) == 1:
            found[name] = f"train_{kind}"
        else:
            raise UserError(f"{where}: column {name!r}: of training or of test? Give --column {name}=train_{kind}")
    _check_once(found, told, where)
    return found


def _check_once(found: dict[str, str], told: Mapping[str, str], where: str) -> None:
    meant: dict[str, str] = {}
    for name, what in list(found.items()):
        # An error and an accuracy of one split say the same.
        key = what.replace("accuracy", "error")
        if key == "iteration" and key in meant:
            keep = min(meant[key], name, key=lambda one: (one not in told, "step" in one.lower()))
            del found[name if keep != name else meant[key]]
            meant[key] = keep
        elif key in meant:
            raise UserError(
                f"{where}: columns {meant[key]!r} and {name!r} are both {what.replace('_', ' ')}: "
                f"give --column {name}=ignore, or the other one"
            )
        else:
            meant[key] = name


def first_epoch_of(rows: Sequence[Mapping[str, float]], where: str) -> int:
    """The number of the first epoch of training: 0 where training was measured in an epoch 0.

    Raises:
        UserError: only a test was, which may be from before training or from after the first epoch.
    """
    zero = [row for row in rows if row.get("epoch") == 0]
    if not zero or any(row["epoch"] % 1 for row in rows if "epoch" in row):
        return 1
    if any(key.startswith("train") for row in zero for key in row):
        return 0
    raise UserError(
        f"{where}: it has an epoch 0: give --first-epoch 0 if that is the first one, 1 if it is before training"
    )


def unit_of(rows: Sequence[tuple[float, float]], quantity: str, early: float, where: str) -> str:
    """Whether a column is in percent or a fraction.

    Args:
        rows: iterations and values.
        quantity: one of `QUANTITIES`.
        early: no training has errors below 1 % by this iteration.
        where: the file and column, for an error.

    Raises:
        UserError: it may be either: errors late in training, none of which is above 1.
    """
    largest = max((value for _, value in rows), default=0.0)
    if largest > 1:
        return "percent"
    # No network has an accuracy of 1 %, ten times worse than chance.
    if largest == 0 or quantity.endswith("accuracy") or min(at for at, value in rows if value) <= early:
        return "fraction"
    raise UserError(f"{where} may be percent or fractions, as none is above 1: give --unit percent or --unit fraction")
