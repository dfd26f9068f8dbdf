"""The names of networks, and what they say: plain-20, resnet-56, resnet-34-B."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal, get_args

from repro.errors import UserError, shown, unknown

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
    match = re.fullmatch(r"(plain|resnet)-([1-9][0-9]{0,5})(?:-([ABC]))?", name)
    depth = int(match[2]) if match else 0
    if family is None:
        family = "imagenet" if depth in IMAGENET_DEPTHS and not _is_cifar_depth(depth) else "cifar"
    fits = _is_cifar_depth(depth) if family == "cifar" else depth in IMAGENET_DEPTHS
    if match and fits and match[1] == "plain" and not match[3]:
        return NetworkName("plain", depth, None, family)
    if match and fits and match[1] == "resnet":
        return NetworkName("resnet", depth, match[3] or default_option(depth, family), family)  # type: ignore[arg-type]
    raise _unknown(name, family)


def _unknown(name: str, family: Family) -> UserError:
    """Say that this is no network, what names there are, and the one nearest to it."""
    # Also as torchvision and others write it: resnet18, ResNet-56.
    like = re.match(r"(plain|resnet)[-_]?([0-9]{1,6})(?:-([abc])$)?", name.lower())
    depths = CIFAR_DEPTHS if family == "cifar" else IMAGENET_DEPTHS
    if not like:
        return unknown("network", name, [f"{kind}-{depth}" for kind in get_args(Kind) for depth in depths])
    kind, depth, option = like[1], int(like[2]), like[3] if like[1] == "resnet" else None
    if family == "cifar":
        near, rule = max(8, 6 * round((depth - 2) / 6) + 2), "L = 6n + 2"
    else:
        near, rule = min(depths, key=lambda known: abs(known - depth)), "L of Table 1"
    other = "that is a net of ImageNet's family; " if family == "cifar" and depth in IMAGENET_DEPTHS else ""
    return UserError(
        f"unknown network {shown(name)}: {other}names are plain-L and resnet-L[-A|-B|-C], {rule} "
        f"({', '.join(map(str, depths))} in the paper): did you mean "
        f"'{kind}-{near}{f'-{option.upper()}' if option else ''}'?"
    )


def _is_cifar_depth(depth: int) -> bool:
    return depth >= 8 and depth % 6 == 2
