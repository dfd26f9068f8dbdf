"""The data sets, a row each; a new one is a row here and a reader. Nothing here imports torch."""

from __future__ import annotations

from dataclasses import dataclass, replace

from repro.names import Family


@dataclass(frozen=True)
class Row:
    """What is known of a data set before its files are read.

    Attributes:
        title: its name in a report.
        family: of the networks that are trained on it.
        shape: of an image: channels, height, width; of photographs, whose sizes differ, 3, 0, 0.
        classes: how many.
        train_images, test_images: how many images.
        fewest: training images of the smallest class.
        pad: pixels padded on each side before a random crop; 4 on CIFAR-10 (Section 4.2).
        flip: whether a mirrored image is still one of its class.
        reader: the module that has `load(name, folder, download)`.
        in_folder: whether its files lie in the folder of --data-dir; otherwise they come with a package.
        archives: bytes of the published archives of its training and test images, where these are uncompressed tars.
        each: test images of each class, where this is known and the same.
        instead: what a run on it is trained on in place of the paper's data, {usual}, in words.
    """

    name: str
    title: str
    family: Family
    shape: tuple[int, int, int]
    classes: int
    train_images: int
    test_images: int
    fewest: int
    pad: int
    flip: bool
    reader: str
    in_folder: bool
    instead: str = ""
    each: int | None = None
    archives: tuple[int, int] | None = None


_CIFAR10 = Row(
    name="cifar10",
    title="CIFAR-10",
    family="cifar",
    shape=(3, 32, 32),
    classes=10,
    train_images=50_000,
    test_images=10_000,
    fewest=5_000,
    pad=4,
    flip=True,
    reader="repro.data.cifar10",
    in_folder=True,
)
_JPEG = replace(
    _CIFAR10,
    name="cifar10-jpeg",
    title="CIFAR-10, JPEG copy",
    instead="CIFAR-10 from JPEG copies of its images, not its original pixels",
)
_DIGITS = Row(
    name="digits",
    title="8×8 digits",
    family="cifar",
    shape=(1, 8, 8),
    classes=10,
    train_images=1_437,
    test_images=360,
    fewest=139,
    pad=1,
    flip=False,
    reader="repro.data.digits",
    in_folder=False,
    instead="8×8 grey scans of handwritten digits (scikit-learn), crops of 1 padded pixel and no flips, in place of "
    "{usual}: a small demonstration",
)
_IMAGENET = Row(
    name="imagenet",
    title="ImageNet",
    family="imagenet",
    shape=(3, 0, 0),
    classes=1_000,
    train_images=1_281_167,
    test_images=50_000,
    fewest=732,
    pad=0,
    flip=True,
    reader="repro.data.photographs.dataset",
    in_folder=True,
    each=50,
    archives=(147_897_477_120, 6_744_924_160),
)
_IMAGENETTE = replace(
    _IMAGENET,
    name="imagenette",
    title="Imagenette",
    classes=10,
    train_images=9_469,
    test_images=3_925,
    fewest=858,
    instead="photographs of ten of ImageNet's classes (Imagenette), in place of {usual}",
    each=None,
    archives=None,
)
#: By name, those nearest to the paper's own first.
DATA_SETS = {row.name: row for row in (_CIFAR10, _JPEG, _IMAGENET, _IMAGENETTE, _DIGITS)}
