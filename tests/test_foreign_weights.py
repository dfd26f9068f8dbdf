"""Weights as other programs write them: each form of the same network has the error of the network itself."""

import argparse
import collections
import functools
import gzip
import os
import pathlib
import pickle
import random
import re
import sys
import types
import zipfile
from collections import OrderedDict

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn.utils import parametrizations, prune

from repro.data import load
from repro.errors import RecordError
from repro.evaluate import main
from repro.models import build
from repro.models.public import load_weights
from repro.models.weights import networks, read
from repro.names import parse

SETTINGS = ["--data", "digits", "--device", "cpu"]


@pytest.fixture(scope="module")
def trained():
    """A resnet-14-B trained for some steps, in evaluation mode, and its error."""
    torch.manual_seed(0)
    net, digits = build("resnet-14-B", channels=1), load("digits")
    mean = (digits.train_images.double() / 255).mean(0).float()
    optimiser = torch.optim.SGD(net.parameters(), lr=0.05, momentum=0.9)
    for batch in torch.randint(0, len(digits.train_images), (25, 64)):
        loss = nn.functional.cross_entropy(net(digits.train_images[batch] / 255 - mean), digits.train_labels[batch])
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    net.eval()
    with torch.no_grad():
        wrong = net(digits.test_images / 255 - mean).argmax(1) != digits.test_labels
    error = 100 * wrong.double().mean().item()
    assert 1 < error < 80, "it has learnt something, and makes mistakes"
    return net.state_dict(), optimiser.state_dict(), error


def renamed(weights, *changes):
    for pattern, to in changes:
        weights = {re.sub(pattern, to, key): value for key, value in weights.items()}
    return weights


#: The same layers in the same order, by the names of other implementations.
LETTERS = (
    (r"layer(\d)", r"stage_\1"),
    (r"\.conv1", ".conv_a"),
    (r"\.conv2", ".conv_b"),
    (r"\.bn1", ".bn_a"),
    (r"\.bn2", ".bn_b"),
    ("^conv1", "conv_1_3x3"),
    ("^bn1", "bn_1"),
    ("^fc", "classifier"),
)
UNITS = (
    (r"layer(\d)\.(\d)\.conv1", r"s\1.b\2.f.a"),
    (r"layer(\d)\.(\d)\.bn1", r"s\1.b\2.f.a_bn"),
    (r"layer(\d)\.(\d)\.conv2", r"s\1.b\2.f.b"),
    (r"layer(\d)\.(\d)\.bn2", r"s\1.b\2.f.b_bn"),
    (r"layer(\d)\.(\d)\.downsample\.0", r"s\1.b\2.proj"),
    (r"layer(\d)\.(\d)\.downsample\.1", r"s\1.b\2.bn"),
    ("^conv1", "stem.conv"),
    ("^bn1", "stem.bn"),
    ("^fc", "head.fc"),
)
#: Hugging Face's transformers, as its ResNetForImageClassification names them.
TRANSFORMERS = (
    (r"^layer(\d)", lambda found: f"resnet.encoder.stages.{int(found[1]) - 1}.layers"),
    (r"\.(conv|bn)(\d)", lambda found: f".layer.{int(found[2]) - 1}.{found[1]}"),
    (r"\.downsample\.0", ".shortcut.convolution"),
    (r"\.downsample\.1", ".shortcut.normalization"),
    ("^(conv|bn)1", r"resnet.embedder.embedder.\1"),
    (r"\.conv\.", ".convolution."),
    (r"\.bn\.", ".normalization."),
    (r"^fc\.", "classifier.1."),
)


class Checkpoint(dict):
    """A subclass of dict, as libraries of configurations have."""


def below(prefix, weights):
    return {prefix + key: value for key, value in weights.items()}


