"""Measure test error and responses of a checkpoint, ours or a public one; with --family imagenet top-1/top-5 errors.

Exit status: 0 evaluated, 1 the checkpoint or the images cannot be used, 2 bad usage, 130 stopped by Ctrl-C,
141 the program that read its output has ended.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import math
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from repro import names
from repro.disk import read_text
from repro.errors import RecordError, UserError, printable
from repro.shell import Parser, command
from repro.spec import Run

#: Options that one family of networks alone has.
_ONLY: dict[names.Family, tuple[str, ...]] = {
    "cifar": ("subsample", "zeros", "data", "mean", "std", "statistics", "responses"),
    "imagenet": ("form", "views", "crop", "record", "as"),
}

if TYPE_CHECKING:
    from torch import nn

    from repro.data.augment import Prepared
    from repro.data.dataset import Dataset
    from repro.data.photographs.dataset import Photographs
    from repro.data.table import Row
    from repro.models.weights import Weights
    from repro.records import Record
    from repro.train.photographs import Shown
    from repro.train.precision import Numerics


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; gives its exit status."""
    return command("repro.evaluate", lambda: _main(argv))


def _main(argv: Sequence[str] | None) -> int:
    arguments = _parser().parse_args(argv)
    _check_family(arguments)
    if arguments.family == "imagenet":
        from repro.photographs import evaluate

        for line in evaluate(arguments):
            print(printable(line), flush=True)  # some are hours apart
        return 0
    if arguments.network is not None:
        names.parse(arguments.network)
    if (arguments.mean is None) != (arguments.std is None):
        raise UserError("--mean and --std go together: give both, one number per channel")
    if arguments.responses:  # known before minutes are spent
        _check_file(arguments.responses)
    print("\n".join(map(printable, _evaluate(arguments))))
    return 0


def _check_family(arguments: argparse.Namespace) -> None:
    """Raise UserError where an option is given that the other family of networks alone has."""
    other: names.Family = "imagenet" if arguments.family == "cifar" else "cifar"
    for option in _ONLY[other]:
        if getattr(arguments, option):
            needs = "needs" if other == "imagenet" else "is not for"
            raise UserError(f"--{option} {needs} --family imagenet")
    if arguments.family == "cifar" and len(arguments.checkpoint) > 1:
        raise UserError("several checkpoints are an ensemble, which --family imagenet alone measures: give one")


def _check_file(file: Path) -> None:
    """Raise UserError where responses cannot be written to a file."""
    try:
        if file.is_dir():
            raise UserError(f"--responses {file}: is a folder: give a file, such as {file / 'responses.csv'}")
        if not file.parent.is_dir():
            raise UserError(f"--responses {file}: there is no folder {file.parent}")
    except OSError as error:
        raise UserError(f"--responses {file}: {error.strerror}: give another file") from error


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        prog="python -m repro.evaluate",
        description=__doc__,
    )
    add = parser.add_argument
    add(
        "checkpoint",
        type=Path,
        nargs="+",
        help="a run's checkpoint.pt, or other weights, by torch.save, as safetensors or as the authors' .caffemodel; "
        "several of ImageNet's family are an ensemble",
    )
    add(
        "--network",
        help="whose weights they are, e.g. resnet-56 (default: as its run.json, or the copy in it, says); for an "
        "ensemble of several depths one per checkpoint, with commas between",
    )
    add(
        "--family", choices=("cifar", "imagenet"), default="cifar", help="Section 4.2's networks (default) or Table 1's"
    )
    add("--weights", metavar="NAME", help="which weights to take if a file holds several networks', e.g. model_ema")
    add(
        "--subsample", choices=("stride", "average"), help="what option A takes of 2x2 pixels: the first, or their mean"
    )
    add("--zeros", choices=("both", "end"), help="where option A's zero channels are: on both sides, or at the end")
    add("--data", metavar="NAME", help="digits, cifar10 or cifar10-jpeg (default: as run.json says, else cifar10)")
    add("--data-dir", type=Path, metavar="DIR", help="where the images are (default: $REPRO_DATA, or ./data)")
    add("--mean", type=_numbers, metavar="R,G,B", help="mean used in its training, for pixels of 0 to 1, or 0 to 255")
    add(
        "--std",
        type=_numbers,
        metavar="R,G,B",
        help="likewise the standard deviation (default: as run.json or its file says, else this project's per-pixel "
        "mean, no division)",
    )
    add(
        "--statistics",
        choices=("running", "population"),
        help="for batch normalisation: the running statistics of training (default), or means over an epoch of "
        "training batches, computed anew",
    )
    add(
        "--responses", type=Path, metavar="FILE.csv", help="also write the standard deviation of each layer's responses"
    )
    photographs = parser.add_argument_group("with --family imagenet, where --data-dir holds ILSVRC2012 in any layout")
    add = photographs.add_argument
    add(
        "--form", choices=("torchvision", "caffe"), help="whose networks: normalisation, channel order, stride, pooling"
    )
    add("--views", metavar="V,V", help="how each image is tested: center, ten, dense (default: center)")
    add("--crop", type=int, metavar="N", help="width of the crops that the networks were trained on (default: 224)")
    add("--record", action="store_true", help="keep the errors below results/NAME, for Tables 2 to 4 of the report")
    add("--as", metavar="NAME", help="the NAME for --record, e.g. torchvision")
    add = parser.add_argument
    add("--device", help="cpu, cuda or mps (default: the best there is)")
    add("--precision", help="fp32, bf16 or fp16 (default: as run.json says, on the device that it names; else fp32)")
    return parser


