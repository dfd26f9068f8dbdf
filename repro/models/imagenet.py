"""The ImageNet networks of Table 1 (arXiv:1512.03385): plain and residual nets of 18, 34, 50, 101 and 152 layers."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from torch import Tensor, nn

from repro.models.blocks import BasicBlock, Bottleneck
from repro.names import NetworkName
from repro.spec import Model

#: A block from its input channels, width and stride.
MakeBlock = Callable[[int, int, int], BasicBlock | Bottleneck]


class ImageNetNet(nn.Module):
    """A 7x7 convolution, 3x3 max pooling, four stages of blocks, global average pooling, a 1000-way fc (Table 1).

    Both of the first two have a stride of 2, and so have the first blocks of stages 2 to 4 ("conv3_1, conv4_1, and
    conv5_1"). Nets of 18 and 34 layers are of basic blocks, deeper ones of bottlenecks, which give four times as many
    channels as the stage has filters. The feature maps of the stages are 56, 28, 14 and 7 pixels wide for 224x224
    images. Parameters have the names that torchvision gives them.

    With the stem "3x3" of `model` it begins with a 3x3 convolution and no pooling, for images of a few pixels: the maps
    are then as wide as the image, and a half, a quarter and an eighth of that. Its `width` is that of the first stage.

    The paper does not say what max pooling does at the border. Here it pads by one pixel; with `ceil_pooling` it pads
    nothing and rounds sizes up, as in the authors' release (pooling_layer.cpp of BVLC/caffe).

    Takes (N, channels, H, W), 224x224 in the paper; gives (N, classes) logits.
    """

    def __init__(
        self,
        name: NetworkName,
        channels: int = 3,
        classes: int = 1000,
        model: Model | None = None,
        ceil_pooling: bool = False,
    ) -> None:
        super().__init__()
        model = model or Model()
        option, subsample = name.option, model.subsample
        block: MakeBlock = partial(BasicBlock, option=option, subsample=subsample)
        wider = BasicBlock.expansion
        if name.bottleneck:
            block = partial(Bottleneck, option=option, subsample=subsample, stride_on_3x3=model.stride_on_3x3)
            wider = Bottleneck.expansion
        first, second, third, fourth = (model.width * 2**k for k in range(4))
        small = model.stem == "3x3"
        kernel, stride = (3, 1) if small else (7, 2)
        self.conv1 = nn.Conv2d(channels, first, kernel, stride, padding=kernel // 2, bias=False)
        self.bn1 = nn.BatchNorm2d(first)
        self.relu = nn.ReLU(inplace=True)
        pooling = nn.MaxPool2d(kernel_size=3, stride=2, padding=int(not ceil_pooling), ceil_mode=ceil_pooling)
        self.maxpool = nn.Identity() if small else pooling
        self.layer1 = stage(block, name.stages[0], first, first, 1)
        self.layer2 = stage(block, name.stages[1], first * wider, second, 2)
        self.layer3 = stage(block, name.stages[2], second * wider, third, 2)
        self.layer4 = stage(block, name.stages[3], third * wider, fourth, 2)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(fourth * wider, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Logits of a batch of images."""
        logits: Tensor = self.fc(self.avgpool(self.features(x)).flatten(1))
        return logits

    def features(self, x: Tensor) -> Tensor:
        """The last feature maps, a 32nd of the image wide, 7x7 for 224x224; an eighth with the 3x3 stem."""
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        maps: Tensor = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return maps


def stage(block: MakeBlock, blocks: int, channels_in: int, width: int, stride: int) -> nn.Sequential:
    """The blocks of one feature-map size; the first takes the stride and the change of width."""
    first = block(channels_in, width, stride)
    return nn.Sequential(first, *(block(width * first.expansion, width, 1) for _ in range(blocks - 1)))