FORMS = {
    "state_dict": (lambda w, o: w, ["the whole file"]),
    "torchvision": (
        lambda w, o: {"model": w, "optimizer": o, "epoch": 9, "args": argparse.Namespace(lr=0.1)},
        ["at 'model'", "left aside: optimizer, epoch, args"],
    ),
    "lightning": (
        lambda w, o: {"state_dict": below("model.", w) | {"train_acc.correct": torch.zeros(1)}, "loops": {}},
        ["prefix 'model.' taken off", "left aside: loops, train_acc"],
    ),
    "DataParallel, compiled": (
        lambda w, o: {"net": below("module._orig_mod.", renamed(w, ("downsample", "shortcut"), ("^fc", "linear")))},
        ["prefix 'module._orig_mod.'"],
    ),
    "unknown holders": (lambda w, o: {"trainer": {"ckpt": {"weights_of_it": w}}}, ["at 'trainer.ckpt.weights_of_it'"]),
    "average alone": (lambda w, o: {"ema": below("module.", w), "n_averaged": torch.tensor(3)}, ["at 'ema'"]),
    "the same twice": (
        lambda w, o: {"model": below("module.model.", w) | below("module.attacker.model.", w)},
        ["at 'model'"],
    ),
    "no counts": (lambda w, o: {k: v for k, v in w.items() if "num_batches" not in k}, []),
    "an average, which counts": (
        lambda w, o: {"n_averaged": torch.tensor(3)} | below("module.", w),
        ["prefix 'module.' taken off; left aside: n_averaged"],
    ),
    "profiled": (lambda w, o: w | {"conv1.total_ops": torch.zeros(1).double(), "total_params": torch.zeros(1)}, []),
    "parameters": (
        lambda w, o: OrderedDict((k, nn.Parameter(v) if v.is_floating_point() else v) for k, v in w.items()),
        [],
    ),
    "double": (lambda w, o: {k: v.double() if v.is_floating_point() else v for k, v in w.items()}, []),
    "letters": (lambda w, o: {"state_dict": renamed(w, *LETTERS)}, ["by the order of its layers"]),
    "units": (lambda w, o: {"model_state": renamed(w, *UNITS), "cfg": "x"}, ["by the order of its layers"]),
    "subclass of dict": (lambda w, o: Checkpoint(state_dict=w, config=Checkpoint(a=1)), ["at 'state_dict'"]),
    "scalars of numpy": (lambda w, o: {"state_dict": w, "best": np.float64(9.1), "rng": np.random.get_state()}, []),
    "paths": (
        lambda w, o: {"state_dict": w, "file": pathlib.Path("x"), "d": collections.defaultdict(list, {1: [2]})},
        [],
    ),
    "objects": (
        lambda w, o: {
            "state_dict": w,
            "c": types.SimpleNamespace(a=1),
            "p": functools.partial(print),
            "s": frozenset([1]),
        },
        [],
    ),
}


def nested(weights):
    """A mapping for each module, as a tree of parameters is."""
    tree = {}
    for key, value in weights.items():
        *modules, leaf = key.split(".")
        functools.reduce(lambda node, name: node.setdefault(name, {}), modules, tree)[leaf] = value
    return tree


FORMS |= {
    "a mapping for each layer": (lambda w, o: nested(w), ["the whole file"]),
    "likewise, below others": (
        lambda w, o: {"epoch": 9, "optimizer": o, "net": {"params": nested(w)}},
        ["prefix 'net.params.' taken off"],
    ),
    "in a list, with the optimiser": (lambda w, o: [9, (w, o)], ["at '1.0'"]),
}


def perturbed(weights):
    return {key: value + 0.5 if value.is_floating_point() else value for key, value in weights.items()}


LEGACY = ("state_dict", "torchvision", "scalars of numpy", "objects")


