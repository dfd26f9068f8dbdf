"""--log tensorboard: the rows of a curve as TensorBoard's scalars, in the run's own folder, as they come."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from repro.records import Row

#: Columns of a curve, and what TensorBoard groups them by.
TAGS = {
    "train_loss": "loss/train",
    "test_loss": "loss/test",
    "train_error": "error/train",
    "test_error": "error/test",
    "lr": "lr",
}


@contextmanager
def scalars(folder: Path, begun_at: int) -> Iterator[Callable[[Row], None]]:
    """Takes rows while this lasts; those of a former session from beyond the iteration where it begins are hidden."""
    from torch.utils.tensorboard import SummaryWriter  # an extra of this project

    with SummaryWriter(str(folder), purge_step=begun_at + 1) as writer:

        def take(row: Row) -> None:
            for name, tag in TAGS.items():
                if math.isfinite(value := getattr(row, name)):
                    writer.add_scalar(tag, value, row.iteration)

        yield take
