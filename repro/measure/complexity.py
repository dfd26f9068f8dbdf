"""Parameters and multiply-adds of the networks, from arithmetic alone: a function per layer family, block and network.

The paper's "FLOPs (multiply-adds)" are those of convolutions and fully connected layers, one per weight and output
pixel; batch normalisation, ReLU, additions and pooling count nothing, and so does option A in either of its forms. All
are for one image. Tests find the same numbers by running the networks. Nothing here imports torch.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from repro import names
from repro.names import Family, Option


@dataclass(frozen=True)
class Layer:
    """A layer with parameters, and the multiply-adds it takes for one image."""

    name: str
    parameters: int
    macs: int


@dataclass(frozen=True)
class Complexity:
    """What a network costs: its layers that have parameters, in the order of the network's modules."""

    layers: tuple[Layer, ...]

    @property
    def parameters(self) -> int:
        """Number of trained numbers."""
        return sum(layer.parameters for layer in self.layers)

    @property
    def macs(self) -> int:
        """Multiply-adds of one image."""
        return sum(layer.macs for layer in self.layers)

    def without(self, prefix: str) -> Complexity:
        """All but the layers whose names begin so."""
        return Complexity(tuple(layer for layer in self.layers if not layer.name.startswith(prefix)))


def complexity(
    name: str,
    family: Family | None = None,
    size: int | None = None,
    channels: int = 3,
    classes: int | None = None,
    stride_on_3x3: bool = False,
) -> Complexity:
    """The cost of a network by its name; the arguments are those of `repro.models.build`.

    Args:
        name: plain-L or resnet-L[-A|-B|-C].
        family: "cifar" (Section 4.2) or "imagenet" (Table 1); by default the former where L is 6n + 2.
        size: height and width of an image; by default 32 for CIFAR-10 and 224 for ImageNet.
        channels: of an image.
        classes: of the classifier; by default 10 and 1000.
        stride_on_3x3: where the stride of a bottleneck block is; the paper has it on the first 1x1.

    Raises:
        UserError: no such network; the nearest one is named.
    """
    parsed = names.parse(name, family)
    cifar = parsed.family == "cifar"
    size = (32 if cifar else 224) if size is None else size
    widths, kernel = ((16, 32, 64), 3) if cifar else ((64, 128, 256, 512), 7)
    size = size if cifar else strided(size, 2)
    layers = [convolution("conv1", channels, widths[0], kernel, size), normalisation("bn1", widths[0])]
    size = size if cifar else strided(size, 2)  # max pooling
    channels_in = widths[0]
    for stage, (blocks, width) in enumerate(zip(parsed.stages, widths, strict=True), start=1):
        for block in range(blocks):
            stride = 2 if stage > 1 and block == 0 else 1
            bottleneck = ("3x3" if stride_on_3x3 else "1x1") if parsed.bottleneck else ""
            inside = block_layers(channels_in, width, size, stride, parsed.option, bottleneck)
            layers += [replace(layer, name=f"layer{stage}.{block}.{layer.name}") for layer in inside]
            channels_in, size = width * (4 if parsed.bottleneck else 1), strided(size, stride)
    outputs = names.CLASSES[parsed.family] if classes is None else classes
    return Complexity((*layers, fully_connected("fc", channels_in, outputs)))


VGG_DEPTHS: tuple[Literal[16, 19], ...] = (16, 19)


def vgg(depth: Literal[16, 19]) -> Complexity:
    """VGG-16 or VGG-19 for 224x224 images, to which Sections 3.3 and 4.1 compare.

    3x3 convolutions with biases, and 2x2 max pooling after each stage; three fc layers (arXiv:1409.1556, Table 1, D and
    E).
    """
    layers: list[Layer] = []
    size, channels_in = 224, 3
    for stage, width in enumerate((64, 128, 256, 512, 512), start=1):
        for k in range(1, (2 if stage <= 2 else {16: 3, 19: 4}[depth]) + 1):
            layers.append(convolution(f"conv{stage}_{k}", channels_in, width, 3, size, bias=True))
            channels_in = width
        size //= 2
    features = (channels_in * size**2, 4096, 4096, 1000)
    return Complexity((*layers, *(fully_connected(f"fc{n + 6}", *features[n : n + 2]) for n in range(3))))


def figure_5() -> dict[Literal["basic", "bottleneck", "projected bottleneck"], Complexity]:
    """The blocks of Figure 5, on 56x56 maps: basic on 64 channels, bottleneck on 256, and that with a projection.

    "Both designs have similar time complexity"; with a projection instead of the identity, "time complexity and model
    size are doubled" (Section 4.1).
    """
    return {
        "basic": Complexity(block_layers(64, 64, 56, 1, "A")),
        "bottleneck": Complexity(block_layers(256, 64, 56, 1, "A", "1x1")),
        "projected bottleneck": Complexity(block_layers(256, 64, 56, 1, "C", "1x1")),
    }


def block_layers(
    channels_in: int,
    width: int,
    size: int,
    stride: int,
    option: Option | None,
    bottleneck: str = "",
) -> tuple[Layer, ...]:
    """Two 3x3 convolutions and the shortcut, on maps of size x size before the stride.

    Args:
        bottleneck: where a bottleneck, of 1x1, 3x3 and 1x1 convolutions, has its stride: "1x1", the first, or "3x3".
    """
    after = strided(size, stride)
    plan = [(3, width, after), (3, width, after)]
    if bottleneck:
        plan = [(1, width, size if bottleneck == "3x3" else after), (3, width, after), (1, 4 * width, after)]
    layers, channels = [], channels_in
    for k, (kernel, out, at) in enumerate(plan, start=1):
        layers += [convolution(f"conv{k}", channels, out, kernel, at), normalisation(f"bn{k}", out)]
        channels = out
    return (*layers, *shortcut(channels_in, channels, after, stride, option))


def shortcut(channels_in: int, channels_out: int, after: int, stride: int, option: Option | None) -> list[Layer]:
    """A projection under option C, and under B where the shape changes; else nothing."""
    changes = stride > 1 or channels_in != channels_out
    if option == "C" or (option == "B" and changes):
        projection = convolution("downsample.0", channels_in, channels_out, 1, after)
        return [projection, normalisation("downsample.1", channels_out)]
    return []


def convolution(name: str, channels_in: int, channels_out: int, kernel: int, after: int, bias: bool = False) -> Layer:
    """A kernel x kernel convolution that gives maps of after x after; every weight is used once per output pixel."""
    weights = kernel**2 * channels_in * channels_out
    return Layer(name, weights + (channels_out if bias else 0), weights * after**2)


def normalisation(name: str, channels: int) -> Layer:
    """Batch normalisation: gamma and beta."""
    return Layer(name, 2 * channels, 0)


def fully_connected(name: str, features: int, outputs: int) -> Layer:
    """A fully connected layer with biases."""
    return Layer(name, (features + 1) * outputs, features * outputs)


def strided(size: int, stride: int) -> int:
    """Size of a map after a layer with this stride and a padding of half its kernel: size / stride, rounded up."""
    return -(-size // stride)
