"""What the ranks other than 0 do of a run: train their share of each batch, and take rank 0's word for the rest."""

from __future__ import annotations

import sys
from collections.abc import Callable

from repro.data.augment import Prepared, prepare
from repro.data.dataset import Dataset
from repro.launch.execute import Begin, Options, Outcome, Progress, Stop, make_net
from repro.launch.failure import reason
from repro.records import RunFolder
from repro.spec import Run
from repro.train import checkpoint
from repro.train.loop import DivergedError, Training, train
from repro.train.precision import settle
from repro.train.ranks import RankError, Ranks


def follow(
    run: Run, options: Options, dataset: Dataset, tell: Callable[[Progress], None], stop: Stop, ranks: Ranks
) -> Outcome:
    """Have a part in the run that rank 0 attempts at the same time, and give what it says came of that.

    Nothing is read or written here, and `tell` is rank 0's. Only what ends a rank on a GPU is told: torchrun may end
    rank 0 while that waits in CUDA, where no word of it arrives.
    """
    word = ranks.hear()
    if isinstance(word, Begin):
        try:
            _take_part(word, run, options, dataset, stop, ranks)
        except Exception as error:
            if not ranks.whole:
                message = reason(error, RunFolder(options.results, run).path)
                if word.numerics.device == "cuda" and not isinstance(error, RankError):
                    print(f"repro.run: rank {ranks.rank}: {message}", file=sys.stderr)
                return Outcome(run, "failed", message)
        word = ranks.hear()
    assert isinstance(word, Outcome)
    return word


def _take_part(word: Begin, run: Run, options: Options, dataset: Dataset, stop: Stop, ranks: Ranks) -> None:
    with ranks.agreeing():
        training, data = _prepare(word, run, dataset)
    with ranks.in_step(DivergedError):
        ranks.arrange(training.net, run.model.norm_shares)
        last = options.last(run)
        if training.state.iteration >= last or stop.heeded():
            return
        for row in train(training, data, run, word.numerics, ranks):
            if row is None and (training.state.iteration >= last or stop.heeded()):
                return


def _prepare(word: Begin, run: Run, dataset: Dataset) -> tuple[Training, Prepared]:
    device = settle(word.numerics)
    data = prepare(dataset, run.images, device)
    training = Training.start(make_net(run, dataset, device), run, word.numerics)
    checkpoint.unpack(word.training, training)
    return training, data
