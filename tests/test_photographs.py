"""Errors of public networks on photographs, through the whole command, against torchvision's own computation."""

from __future__ import annotations

import hashlib
import io
import json
import re
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
import torchvision
from caffe_files import caffemodel
from PIL import Image
from safetensors.torch import save_file
from torch import Tensor, nn
from torchvision.datasets import ImageFolder
from torchvision.transforms import Compose, Lambda, Resize, TenCrop
from torchvision.transforms import functional as transforms
from torchvision.transforms._presets import ImageClassification

from repro import names, paper
from repro.evaluate import main
from repro.measure.views import DENSE_SIDES
from repro.models import form
from repro.models.form import FORMS

#: Width of crops, and the shorter side of images that it stands for: 224 and 256, scaled.
CROP, SIDE = 64, 73
PRESET = ImageClassification(crop_size=CROP, resize_size=SIDE)
CLASSES = 7
FAMILY = ["--family", "imagenet", "--device", "cpu", "--crop", str(CROP)]
RESNET_18 = ["--network", "resnet-18-B", *FAMILY]


def photograph(seed: int) -> bytes:
    """Blots of colour, wide or high, as JPEG."""
    draw = np.random.default_rng(seed)
    blots = Image.fromarray(draw.integers(0, 256, (3, 4, 3), dtype=np.uint8))
    out = io.BytesIO()
    blots.resize((70 + 9 * (seed % 3), 64 + 11 * (seed % 4)), Image.Resampling.NEAREST).save(out, "JPEG")
    return out.getvalue()


def decoded(content: bytes) -> Image.Image:
    return Image.open(io.BytesIO(content)).convert("RGB")


def telling(net: nn.Module, photographs: list[bytes]) -> nn.Module:
    """Random weights whose outputs tell these photographs apart: batch normalisation has their statistics."""
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = 1.0
    with torch.no_grad():
        net.train()(torch.stack([PRESET(decoded(content)) for content in photographs]))
    return net.eval()


def write(folder: Path, label: int, name: str, content: bytes) -> None:
    place = folder / "val" / f"n{label:08}" / f"{name}.JPEG"
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(content)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Photographs of seven classes, another number of each."""
    place = tmp_path_factory.mktemp("photographs")
    for seed in range(20):
        write(place, min(seed % 9, CLASSES - 1), str(seed), photograph(seed))
    return place


@pytest.fixture(scope="module")
def nets() -> list[nn.Module]:
    torch.manual_seed(0)
    photographs = [photograph(seed) for seed in range(20)]
    return [telling(torchvision.models.resnet18(num_classes=CLASSES), photographs) for _ in range(2)]


@pytest.fixture(scope="module")
def weights(nets: list[nn.Module], tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    place = tmp_path_factory.mktemp("weights")
    for number, net in enumerate(nets):
        torch.save(net.state_dict(), place / f"{number}.pth")
    return [place / "0.pth", place / "1.pth"]


def by_hand(folder: Path, of_image: Callable[[Tensor], Tensor], transform: Callable[[Image.Image], Tensor]) -> str:
    """Errors by torchvision's folder of images, as the command prints them."""
    images = ImageFolder(folder / "val", transform)
    with torch.no_grad():
        best = torch.stack([of_image(x).topk(5).indices for x, _ in images])
    hits = best == torch.tensor(images.targets)[:, None]
    wrong = [(~hits[:, :top].any(1)).sum().item() for top in (1, 5)]
    assert 0 < wrong[1] < wrong[0] < len(images), "something is right, and something is not"
    return said(wrong[0], wrong[1], len(images))


def said(top1: int, top5: int, count: int) -> str:
    shares = np.array([top1, top5]) / count
    first, second = (
        f"{100 * share:.2f} % ({wrong:,} of {count:,} wrong, standard error {spread:.2f})"
        for share, wrong, spread in zip(shares, (top1, top5), 100 * np.sqrt(shares * (1 - shares) / count), strict=True)
    )
    return f"top-1 error {first}, top-5 error {second}, in fp32"