def _numbers(text: str) -> list[float]:
    try:
        numbers = [float(word) for word in text.split(",")]
    except ValueError:
        numbers = [math.nan]
    if not all(map(math.isfinite, numbers)):
        raise argparse.ArgumentTypeError(f"{text!r}: numbers such as 0.491,0.482,0.447 are needed")
    return numbers


def _evaluate(arguments: argparse.Namespace) -> list[str]:
    """What was found, and how, a line each."""
    # Imported here so that bad usage is answered at once.
    from repro import data as images
    from repro.models import build
    from repro.models.public import load_weights, seeming, set_option_a
    from repro.models.weights import networks, read
    from repro.train.begin import seen
    from repro.train.evaluate import evaluate
    from repro.train.precision import best_device, resolve, settle

    (path,) = arguments.checkpoint
    content = read(path)
    record, notes = _record(path, content, arguments.network)
    run = record.spec if record else Run(network=arguments.network or "")
    place = arguments.device or best_device()
    # Rounding moves a few images over the border: as it was trained and tested, it has the error of its record.
    usual = record.numerics.precision if record and record.numerics.device == place else None
    numerics = resolve(place, arguments.precision or usual or "fp32", None, None)
    device = settle(numerics)
    subsample = arguments.subsample or run.model.subsample
    try:
        found = networks(content, arguments.weights)
        if not run.network:
            raise UserError(
                f"--network is needed: nothing in {path}, or beside it, says what it is; by its shapes it is a "
                f"{seeming(found)}"
            )
        row = _row(arguments.data or run.data, run)
        net = build(
            run.network,
            row.shape[0],
            row.classes,
            family=run.family,
            **{**vars(run.model), "subsample": subsample, "norm_shares": 1},
        )
        weights, taken = load_weights(net, found, run.network, run.family)
        kept = _kept(weights, arguments)
    except RecordError as error:
        raise RecordError(f"{path}: {error}") from error
    has_option_a = set_option_a(net, arguments.zeros or "both")
    if not has_option_a and (arguments.subsample or arguments.zeros):
        raise UserError(f"--subsample and --zeros are of option A's shortcuts, of which a {run.network} has none")
    # After the names are compared: images take seconds.
    dataset = images.load(row.name, images.data_folder(arguments.data_dir))
    net.to(device, memory_format=numerics.memory_format())  # type: ignore[call-overload]
    data, normalised = _normalise(seen(run, dataset, device), arguments, kept)
    if arguments.statistics == "population":
        _normalise_by_population(net, data, run, numerics)
    loss, percent = evaluate(net, data.batches("test"), numerics)
    lines = [f"{run.network} on {dataset.name}{_trained_on(record, dataset)}: {_found(run, data, loss, percent)}"]
    lines[0] += f", in {numerics.precision}"
    lines[0] += ", by population statistics" if arguments.statistics == "population" else ""
    lines[0] += _write_responses(net, data, numerics, arguments.responses) if arguments.responses else ""
    lines.append(f"images: {normalised}")
    lines += [_option_a(arguments, subsample, record is not None)] if has_option_a else []
    lines += [] if record else [f"weights: {taken}"]
    if percent > 95 - 100 / len(dataset.classes) and not run.images.crop:
        lines.append("hint: that is the error of guessing: --mean and --std must be those that it was trained with")
    return [*lines, *notes]


def _row(name: str, run: Run) -> Row:
    """What is known of a data set; UserError where a network as the run trains it is not for such images."""
    from repro.data import row

    found = row(name)
    if found.family == "imagenet" and not run.images.crop:
        raise UserError(
            f"--data {name} is of photographs, and the network of small images: give another --data; networks of "
            "photographs are measured with --family imagenet"
        )
    if run.images.crop and found.family != "imagenet":
        raise UserError(f"--data {name} is of small images, and the network of photographs: leave --data out")
    return found


def _trained_on(record: Record | None, data: Dataset | Photographs) -> str:
    """On other images, such as the original pixels, the error is worth knowing, but it is not that of the record."""
    if record and record.spec.data != data.name:
        return f" (trained on {record.spec.data})"
    other = record and record.data.fingerprint not in (None, data.fingerprint)
    return " (trained on other images than these)" if other else ""


