"""A training step of the device against float64 on the CPU."""

import copy
import itertools

import pytest
import torch
import torch.nn.functional as F
from on_device import BATCH, DEVICE, begin, noise, numerics, precisions, relative
from torch import nn

from repro.data.augment import Crops, prepare
from repro.models import build
from repro.spec import Images, Optimiser
from repro.train.loop import make_optimiser, set_rate
from repro.train.precision import settle

CPU = torch.device("cpu")
NETWORKS = ["resnet-20", "resnet-20-B", "plain-20"]


class Masked(nn.Module):
    """ReLU, of which others have decided which units are on."""

    def __init__(self, masks):
        super().__init__()
        self.masks = masks

    def forward(self, x):
        return x * next(self.masks)


def step(net, x, y, how=None):
    """Loss, gradients and running statistics; and which units were on, in order."""
    masks = []
    hooks = [
        module.register_forward_hook(lambda module, inputs, output: masks.append((output > 0).cpu()))
        for module in net.modules()
        if isinstance(module, nn.ReLU)
    ]
    with how.autocast():
        logits = net(x)
    loss = F.cross_entropy(logits.float(), y)
    gradients = torch.autograd.grad(loss, list(net.parameters()))
    for hook in hooks:
        hook.remove()
    statistics = [buffer for buffer in net.buffers() if buffer.is_floating_point()]
    return loss, gradients, statistics, masks


def reference(net, x, y, masks):
    """The same in float64 on the CPU with the same units on: one that rounds to the other side of its ReLU's edge moves
    gradients by some 1e-3, which is no fault.
    """
    masks = iter(masks)
    for module in [module for module in net.modules() if hasattr(module, "relu")]:
        module.relu = Masked(masks)
    logits = net(x.cpu().double())
    loss = F.cross_entropy(logits, y.cpu())
    gradients = torch.autograd.grad(loss, list(net.parameters()))
    assert next(masks, None) is None
    return loss, gradients, [buffer for buffer in net.buffers() if buffer.is_floating_point()]


def both(network, precision):
    how = numerics(precision)
    training, data, _ = begin(network, how, captured=None)
    net = training.net.train()
    wide = copy.deepcopy(net).cpu().double()
    crops = Crops.draw(BATCH, data.pad, data.flip, torch.Generator().manual_seed(0))
    x, y = data.batch(torch.arange(BATCH, device=data.images.device), crops)
    loss, gradients, statistics, masks = step(net, x, y, how)
    return (loss, gradients, statistics), reference(wide, x, y, masks)


@pytest.mark.parametrize("network", NETWORKS)
def test_fp32(network):
    (loss, gradients, statistics), (loss64, gradients64, statistics64) = both(network, "fp32")
    assert relative(loss, loss64) < 1e-5
    assert max(map(relative, gradients, gradients64)) < 1e-3
    norms, norms64 = (
        torch.stack([g.detach().cpu().double().norm() for g in each]) for each in (gradients, gradients64)
    )
    assert ((norms - norms64) / norms64).abs().max() < 1e-4
    assert max(map(relative, statistics, statistics64)) < 1e-4


@pytest.mark.skipif("bf16" not in precisions(), reason="no bf16 here")
@pytest.mark.parametrize("network", NETWORKS)
def test_bf16(network):
    (loss, gradients, _), (loss64, gradients64, _) = both(network, "bf16")
    assert relative(loss, loss64) < 2e-2
    ours, theirs = (torch.cat([g.detach().cpu().double().flatten() for g in each]) for each in (gradients, gradients64))
    assert F.cosine_similarity(ours, theirs, dim=0) > 0.99


@pytest.mark.parametrize("precision", precisions())
@pytest.mark.parametrize("upstream", [1e-6, 1e3])
@pytest.mark.parametrize("deviation", [4e3, 1e5])
def test_batch_norm_of_large_inputs(precision, deviation, upstream):
    """Plain-56 has variances of 17,000,000."""
    how, chance = numerics(precision), torch.Generator().manual_seed(0)
    dtype = {"fp32": torch.float32, "bf16": torch.bfloat16}[precision]
    form = how.memory_format() if DEVICE != "cpu" else torch.channels_last

    def made(scale, centre=0.0):
        numbers = centre + scale * torch.randn(BATCH, 16, 32, 32, generator=chance)
        return numbers.to(dtype).to(settle(how)).contiguous(memory_format=form)

    x, gradient = made(deviation, centre=1e4).requires_grad_(), made(upstream)
    norm = nn.BatchNorm2d(16).to(settle(how))
    y = norm(x)
    (dx,) = torch.autograd.grad(y, x, gradient)

    wide = x.detach().cpu().double().requires_grad_()
    centred = wide - wide.mean((0, 2, 3), keepdim=True)
    y64 = centred / (centred.square().mean((0, 2, 3), keepdim=True) + norm.eps).sqrt()
    (dx64,) = torch.autograd.grad(y64, wide, gradient.cpu().double())
    tolerance = 2e-2 if precision == "bf16" else 1e-3
    for found, expected in ((y, y64), (dx, dx64)):
        assert found.isfinite().all()
        assert relative(found, expected) < tolerance