def printed(capsys: pytest.CaptureFixture[str], *words: object) -> list[str]:
    capsys.readouterr()
    assert main([str(word) for word in words]) == 0
    return capsys.readouterr().out.splitlines()


def of(out: list[str], protocol: str) -> str:
    (line,) = (line for line in out if line.startswith(f"{protocol}: "))
    return line


def problem(capsys: pytest.CaptureFixture[str], *words: object, status: int = 2) -> str:
    capsys.readouterr()
    assert main([str(word) for word in words]) == status
    error = capsys.readouterr().err.strip()
    assert "\n" not in error
    return error


def test_a_thousand_classes_have_the_errors_that_torchvision_counts(tmp_path, capsys):
    """Of photographs of which some are right, some among the first five, and others not; and one of each class."""
    torch.manual_seed(1)
    chosen = [photograph(seed) for seed in range(40)]
    net = telling(torchvision.models.resnet18(), chosen)
    with torch.no_grad():
        order = net(torch.stack([PRESET(decoded(content)) for content in chosen])).argsort(1, descending=True)
    for seed, content in enumerate(chosen):
        write(tmp_path, order[seed, (0, 1, 4, 5)[seed % 4]].item(), f"chosen-{seed}", content)
    for label in range(1000):
        write(tmp_path, label, "other", photograph(100 + label))
    torch.save(net.state_dict(), tmp_path / "resnet18.pth")
    out = printed(capsys, tmp_path / "resnet18.pth", *RESNET_18, "--data-dir", tmp_path)
    expected = by_hand(tmp_path, lambda x: net(x[None])[0], PRESET)
    assert of(out, "center") == f"center: {expected}"
    assert "1,040 photographs of 1,000 classes" in out[2]
    assert "not the 50,000 of ILSVRC2012" in out[2]


def ten_crops(image: Image.Image) -> Tensor:
    views = TenCrop(CROP)(Resize(SIDE)(image))
    return torch.stack([ImageClassification(crop_size=CROP, resize_size=CROP)(view) for view in views])


def densely(net: nn.Module, image: Image.Image) -> Tensor:
    """A loop over windows of the last maps, and over sizes and mirror images."""
    maps_of = nn.Sequential(*list(net.children())[:-2])
    of_views = []
    for side in DENSE_SIDES:
        resized = transforms.resize(image, round(side * CROP / 224))
        for view in (resized, transforms.hflip(resized)):
            x = transforms.normalize(transforms.to_tensor(view), PRESET.mean, PRESET.std)
            maps = maps_of(x[None])[0]
            windows = [
                net.fc(maps[:, top : top + 2, left : left + 2].mean((1, 2))).softmax(0)
                for top in range(maps.shape[1] - 1)
                for left in range(maps.shape[2] - 1)
            ]
            of_views.append(torch.stack(windows).mean(0))
    return torch.stack(of_views).mean(0)


def test_each_protocol_and_what_is_assumed(folder, nets, weights, capsys):
    out = printed(capsys, weights[0], *RESNET_18, "--data-dir", folder, "--views", "center,ten,dense")
    net = nets[0]
    assert of(out, "center") == f"center: {by_hand(folder, lambda x: net(x[None])[0], PRESET)}"
    assert of(out, "ten").startswith(
        f"ten: {by_hand(folder, lambda x: net(x).softmax(1).mean(0), ten_crops)}; corners of "
    )
    as_it_is = Compose([Lambda(lambda image: image)])
    assert of(out, "dense").startswith(
        f"dense: {by_hand(folder, lambda image: densely(net, image), as_it_is)}; all windows "
    )
    assert "torchvision (assumed: --form)" in out[1] and "3x3" in out[1]
    assert "20 photographs of 7 classes" in out[2]


