"""What every reader of CIFAR-10 gives, arrays of pixels and labels; and PNG and JPEG images to such an array."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from repro.errors import DataError

#: In the order of their labels, which is that of the alphabet.
CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
#: Other names of the same ten.
_SPELLINGS = {"plane": "airplane", "aeroplane": "airplane", "car": "automobile", "auto": "automobile"}
#: What has more images, for the end of an error.
ANOTHER = "it is another data set, as CINIC-10 is: give the folder of CIFAR-10"
#: Height and width of an image.
SIZE = 32

_PNG, _JPEG = b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff"


@dataclass(frozen=True, eq=False)
class Split:
    """The training set or the test set: images uint8 (N, 3, 32, 32), labels int64 (N,)."""

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]

    def in_canonical_order(self) -> Split:
        """The same images in ascending order of the SHA-256 of their bytes (C, H, W), then of their labels.

        The order follows from the images alone, so that the same ones train to the same bits whatever they lie in.
        """
        digests = [hashlib.sha256(image.tobytes()).digest() for image in self.images]
        order = sorted(range(len(digests)), key=lambda index: (digests[index], self.labels[index]))
        return Split(self.images[order], self.labels[order])


def label_of_each(names: Sequence[str]) -> list[int] | None:
    """The label of each of ten classes by its name, in whichever spelling; None where they are not CIFAR-10's ten."""
    plain = [name.strip().lower() for name in names]
    labels = [CLASSES.index(_SPELLINGS.get(name, name)) for name in plain if _SPELLINGS.get(name, name) in CLASSES]
    return labels if len(names) == len(CLASSES) and sorted(labels) == list(range(len(CLASSES))) else None


class Encoded(NamedTuple):
    """A PNG or JPEG image, its label, and what to call it in an error."""

    image: bytes
    label: int
    where: str

    def is_jpeg(self) -> bool:
        """Whether it is JPEG, and not PNG, by its first bytes.

        Raises:
            DataError: it is neither.
        """
        if self.image.startswith((_PNG, _JPEG)):
            return self.image.startswith(_JPEG)
        raise DataError(f"{self.where}: is no PNG or JPEG image: fetch the file again")

    def pixels(self) -> NDArray[np.uint8]:
        """The decoded image, (3, 32, 32).

        Raises:
            DataError: it cannot be decoded, or is not 32x32 RGB.
        """
        try:
            with Image.open(io.BytesIO(self.image), formats=("PNG", "JPEG")) as opened:
                # Before decoding, so that an image that claims to be huge costs nothing.
                if (opened.width, opened.height, opened.mode) != (SIZE, SIZE, "RGB"):
                    raise DataError(
                        f"{self.where}: is {opened.width}x{opened.height} {opened.mode}, not {SIZE}x{SIZE} RGB as "
                        "every image of CIFAR-10: fetch the data again, or give another folder"
                    )
                return np.asarray(opened).transpose(2, 0, 1)
        except DataError:
            raise
        # Pillow raises whatever its decoders stumble over: OSError, SyntaxError, ValueError, struct.error and more.
        except Exception as error:
            why = "its header is damaged" if isinstance(error, UnidentifiedImageError) else reason(error)
            raise DataError(f"{self.where}: cannot be decoded ({why}): fetch the file again") from error


def decoded(train: Iterable[Encoded], test: Iterable[Encoded]) -> tuple[Split, Split]:
    """Decode the images of both sets.

    Raises:
        DataError: an image cannot be decoded, is not 32x32 RGB, or is encoded otherwise than the first.
    """
    first: Encoded | None = None
    splits = []
    for rows in (train, test):
        images, labels = [], []
        for row in rows:
            first = first or row
            if row.is_jpeg() != first.is_jpeg():
                raise DataError(
                    f"{row.where}: PNG and JPEG images are mixed (the first is {first.where}): only PNG images can "
                    "hold the original pixels, so give a folder that has images of one kind"
                )
            images.append(row.pixels())
            labels.append(row.label)
        pixels = np.array(images, dtype=np.uint8).reshape(-1, 3, SIZE, SIZE)
        splits.append(Split(pixels, np.array(labels, dtype=np.int64)))
    return splits[0], splits[1]


def reason(error: BaseException) -> str:
    """What an exception says, on one line."""
    return " ".join(str(error).split()) or type(error).__name__
