"""What a run was made with, and each way in which it differs from the paper's protocol, in plain words."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import pandas as pd

from repro.data.table import DATA_SETS
from repro.spec import Run, fields_of
from repro.train.schedule import warms_up

PAPER = Run(network="")


def _instead(text: str) -> Callable[[Any, Any], str]:
    return lambda value, usual: text.format(value=_said(value), usual=_said(usual))


def _said(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, tuple):
        return " and ".join(f"{item:g}" for item in value)
    return f"{value:g}" if isinstance(value, float) else str(value)


#: How each field of a run is said where it departs from the paper's; None where it names the run, or
#: only what is seen of it.
WORDS: Mapping[str, Callable[[Any, Any], str] | None] = {
    "network": None,
    "preset": None,
    "seed": None,
    "variant": None,
    "log_every": _instead("the end of the warm-up is looked for every {value} iterations, not every {usual}"),
    "evaluate_every": None,
    "data": lambda value, _: (
        DATA_SETS[value].instead if value in DATA_SETS else f"data set {value} in place of CIFAR-10"
    ),
    "schedule.iterations": _instead("{value} iterations of training in place of {usual}"),
    "schedule.milestones": _instead("learning rate divided after {value} of the iterations, not {usual}"),
    "schedule.lr": _instead("learning rate {value}, not {usual}"),
    "schedule.factor": _instead("learning rate multiplied by {value} at its steps, not {usual}"),
    "schedule.warm_up": lambda value, _: {
        "off": "no warm-up at a low learning rate, at any depth",
        "on": "warm-up at a low learning rate, at any depth",
        "auto": "warm-up from 110 layers on",
    }[value],
    "schedule.warm_up_lr": _instead("warm-up at learning rate {value}, not {usual}"),
    "schedule.warm_up_until": _instead("warm-up until training error is below {value} %, not {usual} %"),
    "optimiser.batch_size": _instead("{value} images to a batch, not {usual}"),
    "optimiser.momentum": _instead("momentum {value}, not {usual}"),
    "optimiser.momentum_form": lambda value, _: (
        "momentum as in PyTorch (the learning rate multiplies the velocity), not as in Caffe"
        if value == "torch"
        else "momentum as in Caffe"
    ),
    "optimiser.nesterov": lambda value, _: "Nesterov momentum, not plain" if value else "plain momentum",
    "optimiser.weight_decay": _instead("weight decay {value}, not {usual}"),
    "optimiser.decay": lambda value, _: (
        "weight decay on weights of convolutions and classifier alone, not on batch normalisation and biases"
        if value == "weights"
        else "weight decay on all parameters"
    ),
    "images.held_out": lambda value, _: f"{value:,} training images held out, so that fewer are trained on",
    "images.evaluate_on": lambda value, _: f"errors measured on the {value} images, not on the test set",
    "images.normalise": lambda value, _: (
        "images also divided by each channel's standard deviation"
        if value == "pixel-mean-std"
        else "per-pixel mean subtracted"
    ),
    "images.augment": lambda value, _: "random crops and flips" if value else "no random crops or flips",
    "images.padding": lambda value, _: (
        "crops padded with black before the mean is subtracted, not with zeros after"
        if value == "before-mean"
        else "crops padded with zeros"
    ),
    "model.initialisation": _instead("initialisation by {value}, not {usual}"),
    "model.subsample": lambda value, _: (
        "identity shortcuts that halve the map average 2×2 pixels, where the paper takes every second one"
        if value == "average"
        else "identity shortcuts take every second pixel"
    ),
    "model.block": lambda value, _: (
        "a shortcut around each single layer, not around every two"
        if value == "one-layer"
        else "a shortcut around every two layers"
    ),
    "model.norm_shares": lambda value, _: (
        "each batch normalised as one"
        if value == 1
        else f"each batch normalised in {value:,} equal shares, each by its own mean and variance, not as one"
    ),
}

#: Said of foreign runs.
UNKNOWN = "curves of another program (foreign): how it trained is not known here"

#: What the paper leaves open, and how a run has it unless it says otherwise: most can be set (`repro.spec`).
CHOICES = (
    "All 50,000 training images are trained on. The paper found its schedule on 45,000 and does not say which number "
    "its results are from.",
    "A mini-batch of 128 is normalised as one; the paper split it over two GPUs and does not say whether each "
    "normalised its half.",
    "Weight decay applies to all parameters, batch normalisation's among them.",
    "Pixels are taken from 0 to 1. The per-pixel mean is subtracted and nothing is divided by a standard deviation; "
    "crops are padded with zeros after that.",
    "Momentum is plain, in Caffe's form, the authors' software.",
    "Option A takes every second pixel and puts half of the zero channels before the others and half after.",
    "Initialisation is He et al.'s, by fan-in, also of the classifier, whose bias begins at 0; convolutions have no "
    "biases.",
    "110 layers and more warm up at 0.01 until training error is below 80 %; the paper says so of 110 and is silent on "
    "1202. That error is the mean over the last 100 iterations, looked at every 100; over how many the paper took it, "
    "it does not say.",
    "The error reported is that of the final iterate, never the best on the test set.",
    "Responses are measured twice, of the test images in evaluation mode and of one training batch in training mode, "
    "each pooled over all units of a layer; the paper does not say which images, in which mode or over what.",
    "At test time batch normalisation uses running statistics, with a momentum of 0.1, of the unbiased variance; its "
    "epsilon is 0.00001. The paper does not say what it used; what others move, repro.evaluate --statistics population "
    "measures.",
    "Training error is the running one, of augmented crops in training mode; the clean one is reported beside it.",
)


def deviations(run: Run, other: Run = PAPER) -> list[str]:
    """Each difference between a run and the paper's protocol, or another run."""
    usual, mine = fields_of(other), fields_of(run)
    if not warms_up(run.schedule, run.network):
        mine["log_every"] = usual["log_every"]
    departs = [(WORDS[key], value, usual[key]) for key, value in mine.items() if value != usual[key]]
    return [said(value, instead) for said, value, instead in departs if said is not None]


