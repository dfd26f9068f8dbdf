"""A data set in memory: the training set and the test set as uint8 images and labels."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property

from torch import Tensor


# Compared by identity: == between tensors is no single truth value, and `fingerprint` is what tells two sets apart.
@dataclass(frozen=True, eq=False)
class Dataset:
    """Images and labels on the CPU; those of CIFAR-10 in an order that follows from the images alone.

    Attributes:
        name: "digits", "cifar10" or "cifar10-jpeg".
        train_images: uint8 (N, C, H, W).
        train_labels: int64 (N,), from 0 to len(classes) - 1.
        test_images: uint8 (M, C, H, W).
        test_labels: int64 (M,).
        classes: the name of each label.
        pad: pixels padded on each side before a random crop; 4 on CIFAR-10 (Section 4.2).
        flip: whether a mirrored image is still one of its class.
        source: where the images came from, in words.
    """

    name: str
    train_images: Tensor
    train_labels: Tensor
    test_images: Tensor
    test_labels: Tensor
    classes: tuple[str, ...]
    pad: int
    flip: bool
    source: str

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 in hex over the shape and bytes of images and labels of both sets: equal ones hold equal data."""
        digest = hashlib.sha256()
        for tensor in (self.train_images, self.train_labels, self.test_images, self.test_labels):
            digest.update(repr(tuple(tensor.shape)).encode())
            digest.update(tensor.cpu().reshape(-1).numpy().data)
        return digest.hexdigest()

    @property
    def channels(self) -> int:
        """Channels of an image: 3, or 1 for grey ones."""
        return int(self.train_images.shape[1])
