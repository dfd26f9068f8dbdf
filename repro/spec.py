"""One training run as a value: what is trained on what and how, its identity and its place on disk.

What the paper leaves open and can be set is a field here, with the paper's reading as its default;
`repro.site.protocol.CHOICES` lists what is fixed as well. Nothing in this module imports torch, so that plans and
records can be read on any machine.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
import typing
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields, is_dataclass
from pathlib import PurePosixPath
from typing import Any, Literal, get_args, get_origin

from repro.errors import UserError, shown, unknown

#: JSON keeps whole numbers up to here exact in every reader.
LARGEST = 2**53
#: More than an epoch of CIFAR-10; batches far beyond that fill the memory before they fail.
LARGEST_BATCH = 2**16

#: Rates below it change no weight, and momentum in Caffe's form, which is scaled by old rate / new rate, overflows.
LOWEST_RATE = 1e-12


@dataclass(frozen=True)
class Schedule:
    """Learning rate by iteration (arXiv:1512.03385, Section 4.2)."""

    #: "We ... terminate training at 64k iterations".
    iterations: int = 64_000
    #: "divide it by 10 at 32k and 48k iterations", as fractions of `iterations`, so that a shorter run keeps the shape.
    milestones: tuple[float, ...] = (0.5, 0.75)
    lr: float = 0.1
    factor: float = 0.1
    #: Start at `warm_up_lr` until the logged training error is below `warm_up_until` percent. "auto" means: at 110
    #: layers and more. The paper does so for 110 layers and does not say what it did for 1202.
    warm_up: Literal["auto", "on", "off"] = "auto"
    warm_up_lr: float = 0.01
    warm_up_until: float = 80.0

    def __post_init__(self) -> None:
        if self.iterations < 1:
            raise UserError(f"schedule.iterations is {self.iterations}: at least 1 is needed")
        if list(self.milestones) != sorted(self.milestones) or not all(0 < m < 1 for m in self.milestones):
            raise UserError(
                f"schedule.milestones is {list(self.milestones)}: rising fractions between 0 and 1 are needed"
            )
        if self.lr < 0 or self.warm_up_lr < 0 or self.factor <= 0:
            raise UserError(
                f"schedule.lr is {self.lr}, warm_up_lr {self.warm_up_lr}, factor {self.factor}: none may be below 0, "
                "and the last not 0"
            )
        try:
            last = self.lr * self.factor ** len(self.milestones)
        except OverflowError:
            last = math.inf
        if self.lr and not LOWEST_RATE <= last < math.inf:
            raise UserError(
                f"schedule.lr {self.lr} with factor {self.factor} at {len(self.milestones)} milestones comes to a rate "
                f"of {last}: a number from {LOWEST_RATE} is needed"
            )


@dataclass(frozen=True)
class Optimiser:
    """Stochastic gradient descent (Section 4.2)."""

    #: "a mini-batch size of 128 on two GPUs", read as 128 in total.
    batch_size: int = 128
    momentum: float = 0.9
    #: "caffe": v = m v + lr g, w -= v, as in the authors' software. "torch": v = m v + g, w -= lr v. They differ
    #: only in the iterations after a change of the learning rate.
    momentum_form: Literal["caffe", "torch"] = "caffe"
    nesterov: bool = False
    weight_decay: float = 1e-4
    #: What decays: "all" parameters, or the "weights" of convolutions and of the classifier only.
    decay: Literal["all", "weights"] = "all"

    def __post_init__(self) -> None:
        if not 1 <= self.batch_size <= LARGEST_BATCH:
            raise UserError(f"optimiser.batch_size is {self.batch_size}: 1 to {LARGEST_BATCH:,} is needed")
        if not 0 <= self.momentum < 1:
            raise UserError(f"optimiser.momentum is {self.momentum}: 0 or more, and less than 1, is needed")
        if not self.weight_decay >= 0:
            raise UserError(f"optimiser.weight_decay is {self.weight_decay}: 0 or more is needed")
        if self.nesterov and not self.momentum:
            raise UserError("optimiser.nesterov is true but optimiser.momentum is 0: Nesterov's step needs momentum")


@dataclass(frozen=True)
class Images:
    """Which images are seen, and how (Section 4.2)."""

    #: Training images kept out of training: 5,000 for the paper's 45k/5k split.
    held_out: int = 0
    #: What "test error" is measured on: the "test" set, or the "held-out" images.
    evaluate_on: Literal["test", "held-out"] = "test"
    #: "pixel-mean": per-pixel mean subtracted, as in the paper. "pixel-mean-std": also divided by each channel's
    #: standard deviation, as most ports do.
    normalise: Literal["pixel-mean", "pixel-mean-std"] = "pixel-mean"
    #: Random crops of the padded image and (where the data set has them) horizontal flips.
    augment: bool = True
    #: Padding is zero "after-mean" subtraction, or black "before-mean".
    padding: Literal["after-mean", "before-mean"] = "after-mean"

    def __post_init__(self) -> None:
        if self.held_out < 0:
            raise UserError(f"images.held_out is {self.held_out}: 0 or more is needed")
        if self.evaluate_on == "held-out" and not self.held_out:
            raise UserError("images.evaluate_on is 'held-out' but images.held_out is 0: hold some out, say 5000")


@dataclass(frozen=True)
class Model:
    """Choices inside the network that its name does not tell."""

    #: He initialisation by "fan-in", as in the paper's reference [13], or by "fan-out".
    initialisation: Literal["fan-in", "fan-out"] = "fan-in"
    #: Option A's identity at a stride of 2: every second pixel ("stride"), or 2x2 "average".
    subsample: Literal["stride", "average"] = "stride"
    #: Equal, contiguous shares of a batch that batch normalisation takes, each by its own mean and variance; running
    #: statistics take the mean of theirs. 1: the whole batch as one. 2: as the paper's two GPUs may have done.
    norm_shares: int = 1

    def __post_init__(self) -> None:
        if self.norm_shares < 1:
            raise UserError(f"model.norm_shares is {self.norm_shares}: at least 1 is needed")


@dataclass(frozen=True)
class Run:
    """One training run. Equal runs on equal data, precision, threads, processors and versions give equal bits."""

    network: str
    data: str = "cifar10"
    preset: str = "paper"
    seed: int = 0
    #: Iterations between rows of the curve, at which alone a warm-up can end, and between evaluations (a multiple).
    log_every: int = 100
    evaluate_every: int = 1000
    schedule: Schedule = field(default_factory=Schedule)
    optimiser: Optimiser = field(default_factory=Optimiser)
    images: Images = field(default_factory=Images)
    model: Model = field(default_factory=Model)
    #: How this run departs from its preset ("schedule.iterations=4000"); part of its path.
    variant: str = ""

    def __post_init__(self) -> None:
        if self.seed < 0:
            raise UserError(f"seed is {self.seed}: 0 or more is needed")
        if self.log_every < 1 or self.evaluate_every % self.log_every or self.evaluate_every < 1:
            raise UserError(
                f"evaluate_every is {self.evaluate_every} and log_every {self.log_every}: "
                "the first must be a multiple of the second"
            )
        if self.optimiser.batch_size % self.model.norm_shares:
            raise UserError(
                f"optimiser.batch_size is {self.optimiser.batch_size} and model.norm_shares {self.model.norm_shares}: "
                "the first must be a multiple of the second"
            )

    @property
    def path(self) -> PurePosixPath:
        """Where the run lives below a results folder: data/preset/network[+variant]/seed-N."""
        return self.group / f"seed-{self.seed}"

    @property
    def group(self) -> PurePosixPath:
        """The folder of all seeds of this run, three names deep whatever the texts of a record may hold."""
        data, preset, name = map(_file_name, (self.data, self.preset, self.network))
        return PurePosixPath(data, preset, f"{name}+{_file_name(self.variant)}" if self.variant else name)

    def to_dict(self) -> dict[str, Any]:
        """Every field, as JSON types."""
        plain: dict[str, Any] = json.loads(json.dumps(asdict(self)))
        return plain

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Run:
        """The inverse of `to_dict`; fields that were added since take their defaults.

        Raises:
            UserError: a field is unknown or has a wrong type.
        """
        run: Run = _build(cls, values, "")
        return run

    @property
    def hash(self) -> str:
        """64 bits over every field that is not at its default, in hex: a later field with a default changes no hash."""
        changed = {key: value for key, value in _leaves(self) if _DEFAULTS.get(key) != value}
        text = json.dumps(changed, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def differences(self, other: Run) -> list[str]:
        """The fields in which two runs differ, each as 'key: ours against theirs'."""
        theirs = fields_of(other)
        return [f"{k}: {v!r} against {theirs[k]!r}" for k, v in _leaves(self) if theirs[k] != v]


def override(run: Run, changes: Mapping[str, Any]) -> Run:
    """Set dotted fields ("schedule.iterations") of a run, all at once: only the whole has to make sense.

    Raises:
        UserError: an unknown field (the nearest one is named) or a value of a wrong type.
    """
    values = run.to_dict()
    for key, value in changes.items():
        if key not in _DEFAULTS:
            raise unknown("setting", key, _DEFAULTS)
        *tables, name = key.split(".")
        node = values
        for table in tables:
            node = node[table]
        node[name] = value
    return Run.from_dict(values)


def fields_of(run: Run) -> dict[str, Any]:
    """Every field of a run by its dotted name, as `override` takes it."""
    return dict(_leaves(run))


def _build(kind: Any, values: Mapping[str, Any], prefix: str) -> Any:
    hints = typing.get_type_hints(kind)
    arguments = {}
    for name, value in values.items():
        if name not in hints:
            raise unknown("setting", f"{prefix}{name}", _DEFAULTS)
        if is_dataclass(hints[name]):
            if not isinstance(value, Mapping):
                raise UserError(f"{prefix}{name} is {shown(value)}: a table of settings is needed")
            arguments[name] = _build(hints[name], value, f"{prefix}{name}.")
        else:
            arguments[name] = _coerce(hints[name], value, f"{prefix}{name}")
    try:
        return kind(**arguments)
    except TypeError as error:
        raise UserError(f"a run needs its network: {error}") from error


def _coerce(hint: Any, value: Any, key: str) -> Any:
    """Check a value from TOML or JSON against a field's annotation; whole numbers pass as floats, lists as tuples."""
    if get_origin(hint) is Literal:
        if not isinstance(value, str) or value not in get_args(hint):
            raise unknown(f"value of {key}", value if isinstance(value, str) else shown(value), get_args(hint))
        return value
    if get_origin(hint) is tuple:
        if not isinstance(value, list | tuple):
            raise UserError(f"{key} is {shown(value)}: a list of numbers is needed, such as [0.5, 0.75]")
        return tuple(_coerce(get_args(hint)[0], item, key) for item in value)
    if isinstance(value, int) and abs(value) > LARGEST:
        raise UserError(f"{key} is beyond {LARGEST:,}: a smaller number is needed")
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    if isinstance(value, float):
        if not math.isfinite(value):
            raise UserError(f"{key} is {value!r}: a finite number is needed")
        value += 0.0  # -0.0 equals 0.0, and so must their hashes
    if not isinstance(value, hint) or (hint is int and isinstance(value, bool)):
        words = {int: "a whole number", float: "a number", bool: "true or false", str: "a text"}
        raise UserError(f"{key} is {shown(value)}: {words[hint]} is needed")
    return value


def _file_name(text: str) -> str:
    """A text as the name of one file on any system: itself where that is possible, else cut, cleaned and hashed."""
    if re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._,=+-]{0,99}", text):
        return text
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:12]
    return f"{re.sub(r'[^A-Za-z0-9._,=+-]', '_', text[:80]).lstrip('._,=+-')}~{digest}"


def _leaves(node: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    for item in fields(node):
        value = getattr(node, item.name)
        if is_dataclass(value):
            yield from _leaves(value, f"{prefix}{item.name}.")
        else:
            yield f"{prefix}{item.name}", value


# The run of these values is the paper's; the network, which has no default, counts as changed in every run.
_DEFAULTS: dict[str, Any] = {**dict(_leaves(Run(network=""))), "network": None}
