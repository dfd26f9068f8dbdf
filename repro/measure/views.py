"""Top-1 and top-5 errors as the paper tests: on one view of each image, on ten, or densely at five sizes.

A protocol gives the views of an image. A network gives class probabilities of each, and these are averaged. The paper
does not say whether it averages them or what comes before the softmax; the authors' release says "softmax scores".
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torchvision.transforms import functional as transforms

from repro.data.photographs import crops
from repro.errors import RecordError
from repro.models.form import Form
from repro.models.imagenet import ImageNetNet
from repro.train.precision import Numerics

#: Width and height of a crop, in training and in testing, and the shorter side of the image that one is cut from in
#: testing (Section 3.4; the latter in the authors' release).
CROP, SIDE = 224, 256
#: Shorter sides of images that are tested as a whole (Section 3.4).
DENSE_SIDES = (224, 256, 384, 480, 640)
#: As much goes through a network at once, whatever the sizes of images: what bounds the memory it takes.
_PIXELS_AT_ONCE = 64 * CROP * CROP

#: Gives the views, uint8 (3, H, W) each, of a decoded photograph, uint8 (H, W, 3), RGB. The second argument is the
#: width of the crops that the networks were trained on, a multiple of 32; where that is not 224, it scales all sides.
Protocol = Callable[[NDArray[np.uint8], int], list[Tensor]]


def center(photograph: NDArray[np.uint8], crop: int = CROP) -> list[Tensor]:
    """The middle of the image at a shorter side of 256: Figure 4's, and the authors' 1-crop errors."""
    return [torch.from_numpy(crops.center(Image.fromarray(photograph), crop).copy())]


def ten(photograph: NDArray[np.uint8], crop: int = CROP) -> list[Tensor]:
    """Corners and middle of the image at a shorter side of 256, and their mirror images: "standard 10-crop testing".

    The corners are those of the whole image, which need not be square; the paper does not say.
    """
    return [transforms.pil_to_tensor(view) for view in transforms.ten_crop(_resized(photograph, SIDE, crop), crop)]


def dense(photograph: NDArray[np.uint8], crop: int = CROP) -> list[Tensor]:
    """The whole image at each of five sizes, and its mirror images: "fully-convolutional", "at multiple scales".

    The paper does not say whether it uses mirror images here.
    """
    images = [_resized(photograph, side, crop) for side in DENSE_SIDES]
    return [transforms.pil_to_tensor(view) for image in images for view in (image, transforms.hflip(image))]


#: By the names that the command line has for them.
PROTOCOLS: dict[str, Protocol] = {"center": center, "ten": ten, "dense": dense}


def _resized(photograph: NDArray[np.uint8], side: int, crop: int) -> Image.Image:
    """The image at a shorter side, by Pillow, which smooths as it shrinks; a tensor without that has 0.8 points more
    error (pytorch/vision #2950)."""
    image: Image.Image = transforms.resize(Image.fromarray(photograph), round(side * crop / CROP))
    return image


def over_windows(net: ImageNetNet, x: Tensor, window: int) -> Tensor:
    """Class probabilities averaged over all positions of a window, (N, classes).

    The network is applied as fully convolutional: its average pooling with a stride of 1, its fc as a 1x1 convolution,
    and softmax where each window is. An image as large as a crop has one window, and the network's own probabilities.

    Args:
        net: in evaluation mode.
        x: prepared images (N, 3, H, W).
        window: of the last feature maps, pixels.
    """
    pooled = F.avg_pool2d(net.features(x), window, stride=1)
    logits = F.conv2d(pooled, net.fc.weight[:, :, None, None], net.fc.bias)
    return logits.float().softmax(1).mean((2, 3))


@torch.no_grad()
def probabilities(
    nets: Sequence[ImageNetNet], images: Sequence[Sequence[Tensor]], form: Form, numerics: Numerics, crop: int = CROP
) -> Tensor:
    """Class probabilities of images, float32 (N, classes): the mean over an image's views, all weighing the same.

    Args:
        nets: on one device, of one form; set to evaluation mode. Several are an ensemble: the mean over these, too.
        images: the views of each image.
        form: of the networks.
        numerics: how precisely they compute.
        crop: what they were trained on, pixels; a multiple of 32.
    """
    for net in nets:
        net.eval()
    device = nets[0].fc.weight.device
    alike: dict[torch.Size, list[tuple[int, int]]] = defaultdict(list)
    for number, views in enumerate(images):
        for index, view in enumerate(views):
            alike[view.shape].append((number, index))
    found: dict[tuple[int, int], Tensor] = {}
    for (_, height, width), those in alike.items():
        at_once = max(1, _PIXELS_AT_ONCE // (height * width))
        for start in range(0, len(those), at_once):
            part = those[start : start + at_once]
            x = form.prepare(torch.stack([images[number][index] for number, index in part]).to(device))
            with numerics.autocast():
                of_nets = torch.stack([over_windows(net, x, crop // 32) for net in nets])
            found.update(zip(part, of_nets.mean(0), strict=True))
    of_views = [[found[number, index] for index in range(len(views))] for number, views in enumerate(images)]
    return torch.stack([torch.stack(rows).mean(0) for rows in of_views])


def places(found: Tensor, labels: Tensor) -> Tensor:
    """How many classes are more probable than an image's own, (N,); of equally probable ones the lower comes first.

    Args:
        found: class probabilities, (N, classes).
        labels: (N,).

    Raises:
        RecordError: a probability is not finite.
    """
    if not found.isfinite().all():
        raise RecordError("a network's output is not finite: its weights are damaged, or need --precision fp32")
    order = found.argsort(dim=1, descending=True, stable=True)
    return (order == labels.to(found.device)[:, None]).nonzero()[:, 1]


def error(found: Tensor, top: int) -> float:
    """Top-1 or top-5 error in percent, from the places of images' classes."""
    return 100 * (found >= top).sum().item() / len(found)
