"""python -m repro.evaluate CHECKPOINT: test error, and responses, of a checkpoint, ours or a public one.

Exit status: 0 evaluated, 1 the checkpoint or the images cannot be used, 2 bad usage, 130 stopped by Ctrl-C,
141 what reads its output is gone.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import math
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from repro import names
from repro.disk import read_text
from repro.errors import RecordError, UserError, printable
from repro.shell import Parser, command
from repro.spec import Run

if TYPE_CHECKING:
    from torch import nn

    from repro.data.augment import Prepared
    from repro.train.precision import Numerics


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; gives its exit status."""
    return command("repro.evaluate", lambda: _main(argv))


def _main(argv: Sequence[str] | None) -> int:
    arguments = _parser().parse_args(argv)
    if arguments.network is not None:
        names.parse(arguments.network, "cifar")
    if (arguments.mean is None) != (arguments.std is None):
        raise UserError("--mean and --std go together: give both, one number per channel")
    print(_evaluate(arguments))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        prog="python -m repro.evaluate",
        description="Test error, and responses, of a checkpoint. Exit status: 0 evaluated, 1 the checkpoint or the "
        "images cannot be used, 2 bad usage, 130 stopped by Ctrl-C, 141 what reads its output is gone.",
    )
    add = parser.add_argument
    add("checkpoint", type=Path, help="a run's checkpoint.pt, or other weights, by torch.save or as safetensors")
    add("--network", help="what it is of, e.g. resnet-56 (default: as its run.json, or the copy within, says)")
    add("--weights", metavar="NAME", help="which of several networks' weights that a file holds, e.g. model_ema")
    add(
        "--subsample", choices=("stride", "average"), help="what option A takes of 2x2 pixels: the first, or their mean"
    )
    add("--zeros", choices=("both", "end"), help="on which sides of the others option A's zero channels are")
    add("--data", metavar="NAME", help="digits, cifar10 or cifar10-jpeg (default: as run.json says, else cifar10)")
    add("--data-dir", type=Path, metavar="DIR", help="where the images are (default: $REPRO_DATA, or ./data)")
    add("--mean", type=_numbers, metavar="R,G,B", help="of its own normalisation, for pixels of 0 to 1, or 0 to 255")
    add(
        "--std",
        type=_numbers,
        metavar="R,G,B",
        help="likewise (default: as run.json or its file says, else this project's per-pixel mean, no division)",
    )
    add(
        "--statistics",
        choices=("running", "population"),
        default="running",
        help="by what batch normalisation normalises: the running statistics of training (default), or their means "
        "over an epoch of training batches, made now",
    )
    add(
        "--responses", type=Path, metavar="FILE.csv", help="also write the standard deviation of each layer's responses"
    )
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


def _evaluate(arguments: argparse.Namespace) -> str:
    # Imported here so that bad usage is answered at once.
    from repro import data as images
    from repro.data.augment import prepare
    from repro.models import build
    from repro.models.public import known_as, load_weights, normalisation, set_option_a
    from repro.models.weights import networks, read
    from repro.train.evaluate import evaluate
    from repro.train.precision import best_device, resolve, settle

    path = arguments.checkpoint
    # Known before minutes are spent on it.
    if arguments.responses and not arguments.responses.parent.is_dir():
        raise UserError(f"--responses {arguments.responses}: there is no folder {arguments.responses.parent}")
    content = read(path)
    own, recorded, passed_over = _own(path, content, arguments.network)
    place = arguments.device or best_device()
    # Rounding moves a few images over the border: as it was trained and tested, it has the error of its record.
    usual = recorded.get("precision") if recorded.get("device") == place else None
    numerics = resolve(place, arguments.precision or usual or "fp32", None, None)
    device = settle(numerics)
    with _about(path):
        found = networks(content, arguments.weights)
        if own is None and arguments.network is None:
            known = f"; by its shapes it is a {' or '.join(known_as(found[0])) or 'net unknown here'}"
            raise UserError(f"--network is needed: nothing in {path}, or beside it, says what it is{known}")
    run = own or Run(network=arguments.network)
    dataset = images.load(arguments.data or run.data, images.data_folder(arguments.data_dir))
    subsample, classes, block = arguments.subsample or run.model.subsample, len(dataset.classes), run.model.block
    net = build(run.network, dataset.channels, classes, family="cifar", subsample=subsample, block=block)
    with _about(path):
        weights, taken = load_weights(net, found, run.network)
        kept = normalisation(weights)
    pads = set_option_a(net, arguments.zeros or "both")
    net.to(device, memory_format=numerics.memory_format())  # type: ignore[call-overload]

    data, normalised = _normalise(prepare(dataset, run.images, device), arguments, kept)
    if arguments.statistics == "population":
        _normalise_by_population(net, data, run, numerics)
    test_loss, percent = evaluate(net, data.batches("test"), numerics)
    count = len(data.test_images)
    wrong = round(percent * count / 100)
    kind, whose = ("", " on held-out images") if run.images.evaluate_on == "held-out" else ("test ", "")
    # On other images, such as the original pixels, the error is worth knowing, but it is not that of the record.
    trained = f" (trained on {own.data})" if own and own.data != dataset.name else ""
    layers = _write_responses(net, data, numerics, arguments.responses) if arguments.responses else ""
    by = ", by population statistics" if arguments.statistics == "population" else ""
    lines = [
        f"{run.network} on {dataset.name}{trained}: {kind}error{whose} {percent:.2f} % ({wrong:,} of {count:,} wrong, "
        f"standard error {_spread(percent, count):.2f}), {kind}loss {test_loss:.4f}, "
        f"in {numerics.precision}{by}{layers}",
        f"images: {normalised}",
    ]
    if pads:
        lines.append(_option_a(arguments, subsample, own is not None))
    if own is None:
        lines.append(f"weights: {taken}")
    if percent > 95 - 100 / len(dataset.classes):
        lines.append("hint: that is the error of guessing: --mean and --std must be those that it was trained with")
    return "\n".join(map(printable, [*lines, *passed_over]))


