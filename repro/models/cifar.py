"""The CIFAR-10 networks of Section 4.2 (arXiv:1512.03385): plain and residual nets of 6n + 2 layers."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn

from repro.models.blocks import BasicBlock, OneLayerBlock
from repro.models.recompute import in_segments
from repro.models.shortcuts import Subsample
from repro.names import Option

#: Filters of the three stages, whose feature maps are 32, 16 and 8 pixels wide for 32x32 images.
WIDTHS = (16, 32, 64)
#: Nets of at least this many blocks train in segments of this many: at batch 128 a ResNet-1202 then needs less than
#: 5 GiB instead of about 10.
DEEP, SEGMENT = 200, 5


class CifarNet(nn.Module):
    """A 3x3 convolution, 3 stages of n blocks of two 3x3 convolutions each, global average pooling, a 10-way fc.

    "Subsampling is performed by convolutions with a stride of 2": the first of stages 2 and 3. The plain net
    (`option=None`) and the residual net with option A have exactly the same parameters. With `OneLayerBlock` a shortcut
    goes around each convolution, in stages of 2n blocks (Section 3.2).

    Takes (N, channels, H, W) of any size from 4x4; gives (N, classes) logits.
    """

    def __init__(
        self,
        n: int,
        option: Option | None,
        channels: int = 3,
        classes: int = 10,
        subsample: Subsample = "stride",
        block: type[BasicBlock] | type[OneLayerBlock] = BasicBlock,
    ) -> None:
        super().__init__()
        first, second, third = WIDTHS
        self.conv1 = nn.Conv2d(channels, first, kernel_size=3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(first)
        self.relu = nn.ReLU(inplace=True)
        segment = SEGMENT if 3 * n >= DEEP else None
        make, blocks = partial(block, option=option, subsample=subsample), 2 * n // block.layers
        self.layer1 = Stage(make, blocks, first, first, 1, segment)
        self.layer2 = Stage(make, blocks, first, second, 2, segment)
        self.layer3 = Stage(make, blocks, second, third, 2, segment)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(third, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Logits of a batch of images."""
        x = self.relu(self.bn1(self.conv1(x)))
        x = self.layer3(self.layer2(self.layer1(x)))
        logits: Tensor = self.fc(self.avgpool(x).flatten(1))
        return logits


class Stage(nn.Sequential):
    """The blocks of one feature-map size; the first takes the stride and the change of width.

    With `segment` set, training keeps only every segment-th block's input and computes the rest again, which a net of
    1202 layers needs; results are the same.
    """

    def __init__(
        self,
        block: Callable[[int, int, int], nn.Module],
        blocks: int,
        channels_in: int,
        width: int,
        stride: int,
        segment: int | None,
    ) -> None:
        super().__init__(block(channels_in, width, stride), *(block(width, width, 1) for _ in range(blocks - 1)))
        self.segment = segment

    def forward(self, x: Tensor) -> Tensor:
        """Apply the blocks."""
        if self.segment and self.training and torch.is_grad_enabled():
            return in_segments(list(self), x, self.segment)
        y: Tensor = super().forward(x)  # type: ignore[no-untyped-call]
        return y
