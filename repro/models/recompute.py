"""Less memory for very deep nets: forget activations, and compute them again when the backward pass wants them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from repro.models.norm import ShareNorm, Spread


def in_segments(blocks: Sequence[nn.Module], x: Tensor, size: int) -> Tensor:
    """Apply blocks in a row, keeping for the backward pass only the input of each segment of `size` blocks.

    Outputs and gradients are those of the blocks themselves. Batch normalisation's running statistics are updated once,
    by the first pass, and not again by the recomputation.

    Args:
        blocks: in training mode; no two share a parameter, and all but the first keep the shape of what they are given.
        x: (N, C, H, W).
        size: blocks to a segment.
    """
    segments = [blocks[begin : begin + size] for begin in range(0, len(blocks), size)]
    y: Tensor = _Segments.apply(segments, x, *_parameters(blocks))
    return y


def activation_bytes(net: nn.Module, images: Tensor) -> int:
    """What a net in training mode that computes nothing again keeps for the backward pass of images (N, C, H, W), as
    measured on three of them for each share that it normalises, whose statistics it takes.
    """
    norms = (module for module in net.modules() if isinstance(module, ShareNorm))
    shares = max(((norm.spread or Spread(norm.shares)).shares for norm in norms), default=1)
    # No layer has 3 times so many channels, by which weights, too, are told from activations.
    few, of_a_share = 3 * shares, 3
    kept: dict[int, int] = {}

    def keep(tensor: Tensor) -> Tensor:
        if len(tensor.shape) and len(tensor) in (few, of_a_share):
            storage = tensor.untyped_storage()
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        _ = net(images[:few])
    return sum(kept.values()) * len(images) // few


class _Segments(torch.autograd.Function):
    """What torch.utils.checkpoint does segment by segment, as one step of the graph.

    There, the inputs kept and the small parts of the first pass's graph come to lie among activations that are soon
    freed, and glibc's aligned allocations do not fit into the gaps: ResNet-1202 took three times the memory that it
    needs. Here the first pass builds no graph, and what it keeps lies together.
    """

    @staticmethod
    def forward(ctx: Any, segments: Sequence[Sequence[nn.Module]], x: Tensor, *parameters: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        ctx.segments = segments
        ctx.autocast = torch.is_autocast_enabled(x.device.type), torch.get_autocast_dtype(x.device.type)
        x = _apply(segments[0], x)
        # All but the first segment's, which may change the shape.
        ctx.inputs = x.new_empty_strided((len(segments) - 1, *x.shape), (x.numel(), *x.stride()))
        for segment, kept in zip(segments[1:], ctx.inputs, strict=True):
            x = _apply(segment, kept.copy_(x))
        return x

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Any, ...]:
        enabled, dtype = ctx.autocast
        (first,) = ctx.saved_tensors
        found: list[Tensor] = []
        for segment, kept in zip(reversed(ctx.segments), reversed([first, *ctx.inputs]), strict=True):
            x = kept.detach().requires_grad_()
            # Without autocast's cache, in which the first pass may have left weights that know of no gradient.
            autocast = torch.autocast(gradient.device.type, dtype, enabled=enabled, cache_enabled=False)
            with torch.enable_grad(), autocast, buffers_kept(segment):
                y = _apply(segment, x)
            gradient, *of_parameters = torch.autograd.grad(y, [x, *_parameters(segment)], gradient)
            found = [*of_parameters, *found]
        return None, gradient, *found


def _parameters(blocks: Sequence[nn.Module]) -> list[Tensor]:
    return [parameter for block in blocks for parameter in block.parameters()]


def _apply(blocks: Sequence[nn.Module], x: Tensor) -> Tensor:
    for block in blocks:
        x = block(x)
    return x


@contextmanager
def buffers_kept(blocks: Sequence[nn.Module]) -> Iterator[None]:
    """Let copies take what a forward pass updates: batch normalisation's running statistics."""
    modules = [module for block in blocks for module in block.modules()]
    former = [(module, key, buffer) for module in modules for key, buffer in module.named_buffers(recurse=False)]
    for module, key, buffer in former:
        setattr(module, key, buffer.clone())
    try:
        yield
    finally:
        for module, key, buffer in former:
            setattr(module, key, buffer)
