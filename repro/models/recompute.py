"""Less memory for very deep nets: forget activations, and compute them again when the backward pass wants them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial

from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint


def in_segments(blocks: Sequence[nn.Module], x: Tensor, size: int) -> Tensor:
    """Apply blocks in a row, keeping for the backward pass only the input of each segment of `size` blocks.

    Outputs and gradients are those of the blocks themselves. Batch normalisation's running statistics are updated once,
    by the first forward pass, and not again by the recomputation.
    """
    for begin in range(0, len(blocks), size):
        segment = blocks[begin : begin + size]
        contexts = partial(_contexts, segment)
        x = checkpoint(_apply, segment, x, use_reentrant=False, preserve_rng_state=False, context_fn=contexts)
    return x


def _apply(blocks: Sequence[nn.Module], x: Tensor) -> Tensor:
    for block in blocks:
        x = block(x)
    return x


def _contexts(blocks: Sequence[nn.Module]) -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
    """For the first forward pass, and for its recomputation."""
    return nullcontext(), _statistics_kept(blocks)


@contextmanager
def _statistics_kept(blocks: Sequence[nn.Module]) -> Iterator[None]:
    """Normalise over the batch as before, and let copies of the running statistics take the updates.

    To have none instead would save fewer tensors than the first pass did, which the backward pass refuses.
    """
    norms = [module for block in blocks for module in block.modules() if isinstance(module, nn.BatchNorm2d)]
    former = [(norm, key, buffer) for norm in norms for key, buffer in norm.named_buffers()]
    for norm, key, buffer in former:
        setattr(norm, key, buffer.clone())
    try:
        yield
    finally:
        for norm, key, buffer in former:
            setattr(norm, key, buffer)
