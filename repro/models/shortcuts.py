"""The three shortcut options of Section 4.1 (arXiv:1512.03385), and none, which makes a plain net."""

from __future__ import annotations

from typing import Literal

import torch.nn.functional as F
from torch import Tensor, nn

from repro.names import Option

Subsample = Literal["stride", "average"]


class ZeroPadded(nn.Module):
    """Option A where the shape changes: identity with a stride, "with extra zero entries padded for increasing
    dimensions" (Section 3.3). No parameters.

    Maps (N, in, H, W) to (N, out, H / stride, W / stride), rounded up. Half of the zero channels come before x's
    own and half after; the paper does not say where, and channels are exchangeable at initialisation. `subsample` is
    "stride" (every second pixel) or "average" (over stride x stride pixels).
    """

    def __init__(self, channels_in: int, channels_out: int, stride: int, subsample: Subsample = "stride") -> None:
        super().__init__()
        extra = channels_out - channels_in
        self.before, self.after = extra // 2, extra - extra // 2
        self.stride, self.subsample = stride, subsample

    def forward(self, x: Tensor) -> Tensor:
        """Subsample x and pad its channels with zeros."""
        if self.subsample == "average" and self.stride > 1:
            x = F.avg_pool2d(x, self.stride, ceil_mode=True)
        else:
            x = x[:, :, :: self.stride, :: self.stride]
        return F.pad(x, (0, 0, 0, 0, self.before, self.after))

    def extra_repr(self) -> str:
        """Show the settings in the module's text."""
        return f"stride={self.stride}, zeros={self.before}+{self.after}, subsample={self.subsample}"


class Projection(nn.Sequential):
    """W_s x of Equation (2): a 1x1 convolution with the block's stride, and batch normalisation, no ReLU."""

    def __init__(self, channels_in: int, channels_out: int, stride: int) -> None:
        super().__init__(
            nn.Conv2d(channels_in, channels_out, kernel_size=1, stride=stride, bias=False),
            nn.BatchNorm2d(channels_out),
        )


def shortcut(
    option: Option | None, channels_in: int, channels_out: int, stride: int, subsample: Subsample = "stride"
) -> nn.Module | None:
    """The shortcut of a block, or None where `option` is None (a plain net).

    A: identity, zero-padded where the shape changes. B: identity, a projection where the shape changes.
    C: a projection everywhere.
    """
    if option is None:
        return None
    changes = stride != 1 or channels_in != channels_out
    if option == "C" or (option == "B" and changes):
        return Projection(channels_in, channels_out, stride)
    return ZeroPadded(channels_in, channels_out, stride, subsample) if changes else nn.Identity()
