"""python -m repro.evaluate CHECKPOINT: test error, and responses, of a checkpoint, ours or a public one.

Exit status: 0 evaluated, 1 the checkpoint or the images cannot be used, 2 bad usage, 130 stopped by Ctrl-C,
141 what reads its output is gone.
"""

from __future__ import annotations

import argparse
import dataclasses
import math
import stat
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from repro import names
from repro.errors import RecordError, UserError, printable
from repro.shell import Parser, command
from repro.spec import Run

if TYPE_CHECKING:
    from torch import Tensor, nn

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
    print(printable(_evaluate(arguments)))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        prog="python -m repro.evaluate",
        description="Test error, and responses, of a checkpoint. Exit status: 0 evaluated, 1 the checkpoint or the "
        "images cannot be used, 2 bad usage, 130 stopped by Ctrl-C, 141 what reads its output is gone.",
    )
    add = parser.add_argument
    add("checkpoint", type=Path, help="a run's checkpoint.pt, or a public state_dict (or a dict holding one)")
    add("--network", help="what it is of, e.g. resnet-56 (default: as its run.json, or the copy within, says)")
    add("--data", metavar="NAME", help="digits, cifar10 or cifar10-jpeg (default: as run.json says, else cifar10)")
    add("--data-dir", type=Path, metavar="DIR", help="where the images are (default: $REPRO_DATA, or ./data)")
    add("--mean", type=_numbers, metavar="R,G,B", help="of its own normalisation, for pixels in [0, 1]")
    add(
        "--std",
        type=_numbers,
        metavar="R,G,B",
        help="likewise (default: as run.json says, else this project's per-pixel mean, no division)",
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
    import torch

    from repro import data as images
    from repro.data.augment import memory_format, prepare
    from repro.models import build
    from repro.models.public import load_weights
    from repro.train.evaluate import evaluate
    from repro.train.precision import best_device, resolve, settle

    _check_file(arguments.checkpoint)
    # Known before minutes are spent on it.
    if arguments.responses and not arguments.responses.parent.is_dir():
        raise UserError(f"--responses {arguments.responses}: there is no folder {arguments.responses.parent}")
    weights, own, recorded = _read(arguments.checkpoint, arguments.network)
    place = arguments.device or best_device()
    # Rounding moves a few images over the border: as it was trained and tested, it has the error of its record.
    usual = recorded.get("precision") if recorded.get("device") == place else None
    numerics = resolve(place, arguments.precision or usual or "fp32", None, None)
    device = settle(numerics)
    if own is None and arguments.network is None:
        raise UserError(f"--network is needed: nothing in {arguments.checkpoint}, or beside it, says what it is")
    run = own or Run(network=arguments.network)
    dataset = images.load(arguments.data or run.data, images.data_folder(arguments.data_dir))
    subsample = run.model.subsample
    net = build(run.network, dataset.channels, len(dataset.classes), family="cifar", subsample=subsample)
    try:
        load_weights(net, weights, run.network)
    except RecordError as error:
        raise _about(arguments.checkpoint, error) from error
    net.to(device, memory_format=memory_format(device))  # type: ignore[call-overload]

    data = prepare(dataset, run.images, device)
    if arguments.mean is not None:
        if len(arguments.mean) != dataset.channels or len(arguments.std) != dataset.channels:
            raise UserError(f"--mean and --std need {dataset.channels} numbers each for {dataset.name}")
        if min(arguments.std) <= 0:
            raise UserError("--std needs numbers above 0")
        mean, std = (torch.tensor(v, device=device)[:, None, None] for v in (arguments.mean, arguments.std))
        data = dataclasses.replace(data, mean=mean, std=std)
    if arguments.statistics == "population":
        _normalise_by_population(net, data, run, numerics)
    test_loss, percent = evaluate(net, data.batches("test"), numerics)
    count = len(data.test_images)
    spread = 100 * (percent / 100 * (1 - percent / 100) / count) ** 0.5
    wrong = round(percent * count / 100)
    held_out = run.images.evaluate_on == "held-out"
    kind, whose = ("", " on held-out images") if held_out else ("test ", "")
    # On other images, such as the original pixels, the error is worth knowing, but it is not that of the record.
    trained = f" (trained on {own.data})" if own and own.data != dataset.name else ""
    layers = _write_responses(net, data, numerics, arguments.responses) if arguments.responses else ""
    by = ", by population statistics" if arguments.statistics == "population" else ""
    return (
        f"{run.network} on {dataset.name}{trained}: {kind}error{whose} {percent:.2f} % ({wrong:,} of {count:,} wrong, "
        f"standard error {spread:.2f}), {kind}loss {test_loss:.4f}, in {numerics.precision}{by}{layers}"
    )


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


def _check_file(path: Path) -> None:
    try:
        regular = stat.S_ISREG(path.stat().st_mode)
    except FileNotFoundError as error:
        raise RecordError(f"{path}: there is no such file") from error
    except OSError as error:
        raise RecordError(f"{path}: cannot be read: {error.strerror}") from error
    if not regular:  # a folder, or a pipe that nobody may ever write to
        raise RecordError(f"{path}: is no file")


def _about(path: Path, error: RecordError) -> RecordError:
    text = str(error)
    return RecordError(text if text.startswith(str(path)) else f"{path}: {text}")


def _read(path: Path, network: str | None) -> tuple[dict[str, Tensor], Run | None, Mapping[str, Any]]:
    """A checkpoint's weights, the run that it is of (None where it is none of ours), and the numerics of its training.

    What the weights do not tell is known from it: how images were prepared, how option A takes a stride of 2, and
    whether there are shortcuts at all, as option A's have no parameters. It is told by the run.json beside the
    checkpoint, and where there is none by the record kept within.

    Raises:
        RecordError: it cannot be read, or is of another network than is asked for.
    """
    from repro.models.public import state_dict
    from repro.records import Record, read_record
    from repro.train import checkpoint

    try:
        content = checkpoint.read(path)
        weights = state_dict(content)
    except RecordError as error:
        raise _about(path, error) from error
    file = path.parent / "run.json"
    kept = checkpoint.record_in(content)
    if not file.exists() and kept is None:
        return weights, None, {}
    try:
        record = read_record(file) if file.exists() else Record.of(kept)
    except RecordError:
        raise
    except UserError as error:
        raise RecordError(f"{path}: its record {error}") from error
    run = record.spec
    if network is not None and names.parse(network, "cifar") != names.parse(run.network, "cifar"):
        raise RecordError(f"{path}: is of {run.network}, not {network}, by its run.json: leave --network out")
    return weights, run, record.numerics.to_dict()


if __name__ == "__main__":
    sys.exit(main())
