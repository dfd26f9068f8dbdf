"""In which form the public networks of Table 1 come: what they take an image as, and how their layers differ."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from repro import names
from repro.models.imagenet import ImageNetNet
from repro.spec import Model


@dataclass(frozen=True)
class Form:
    """One program's networks.

    Attributes:
        order: of the channels that a network takes.
        largest: what the brightest pixel is to it.
        mean: what is subtracted from each channel, in this order and scale.
        std: by what each channel is then divided.
        stride_on_3x3: whether the stride of a bottleneck block is on its 3x3 layer; else it is on the first 1x1.
        ceil_pooling: whether max pooling pads nothing and rounds sizes up; else it pads by one pixel.
    """

    order: Literal["RGB", "BGR"]
    largest: Literal[1, 255]
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    stride_on_3x3: bool
    ceil_pooling: bool

    def __str__(self) -> str:
        """The same in words, for those who ask what was assumed."""
        stride = "3x3" if self.stride_on_3x3 else "first 1x1"
        pooling = "pads nothing and rounds up" if self.ceil_pooling else "pads by one pixel"
        std = "" if set(self.std) == {1} else f", divided by {_listed(self.std)}"
        return (
            f"{self.order} from 0 to {self.largest}, minus {_listed(self.mean)}{std}; the stride of a bottleneck is on "
            f"its {stride} layer; max pooling {pooling}"
        )

    def build(self, network: str, classes: int = 1000) -> ImageNetNet:
        """A network of this form, to be given its weights.

        Args:
            network: of ImageNet's family; torchvision's of 18 and 34 layers have option B: "resnet-34-B".
            classes: of the classifier.

        Raises:
            repro.errors.UserError: no such network; the nearest one is named.
        """
        return ImageNetNet(
            names.parse(network, "imagenet"),
            classes=classes,
            model=Model(stride_on_3x3=self.stride_on_3x3),
            ceil_pooling=self.ceil_pooling,
        )

    def prepare(self, pixels: Tensor) -> Tensor:
        """What a network takes, float32 (N, 3, H, W), from RGB pixels as decoded, uint8 (N, 3, H, W)."""
        x = (pixels.flip(1) if self.order == "BGR" else pixels).float() / (255 / self.largest)
        mean, std = (torch.tensor(values, device=x.device)[:, None, None] for values in (self.mean, self.std))
        return (x - mean) / std


def _listed(values: tuple[float, ...]) -> str:
    return ", ".join(f"{value:.4g}" for value in values)


#: By the names that the command line has for them.
FORMS = {
    # pytorch/vision: transforms/_presets.py (ImageClassification) and models/resnet.py.
    "torchvision": Form(
        order="RGB",
        largest=1,
        mean=(0.485, 0.456, 0.406),
        std=(0.229, 0.224, 0.225),
        stride_on_3x3=True,
        ceil_pooling=False,
    ),
    # KaimingHe/deep-residual-networks: prototxt/ and issue 5; the mean per channel of its ResNet_mean.binaryproto
    # (computed from the copy in ry/tensorflow-resnet). There the mean is one of 224x224 pixels, subtracted from a crop;
    # the authors name its mean per channel as the other choice, and images of other sizes leave no other.
    "caffe": Form(
        order="BGR",
        largest=255,
        mean=(103.0626238, 115.9028826, 123.1516308),
        std=(1, 1, 1),
        stride_on_3x3=False,
        ceil_pooling=True,
    ),
}