@pytest.mark.parametrize(("form", "legacy"), [*((form, False) for form in FORMS), *((form, True) for form in LEGACY)])
def test_each_form_has_the_error_of_the_network(trained, tmp_path, capsys, form, legacy):
    weights, optimiser, error = trained
    wrap, words = FORMS[form]
    torch.save(wrap(weights, optimiser), tmp_path / "n.pth", _use_new_zipfile_serialization=not legacy)
    assert main([str(tmp_path / "n.pth"), "--network", "resnet-14-B", *SETTINGS]) == 0
    said = capsys.readouterr().out
    assert f"test error {error:.2f} %" in said
    for word in words:
        assert word in said


def test_safetensors(trained, tmp_path, capsys):
    save = pytest.importorskip("safetensors.torch").save_file
    weights, _, error = trained
    save(below("model.", weights), tmp_path / "n.safetensors")
    assert main([str(tmp_path / "n.safetensors"), "--network", "resnet-14-B", *SETTINGS]) == 0
    assert f"test error {error:.2f} %" in capsys.readouterr().out
    # It keeps no order, so that layers are known by names alone: those of transformers, and no others.
    save(renamed(weights, *TRANSFORMERS), tmp_path / "n.safetensors")
    assert main([str(tmp_path / "n.safetensors"), "--network", "resnet-14-B", *SETTINGS]) == 0
    assert f"test error {error:.2f} %" in capsys.readouterr().out
    save(renamed(weights, *LETTERS), tmp_path / "n.safetensors")
    text = problem(capsys, tmp_path / "n.safetensors", "resnet-14-B")
    for words in (
        "names missing",
        "(bn_1.bias, ",
        "order of the alphabet, as safetensors",
        "torch.save(net.state_dict(), FILE)",
        "or name them conv1.weight, bn1.weight, ..., fc.weight, fc.bias",
    ):
        assert words in text
    (tmp_path / "n.safetensors").write_bytes((tmp_path / "n.safetensors").read_bytes()[:-5])
    assert "cannot be read as a checkpoint" in problem(capsys, tmp_path / "n.safetensors", "resnet-14-B")


def test_one_part_of_several_is_told(tmp_path, capsys):
    for name in ("model-00001-of-00002.safetensors", "model.safetensors.index.json"):
        (tmp_path / name).write_bytes(b"x")
        assert "one of several parts of a checkpoint" in problem(capsys, tmp_path / name, "resnet-8")


def test_safetensors_without_the_package_says_what_to_install(tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "safetensors.torch", None)
    (tmp_path / "n.safetensors").write_bytes(b"\x02\0\0\0\0\0\0\0{}")
    assert "pip install safetensors" in problem(capsys, tmp_path / "n.safetensors", "resnet-8")


def test_which_of_several_networks_is_asked_for_or_told(trained, tmp_path, capsys):
    """Such as an average of the weights beside them."""
    weights, _, error = trained
    torch.save({"model": weights, "model_ema": perturbed(below("module.", weights))}, tmp_path / "n.pt")
    text = problem(capsys, tmp_path / "n.pt", "resnet-14-B")
    assert "model, model_ema.module" in text and "--weights" in text
    arguments = [str(tmp_path / "n.pt"), "--network", "resnet-14-B", *SETTINGS, "--weights"]
    for name in ("model", "model_ema"):
        assert main([*arguments, name]) == 0
        assert (f"test error {error:.2f} %" in capsys.readouterr().out) == (name == "model")
    assert main([*arguments, "tutor"]) == 1
    assert "model, model_ema" in capsys.readouterr().err
    torch.save(weights, tmp_path / "n.pt")
    assert main([*arguments, "model_ema"]) == 1
    assert "no network's weights at 'model_ema', but at the file itself" in capsys.readouterr().err


def problem(capsys, path, network):
    capsys.readouterr()
    assert main([str(path), "--network", network, *SETTINGS]) == 1
    error = capsys.readouterr().err.strip()
    assert "\n" not in error and str(path) in error
    return error


