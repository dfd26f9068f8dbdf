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
from collections.abc import Mapping
from dataclasses import asdict, field
from pathlib import PurePosixPath
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, TypeAdapter
from pydantic.dataclasses import dataclass

from repro import names
from repro.checked import Flag, Number, Text, Whole, checked, flattened
from repro.errors import UserError, unknown
from repro.names import Family, NetworkName

#: More than an epoch of CIFAR-10; batches far beyond that fill the memory before they fail.
LARGEST_BATCH = 2**16

#: Rates below it change no weight, and momentum in Caffe's form, which is scaled by old rate / new rate, overflows.
LOWEST_RATE = 1e-12

#: Filters of conv2_x beyond this do not fit into any machine's memory.
WIDEST = 1024

AtLeastOne = Annotated[Whole, Field(ge=1)]
FromZero = Annotated[Number, Field(ge=0)]
_ONLY_KNOWN = ConfigDict(extra="forbid")


@dataclass(frozen=True, config=_ONLY_KNOWN)
class Schedule:
    """Learning rate by iteration (arXiv:1512.03385, Section 4.2)."""

    #: "We ... terminate training at 64k iterations".
    iterations: AtLeastOne = 64_000
    #: "divide it by 10 at 32k and 48k iterations", as fractions of `iterations`, so that a shorter run keeps the shape.
    milestones: tuple[Number, ...] = (0.5, 0.75)
    lr: FromZero = 0.1
    factor: Annotated[Number, Field(gt=0)] = 0.1
    #: Epochs and points: divide not at the milestones but each time the training error plateaus, as often as there are
    #: milestones. It does where its mean over so many epochs is not so many points below that over as many before, all
    #: at one rate. "Divided by 10 when the error plateaus" (Section 3.4) says no more; 5 and 0.5, say.
    plateau: tuple[Number, ...] = ()
    #: Start at `warm_up_lr` until the logged training error is below `warm_up_until` percent. "auto" means: at 110
    #: layers and more of Section 4.2's networks. The paper does so for 110 layers, does not say what it did for 1202,
    #: and has none on ImageNet.
    warm_up: Literal["auto", "on", "off"] = "auto"
    warm_up_lr: FromZero = 0.01
    warm_up_until: Number = 80.0

    def __post_init__(self) -> None:
        if list(self.milestones) != sorted(self.milestones) or not all(0 < m < 1 for m in self.milestones):
            raise UserError(
                f"schedule.milestones is {list(self.milestones)}: rising fractions between 0 and 1 are needed"
            )
        if self.plateau and not (len(self.plateau) == 2 and self.plateau[0] > 0 and self.milestones):
            raise UserError(
                f"schedule.plateau is {list(self.plateau)}: epochs and points are needed, say [5, 0.5], and as many "
                "schedule.milestones as the rate is to fall times"
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


@dataclass(frozen=True, config=_ONLY_KNOWN)
class Optimiser:
    """Stochastic gradient descent (Section 4.2)."""

    #: "a mini-batch size of 128 on two GPUs", read as 128 in total.
    batch_size: Annotated[AtLeastOne, Field(le=LARGEST_BATCH)] = 128
    momentum: Annotated[FromZero, Field(lt=1)] = 0.9
    #: "caffe": v = m v + lr g, w -= v, as in the authors' software. "torch": v = m v + g, w -= lr v. They differ
    #: only in the iterations after a change of the learning rate.
    momentum_form: Literal["caffe", "torch"] = "caffe"
    nesterov: Flag = False
    weight_decay: FromZero = 1e-4
    #: What decays: "all" parameters, or the "weights" of convolutions and of the classifier only.
    decay: Literal["all", "weights"] = "all"

    def __post_init__(self) -> None:
        if self.nesterov and not self.momentum:
            raise UserError("optimiser.nesterov is true but optimiser.momentum is 0: Nesterov's step needs momentum")


@dataclass(frozen=True, config=_ONLY_KNOWN)
class Images:
    """Which images are seen, and how (Section 4.2)."""

    #: Training images kept out of training: 5,000 for the paper's 45k/5k split.
    held_out: Whole = 0
    #: What "test error" is measured on: the "test" set, or the "held-out" images.
    evaluate_on: Literal["test", "held-out"] = "test"
    #: "pixel-mean": per-pixel mean subtracted, as in the paper. "pixel-mean-std": also divided by each channel's
    #: standard deviation, as most ports do. Of photographs the mean is that of the run's own crops, and "channel-mean"
    #: and "channel-mean-std" subtract one number a channel.
    normalise: Literal["pixel-mean", "pixel-mean-std", "channel-mean", "channel-mean-std"] = "pixel-mean"
    #: Random crops of the padded image and (where the data set has them) horizontal flips.
    augment: Flag = True
    #: Padding is zero "after-mean" subtraction, or black "before-mean".
    padding: Literal["after-mean", "before-mean"] = "after-mean"
    #: Width of random crops of photographs, mirrored or not (Section 3.4). 0: the images are small, and all of a size.
    crop: Whole = 0
    #: Lowest and highest length that a photograph's shorter side is scaled to before, all between equally likely.
    shorter_side: tuple[Whole, ...] = ()
    #: By which filter; the paper does not say.
    resample: Literal["bilinear", "bicubic"] = "bilinear"
    #: "The standard color augmentation in [21]": normal numbers of deviation `colour_strength` along the principal axes
    #: of colour, times their eigenvalues, as [21] says, or their "deviations", the roots, as its code has it.
    colour: Literal["off", "eigenvalues", "deviations"] = "off"
    colour_strength: FromZero = 0.1

    def __post_init__(self) -> None:
        self._check_photographs()
        if self.evaluate_on == "held-out" and not self.held_out:
            raise UserError("images.evaluate_on is 'held-out' but images.held_out is 0: hold some out, say 5000")

    def _check_photographs(self) -> None:
        """That no setting is of photographs where there are none, or of small images where there are no such."""
        sides = self.shorter_side
        if self.crop and not (len(sides) == 2 and self.crop <= sides[0] <= sides[1]):
            raise UserError(
                f"images.shorter_side is {list(sides)}: lowest and highest are needed, both from images.crop "
                f"({self.crop}) on"
            )
        if self.crop and (self.held_out or not self.augment or self.padding != Images.padding):
            raise UserError("images.held_out, augment and padding are of small images: photographs have none of these")
        for name in ("shorter_side", "resample", "colour", "colour_strength") if not self.crop else ():
            if getattr(self, name) != getattr(Images, name):
                raise UserError(f"images.{name} is of photographs, which have an images.crop: give it, say 224")
        if not self.crop and self.normalise.startswith("channel"):
            raise UserError(
                f"images.normalise is {self.normalise!r}, which is of photographs: give images.crop, say 224"
            )


@dataclass(frozen=True, config=_ONLY_KNOWN)
class Model:
    """Choices inside the network that its name does not tell."""

    #: He initialisation by "fan-in", as in the paper's reference [13], or by "fan-out".
    initialisation: Literal["fan-in", "fan-out"] = "fan-in"
    #: Option A's identity at a stride of 2: every second pixel ("stride"), or 2x2 "average".
    subsample: Literal["stride", "average"] = "stride"
    #: Weighted layers in each residual function: two, or one, y = W1 x + x (Section 3.2), with twice as many shortcuts.
    block: Literal["two-layer", "one-layer"] = "two-layer"
    #: Equal, contiguous shares of a batch that batch normalisation takes, each by its own mean and variance; running
    #: statistics take the mean of theirs. 1: the whole batch as one. 2: as the paper's two GPUs may have done.
    norm_shares: AtLeastOne = 1
    #: How a network of Table 1 begins: a "7x7" convolution and max pooling, each with a stride of 2, or, as others have
    #: it on small images, one "3x3" convolution without either.
    stem: Literal["7x7", "3x3"] = "7x7"
    #: Filters of conv2_x in a network of Table 1; conv3_x to conv5_x have two, four and eight times as many.
    width: Annotated[AtLeastOne, Field(le=WIDEST)] = 64
    #: The stride of a bottleneck block is on its 3x3 layer, as in torchvision, instead of its first 1x1.
    stride_on_3x3: Flag = False


@dataclass(frozen=True, config=_ONLY_KNOWN)
class Run:
    """One training run. Equal runs on equal data, precision, threads, processors and versions give equal bits."""

    network: Text
    data: Text = "cifar10"
    preset: Text = "paper"
    seed: Whole = 0
    #: Iterations between rows of the curve, at which alone a warm-up can end, and between evaluations (a multiple).
    log_every: AtLeastOne = 100
    evaluate_every: AtLeastOne = 1000
    schedule: Schedule = field(default_factory=Schedule)
    optimiser: Optimiser = field(default_factory=Optimiser)
    images: Images = field(default_factory=Images)
    model: Model = field(default_factory=Model)
    #: Of which the network is: "cifar" (Section 4.2) or "imagenet" (Table 1). The preset says so.
    family: Family = "cifar"
    #: How this run departs from its preset ("schedule.iterations=4000"); part of its path.
    variant: Text = ""

    def __post_init__(self) -> None:
        if self.evaluate_every % self.log_every:
            raise UserError(
                f"evaluate_every is {self.evaluate_every} and log_every {self.log_every}: "
                "the first must be a multiple of the second"
            )
        if self.optimiser.batch_size % self.model.norm_shares:
            raise UserError(
                f"optimiser.batch_size is {self.optimiser.batch_size} and model.norm_shares {self.model.norm_shares}: "
                "the first must be a multiple of the second"
            )
        self._check_family()

    def _check_family(self) -> None:
        """That no setting is of networks of the other family, where it would do nothing."""
        if self.family == "imagenet" and self.model.block == "one-layer":
            raise UserError(f"model.block is 'one-layer', which Table 1's networks do not have: {self.network}")
        own = Model()
        for name in ("stem", "width", "stride_on_3x3") if self.family == "cifar" else ():
            if getattr(self.model, name) != getattr(own, name):
                raise UserError(f"model.{name} is of Table 1's networks: {self.network} is one of Section 4.2")

    @property
    def parsed(self) -> NetworkName:
        """What its network's name says in its family: kind, depth and shortcuts.

        Raises:
            UserError: the family has no such network; the nearest one is named.
        """
        return names.parse(self.network, self.family)

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
            UserError: a field is unknown (the nearest is named), missing, or has a wrong value.
        """
        run: Run = checked(_RUNS, values, _DEFAULTS)
        return run

    @property
    def hash(self) -> str:
        """64 bits over every field that is not at its default, in hex: a later field with a default changes no hash."""
        changed = {key: value for key, value in fields_of(self).items() if _DEFAULTS.get(key) != value}
        text = json.dumps(changed, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def differences(self, other: Run) -> list[str]:
        """The fields in which two runs differ, each as 'key: ours against theirs'."""
        theirs = fields_of(other)
        return [f"{k}: {v!r} against {theirs[k]!r}" for k, v in fields_of(self).items() if theirs[k] != v]


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
    return flattened(asdict(run))


def _file_name(text: str) -> str:
    """A text as the name of one file on any system: itself where that is possible, else cut, cleaned and hashed."""
    if re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._,=+-]{0,99}", text):
        return text
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:12]
    return f"{re.sub(r'[^A-Za-z0-9._,=+-]', '_', text[:80]).lstrip('._,=+-')}~{digest}"


#: The paper's protocol for networks of each family, which a run of no network stands for. On ImageNet (Section 3.4) the
#: learning rate is divided "when the error plateaus", which in Figure 4 is at 15e4 and 30e4 of 60e4 iterations.
PAPER: dict[Family, Run] = {
    "cifar": Run(network=""),
    "imagenet": Run(
        network="",
        data="imagenet",
        schedule=Schedule(iterations=600_000, milestones=(0.25, 0.5)),
        optimiser=Optimiser(batch_size=256),
        images=Images(crop=224, shorter_side=(256, 480), colour="eigenvalues"),
        # On 8 GPUs, each of which normalised its 32 images (the authors' own note).
        model=Model(norm_shares=8),
        family="imagenet",
    ),
}
_RUNS = TypeAdapter(Run)
# The network, which has no default, counts as changed in every run.
_DEFAULTS: dict[str, Any] = {**fields_of(PAPER["cifar"]), "network": None}
