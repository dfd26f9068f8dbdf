"""The names of networks, and what they say: plain-20, resnet-56, resnet-34-B."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal, get_args

from repro.errors import UserError, unknown

#: Depths that the paper trains on CIFAR-10 (Section 4.2).
CIFAR_DEPTHS = (20, 32, 44, 56, 110, 1202)
#: Table 1: blocks of conv2_x to conv5_x by depth; the deepest three are built of bottleneck blocks.
IMAGENET_STAGES = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3), 50: (3, 4, 6, 3), 101: (3, 4, 23, 3), 152: (3, 8, 36, 3)}
IMAGENET_DEPTHS = tuple(IMAGENET_STAGES)
BOTTLENECK_DEPTHS = (50, 101, 152)

Kind = Literal["plain", "resnet"]
Option = Literal["A", "B", "C"]
Family = Literal["cifar", "imagenet"]

#: Classes of each family's data set.
CLASSES: dict[Family, int] = {"cifar": 10, "imagenet": 1000}


@dataclass(frozen=True)
class NetworkName:
    """A network's name, taken apart.

    Attributes:
        kind: "plain" or "resnet".
        depth: number of weighted layers.
        option: shortcut option of Section 4.1 (None for plain nets).
        family: "cifar" (Section 4.2, depth 6n + 2) or "imagenet" (Table 1).
    """

    kind: Kind
    depth: int
    option: Option | None
    family: Family

    def __str__(self) -> str:
        """The shortest name: the option is left out where it is the family's default."""
        suffix = "" if self.option in (None, default_option(self.depth, self.family)) else f"-{self.option}"
        return f"{self.kind}-{self.depth}{suffix}"

    @property
    def blocks_per_stage(self) -> int:
        """n of Section 4.2; only nets of the CIFAR family have it."""
        assert self.family == "cifar"
        return (self.depth - 2) // 6

    @property
    def stages(self) -> tuple[int, ...]:
        """Blocks of each stage: n, n, n on CIFAR-10 (Section 4.2), those of Table 1 on ImageNet."""
        if self.family == "imagenet":
            return IMAGENET_STAGES[self.depth]
        return (self.blocks_per_stage,) * 3

    @property
    def bottleneck(self) -> bool:
        """Whether the blocks are of three layers, 1x1, 3x3, 1x1 (Figure 5, right)."""
        return self.family == "imagenet" and self.depth in BOTTLENECK_DEPTHS


def default_option(depth: int, family: Family) -> Option:
    """Option A on CIFAR-10 (Section 4.2) and in the paper's Table 2; B for the bottleneck nets (Section 4.1)."""
    return "B" if family == "imagenet" and depth in BOTTLENECK_DEPTHS else "A"


def parse(name: str, family: Family | None = None) -> NetworkName:
    """Read a network's name.

    Args:
        name: plain-L or resnet-L[-A|-B|-C].
        family: where L may be; by default "cifar" where L is 6n + 2, and else "imagenet". Two depths are of both:
            a resnet-50 or resnet-152 of Table 1 needs family="imagenet".

    Raises:
        UserError: another form, or a depth that the family does not have; the nearest valid name is given.
    """
    match = re.fullmatch(rf"({'|'.join(get_args(Kind))})-([1-9]\d{{0,5}})(?:-(\w+))?", name, re.ASCII)
    # As torchvision and others write it.
    theirs = re.fullmatch(r"resnet[-_]?(\d{2,3})", name, re.ASCII | re.IGNORECASE)
    layers = int(theirs[1]) if theirs and family == "cifar" else 0
    if family == "cifar" and layers in IMAGENET_DEPTHS and not (match and _is_cifar_depth(layers)):
        raise UserError(
            f"unknown network {name!r}: that is a net of ImageNet's family (Table 1); those of CIFAR-10 have 6n + 2 "
            f"layers ({', '.join(map(str, CIFAR_DEPTHS))} in the paper): "
            f"did you mean 'resnet-{_nearest_depth(layers, family)}'?"
        )
    if match is None:
        depths = IMAGENET_DEPTHS if family == "imagenet" else CIFAR_DEPTHS
        known = [f"{kind}-{depth}" for kind in get_args(Kind) for depth in depths]
        raise unknown("network", name, known + [f"resnet-{depth}-{option}" for depth in depths for option in "ABC"])
    kind, depth, option = match[1], int(match[2]), match[3]
    if family is None:
        family = "imagenet" if depth in IMAGENET_DEPTHS and not _is_cifar_depth(depth) else "cifar"
    nearest = _nearest_depth(depth, family)
    if option and kind == "plain":
        reason = "a plain net has no shortcuts"
    elif option and option not in get_args(Option):
        reason = "the shortcut options are A, B, C"
    elif depth != nearest:
        reason = "a depth is 6n + 2" if family == "cifar" else f"a depth is one of {list(IMAGENET_DEPTHS)} on ImageNet"
    elif kind == "plain":
        return NetworkName("plain", depth, None, family)
    else:
        return NetworkName(kind, depth, option or default_option(depth, family), family)  # type: ignore[arg-type]
    asked = option.upper() if option and kind != "plain" else ""
    suffix = f"-{asked}" if asked in get_args(Option) else ""
    raise UserError(f"unknown network {name!r}: {reason}, did you mean '{kind}-{nearest}{suffix}'?")


def _nearest_depth(depth: int, family: Family) -> int:
    if family == "imagenet":
        return min(IMAGENET_DEPTHS, key=lambda known: abs(known - depth))
    return max(8, 6 * round((depth - 2) / 6) + 2)


def _is_cifar_depth(depth: int) -> bool:
    return depth >= 8 and depth % 6 == 2