@pytest.mark.parametrize(
    ("made", "asked", "words"),
    [
        (lambda: build("resnet-8-B", channels=1), "resnet-8", "a resnet-8-B"),
        (lambda: build("resnet-14-C", channels=1), "resnet-14", "a resnet-14-C"),
        (lambda: build("resnet-20", channels=1), "resnet-14", "a resnet-20 or plain-20"),
        (lambda: build("resnet-8", channels=3), "resnet-8", "conv1.weight [16, 3, 3, 3] instead of [16, 1, 3, 3]"),
        (lambda: build("resnet-8", 1, 100), "resnet-8", "its classifier has 100 outputs, not 10"),
        (lambda: build("resnet-18-B", family="imagenet"), "resnet-8", "resnet-18-B of ImageNet's family"),
    ],
)
def test_what_else_the_weights_are_is_said(tmp_path, capsys, made, asked, words):
    torch.save(made().state_dict(), tmp_path / "n.pt")
    text = problem(capsys, tmp_path / "n.pt", asked)
    assert f"not the weights of a {asked}: " in text
    assert words in text


@pytest.mark.filterwarnings("ignore:torch.quantize")
@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda w: renamed(w, ("weight$", "w"), ("bias$", "b")), "are called w, b, where PyTorch has weight, bias"),
        (
            lambda w: nested(renamed(w, (r"bn(\d)\.weight$", r"bn\1.gamma"), (r"running_(\w+)$", r"moving_\1"))),
            "are called gamma, moving_mean, moving_var, where",
        ),
        (lambda w: {k: v.to(torch.int8) for k, v in w.items()}, "tensors of torch.int8: neither quantised weights"),
        (
            lambda w: {
                k: torch.quantize_per_tensor(v.float(), 0.01, 0, torch.qint8) if v.dim() == 4 else v
                for k, v in w.items()
            },
            "tensors of torch.qint8: neither quantised weights",
        ),
        (lambda w: list(w.values()), "are called 0, 1, 2, 3, 4, 6, where PyTorch has"),
    ],
)
def test_weights_in_a_form_that_is_not_safe_to_read_are_refused(tmp_path, capsys, change, words):
    torch.save(change(build("resnet-8", channels=1).state_dict()), tmp_path / "n.pt")
    assert words in problem(capsys, tmp_path / "n.pt", "resnet-8")


def test_without_a_name_the_shapes_say_what_it_may_be(tmp_path, capsys):
    torch.save(build("resnet-14", channels=1).state_dict(), tmp_path / "n.pt")
    assert main([str(tmp_path / "n.pt"), *SETTINGS]) == 2
    assert "resnet-14 or plain-14" in capsys.readouterr().err