def test_several_checkpoints_are_an_ensemble_of_softmax_scores(folder, nets, weights, tmp_path, capsys):
    safe = tmp_path / "one.safetensors"
    save_file(nets[1].state_dict(), safe)
    out = printed(capsys, weights[0], safe, *RESNET_18, "--form", "torchvision", "--data-dir", folder)
    together = by_hand(folder, lambda x: sum(net(x[None])[0].softmax(0) for net in nets), PRESET)
    assert of(out, "center") == f"center: {together}"
    assert together != by_hand(folder, lambda x: nets[0](x[None])[0], PRESET)
    assert "assumed" not in out[2]
    # Of several depths.
    other = tmp_path / "34.pth"
    torch.save(torchvision.models.resnet34(num_classes=CLASSES).state_dict(), other)
    both = ["--network", "resnet-18-B,resnet-34-B", *FAMILY]
    assert "of a resnet-34-B" in printed(capsys, weights[0], other, *both, "--data-dir", folder)[1]


def test_the_authors_file_is_of_their_form(folder, tmp_path, capsys, monkeypatch):
    """Against the network that it was written of, on pixels prepared by hand."""
    monkeypatch.setattr(form, "Model", partial(form.Model, width=8))
    torch.manual_seed(2)
    net = FORMS["caffe"].build("resnet-50", classes=CLASSES)

    def prepared(image: Image.Image) -> Tensor:
        pixels = np.asarray(transforms.center_crop(transforms.resize(image, SIDE), CROP)).astype(np.float64)
        return torch.from_numpy(pixels[..., ::-1] - [103.0626, 115.9029, 123.1516]).permute(2, 0, 1).float()

    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = 1.0
    with torch.no_grad():
        net.train()(torch.stack([prepared(decoded(photograph(seed))) for seed in range(20)]))
    net.eval()
    file = tmp_path / "ResNet-50-model.caffemodel"
    file.write_bytes(caffemodel(net, 50))
    words = ["--network", "resnet-50", *FAMILY, "--data-dir", folder]
    out = printed(capsys, file, *words)
    assert of(out, "center") == f"center: {by_hand(folder, lambda x: net(x[None])[0], prepared)}"
    assert "form: caffe: BGR from 0 to 255" in out[1] and "first 1x1" in out[1]
    assert f"{file}: is of form caffe" in problem(capsys, file, *words, "--form", "torchvision")


def test_a_record_gains_a_protocol_and_is_of_one_network_alone(folder, weights, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    words = [*RESNET_18, "--data-dir", folder, "--record", "--as", "theirs"]
    for views in ("center", "ten"):
        out = printed(capsys, weights[0], *words, "--views", views)
    file = tmp_path / "results" / "theirs" / "imagenet" / "resnet-18-B" / "test.json"
    kept = json.loads(file.read_text())
    assert list(kept["errors"]) == ["center", "ten"]
    found = re.search(r"top-1 error ([\d.]+) .*top-5 error ([\d.]+) ", of(out, "ten"))
    assert [kept["errors"]["ten"][key] for key in ("top1", "top5")] == pytest.approx([float(e) for e in found.groups()])
    assert kept["weights_sha256"] == hashlib.sha256(weights[0].read_bytes()).hexdigest()
    assert (kept["images"], kept["classes"], kept["form"], kept["crop"]) == (20, CLASSES, "torchvision", CROP)
    before = file.read_bytes()
    assert "weights_sha256" in problem(capsys, weights[1], *words, status=1)
    assert "form" in problem(capsys, weights[0], *words, "--form", "caffe", status=1)
    assert "--record" in problem(capsys, *weights, *words)
    assert file.read_bytes() == before


def test_errors_of_two_networks_of_one_file_are_not_mixed(folder, weights, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    both = {name: torch.load(path, weights_only=True) for name, path in zip(("model", "ema"), weights, strict=True)}
    torch.save(both, tmp_path / "both.pth")
    words = [tmp_path / "both.pth", *RESNET_18, "--data-dir", folder, "--record", "--as", "theirs", "--weights"]
    printed(capsys, *words, "model")
    file = tmp_path / "results" / "theirs" / "imagenet" / "resnet-18-B" / "test.json"
    assert json.loads(file.read_text())["weights"] == "both.pth: model"
    before = file.read_bytes()
    assert "is of weights 'both.pth: model'" in problem(capsys, *words, "ema", "--views", "ten", status=1)
    assert file.read_bytes() == before


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["--network", "resnet-20"], "did you mean 'resnet-18'"),
        (["--network", "resnet-18"], "these are the weights of a resnet-18-B of ImageNet's family"),
        (["--network", "resnet-50"], "these are the weights of a resnet-18-B of ImageNet's family"),
        ([], "resnet-18-B of ImageNet's family"),
        (["--network", "resnet-18-B,resnet-34-B"], "1 checkpoint"),
        (["--network", "resnet-18-B", "--views", "center,tne"], "did you mean 'ten'"),
        (["--network", "resnet-18-B", "--crop", "100"], "multiple of 32"),
        (["--network", "resnet-18-B", "--mean", "1", "--std", "1"], "--mean is not for --family imagenet"),
        (["--network", "resnet-18-B", "--zeros", "end"], "--zeros is not for --family imagenet"),
        (["--network", "resnet-18-B", "--record"], "--as"),
        (["--network", "resnet-18-B", "--as", "x"], "--record"),
        (["--network", "resnet-18-B", "--record", "--as", "reference"], "another name"),
    ],
)
def test_mistakes_are_told_in_a_line(folder, weights, capsys, words, named):
    status = 1 if "these are" in named else 2
    assert named in problem(capsys, weights[0], *FAMILY, "--data-dir", folder, *words, status=status)


