"""The building blocks of Figure 5 (arXiv:1512.03385). Without its shortcut a block is a piece of a plain net."""

from __future__ import annotations

from torch import Tensor, nn

from repro.models.shortcuts import Subsample, shortcut
from repro.names import Option


class BasicBlock(nn.Module):
    """y = relu(F(x) + x), F(x) = bn2(conv2(relu(bn1(conv1(x))))); plain: y = relu(F(x)).

    Two 3x3 convolutions (Figure 5, left), batch normalisation right after each and before the activation (Section 3.4),
    the second ReLU after the addition (Section 3.2). Maps (N, in, H, W) to (N, width, H / stride, W / stride).
    """

    layers, expansion = 2, 1

    def __init__(
        self, channels_in: int, width: int, stride: int, option: Option | None, subsample: Subsample = "stride"
    ) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels_in, width, kernel_size=3, stride=stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.relu = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(width, width, kernel_size=3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.downsample = shortcut(option, channels_in, width, stride, subsample)

    def forward(self, x: Tensor) -> Tensor:
        """Apply the block."""
        y = self.relu(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(y))
        if self.downsample is not None:
            y = y + self.downsample(x)
        out: Tensor = self.relu(y)
        return out


class OneLayerBlock(nn.Module):
    """y = relu(F(x) + x), F(x) = bn1(conv1(x)): a residual function of a single layer (Section 3.2).

    The paper has "not observed advantages" of it over a plain layer. Maps as `BasicBlock` does.
    """

    layers, expansion = 1, 1

    def __init__(
        self, channels_in: int, width: int, stride: int, option: Option | None, subsample: Subsample = "stride"
    ) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels_in, width, kernel_size=3, stride=stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = shortcut(option, channels_in, width, stride, subsample)

    def forward(self, x: Tensor) -> Tensor:
        """Apply the block."""
        y = self.bn1(self.conv1(x))
        if self.downsample is not None:
            y = y + self.downsample(x)
        out: Tensor = self.relu(y)
        return out


class Bottleneck(nn.Module):
    """y = relu(F(x) + x), F of three layers, 1x1, 3x3, 1x1 (Figure 5, right); plain: y = relu(F(x)).

    The 1x1 layers reduce to `width` channels and restore 4 x width. The stride is on the first 1x1, as in the authors'
    released networks and as the multiply-adds of Table 1 require, or on the 3x3 ("v1.5", torchvision's choice).
    """

    expansion = 4

    def __init__(
        self,
        channels_in: int,
        width: int,
        stride: int,
        option: Option | None,
        subsample: Subsample = "stride",
        stride_on_3x3: bool = False,
    ) -> None:
        super().__init__()
        first, second = (1, stride) if stride_on_3x3 else (stride, 1)
        channels_out = width * self.expansion
        self.conv1 = nn.Conv2d(channels_in, width, kernel_size=1, stride=first, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, kernel_size=3, stride=second, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, channels_out, kernel_size=1, bias=False)
        self.bn3 = nn.BatchNorm2d(channels_out)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = shortcut(option, channels_in, channels_out, stride, subsample)

    def forward(self, x: Tensor) -> Tensor:
        """Apply the block."""
        y = self.relu(self.bn1(self.conv1(x)))
        y = self.relu(self.bn2(self.conv2(y)))
        y = self.bn3(self.conv3(y))
        if self.downsample is not None:
            y = y + self.downsample(x)
        out: Tensor = self.relu(y)
        return out
