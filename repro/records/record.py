"""The record of a run, run.json, which anyone may have written: checked when it is read, and trusted from then on.

Keys that are not known here are kept. What a record of an early version lacks has the default that it has here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, TypeAdapter, model_validator
from pydantic_core import from_json

from repro.checked import Flag, Number, Text, Whole, checked
from repro.disk import read_text
from repro.errors import RecordError, UserError, shown
from repro.spec import AtLeastOne, FromZero, Run, fields_of

if TYPE_CHECKING:
    import numpy as np

#: The format of run.json; a reader refuses what it does not know.
FORMAT = 1
#: Larger than any record of ours, which take some kB; a file beyond it is refused unread.
LARGEST_RECORD = 10_000_000
#: More than any machine gives to one run. The OpenMP runtime ends the process where it cannot start them.
MOST_THREADS = 1024

#: How a run ended, or that it has not. "stopped" is one that can be carried on; "foreign" was imported.
Status = Literal["running", "stopped", "complete", "diverged", "failed", "foreign"]
Percent = Annotated[Number, Field(ge=0, le=100)]
T = TypeVar("T")


class Part(BaseModel):
    """A table of a record."""

    model_config = ConfigDict(extra="allow", frozen=True)

    def to_dict(self) -> dict[str, Any]:
        """What it was made of, as JSON types."""
        return self.model_dump(mode="json", by_alias=True, exclude_unset=True)


class Numerics(Part):
    """What the bits of a run depend on besides its spec; see `repro.train.precision.Numerics`."""

    device: Text | None = None
    precision: Text | None = None
    threads: Annotated[AtLeastOne, Field(le=MOST_THREADS)] | None = None
    ranks: AtLeastOne = 1


class DataInfo(Part):
    """The images that a run was trained and tested on."""

    name: Text | None = None
    source: Text | None = None
    fingerprint: Text | None = None
    train_images: AtLeastOne | None = None
    test_images: AtLeastOne | None = None
    shape: tuple[Whole, ...] | None = None
    pad: Whole | None = None
    flip: Flag | None = None


class Environment(Part):
    """On what a run was made; see `repro.environment`."""

    python: Text | None = None
    torch: Text | None = None
    processor: Text | None = None
    instructions: Text | None = None
    device: Text | None = None
    commit: Text | None = None
    changed: Flag | None = None


class Session(Part):
    """One sitting of a run: when, and from which iteration to which."""

    began: Text | None = None
    start: Whole = Field(0, alias="from")
    ended: Text | None = None
    to: Whole | None = None
    how: Text | None = None
    notes: tuple[Text, ...] = ()


class Final(Part):
    """Results of a complete run: errors in percent, losses as mean cross-entropy in nats.

    Those of training are means over the last evaluation interval; clean ones are of the training images as they are.
    """

    train_error: Percent | None = None
    train_loss: FromZero | None = None
    test_error: Percent | None = None
    test_loss: FromZero | None = None
    clean_train_error: Percent | None = None
    clean_train_loss: FromZero | None = None


#: null is as good as nothing.
_given = BeforeValidator(lambda value: {} if value is None else value)


class Record(Part):
    """All that run.json holds.

    Attributes:
        iteration: how far the run has come; while it trains, where that began.
        warm_up_ended: iteration at which training error had fallen below 80 %; 0 without a warm-up, None before.
        wrong_test_images: one bit per test image, in hex, the first image first: set if the final network was wrong.
        weights_sha256: of the final weights, see `repro.train.checkpoint.weights_hash`.
        network_sha256: of the network's source code, see `repro.models.source.source_hash`.
    """

    format: Literal[1]
    hash: Text | None = None
    spec: Run
    status: Status
    iteration: Whole
    numerics: Annotated[Numerics, _given] = Numerics()
    data: Annotated[DataInfo, _given] = DataInfo()
    environment: Annotated[Environment, _given] = Environment()
    sessions: Annotated[tuple[Session, ...], BeforeValidator(lambda value: value or ())] = ()
    seconds: FromZero | None = None
    warm_up_ended: Whole | None = 0
    final: Annotated[Final, _given] = Final()
    error: Text | None = None
    traceback: Text | None = None
    wrong_test_images: Annotated[Text, Field(pattern="^([0-9a-f]{2})*$")] | None = None
    weights_sha256: Annotated[Text, Field(pattern="^[0-9a-f]{64}$")] | None = None
    network_sha256: Annotated[Text, Field(pattern="^[0-9a-f]{64}$")] | None = None

    @classmethod
    def of(cls, values: Any) -> Record:
        """The record that a table of JSON holds.

        Raises:
            UserError: it holds none; which part is wrong, and how.
        """
        if not isinstance(values, Mapping) or not isinstance(values.get("spec"), Mapping):
            raise UserError("is no record of a run: its 'spec' is missing")
        if values.get("format") != FORMAT:
            raise UserError(f"has format {shown(values.get('format'))}, this version reads format {FORMAT}")
        record: Record = checked(_RECORDS, values, [f"spec.{key}" for key in fields_of(Run(""))])
        return record

    @model_validator(mode="after")
    def _fits(self) -> Record:
        run = self.spec
        run.parsed  # noqa: B018  (raises where the family has no such network)
        for key in ("data", "preset", "variant"):
            if not getattr(run, key).isprintable():
                raise UserError(f"spec.{key} is {shown(getattr(run, key))}: a text that can be shown is needed")
        if self.status == "complete" and self.final.train_error is None:
            raise UserError("status is 'complete', but final.train_error is missing")
        if self.status == "complete" and self.iteration != run.schedule.iterations:
            raise UserError(f"status is 'complete', but iteration is {self.iteration}, not {run.schedule.iterations}")
        images, bits = self.data.test_images, self.wrong_test_images
        if images and bits is not None and len(bits) != 2 * -(-images // 8):
            raise UserError(f"wrong_test_images has {4 * len(bits):,} bits, but data.test_images is {images:,}")
        return self

    def mistakes(self) -> np.ndarray[Any, np.dtype[np.bool_]] | None:
        """Which test images the final network got wrong, in the order of the data; None where that is not recorded."""
        if self.wrong_test_images is None or self.data.test_images is None:
            return None
        import numpy as np

        packed = np.frombuffer(bytes.fromhex(self.wrong_test_images), np.uint8)
        return np.unpackbits(packed, count=self.data.test_images).astype(bool)


_RECORDS = TypeAdapter(Record)


def read_record(path: Path) -> Record:
    """Read a run.json of any run.

    Raises:
        RecordError: unreadable, no JSON, or not a record of a format known here.
    """
    return read_json(path, "record", Record.of)


def read_json(path: Path, what: str, made_of: Callable[[Any], T]) -> T:
    """What is made of a JSON file's content, which anyone may have written; `made_of` raises UserError where it cannot.

    Raises:
        RecordError: unreadable, no JSON, or what `made_of` says.
    """
    text = read_text(path, what, LARGEST_RECORD)
    try:
        return made_of(from_json(text, allow_inf_nan=False))
    except UserError as error:
        raise RecordError(f"{path}: {error}") from error
    except ValueError as error:
        raise RecordError(f"{path}: cannot be read as a {what}: {error}") from error