def _option_a(arguments: argparse.Namespace, subsample: str, ours: bool) -> str:
    """How option A's shortcuts take their pixels, and where their zeros go; nothing in the weights tells."""
    assumed = "" if ours or (arguments.subsample and arguments.zeros) else " (assumed: --subsample, --zeros)"
    pixels = "every second pixel" if subsample == "stride" else "the mean of 2x2 pixels"
    where = "at the end" if arguments.zeros == "end" else "half before and half after the others"
    return f"option A: {pixels}, zero channels {where}{assumed}"


def _spread(percent: float, images: int) -> float:
    """Standard error of an error in percent, by the choice of images."""
    return float(100 * (percent / 100 * (1 - percent / 100) / images) ** 0.5)


def _normalise(
    data: Prepared, arguments: argparse.Namespace, kept: tuple[list[float], list[float]] | None
) -> tuple[Prepared, str]:
    """The images as the network wants them: by --mean and --std, else as its file says, else as in its run."""
    from repro.models.public import in_unit_scale

    if arguments.mean is None and kept is None:
        divided = "not divided" if data.std is None else "divided by the standard deviation per channel"
        return data, f"minus the mean per pixel of the training images, {divided}"
    how, given = "the file's own normalisation", kept
    if arguments.mean is not None:
        how, given = "--mean and --std", (arguments.mean, arguments.std)
    assert given
    mean, std, large = in_unit_scale(*given, data.images.shape[1])
    scale = ", which are for pixels of 0 to 255 and were divided by 255" if large else ""
    device = data.images.device
    return dataclasses.replace(data, mean=mean.to(device), std=std.to(device)), f"by {how}{scale}"


def _normalise_by_population(net: nn.Module, data: Prepared, run: Run, numerics: Numerics) -> None:
    """Take batch normalisation's statistics from an epoch of the run's own training batches."""
    from repro.measure.population import use_population_statistics
    from repro.train.loop import batch_of

    batches = range(math.ceil(len(data.images) / run.optimiser.batch_size))
    with numerics.autocast():
        use_population_statistics(net, (batch_of(data, run, index)[0] for index in batches))


def _write_responses(net: nn.Module, data: Prepared, numerics: Numerics, file: Path) -> str:
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


@contextmanager
def _about(path: Path) -> Iterator[None]:
    """Name the file in what is found wrong with what it holds."""
    try:
        yield
    except RecordError as error:
        text = str(error)
        raise RecordError(text if text.startswith(str(path)) else f"{path}: {text}") from error


def _own(path: Path, content: Any, network: str | None) -> tuple[Run | None, Mapping[str, Any], list[str]]:
    """The run that a checkpoint is of (None where it is none of ours), the numerics of its training, and a word.

    What the weights do not tell is known from it: how images were prepared, how option A takes a stride of 2, and
    whether there are shortcuts at all, as option A's have no parameters. It is told by the run.json beside the
    checkpoint, and where there is none by the record kept within.

    Raises:
        RecordError: it cannot be read, or is of another network than is asked for.
    """
    from repro.records import Record, read_record
    from repro.train.checkpoint import record_in

    file, kept, record, said = path.parent / "run.json", record_in(content), None, []
    if file.exists() and _is_ours(file):
        record = read_record(file)
    elif file.exists():
        said = [f"{file}: passed over, as another program wrote it"]
    try:
        record = record or (Record.of(kept) if kept else None)
    except UserError as error:
        raise RecordError(f"{path}: its record {error}") from error
    if record is None:
        return None, {}, said
    run = record.spec
    if network is not None and names.parse(network, "cifar") != names.parse(run.network, "cifar"):
        raise RecordError(f"{path}: is of {run.network}, not {network}, by its run.json: leave --network out")
    return run, record.numerics.to_dict(), said


def _is_ours(file: Path) -> bool:
    try:
        return "spec" in json.loads(read_text(file, "record"))
    except (RecordError, ValueError, TypeError, RecursionError):
        return False


if __name__ == "__main__":
    sys.exit(main())
