"""Errors of networks of ImageNet's family on photographs, as `repro.evaluate --family imagenet` measures them."""

from __future__ import annotations

import argparse
import hashlib
import sys
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path

import numpy as np
import PIL
import torch
from rich.console import Console
from rich.progress import track
from torch import Tensor

from repro import data, names, places
from repro.data.photographs import find
from repro.data.photographs.crops import decode
from repro.data.photographs.index import Index, check
from repro.errors import DataError, RecordError, UserError, counted, unknown
from repro.measure import views
from repro.measure.views import CROP, PROTOCOLS, Protocol, error
from repro.models.form import FORMS, Form
from repro.models.imagenet import ImageNetNet
from repro.models.public import load_weights, seeming
from repro.models.weights import Weights, networks, read
from repro.records import tested
from repro.records.tested import Errors, Tested
from repro.train.checkpoint import record_in
from repro.train.evaluate import in_words
from repro.train.precision import Numerics, best_device, cores, resolve, settle

#: Photographs that are decoded and tested together, and how many such batches are made ahead.
_BATCH, _AHEAD = 32, 2
#: What was chosen where the paper leaves it open, by protocol.
_CHOSEN = {
    "center": "",
    "ten": "; corners of the whole image, mean of softmax",
    "dense": "; all windows of both mirror images, mean of softmax",
}


def evaluate(arguments: argparse.Namespace) -> Iterator[str]:
    """What is measured and what was assumed, then the errors by each protocol, a line each, as soon as it is known.

    Raises:
        UserError: a mistake in the arguments.
        RecordError: weights that cannot be used, or a record of others where this one's place is.
        DataError: photographs that cannot be read.
    """
    protocols = _protocols(arguments.views or "center")
    crop = _crop(arguments.crop)
    form, assumed = _form(arguments.form, arguments.checkpoint)
    asked = _networks(arguments)
    place = _place(arguments)
    numerics = resolve(arguments.device or best_device(), arguments.precision or "fp32", None, None)
    device = settle(numerics)
    index = find(data.data_folder(arguments.data_dir), "validation")
    nets = []
    for path, network in asked:
        net, taken = _net(path, network, FORMS[form], index, arguments.weights)
        nets.append(net.to(device, memory_format=numerics.memory_format()))  # type: ignore[call-overload]
        yield f"weights: {path}, of a {network}{'; ' if taken else ''}{taken}"
    yield f"form: {form}{assumed}: {FORMS[form]}"
    yield f"images: {_said(index)}"
    made = _record(arguments, form, crop, index) if place else None
    if place and made:  # known before hours are spent
        tested.joined(place, made)
    for protocol in protocols:
        wrong = _places(nets, index, PROTOCOLS[protocol], FORMS[form], numerics, crop)
        top1, top5 = error(wrong, 1), error(wrong, 5)
        yield (
            f"{protocol}: top-1 error {in_words(top1, len(index))}, top-5 error {in_words(top5, len(index))}, "
            f"in {numerics.precision}{_CHOSEN[protocol]}"
        )
        if place and made:
            tested.keep(place, made.model_copy(update={"errors": {protocol: _errors(top1, top5, numerics)}}))
            yield f"recorded in {place}"
    if top1 > 95 - 100 / len(index.classes):
        yield "hint: that is the error of guessing: --form must be that of the weights"


def _protocols(views: str) -> list[str]:
    words = views.split(",")
    for word in words:
        if word not in PROTOCOLS:
            raise unknown("kind of view", word, PROTOCOLS)
    return list(dict.fromkeys(words))


def _crop(crop: int | None) -> int:
    if crop is not None and (crop < 32 or crop % 32):
        raise UserError(f"--crop {crop}: a multiple of 32 is needed, as these networks halve an image five times")
    return crop or CROP


def _form(asked: str | None, paths: Sequence[Path]) -> tuple[str, str]:
    """The form of all the networks, and a word where it is not known but assumed."""
    caffe = [path for path in paths if path.suffix == ".caffemodel"]
    form = asked or ("caffe" if caffe else "torchvision")
    if caffe and (form != "caffe" or len(caffe) < len(paths)):
        raise UserError(f"{caffe[0]}: is of form caffe: leave --form out, and give others' weights apart from it")
    return form, "" if asked or caffe else " (assumed: --form)"


def _networks(arguments: argparse.Namespace) -> list[tuple[Path, str]]:
    """Each checkpoint, and what it is of."""
    paths = arguments.checkpoint
    if not arguments.network:
        known = seeming(_found(paths[0], arguments.weights))
        raise UserError(f"--network is needed: nothing in {paths[0]} says what it is; by its shapes it is a {known}")
    asked = [str(names.parse(name, "imagenet")) for name in arguments.network.split(",")]
    if len(asked) not in (1, len(paths)):
        raise UserError(
            f"--network names {len(asked)} networks of {counted(len(paths), 'checkpoint')}: give one for all, or one "
            "each"
        )
    return list(zip(paths, asked if len(asked) > 1 else asked * len(paths), strict=True))


