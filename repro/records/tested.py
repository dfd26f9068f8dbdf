"""What public weights got wrong on photographs: test.json, checked when it is read as a run's record is."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, TypeAdapter

from repro import names
from repro.checked import Text, checked
from repro.disk import write_json
from repro.errors import RecordError, shown
from repro.records.record import Part, Percent, read_json
from repro.spec import AtLeastOne

#: Below the folder of a source: imagenet/resnet-50/test.json.
FOLDER, FILE = "imagenet", "test.json"
#: ILSVRC2012's validation images, on which the paper's Tables 2 to 4 are: only errors on as many stand beside them.
IMAGES, CLASSES = 50_000, 1000
Hash = Annotated[Text, Field(pattern="^[0-9a-f]{64}$")]


class Errors(Part):
    """By one protocol, in percent, and with what they were computed; decoders differ between versions of Pillow."""

    top1: Percent
    top5: Percent
    device: Text
    precision: Text
    torch: Text
    pillow: Text


class Tested(Part):
    """All that test.json holds.

    Attributes:
        network: of ImageNet's family.
        form: see `repro.models.form`.
        crop: width of the crops that it was trained on, pixels.
        weights: the name of the file that they were in, and which of several there, by --weights; the file's SHA-256.
        images, classes, fingerprint: of the photographs; see `repro.data.photographs.index.Index`.
        errors: by protocol; see `repro.measure.views`.
    """

    format: Literal[1]
    network: Text
    form: Text
    crop: AtLeastOne
    weights: Text
    weights_sha256: Hash
    images: AtLeastOne
    classes: AtLeastOne
    fingerprint: Hash
    errors: dict[Text, Errors]

    @property
    def comparable(self) -> bool:
        """Whether these errors may stand beside the paper's."""
        return (self.images, self.classes, self.crop) == (IMAGES, CLASSES, 224)


_TESTED = TypeAdapter(Tested)


def read_tested(path: Path) -> Tested:
    """Read a test.json.

    Raises:
        RecordError: unreadable, no JSON, or not what this is; which part is wrong.
    """
    return read_json(path, "record", _tested)


def _tested(values: Any) -> Tested:
    found: Tested = checked(_TESTED, values)
    names.parse(found.network, "imagenet")
    return found


def place_of(source: Path, network: str) -> Path:
    """Where a source has what was measured of a network."""
    return source / FOLDER / str(names.parse(network, "imagenet")) / FILE


def joined(path: Path, made: Tested) -> Tested:
    """What was measured now, with the errors by other protocols that a record already has.

    Raises:
        RecordError: the record cannot be read, or is of other weights, form or photographs.
    """
    if not path.exists():
        return made
    there = read_tested(path)
    for key in ("weights_sha256", "weights", "form", "crop", "fingerprint"):
        old, new = getattr(there, key), getattr(made, key)
        if old != new:
            raise RecordError(f"{path}: is of {key} {shown(old)}, not {shown(new)}: give another name (--as)")
    return made.model_copy(update={"errors": there.errors | made.errors})


def keep(path: Path, made: Tested) -> None:
    """Write a record, or add to the one that is there.

    Raises:
        RecordError: see `joined`; or it cannot be written.
    """
    try:
        whole = joined(path, made)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_json(path, whole.to_dict())
    except OSError as error:
        raise RecordError(f"{path}: cannot be written: {error.strerror}") from error


def tested_in(source: Path) -> tuple[list[Tested], list[str]]:
    """All such records of a source, and why others cannot be read."""
    found, unread = [], []
    for path in sorted(source.glob(f"{FOLDER}/*/{FILE}")):
        try:
            found.append(read_tested(path))
        except RecordError as error:
            unread.append(str(error))
    return found, unread