class PreActivation(nn.Module):
    """The layers of a resnet-8 with option A, each normalisation before its convolution: another network."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 16, 3, bias=False)
        for stage, (width, out) in enumerate([(16, 16), (16, 32), (32, 64)]):
            block = nn.Module()
            block.norm1, block.conv1 = nn.BatchNorm2d(width), nn.Conv2d(width, out, 3, bias=False)
            block.norm2, block.conv2 = nn.BatchNorm2d(out), nn.Conv2d(out, out, 3, bias=False)
            setattr(self, f"stage{stage}", block)
        self.norm, self.linear = nn.BatchNorm2d(64), nn.Linear(64, 10)


def test_by_order_nothing_ambiguous_is_taken():
    good = build("resnet-14-B", channels=1).state_dict()
    other = renamed(good, *LETTERS)

    def taken(weights, network="resnet-14-B"):
        return load_weights(build(network, channels=1), networks(weights), network)

    assert "order" in taken(other)[1]
    before = PreActivation().state_dict()
    for weights in (before, renamed(before, ("conv", "c"), ("norm", "n"))):
        with pytest.raises(RecordError, match=r"not the weights of a resnet-8: .*pre-activation.*: another network"):
            taken(weights, "resnet-8")
    with pytest.raises(RecordError, match="names missing"):
        taken(dict(sorted(renamed(good, *UNITS).items())))
    # The second block of a stage before the first; shapes do not tell.
    keys = list(other)
    first, second = ([key for key in keys if key.startswith(f"stage_1.{block}.")] for block in (0, 1))
    order = [key for key in keys if key not in (*first, *second)]
    at = keys.index(first[0])
    with pytest.raises(RecordError, match="numbers in their names"):
        taken({key: other[key] for key in (*order[:at], *second, *first, *order[at:])})
    for more in ("stage_1.0.scale", "conv_1_3x3.bias"):
        with pytest.raises(RecordError, match="not the weights"):
            taken(other | {more: torch.ones(16)})


@pytest.mark.parametrize("names", [UNITS, ((r"bn(\d)", r"conv\1.bn"),)], ids=["units", "a norm in its convolution"])
@pytest.mark.parametrize("name", ["resnet-8", "plain-14", "resnet-14-C", "resnet-20-B"])
def test_every_net_of_cifar_is_read_by_order(name, names):
    made = build(name, channels=1)
    net = build(name, channels=1)
    load_weights(net, networks(renamed(made.state_dict(), *names)), str(parse(name)))
    assert all(torch.equal(value, net.state_dict()[key]) for key, value in made.state_dict().items() if value.dim())


def pruned(net):
    prune.l1_unstructured(net.conv1, "weight", 0.5)


def masked(net):
    net.register_buffer("mask_conv1___weight", torch.ones(net.conv1.weight.shape, dtype=torch.bool))


def parametrised(net):
    parametrizations.weight_norm(net.fc)


def of_unit_norm(net):
    nn.utils.spectral_norm(net.conv1)


def folded(net):
    for name, module in list(net.named_modules()):
        if isinstance(module, nn.BatchNorm2d):
            parent, _, own = name.rpartition(".")
            setattr(net.get_submodule(parent), own, nn.Identity())
    net.conv1.bias = nn.Parameter(torch.zeros(16))


def transposed(net):
    net.fc.weight = nn.Parameter(net.fc.weight.T.clone())


def channels_last(net):
    for module in net.modules():
        if isinstance(module, nn.Conv2d):
            module.weight = nn.Parameter(module.weight.permute(0, 2, 3, 1).contiguous())


def quantised(net):
    net.conv1.weight_fake_quant = nn.Module()
    for name in ("scale", "min_val", "max_val"):
        net.conv1.weight_fake_quant.register_buffer(name, torch.ones(1))


def averaged(net):
    for layer in (net.layer2, net.layer3):
        layer[0].downsample = nn.Sequential(nn.AvgPool2d(2), *layer[0].downsample)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (pruned, "torch.nn.utils.prune.remove"),
        (masked, "multiply each weight by its mask"),
        (parametrised, "remove_parametrizations"),
        (of_unit_norm, "remove_spectral_norm"),
        (folded, "may be folded into its convolutions"),
        (transposed, "classifier is transposed, as Flax and Keras keep arrays: load it"),
        (channels_last, "(outputs, height, width, inputs), as by MLX: load it"),
        (quantised, "quantisation-aware training"),
        (averaged, "layer2.0.downsample.1.weight is second in its shortcut"),
    ],
)
def test_layers_in_another_form_are_refused_with_what_gives_the_usual_one(change, words):
    made = build("resnet-8-B", channels=1)
    change(made)
    with pytest.raises(RecordError, match=re.escape(words)):
        load_weights(build("resnet-8-B", channels=1), networks(made.state_dict()), "resnet-8-B")


class Unit(nn.Module):
    """A convolution and its normalisation, as Hugging Face names them."""

    def __init__(self, width, out, size, stride):
        super().__init__()
        self.convolution = nn.Conv2d(width, out, size, stride, size // 2, bias=False)
        self.normalization = nn.BatchNorm2d(out)

    def forward(self, x):
        return self.normalization(self.convolution(x))


class ShortcutFirst(nn.Module):
    """A resnet-8-B as Hugging Face would register it: a block's shortcut before its layers."""

    def __init__(self):
        super().__init__()
        self.embedder, self.stages, self.classifier = Unit(1, 16, 3, 1), nn.ModuleList(), nn.Linear(64, 10)
        for width, out in [(16, 16), (16, 32), (32, 64)]:
            block = nn.Module()
            block.shortcut = Unit(width, out, 1, 2) if width != out else nn.Identity()
            block.layer = nn.Sequential(Unit(width, out, 3, out // width), nn.ReLU(), Unit(out, out, 3, 1))
            self.stages.append(block)

    def forward(self, x):
        x = self.embedder(x).relu()
        for block in self.stages:
            x = (block.layer(x) + block.shortcut(x)).relu()
        return self.classifier(x.mean((2, 3)))


def test_a_shortcut_before_its_blocks_layers_is_read_by_order():
    torch.manual_seed(3)
    theirs = ShortcutFirst()
    for _ in range(3):
        theirs(torch.randn(8, 1, 16, 16))  # statistics of their own
    net, x = build("resnet-8-B", channels=1).eval(), torch.randn(4, 1, 16, 16)
    _, how = load_weights(net, networks(theirs.state_dict()), "resnet-8-B")
    assert "read by the order of its layers" in how
    assert torch.equal(net(x), theirs.eval()(x))
    with pytest.raises(RecordError, match="these are the weights of a resnet-8-B"):
        load_weights(build("resnet-8", channels=1), networks(theirs.state_dict()), "resnet-8")


def numbered(weights, words=()):
    """As a Sequential of blocks, each with a Sequential in it, has them; in the order of the alphabet."""

    def block(found):
        stage, place, kind, number, rest = found.groups()
        at = 5 * (int(stage) - 1) + int(place)
        inner = 3 * (int(number) - 1) + (kind == "bn")
        return f"features.{words[at] if words else at + 3}.body.{inner}{rest}"

    changes = (r"^layer(\d)\.(\d)\.(conv|bn)(\d)(.*)", block), ("^conv1", "features.0"), ("^bn1", "features.1")
    return dict(sorted(renamed(weights, *changes, ("^fc", "classifier")).items()))


def test_numbers_in_names_tell_the_order_where_a_file_has_none():
    made, net = (build("resnet-32", channels=1) for _ in range(2))
    for name, value in made.state_dict().items():
        if value.is_floating_point():
            value.copy_(torch.randn_like(value))
        assert value.dim() == 0 or not torch.equal(value, net.state_dict()[name])
    _, how = load_weights(net, networks(numbered(made.state_dict())), "resnet-32")
    assert "read by the numbers in the names" in how and "features.0.weight for conv1.weight" in how
    assert all(torch.equal(value, net.state_dict()[key]) for key, value in made.state_dict().items() if value.dim())


def test_words_do_not_tell_the_order_though_shapes_may_fit():
    """Nor do numbers after words that differ, which may count different things."""
    words = [2 * chr(ord("a") + at) for at in range(15)]
    for named in (words, [f"{word}{at}" for at, word in enumerate(words)]):
        with pytest.raises(RecordError, match="known by their order alone"):
            weights = networks(numbered(build("resnet-32").state_dict(), named))
            load_weights(build("resnet-32"), weights, "resnet-32")


@pytest.mark.parametrize("shape", [(1,), (1, 1, 1), (1, 1, 1, 1)])
def test_a_normalisation_beside_a_prefix_is_used_and_no_layer(trained, tmp_path, capsys, shape):
    weights = {"normalize.mean": torch.full(shape, 0.2), "normalize.std": torch.full(shape, 0.7)}
    torch.save({"epoch": 3, "state_dict": weights | below("model.", trained[0])}, tmp_path / "n.pt")
    arguments = [str(tmp_path / "n.pt"), "--network", "resnet-14-B", *SETTINGS]
    assert main(arguments) == 0
    said = capsys.readouterr().out
    assert "images: by the file's own mean and std\n" in said
    assert said.endswith("weights: at 'state_dict'; prefix 'model.' taken off; left aside: epoch\n")
    assert main([*arguments, "--mean", "0.3", "--std", "0.4"]) == 0
    assert "images: by --mean and --std, in place of the file's own\n" in capsys.readouterr().out


def test_of_several_normalisations_the_command_line_says_which(trained, tmp_path, capsys):
    weights = {f"{place}.{key}": torch.full((1,), 0.2 + place) for place in (0, 2) for key in ("mean", "std")}
    torch.save(weights | below("1.", trained[0]), tmp_path / "n.pt")
    assert "several normalisations of images: --mean and --std" in problem(capsys, tmp_path / "n.pt", "resnet-14-B")
    arguments = [str(tmp_path / "n.pt"), "--network", "resnet-14-B", *SETTINGS]
    assert main([*arguments, "--mean", "0.3", "--std", "0.4"]) == 0
    assert "images: by --mean and --std, in place of the file's own\n" in capsys.readouterr().out


def test_what_is_left_aside_below_one_word_is_named(trained, tmp_path, capsys):
    """As robustness saves its: the network is in the normaliser's module, and once more in the attacker's."""
    weights = below("module.model.", trained[0]) | below("module.attacker.model.", trained[0])
    for place in ("normalizer", "attacker.normalize"):
        weights |= {
            f"module.{place}.new_{key}": torch.full((1, 1, 1), value) for key, value in (("mean", 0.2), ("std", 0.7))
        }
    torch.save({"model": weights, "epoch": 3, "module": 1}, tmp_path / "n.pt")
    assert main([str(tmp_path / "n.pt"), "--network", "resnet-14-B", *SETTINGS]) == 0
    said = capsys.readouterr().out
    assert "images: by the file's own mean and std\n" in said
    assert said.endswith("prefix 'module.model.' taken off; left aside: epoch, module, module.attacker\n")


class Bait:
    """What unpickling would call."""

    def __init__(self, *call):
        self.call = call

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize("legacy", [False, True])
def test_nothing_is_executed(tmp_path, monkeypatch, legacy):
    touched = tmp_path / "touched"
    calls = [
        (os.system, (f"touch {touched}",)),
        (eval, (f"open({str(touched)!r}, 'w')",)),
        (pathlib.Path.touch, (touched,)),
        (open, (str(touched), "w")),
        (__import__("subprocess").call, (["touch", str(touched)],)),
        (functools.partial, (os.mkdir, str(touched))),
        (torch.hub.load_state_dict_from_url, ("http://localhost/",)),
    ]
    weights = build("resnet-8", channels=1).state_dict()
    for call in calls:
        torch.save({"model": weights, "x": Bait(*call)}, tmp_path / "n.pt", _use_new_zipfile_serialization=not legacy)
        try:
            assert len(networks(read(tmp_path / "n.pt"))) == 1
        except RecordError as error:
            assert "\n" not in str(error)
        assert not touched.exists(), call


def test_a_whole_network_is_refused_with_how_to_save_its_weights(tmp_path, capsys):
    for content in (build("resnet-8", channels=1), {"model": build("resnet-8", channels=1)}):
        for legacy in (False, True):
            torch.save(content, tmp_path / "n.pt", _use_new_zipfile_serialization=not legacy)
            assert "torch.save(net.state_dict(), FILE)" in problem(capsys, tmp_path / "n.pt", "resnet-8")
    torch.jit.script(nn.Linear(2, 2)).save(tmp_path / "n.pt")
    assert "torch.save(net.state_dict(), FILE)" in problem(capsys, tmp_path / "n.pt", "resnet-8")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (
            b"\x89HDF\r\n\x1a\n...",
            "is an HDF5 file, as Keras writes: load it where it can be, make a dict of its arrays",
        ),
        (pickle.dumps({"conv1.weight": [1.0]}), "is a pickle, which is not executed here: load it where"),
        (gzip.compress(b"weights", mtime=0), "is packed by gzip: unpack it: gunzip FILE"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0", "git lfs pull"),
        (b"<!DOCTYPE html><title>Virus scan warning", "website"),
        (b"\4\0\0\0\1\0\0\0\3\0\0\0V 1", "fb.resnet.torch"),
        (b"\x82\xa6params\x81\xa5conv1\x80", "it begins with b'\\x82\\xa6params"),
        (b"%PDF-1.4", "it begins with b'%PDF-1.4'"),
    ],
)
def test_what_is_often_taken_for_a_checkpoint(tmp_path, capsys, content, words):
    (tmp_path / "n.pt").write_bytes(content)
    assert words in problem(capsys, tmp_path / "n.pt", "resnet-8")


def test_arrays_of_numpy_are_refused_in_a_line(tmp_path, capsys):
    arrays = {key: value.numpy() for key, value in build("resnet-8", channels=1).state_dict().items()}
    with (tmp_path / "n.npz").open("wb") as file:
        np.savez(file, **arrays)
    said = problem(capsys, tmp_path / "n.npz", "resnet-8")
    assert "is NumPy's arrays, a zip archive of conv1.weight.npy, " in said and "net.state_dict()" not in said
    # What it says to do.
    cure = re.search(r"torch\.save\(\{.*\}, FILE\)", said)[0]
    exec(cure, {"torch": torch, "arrays": arrays, "FILE": tmp_path / "n.pt"})
    net = build("resnet-8", channels=1)
    load_weights(net, networks(read(tmp_path / "n.pt")), "resnet-8")
    assert all(np.array_equal(value, arrays[key]) for key, value in net.state_dict().items())


def test_archives_of_keras_are_named(tmp_path, capsys):
    with zipfile.ZipFile(tmp_path / "n.keras", "w") as file:
        for name in ("metadata.json", "config.json", "model.weights.h5"):
            file.writestr(name, "{}")
    assert "is Keras' weights, a zip archive of metadata.json, config.json, model.weights.h5: load it" in problem(
        capsys, tmp_path / "n.keras", "resnet-8"
    )


PLAIN = st.none() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5) | st.just(torch.ones(2, 2))
NESTED = st.recursive(
    PLAIN | st.just(torch.ones(1, 1, 1, 1)),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6) | st.integers(), inner, max_size=4),
    max_leaves=12,
)