def _found(run: Run, data: Prepared | Shown, loss: float, percent: float) -> str:
    """Error and loss."""
    from repro.train.evaluate import in_words

    kind, whose = ("", " on held-out images") if run.images.evaluate_on == "held-out" else ("test ", "")
    return f"{kind}error{whose} {in_words(percent, len(data.test_images))}, {kind}loss {loss:.4f}"


def _option_a(arguments: argparse.Namespace, subsample: str, ours: bool) -> str:
    """How option A's shortcuts take their pixels, and where their zeros go; nothing in the weights tells."""
    missing = [] if ours else [f"--{option}" for option in ("subsample", "zeros") if not getattr(arguments, option)]
    assumed = f" (assumed: {', '.join(missing)})" if missing else ""
    pixels = "every second pixel" if subsample == "stride" else "the mean of 2x2 pixels"
    where = "at the end" if arguments.zeros == "end" else "half before and half after the others"
    return f"option A: {pixels}, zero channels {where}{assumed}"


def _kept(weights: Weights, arguments: argparse.Namespace) -> tuple[list[float], list[float]] | None:
    """The normalisation of images that a file keeps beside its layers, if it does."""
    from repro.models.public import normalisations

    found = normalisations(weights)
    if len(found) > 1 and arguments.mean is None:
        raise RecordError("keeps several normalisations of images: --mean and --std say which")
    return found[0] if found else None


def _normalise(
    data: Prepared | Shown, arguments: argparse.Namespace, kept: tuple[list[float], list[float]] | None
) -> tuple[Prepared | Shown, str]:
    """The images as the network wants them, and how, in words: by --mean and --std, else as its file or run says."""
    from repro.models.public import in_unit_scale
    from repro.train.photographs import Shown

    if isinstance(data, Shown):
        if arguments.mean is not None:
            raise UserError("--mean and --std are not for our own runs on photographs: leave them out")
        return data, f"the middle of each photograph, {data.choice.normalise} of the run's own crops"
    if arguments.mean is not None:
        how = "by --mean and --std" + ", in place of the file's own" * (kept is not None)
        given = arguments.mean, arguments.std
    elif kept:
        how, given = "by the file's own mean and std", kept
    else:
        divided = "not divided" if data.std is None else "divided by the standard deviation per channel"
        return data, f"minus the mean per pixel of the training images, {divided}"
    mean, std, large = in_unit_scale(*given, data.images.shape[1])
    scale = ", which are for pixels of 0 to 255 and were divided by 255" if large else ""
    device = data.images.device
    return dataclasses.replace(data, mean=mean.to(device), std=std.to(device)), f"{how}{scale}"


def _normalise_by_population(net: nn.Module, data: Prepared | Shown, run: Run, numerics: Numerics) -> None:
    """Take batch normalisation's statistics from an epoch of the run's own training batches."""
    from repro.measure.population import use_population_statistics
    from repro.train.loop import batch_of

    batches = range(math.ceil(len(data.images) / run.optimiser.batch_size))
    with numerics.autocast():
        use_population_statistics(net, (batch_of(data, run, index)[0] for index in batches))


def _write_responses(net: nn.Module, data: Prepared | Shown, numerics: Numerics, file: Path) -> str:
    """Write the responses of the test images in evaluation mode (Figure 7), and say their mean."""
    from repro.measure.responses import responses
    from repro.records import write_responses

    with numerics.autocast():
        found = responses(net, (x for x, _ in data.batches("test")))
    try:
        write_responses(file, found)
    except OSError as error:
        raise RecordError(f"{file}: cannot be written: {error.strerror}") from error
    mean = math.fsum(std for _, std in found) / len(found)
    return f"; mean response {mean:.3f} over {len(found)} layers, each in {file}"


def _record(path: Path, content: Any, network: str | None) -> tuple[Record | None, list[str]]:
    """The record of the run that a checkpoint is of (None where it is none of ours), and a word on what lies beside it.

    What the weights do not tell is known from it: how images were prepared, how option A takes a stride of 2, and
    whether there are shortcuts at all, as option A's have no parameters. It is the run.json beside the checkpoint, and
    where there is none the record kept within.

    Raises:
        RecordError: it cannot be read, or is of another network than is asked for.
    """
    from repro.records import Record, read_record
    from repro.train.checkpoint import record_in

    file, kept, notes = path.parent / "run.json", record_in(content), []
    try:
        if file.exists() and _is_ours(file):
            record = read_record(file)
        else:
            notes = [f"{file}: passed over, as another program wrote it"] if file.exists() else []
            if kept is None:
                return None, notes
            record = Record.of(kept)
    except RecordError:
        raise
    except UserError as error:
        raise RecordError(f"{path}: its record {error}") from error
    own = record.spec
    if network is not None and names.parse(network, own.family) != own.parsed:
        raise RecordError(f"{path}: is of {own.network}, not {network}, by its run.json: leave --network out")
    return record, notes


def _is_ours(file: Path) -> bool:
    try:
        return "spec" in json.loads(read_text(file, "record"))
    except (RecordError, ValueError, TypeError, RecursionError):
        return False


if __name__ == "__main__":
    sys.exit(main())