def _place(arguments: argparse.Namespace) -> Path | None:
    """Where the record goes, if one is wanted."""
    name = vars(arguments)["as"]
    if bool(name) != arguments.record:
        raise UserError("--record and --as NAME go together")
    if not name:
        return None
    if len(arguments.checkpoint) > 1:
        raise UserError(
            "--record is of one network: the paper's Table 5 is of ensembles on the test set, which nobody else has"
        )
    return tested.place_of(places.new_source(name), arguments.network)


def _net(path: Path, network: str, form: Form, index: Index, place: str | None) -> tuple[ImageNetNet, str]:
    """A network with its weights, and how these were taken."""
    found, classes = _found(path, place), len(index.classes)
    if all(_classes(weights) != classes for weights in found):
        raise RecordError(
            f"{path}: is of {_classes(found[0]):,} classes, and the photographs in {index.where} of {classes:,}: give "
            "weights and photographs of the same classes"
        )
    net = form.build(network, classes)
    try:
        return net, load_weights(net, found, network, "imagenet")[1]
    except RecordError as error:
        raise RecordError(f"{path}: {error}") from error


def _found(path: Path, place: str | None) -> list[Weights]:
    """What a file holds that may be a network's weights."""
    content = read(path)
    if record_in(content) is not None:  # it says how its images were prepared, which is as no form has it
        raise RecordError(f"{path}: is of a run of this program: leave --family imagenet and its options out")
    try:
        return networks(content, place)
    except RecordError as error:
        raise RecordError(f"{path}: {error}") from error


def _classes(weights: Weights) -> int:
    """Of the last layer that is no convolution."""
    return [len(tensor) for tensor in weights.tensors.values() if tensor.dim() == 2][-1]


def _said(index: Index) -> str:
    """Which photographs these are, and whether they are the paper's."""
    try:
        check(index, tested.CLASSES, tested.IMAGES, tested.IMAGES // tested.CLASSES)
        other = ""
    except DataError:
        other = f"; not the {tested.IMAGES:,} of ILSVRC2012, so the paper's errors are of other photographs"
    return (
        f"{len(index):,} photographs of {len(index.classes):,} classes, {index.source} in {index.where}, fingerprint "
        f"{index.fingerprint[:16]}{other}"
    )


def _places(
    nets: Sequence[ImageNetNet], index: Index, protocol: Protocol, form: Form, numerics: Numerics, crop: int
) -> Tensor:
    """The place of each photograph's class (`repro.measure.views.places`), on the CPU, in the order of the index."""
    batches = track(
        _batches(index, protocol, crop),
        protocol.__name__,
        -(-len(index) // _BATCH),
        auto_refresh=False,
        console=Console(stderr=True),
        transient=True,
        disable=not sys.stderr.isatty(),
    )
    found = [views.places(views.probabilities(nets, seen, form, numerics, crop), labels) for seen, labels in batches]
    return torch.cat(found).cpu()


def _batches(index: Index, protocol: Protocol, crop: int) -> Iterator[tuple[list[list[Tensor]], Tensor]]:
    """Views of photographs, and labels, each photograph once. Threads do, as Pillow lets others work meanwhile."""

    def seen(number: int) -> list[Tensor]:
        return protocol(np.asarray(decode(index.read(number), index.name(number))), crop)

    numbers, pool = iter(range(len(index))), ThreadPoolExecutor(cores())
    ready = deque(pool.submit(seen, number) for number in islice(numbers, _AHEAD * _BATCH))
    try:
        for labels in torch.split(torch.from_numpy(index.labels.copy()), _BATCH):
            ready.extend(pool.submit(seen, number) for number in islice(numbers, len(labels)))
            yield [ready.popleft().result() for _ in labels], labels
    finally:
        pool.shutdown(cancel_futures=True)


def _record(arguments: argparse.Namespace, form: str, crop: int, index: Index) -> Tested:
    """What will be kept, but for the errors."""
    (path,) = arguments.checkpoint
    return Tested(
        format=1,
        network=str(names.parse(arguments.network, "imagenet")),
        form=form,
        crop=crop,
        weights=f"{path.name}: {arguments.weights}" if arguments.weights else path.name,
        weights_sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
        images=len(index),
        classes=len(index.classes),
        fingerprint=index.fingerprint,
        errors={},
    )


def _errors(top1: float, top5: float, numerics: Numerics) -> Errors:
    return Errors(
        top1=top1,
        top5=top5,
        device=numerics.device,
        precision=numerics.precision,
        torch=str(torch.__version__),
        pillow=PIL.__version__,
    )
