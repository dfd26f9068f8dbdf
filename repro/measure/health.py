"""Whether signals vanish: variance forward, gradient norm backward, layer by layer (arXiv:1512.03385, Section 4.1)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from repro.measure.responses import layers, mode, watched
from repro.models.recompute import buffers_kept


@dataclass(frozen=True)
class Signal:
    """What passes through one 3x3 layer on one batch of training.

    Attributes:
        layer: from 1, in the network's order.
        name: of the convolution.
        activation_variance: of the layer's response as in Figure 7 (after batch normalisation, before ReLU or addition,
            pooled over all units and images), but in training mode. By construction it is gamma^2, averaged over the
            channels, plus the variance of beta over them: 1 at the start, and not 0 in any net. That is the paper's
            argument, and says nothing of what reaches the layer; `conv_variance` does. NaN for a layer that has no
            response.
        gradient_norm: Euclidean norm of the gradient of the mean cross-entropy, in nats, with respect to the
            convolution's weights; weight decay is not in it.
        conv_variance: of the convolution's output before batch normalisation, within each channel over images and
            pixels, averaged over the channels. Where it is near 0, the layer tells no image from another.
    """

    layer: int
    name: str
    activation_variance: float
    gradient_norm: float
    conv_variance: float


def signal_health(net: nn.Module, images: Tensor, labels: Tensor) -> list[Signal]:
    """Send a batch forward and backward as training would, and change nothing.

    Of its plain nets the paper says that neither forward nor backward signals vanish, with "healthy norms" of the
    gradients, and gives no number or definition. Weights, gradients, running statistics, modes and random state are
    left as found (the networks draw no random numbers); precision is the caller's, by autocast.

    Args:
        net: a network of the paper, or any with 3x3 convolutions.
        images: (N, C, H, W), as the training loop would give them, on the network's device.
        labels: (N,), class indices.

    Returns:
        A signal per 3x3 convolution, in the network's order, the first included; projections are not among them.
    """
    found = layers(net)
    if not found:
        return []
    variances: dict[str, tuple[float, float]] = {}

    def take(key: str, name: str, output: Tensor) -> None:
        variances[f"{name} {key}"] = _variances(output.detach())

    with mode(net, training=True), buffers_kept([net]), torch.enable_grad():
        # Not in the backward pass, which in very deep nets runs the layers a second time.
        with watched(found, response=partial(take, "response"), output=partial(take, "out")):
            loss = F.cross_entropy(net(images), labels)
        gradients = torch.autograd.grad(loss, [conv.weight for _, conv, _ in found])
    return [
        Signal(
            layer=index,
            name=name,
            activation_variance=variances.get(f"{name} response", (math.nan,))[0],
            gradient_norm=torch.linalg.vector_norm(gradient.cpu().double()).item(),
            conv_variance=variances[f"{name} out"][1],
        )
        for index, ((name, _, _), gradient) in enumerate(zip(found, gradients, strict=True), start=1)
    ]


def _variances(batch: Tensor) -> tuple[float, float]:
    """Variance over everything in (N, C, H, W), and the mean over C of the variance within each channel.

    Each channel is reduced on its device about its own mean, so that float32 is enough there.
    """
    wide = batch if batch.dtype == torch.float64 else batch.float()
    centre = wide.mean((0, 2, 3), keepdim=True)
    apart = wide - centre
    sums = torch.stack([centre.flatten(), apart.mean((0, 2, 3)), apart.square_().mean((0, 2, 3))])
    centres, remainders, squares = sums.cpu().double()
    within = (squares - remainders**2).clamp(min=0).mean().item()
    return within + (centres + remainders).var(correction=0).item(), within