@pytest.mark.parametrize("precision", precisions())
def test_weights_decide_how_activations_lie_in_memory(precision, cuda):
    """cuDNN normalises channels-last batches in a mode that may overflow; in bf16 torch normalises them."""
    how, seen = numerics(precision), set()
    training, data, _ = begin("resnet-20-B", how, captured=None)
    for module in training.net.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.register_forward_pre_hook(
                lambda module, inputs: seen.add(
                    (inputs[0].is_contiguous(memory_format=torch.channels_last), inputs[0].dtype)
                )
            )
    with how.autocast():
        training.net(data.batch(torch.arange(8, device="cuda"), Crops.draw(8, 4, True, torch.Generator()))[0])
    assert seen == {(True, torch.bfloat16) if precision == "bf16" else (False, torch.float32)}


@pytest.mark.parametrize("normalise", ["pixel-mean", "pixel-mean-std"])
@pytest.mark.parametrize("padding", ["after-mean", "before-mean"])
def test_augmented_images_are_those_of_the_cpu(padding, normalise):
    crops = Crops.draw(BATCH, 4, True, torch.Generator().manual_seed(0))
    choice, index = Images(padding=padding, normalise=normalise), torch.arange(BATCH)
    ours, theirs = (
        prepare(noise(), choice, device).batch(index.to(device), crops) for device in (settle(numerics()), CPU)
    )
    # To a unit in the last place of 1, the largest pixel; where it is divided by the deviation, which of noise is
    # 0.29 and a little less of these few images, to two: a GPU multiplies by a rounded 1/255.
    unit = torch.finfo(torch.float32).eps * (1 if normalise == "pixel-mean" else 2 / 0.28)
    assert (ours[0].cpu() - theirs[0]).abs().max() <= unit
    assert torch.equal(ours[1].cpu(), theirs[1])


@pytest.mark.parametrize("nesterov", [False, True])
@pytest.mark.parametrize("form", ["caffe", "torch"])
def test_sgd_through_changes_of_its_rate_and_a_resumption(form, nesterov):
    device, choice = settle(numerics()), Optimiser(momentum_form=form, nesterov=nesterov, weight_decay=1e-2)
    net = build("resnet-8", generator=torch.Generator().manual_seed(0)).to(device)
    optimiser = make_optimiser(net, choice, "fp32")
    weights = [parameter.detach().cpu().double() for parameter in net.parameters()]
    velocity, before = [torch.zeros_like(weight) for weight in weights], None
    chance = torch.Generator().manual_seed(1)
    for i, rate in enumerate([0.01] * 3 + [0.1] * 3 + [0.01] * 3):
        if i == 5:
            kept = optimiser.state_dict()
            optimiser = make_optimiser(net, choice, "fp32")
            optimiser.load_state_dict(kept)
        set_rate(optimiser, rate, choice)
        # v = m v + rate x g in Caffe's form, and in torch's likewise, but for a jump where the rate changes.
        jump = rate / before if form == "torch" and before else 1.0
        before = rate
        for number, parameter in enumerate(net.parameters()):
            gradient = torch.randn(parameter.shape, generator=chance)
            parameter.grad = gradient.to(device).contiguous(memory_format=torch.preserve_format)
            whole = gradient.double() + choice.weight_decay * weights[number]
            velocity[number] = choice.momentum * jump * velocity[number] + rate * whole
            last = rate * whole + choice.momentum * velocity[number] if nesterov else velocity[number]
            weights[number] = weights[number] - last
        optimiser.step()
    assert max(itertools.starmap(relative, zip(net.parameters(), weights, strict=True))) < 1e-6


def test_fp32_is_fp32():
    """TF32's 10 bits give 1e-3."""
    device, chance = settle(numerics()), torch.Generator().manual_seed(0)
    x, kernel = torch.randn(BATCH, 64, 16, 16, generator=chance), torch.randn(64, 64, 3, 3, generator=chance)
    a, b = torch.randn(512, 512, generator=chance), torch.randn(512, 512, generator=chance)
    for act, *arguments in ((F.conv2d, x, kernel), (torch.matmul, a, b)):
        found = act(*(each.to(device) for each in arguments))
        assert relative(found, act(*(each.double() for each in arguments))) < 1e-5
