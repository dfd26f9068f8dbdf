from __future__ import annotations

import subprocess
import sys

import pytest
import torch
import torchvision
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from repro import models
from repro.measure.complexity import Complexity, Layer, complexity, figure_5, vgg

#: Computed by hand from Section 4.2: parameters of options A, B and C, and millions of multiply-adds of A.
CIFAR = {
    20: (269_722, 272_474, 283_962, "40.55"),
    32: (464_154, 466_906, 489_594, "68.86"),
    44: (658_586, 661_338, 695_226, "97.17"),
    56: (853_018, 855_770, 900_858, "125.49"),
    110: (1_727_962, 1_730_714, 1_826_202, "252.89"),
    1202: (19_421_274, 19_424_026, 20_538_714, "2829.24"),
}
#: Computed by hand from Table 1: parameters, and billions of multiply-adds.
IMAGENET = {
    ("resnet-18-A", False): (11_515_688, "1.79"),
    ("resnet-18-B", False): (11_689_512, "1.81"),
    ("resnet-34-A", False): (21_623_848, "3.64"),
    ("resnet-34-B", False): (21_797_672, "3.66"),
    ("resnet-34-C", False): (22_716_840, "3.83"),
    ("resnet-50-B", False): (25_557_032, "3.858"),
    ("resnet-101-B", False): (44_549_160, "7.570"),
    ("resnet-152-B", False): (60_192_808, "11.282"),
    ("resnet-50-B", True): (25_557_032, "4.089"),
    ("resnet-101-B", True): (44_549_160, "7.801"),
    ("resnet-152-B", True): (60_192_808, "11.514"),
}


def rounded(number: int, unit: float, like: str) -> str:
    return f"{number / unit:.{len(like.partition('.')[2])}f}"


def count(net: nn.Module, channels: int, size: int) -> Complexity:
    """What one image costs a network without storage, by module: no arithmetic is done."""
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        net.eval()(torch.empty(1, channels, size, size, device="meta"))
    by_module = counter.get_flop_counts()
    layers = []
    for name, module in net.named_modules():
        parameters = sum(p.numel() for p in module.parameters(recurse=False))
        if parameters:
            flops = sum(by_module.get(f"{type(net).__name__}.{name}", {}).values())
            layers.append(Layer(name, parameters, flops // 2))
    found = Complexity(tuple(layers))
    assert 2 * found.macs == counter.get_total_flops(), "none are of a module without parameters"
    return found


def counted(name: str, family: str, size: int, channels: int = 3, classes: int | None = None, **switches) -> Complexity:
    with torch.device("meta"):
        net = models.build(name, channels, classes, family=family, **switches)
    return count(net, channels, size)


@pytest.mark.parametrize("depth", CIFAR)
def test_cifar_networks_cost_what_arithmetic_on_paper_says(depth):
    *parameters, macs = CIFAR[depth]
    assert [complexity(f"resnet-{depth}-{option}").parameters for option in "ABC"] == parameters
    assert rounded(complexity(f"resnet-{depth}").macs, 1e6, macs) == macs
    assert complexity(f"plain-{depth}") == complexity(f"resnet-{depth}")


@pytest.mark.parametrize(("name", "stride_on_3x3"), IMAGENET)
def test_imagenet_networks_cost_what_arithmetic_on_paper_says(name, stride_on_3x3):
    parameters, macs = IMAGENET[name, stride_on_3x3]
    found = complexity(name, "imagenet", stride_on_3x3=stride_on_3x3)
    assert found.parameters == parameters
    assert rounded(found.macs, 1e9, macs) == macs


@settings(deadline=None, max_examples=20)
@given(
    network=st.sampled_from(
        [
            ("plain-8", "cifar"),
            ("resnet-20", "cifar"),
            ("resnet-14-B", "cifar"),
            ("resnet-20-C", "cifar"),
            ("resnet-18-C", "imagenet"),
            ("resnet-50", "imagenet"),
            ("plain-50", "imagenet"),
        ]
    ),
    size=st.integers(1, 70),
    channels=st.integers(1, 4),
    classes=st.integers(1, 20),
    stride_on_3x3=st.booleans(),
    subsample=st.sampled_from(["stride", "average"]),
)
def test_arithmetic_and_counting_agree_at_any_size(network, size, channels, classes, stride_on_3x3, subsample):
    name, family = network
    found = complexity(name, family, size, channels, classes, stride_on_3x3)
    by_counting = counted(name, family, size, channels, classes, stride_on_3x3=stride_on_3x3, subsample=subsample)
    assert found == by_counting


@pytest.mark.parametrize(
    ("depth", "convolutional", "all_layers"),
    [(16, "15.35", "15.47"), (19, "19.51", "19.63")],
)
def test_vgg_costs_what_torchvisions_does(depth, convolutional, all_layers):
    found = vgg(depth)
    with torch.device("meta"):
        net = getattr(torchvision.models, f"vgg{depth}")()
    by_counting = count(net, 3, 224)
    costs = [[(layer.parameters, layer.macs) for layer in cost.layers] for cost in (found, by_counting)]
    assert costs[0] == costs[1]
    assert len(found.layers) == depth
    assert rounded(found.macs, 1e9, all_layers) == all_layers
    assert rounded(found.without("fc").macs, 1e9, convolutional) == convolutional


def test_the_blocks_of_figure_5():
    """Weights of convolutions, by hand: 2 * 9 * 64 * 64; 64 * (256 + 9 * 64 + 256); and 256 * 256 of a projection."""
    weights = {"basic": 73_728, "bottleneck": 69_632, "projected bottleneck": 69_632 + 65_536}
    found = figure_5()
    assert {key: block.macs for key, block in found.items()} == {key: 56**2 * w for key, w in weights.items()}
    convolutions = {
        key: sum(layer.parameters for layer in block.layers if layer.macs) for key, block in found.items()
    }  # fmt: skip
    assert convolutions == weights


def test_whoever_wants_the_arithmetic_needs_no_torch():
    code = "import sys, repro.measure.complexity; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
