"""A photograph, and the crop of it that a network is trained on: scale, corner, flip (Section 3.4)."""

from __future__ import annotations

import io
import warnings
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from repro.data.pixels import reason
from repro.errors import DataError
from repro.spec import Images


def decode(content: bytes, name: str) -> Image.Image:
    """A JPEG or PNG image, whichever its name says, as RGB: grey ones have three equal channels, CMYK is converted.

    EXIF orientation is ignored, as torchvision (`pil_loader`) and fb.resnet.torch do, and as Caffe did with the OpenCV
    of its time (before 3.1): our errors are compared with theirs.

    Raises:
        DataError: it is damaged or of another kind; `name` says which.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of damaged EXIF, which is not used, and of dropped transparency
            with Image.open(io.BytesIO(content), formats=("JPEG", "PNG")) as image:
                return image.convert("RGB")
    # Pillow raises whatever its decoders stumble over: OSError, SyntaxError, ValueError, struct.error and more.
    except Exception as error:
        why = "it is no JPEG or PNG image" if isinstance(error, UnidentifiedImageError) else reason(error)
        raise DataError(f"{name}: cannot be decoded ({why}): fetch it again") from error


def scaled(width: int, height: int, shorter: int) -> tuple[int, int]:
    """The size with that shorter side; the longer one is rounded down, as torchvision does."""
    if width <= height:
        return shorter, shorter * height // width
    return shorter * width // height, shorter


def center(image: Image.Image, size: int) -> NDArray[np.uint8]:
    """The middle of the photograph at a shorter side of 256 for crops of 224, and in proportion, (3, size, size)."""
    width, height = scaled(*image.size, round(256 * size / 224))
    resized = image.resize((width, height), Image.Resampling.BILINEAR)
    # As torchvision rounds; Python rounds a half to the even number.
    left, top = round((width - size) / 2), round((height - size) / 2)
    return np.asarray(resized.crop((left, top, left + size, top + size))).transpose(2, 0, 1)


def crop(image: Image.Image, how: Images, chance: Sequence[float]) -> NDArray[np.uint8]:
    """A random crop of the scaled photograph, (3, size, size).

    Only the crop's box is scaled, which is several times as fast; pixels are at most one grey level apart.

    Args:
        how: crop, shorter_side and resample of a run's choices. Pillow's filter covers all of the original's pixels.
        chance: four numbers from 0 to below 1, uniform, that decide on the shorter side, left, top, and the flip.
    """
    lowest, highest = how.shorter_side
    width, height = scaled(*image.size, lowest + int(chance[0] * (highest - lowest + 1)))
    left, top = int(chance[1] * (width - how.crop + 1)), int(chance[2] * (height - how.crop + 1))
    x, y = image.width / width, image.height / height
    box = (left * x, top * y, min((left + how.crop) * x, image.width), min((top + how.crop) * y, image.height))
    pixels = np.asarray(image.resize((how.crop, how.crop), Image.Resampling[how.resample.upper()], box=box))
    return (pixels[:, ::-1] if chance[3] < 0.5 else pixels).transpose(2, 0, 1)
