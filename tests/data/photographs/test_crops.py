"""Decoding, and crops against the whole photograph scaled by Pillow and then cut."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image
from small_imagenet import encoded, picture

from repro.data.photographs.crops import crop, decode, scaled
from repro.errors import DataError
from repro.spec import Images

#: The largest number below 1.
LAST = float(np.nextafter(1, 0))


def test_grey_becomes_three_equal_channels() -> None:
    image = decode(encoded(3, mode="L"), "a.JPEG")
    pixels = np.asarray(image).astype(int)
    assert image.mode == "RGB" and np.ptp(pixels, axis=2).max() == 0
    assert np.abs(pixels[..., 0] - np.asarray(picture(3).convert("L"))).mean() < 5


@pytest.mark.parametrize(("mode", "kind"), [("CMYK", "JPEG"), ("RGB", "PNG"), ("RGBA", "PNG"), ("P", "PNG")])
def test_other_kinds_show_the_same_photograph(mode: str, kind: str) -> None:
    image = decode(encoded(3, mode=mode, kind=kind), "n02105855_2933.JPEG")
    assert image.mode == "RGB" and image.size == picture(3).size
    assert np.abs(np.asarray(image).astype(int) - np.asarray(picture(3))).mean() < (12 if mode == "P" else 5)


def test_exif_orientation_is_ignored() -> None:
    plain, rotated = encoded(3), encoded(3, orientation=6)
    assert plain != rotated and decode(plain, "a").size == decode(rotated, "a").size == picture(3).size
    assert np.array_equal(decode(plain, "a"), decode(rotated, "a"))


def gif() -> bytes:
    out = io.BytesIO()
    picture(1).save(out, "GIF")
    return out.getvalue()


@pytest.mark.parametrize(
    "content", [b"text", gif(), encoded(1)[:400], encoded(1)[:-300], encoded(1, kind="PNG")[:-400]], ids=len
)
def test_what_cannot_be_decoded_is_told_in_a_line(content: bytes) -> None:
    with pytest.raises(DataError, match=r"^train/n01440764_1.JPEG: cannot be decoded .*: fetch it again$"):
        decode(content, "train/n01440764_1.JPEG")


def test_damaged_exif_is_no_obstacle(recwarn: pytest.WarningsRecorder) -> None:
    content = bytearray(encoded(3, orientation=6))
    start = content.index(b"Exif") + 6
    content[start : start + 8] = b"MM\0*\0\0\0\xff"
    assert decode(bytes(content), "a").size == picture(3).size
    assert not recwarn.list


@pytest.mark.parametrize("seed", [1, 3, 4, 7], ids=lambda seed: "{}x{}".format(*picture(seed).size))
@pytest.mark.parametrize("resample", ["bilinear", "bicubic"])
@pytest.mark.parametrize("side", [32, 47, 96])
@pytest.mark.parametrize("corner", [(0, 0), (0.3, 0.8), (LAST, LAST)])
def test_a_crop_is_that_of_the_whole_photograph_scaled(
    seed: int, resample: str, side: int, corner: tuple[float, float]
) -> None:
    image, how = picture(seed), Images(crop=32, shorter_side=(side, side), resample=resample)  # type: ignore[arg-type]
    width, height = scaled(*image.size, side)
    left, top = (int(part * (length - 32 + 1)) for part, length in zip(corner, (width, height), strict=True))
    assert corner != (LAST, LAST) or (left, top) == (width - 32, height - 32)
    whole = np.asarray(image.resize((width, height), Image.Resampling[resample.upper()])).astype(int)
    expected = whole[top : top + 32, left : left + 32].transpose(2, 0, 1)
    found = crop(image, how, (0.5, *corner, 0.5))
    assert found.dtype == np.uint8 and found.shape == (3, 32, 32)
    assert np.abs(found - expected).max() <= (1 if resample == "bilinear" else 2)
    assert np.array_equal(crop(image, how, (0.5, *corner, 0.4)), found[:, :, ::-1])


def test_every_side_from_the_lowest_to_the_highest_is_equally_likely() -> None:
    image, how = picture(3), Images(crop=20, shorter_side=(24, 27))
    of_side = [
        crop(image, Images(crop=20, shorter_side=(side, side)), (0, 0, 0, 1)).tobytes() for side in range(24, 28)
    ]
    assert len(set(of_side)) == 4
    chances = (np.arange(400) + 0.5) / 400
    found = [of_side.index(crop(image, how, (chance, 0, 0, 1)).tobytes()) for chance in chances]
    assert np.bincount(found).tolist() == [100] * 4
    assert crop(image, how, (0, 0, 0, 1)).tobytes() == of_side[0]
    assert crop(image, how, (LAST, 0, 0, 1)).tobytes() == of_side[3]
