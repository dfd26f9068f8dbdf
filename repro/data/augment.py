"""Images as a network sees them: mean subtracted, and cropped and flipped at random (Section 4.2)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from repro.data.dataset import Dataset
from repro.errors import UserError
from repro.spec import Images


@dataclass(frozen=True)
class Crops:
    """What chance decides for the images of one batch, as tensors of shape (N,).

    Attributes:
        top, left: corner of the crop in the padded image, 0 to 2 x pad.
        flip: whether the crop is mirrored.
    """

    top: Tensor
    left: Tensor
    flip: Tensor

    @classmethod
    def draw(cls, images: int, pad: int, flip: bool, generator: torch.Generator) -> Crops:
        """Each corner equally likely, all (2 pad + 1)^2 of them; each image flipped or not with equal chance."""
        top, left = torch.randint(0, 2 * pad + 1, (2, images), generator=generator)
        mirrored = torch.rand(images, generator=generator) < 0.5 if flip else torch.zeros(images, dtype=torch.bool)
        return cls(top, left, mirrored)

    def __getitem__(self, part: slice) -> Crops:
        """Those of a part of the images."""
        return Crops(self.top[part], self.left[part], self.flip[part])

    def on(self, device: torch.device) -> Crops:
        """The same on a device, in a single transfer."""
        top, left, flip = to_device(torch.stack([self.top, self.left, self.flip.long()]), device)
        return Crops(top, left, flip.bool())


def to_device(tensor: Tensor, device: torch.device) -> Tensor:
    """A small tensor of the CPU on a device, without waiting for what that is busy with where this can be had.

    CUDA waits unless the memory is pinned. On MPS a copy that does not wait may read memory that has another owner by
    then (PyTorch issue 189690), so there it waits.
    """
    if device.type == "cuda":
        return tensor.pin_memory().to(device, non_blocking=True)
    return tensor.to(device)


def memory_format(device: torch.device) -> torch.memory_format:
    """How images lie in memory: channels-last on the CPU, and not on GPUs.

    On CUDA the weights decide for all layers (`repro.train.precision.Numerics.memory_format`). On MPS backward passes
    of batch normalisation and average pooling over channels-last images fail, or give wrong gradients, in several
    versions of torch (PyTorch issues 175189, 175190, 181411).
    """
    return torch.channels_last if device.type == "cpu" else torch.contiguous_format


@dataclass(frozen=True)
class Prepared:
    """A data set on a device, as one run trains on it. Images stay uint8 until they are needed.

    Attributes:
        images, labels: to train on, (N, C, H, W) uint8 and (N,) int64.
        test_images, test_labels: to measure the test error on.
        mean: per-pixel mean of the training images, (C, H, W), of pixels in [0, 1].
        std: per-channel standard deviation to divide by, (C, 1, 1), or None.
        pad, flip: of the augmentation; 0 and False where the run does without.
        padding: see `repro.spec.Images`.
    """

    images: Tensor
    labels: Tensor
    test_images: Tensor
    test_labels: Tensor
    mean: Tensor
    std: Tensor | None
    pad: int
    flip: bool
    padding: Literal["after-mean", "before-mean"]

    @property
    def device(self) -> torch.device:
        """Where the images are."""
        return self.images.device

    def described(self) -> dict[str, Any]:
        """What a record says of the images."""
        return {"shape": list(self.images.shape[1:]), "pad": self.pad, "flip": self.flip}

    def batch(self, index: Tensor, crops: Crops) -> tuple[Tensor, Tensor]:
        """Training images (N, C, H, W), float32 and in memory as `memory_format` has it, and their labels.

        Args:
            index: of the images, (N,) int64 on the device.
            crops: of those images.
        """
        return self.cut(index, crops.on(self.images.device) if self.pad or self.flip else crops)

    def draw(self, images: int, generator: torch.Generator) -> Crops:
        """Chance's part in a batch of so many images."""
        return Crops.draw(images, self.pad, self.flip, generator)

    def cut(self, index: Tensor, crops: Crops) -> tuple[Tensor, Tensor]:
        """As `batch`, of crops that are on the device."""
        x = self.images[index]
        if self.pad or self.flip:
            p, (height, width) = self.pad, x.shape[-2:]
            if self.padding == "before-mean":
                x = self.normalise(_crop(F.pad(x, (p, p, p, p)), crops, height, width))
            else:
                x = _crop(F.pad(self.normalise(x), (p, p, p, p)), crops, height, width)
        else:
            x = self.normalise(x)
        return x.contiguous(memory_format=memory_format(x.device)), self.labels[index]

    def normalise(self, images: Tensor) -> Tensor:
        """Pixels in [0, 1] with the mean of the training images subtracted."""
        x = images.float().div_(255).sub_(self.mean)
        return x if self.std is None else x.div_(self.std)

    def batches(
        self, split: Literal["train", "test"], which: slice = slice(None), size: int = 500
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """All images of a split once, as they are: "we only evaluate the single view of the original 32x32 image".

        Args:
            which: of these batches, such as a rank's.
        """
        images, labels = (self.images, self.labels) if split == "train" else (self.test_images, self.test_labels)
        for begin in range(0, len(images), size)[which]:
            x = self.normalise(images[begin : begin + size])
            yield x.contiguous(memory_format=memory_format(x.device)), labels[begin : begin + size]


def _crop(padded: Tensor, crops: Crops, height: int, width: int) -> Tensor:
    """Cut (N, C, height, width) out of (N, C, height + 2 pad, width + 2 pad) in one gather, mirrored where asked."""
    device = padded.device
    rows = crops.top[:, None] + torch.arange(height, device=device)
    steps = torch.arange(width, device=device)
    columns = crops.left[:, None] + torch.where(crops.flip[:, None], width - 1 - steps, steps)
    n = torch.arange(len(padded), device=device)[:, None, None]
    # Advanced indices around a slice put the channels last, which is where the convolutions want them.
    return padded[n, :, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)


def prepare(dataset: Dataset, choice: Images, device: torch.device) -> Prepared:
    """Put a data set on a device, with the run's choices applied.

    The held-out images are the last of each class in the data set's order in memory, equally many of each.

    Raises:
        UserError: so many images are to be held out that none of a class is left, or not the same number of each class.
    """
    images, labels = dataset.train_images, dataset.train_labels
    test_images, test_labels = dataset.test_images, dataset.test_labels
    if choice.held_out:
        held = _last_of_each_class(labels, len(dataset.classes), choice.held_out)
        if choice.evaluate_on == "held-out":
            test_images, test_labels = images[held], labels[held]
        images, labels = images[~held], labels[~held]
    # Sums of 8-bit pixels are exact in int64, so the mean does not depend on how the sum is split: among threads, and
    # into parts, without which the sum would hold all images in int64.
    parts = torch.split(images, 1000)
    sums = torch.stack([part.sum(0, dtype=torch.int64) for part in parts])
    mean = sums.sum(0).double() / len(images) / 255
    std = None
    if choice.normalise == "pixel-mean-std":
        squares = torch.stack([part.double().div_(255).sub_(mean).square_().sum((0, 2, 3)) for part in parts])
        std = squares.sum(0).div_(images[:, 0].numel()).sqrt()[:, None, None].float().to(device)
    return Prepared(
        images=images.to(device),
        labels=labels.to(device),
        test_images=test_images.to(device),
        test_labels=test_labels.to(device),
        mean=mean.float().to(device),
        std=std,
        pad=dataset.pad if choice.augment else 0,
        flip=dataset.flip and choice.augment,
        padding=choice.padding,
    )


def _last_of_each_class(labels: Tensor, classes: int, number: int) -> Tensor:
    check_held_out(number, classes, int(torch.bincount(labels, minlength=classes).min()))
    each = number // classes
    held = torch.zeros(len(labels), dtype=torch.bool)
    for label in range(classes):
        held[(labels == label).nonzero().flatten()[-each:]] = True
    return held


def check_held_out(number: int, classes: int, smallest: int) -> None:
    """Raise UserError where so many images cannot be held out of so many classes, the smallest of this size."""
    if number % classes or number >= classes * smallest:
        raise UserError(f"images.held_out is {number}: a multiple of {classes} below {classes * smallest} is needed")