@given(NESTED)
@settings(max_examples=100)
def test_any_content_is_weights_or_refused_in_a_line(content):
    try:
        load_weights(build("resnet-8"), networks(content), "resnet-8")
    except RecordError as error:
        assert "\n" not in str(error)
    else:
        raise AssertionError("nothing of this size is a network")


@given(seed=st.integers(0, 2**32), damage=st.integers(1, 20), legacy=st.booleans(), cut=st.booleans())
@settings(max_examples=60)
def test_a_damaged_file_is_refused_in_a_line_or_read(tmp_path_factory, seed, damage, legacy, cut):
    place = tmp_path_factory.getbasetemp() / f"damaged-{legacy}.pt"
    if not place.exists():
        small = {
            "state_dict": {"conv.weight": torch.ones(1, 1, 3, 3), "fc.weight": torch.ones(2, 1)},
            "n": np.float64(1),
        }
        torch.save(small, place, _use_new_zipfile_serialization=not legacy)
    chance, content = random.Random(seed), bytearray(place.read_bytes())
    for _ in range(damage):
        content[chance.randrange(len(content))] = chance.randrange(256)
    broken = place.with_name("broken.pt")
    broken.write_bytes(content[: chance.randrange(len(content))] if cut else content)
    try:
        networks(read(broken))
    except RecordError as error:
        assert "\n" not in str(error)