def test_other_classes_or_no_photographs(folder, weights, tmp_path, capsys):
    torch.save(torchvision.models.resnet18(num_classes=10).state_dict(), tmp_path / "ten.pth")
    text = problem(capsys, tmp_path / "ten.pth", *RESNET_18, "--data-dir", folder, status=1)
    torch.save(
        {"model": torch.load(weights[0], weights_only=True), "kept": {"record": {"format": 1}}},
        tmp_path / "checkpoint.pt",
    )
    own = problem(capsys, tmp_path / "checkpoint.pt", *RESNET_18, "--data-dir", folder, status=1)
    assert "checkpoint.pt: is of a run of this program: leave --family imagenet" in own
    torch.save({"epoch": 3}, tmp_path / "none.pth")
    assert f"{tmp_path / 'none.pth'}: no network's weights" in problem(
        capsys, tmp_path / "none.pth", *FAMILY, "--data-dir", folder, status=1
    )
    assert "ten.pth: is of 10 classes" in text and str(folder) in text and " of 7" in text
    assert str(tmp_path) in problem(capsys, weights[0], *RESNET_18, "--data-dir", tmp_path, status=1)


def test_options_of_photographs_need_the_family(weights, capsys):
    for words in (["--views", "ten"], ["--form", "caffe"], ["--crop", "64"], ["--record"], ["--as", "x"]):
        assert "--family imagenet" in problem(capsys, weights[0], "--network", "resnet-20", *words)
    assert "ensemble" in problem(capsys, *weights, "--network", "resnet-20")


def test_the_errors_that_the_documentation_expects_are_those_that_were_published():
    text = (Path(__file__).resolve().parents[1] / "docs" / "imagenet.md").read_text(encoding="utf-8")
    rows = {
        tuple(row.split(" | ")[:2]): row for row in re.findall(r"^\| ((?:torchvision|authors) \| .*) \|$", text, re.M)
    }

    def numbers(*row: str) -> list[float]:
        return [float(number) for number in re.findall(r"\d+\.\d+", rows[row])]

    accuracies = [
        torchvision.models.get_model_weights(f"resnet{depth}").IMAGENET1K_V1.meta["_metrics"]["ImageNet-1K"][key]
        for depth in names.IMAGENET_DEPTHS
        for key in ("acc@1", "acc@5")
    ]
    assert numbers("torchvision", "center") == [round(100 - value, 2) for value in accuracies]
    released = paper.table("released-models")
    for views, crops in (("center", "1crop"), ("ten", "10crop")):
        assert numbers("authors", views) == released[[f"top1_{crops}", f"top5_{crops}"]].to_numpy().ravel().tolist()