def departures(run: pd.Series) -> list[str]:
    """The same for a row of `Records.runs`, with the precision that it was computed in."""
    if run["status"] == "foreign":
        return [UNKNOWN]
    precision = run["precision"]
    other = isinstance(precision, str) and precision != "fp32"
    return deviations(run["run"]) + (
        [f"forward and backward passes in {precision}; the paper does not name its precision"] if other else []
    )


def departs_from_usual(runs: pd.DataFrame) -> Callable[[pd.Series], str]:
    """What a run of a variant has of its own, in words, against those of these runs without variant."""
    usual = runs[runs["variant"] == ""]
    other = usual["run"].iloc[0] if len(usual) else PAPER
    return lambda run: "; ".join(deviations(run["run"], other)) or str(run["variant"])


def common(runs: pd.DataFrame) -> list[str]:
    """The deviations of some runs, each once; those of a part of them say of which networks."""
    of: dict[str, list[str]] = {}
    for _, run in runs.iterrows():
        name = str(run["network"]) + (f" ({run['variant']})" if run["variant"] else "")
        for text in departures(run):
            of.setdefault(text, []).append(name)
    return [text if len(who) == len(runs) else f"{', '.join(dict.fromkeys(who))}: {text}" for text, who in of.items()]


def made_with(runs: pd.DataFrame) -> list[tuple[str, str]]:
    """On what runs were made: images, precision, device, threads, versions, commit; several values are all listed."""
    ranks = _each(runs["ranks"])
    rows = [
        ("training images", _each(runs["train_images"])),
        ("test images", _each(runs["test_images"])),
        ("fingerprint of the data", _each(runs["fingerprint"])),
        ("precision", _each(runs["precision"])),
        ("device", _each(runs["hardware"].fillna(runs["device"]))),
        ("threads", _each(runs["threads"])),
        ("ranks", "" if ranks == "1" else ranks),
        ("versions", _each(_versions(run) for _, run in runs.iterrows())),
        ("commit", _each(_commit(run) for _, run in runs.iterrows())),
    ]
    return [(name, said) for name, said in rows if said]


def _versions(run: pd.Series) -> str | None:
    said = [f"{name} {run[name]}" for name in ("torch", "python") if isinstance(run[name], str)]
    return ", ".join(said) or None


def _commit(run: pd.Series) -> str | None:
    if not isinstance(run["commit"], str):
        return None
    return run["commit"][:12] + (" with changes" if run["changed"] is True else "")


def _each(values: Iterable[Any]) -> str:
    found = [value for value in values if not pd.isna(value)]
    return "; ".join(dict.fromkeys(value if isinstance(value, str) else f"{value:,}" for value in found))
