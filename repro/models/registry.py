"""Networks by name, and their initialisation."""

from __future__ import annotations

import math
from typing import Any, Literal, assert_never

import torch
from torch import nn

from repro import names
from repro.errors import UserError
from repro.models.blocks import BasicBlock, OneLayerBlock
from repro.models.cifar import CifarNet
from repro.models.imagenet import ImageNetNet
from repro.models.norm import in_shares
from repro.names import CLASSES, Family, NetworkName
from repro.spec import Model


def build(
    name: str,
    channels: int = 3,
    classes: int | None = None,
    *,
    family: Family | None = None,
    generator: torch.Generator | None = None,
    **choices: Any,
) -> nn.Module:
    """Build and initialise a network.

    Args:
        name: plain-L or resnet-L[-A|-B|-C].
        channels: of the input images.
        classes: of the classifier; by default 10 for CIFAR-10 and 1000 for ImageNet.
        family: "cifar" (L = 6n + 2, Section 4.2) or "imagenet" (Table 1); by default the former where L is 6n + 2, so
            that the 50 and 152 layers of Table 1 need family="imagenet".
        generator: source of the random weights; by default torch's global one.
        choices: inside the network, the fields of `repro.spec.Model`.

    Raises:
        repro.errors.UserError: no such network; the nearest one is named. One-layer blocks in an ImageNet net.
    """
    parsed = names.parse(name, family)
    model = Model(**choices)
    if model.block == "one-layer" and parsed.family != "cifar":
        raise UserError(f"{name}: residual functions of one layer are built in nets of the CIFAR-10 family alone")
    device = torch.get_default_device()
    # Layers draw default weights as they are made, of which projections would take their share: the generator is put
    # back. What `initialise` does not know, such as a block's own scale, keeps the value that its constructor gave it.
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        torch.default_generator.manual_seed(generator.initial_seed() if generator else torch.initial_seed())
        net = _net(parsed, channels, CLASSES[parsed.family] if classes is None else classes, model)
    initialise(net, model.initialisation, generator)
    return in_shares(net, model.norm_shares) if model.norm_shares > 1 else net


def _net(parsed: NetworkName, channels: int, classes: int, model: Model) -> nn.Module:
    match parsed.kind:
        case "plain" | "resnet":
            if parsed.family == "imagenet":
                return ImageNetNet(parsed, channels, classes, model)
            own = OneLayerBlock if model.block == "one-layer" else BasicBlock
            return CifarNet(parsed.blocks_per_stage, parsed.option, channels, classes, model.subsample, own)
        case other:  # A kind that has a name but no class yet would else be trained as another.
            assert_never(other)


@torch.no_grad()
def initialise(
    net: nn.Module,
    mode: Literal["fan-in", "fan-out"] = "fan-in",
    generator: torch.Generator | None = None,
) -> None:
    """Initialise in place as in the paper's reference [13]: zero-mean normal weights of variance 2 / fan.

    Convolutions and classifier alike; biases 0, batch normalisation 1 and 0. The paper does not say how the classifier
    begins. Weights are drawn in the order of the layers, shortcuts apart and last, so that twins of one seed begin with
    the same weights wherever they have the same layers.
    """
    layers = [(key, module) for key, module in net.named_modules() if isinstance(module, nn.Conv2d | nn.Linear)]
    layers.sort(key=lambda item: "downsample" in item[0])
    for _, module in layers:
        receptive = module.weight[0, 0].numel() if isinstance(module, nn.Conv2d) else 1
        fan = module.weight.shape[1 if mode == "fan-in" else 0] * receptive
        module.weight.normal_(0, math.sqrt(2 / fan), generator=generator)
        if module.bias is not None:
            module.bias.zero_()
    for norm in net.modules():
        if isinstance(norm, nn.BatchNorm2d):
            norm.reset_parameters()
            norm.reset_running_stats()
