"""One run on two processes that torchrun starts: close to one process, the same bits each time, none left hanging."""

import csv
import os
import signal
from pathlib import Path

import pytest
from processes import begin, family, kill, wait_until
from runs import assert_same_bits, folder_of, records, words, write_study

from repro import run as command
from repro.run import main

#: Enough for a signal to arrive before the last.
ITERATIONS = 120
#: Trains as `python -m repro.run` does, but for a rank that comes to grief in its fourth iteration.
FAULTY = """
import os, signal, sys
from repro.run import main
from repro.train.ranks import Ranks

average, calls = Ranks.average, []

def failing(self, *arguments):
    calls.append(1)
    if os.environ["RANK"] == sys.argv[1] and len(calls) == 4:
        if sys.argv[2] == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        raise MemoryError("no room for gradients")
    return average(self, *arguments)

Ranks.average = failing
sys.exit(main(sys.argv[3:]))
"""


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    # The learning rate falls by the curve so far, which each rank must know.
    settings = {"optimiser.batch_size": 64, "schedule.plateau": [0.25, 100]}
    return write_study(tmp_path_factory.mktemp("study"), ITERATIONS, **settings)


def options(study, results, *more):
    return words(study, results, "--only", "resnet-8", "--checkpoint-every", "0.2", *more, jobs=None)


def started(words, program=("-m", "repro.run")):
    """Under torchrun, by two ranks."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith("OMP")}
    return begin(environment, words, "torch.distributed.run", "--standalone", "--nproc-per-node", "2", *program)


def finished(process):
    try:
        output, _ = process.communicate(timeout=600)
    finally:
        kill(process)
    return process.returncode, output


def torchrun(study, results, *more):
    return finished(started(options(study, results, *more)))


def curve(study, results):
    with folder_of(study, results, "resnet-8").curve_path.open() as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory, study):
    results = tmp_path_factory.mktemp("undisturbed")
    status, output = torchrun(study, results)
    assert status == 0, output
    # Rank 0 alone says anything.
    told = f"1 run of {ITERATIONS} iterations on digits, preset demo; cpu, fp32, one at a time on 2 ranks"
    assert output.count(told) == 1
    assert output.count("seed 0: complete") == 1
    assert len({row["lr"] for row in curve(study, results)}) == 3
    return results


def test_the_first_iterations_are_close_to_those_of_one_process(undisturbed, study, tmp_path):
    assert main(options(study, tmp_path, "--jobs", 1, "--stop-at", 5)) == 0
    one, two = curve(study, tmp_path)[0], curve(study, undisturbed)[0]
    assert one["iteration"] == two["iteration"] == "5"
    assert float(two["train_loss"]) == pytest.approx(float(one["train_loss"]), rel=0.02)
    assert float(two["train_error"]) == pytest.approx(float(one["train_error"]), abs=2)
    assert records(undisturbed)[0]["numerics"]["ranks"] == 2
    assert records(undisturbed)[0]["hash"] == records(tmp_path)[0]["hash"]
    assert "ranks" not in records(tmp_path)[0]["numerics"]


def test_a_signal_to_one_rank_stops_both_and_carried_on_they_have_the_bits_of_a_run_that_was_not_stopped(
    undisturbed, study, tmp_path, capsys
):
    """At any iteration; and never carried on by one rank."""
    process = started(options(study, tmp_path))
    folder = folder_of(study, tmp_path, "resnet-8")
    wait_until(lambda: folder.curve_path.exists() and len(curve(study, tmp_path)) > 2, process)
    ranks = [pid for pid in family(process.pid)[1:] if "repro.run" in Path(f"/proc/{pid}/cmdline").read_text()]
    os.kill(ranks[-1], signal.SIGINT)
    status, output = finished(process)
    assert status != 0
    assert output.count("stopped; the same command carries on") == 1, output
    # torchrun ends with a status of its own, and tells those of the ranks.
    assert "exitcode  : 130" in output
    (record,) = records(tmp_path)
    assert record["status"] == "stopped" and 10 < record["iteration"] < ITERATIONS
    before = folder.record_path.read_bytes()
    assert main(options(study, tmp_path, "--jobs", 1)) == 1
    told = "the run began on 2 ranks, not 1: start it with torchrun --nproc-per-node 2 to carry on with the same bits"
    assert told in capsys.readouterr().out
    assert folder.record_path.read_bytes() == before
    status, output = torchrun(study, tmp_path)
    assert status == 0, output
    assert_same_bits(tmp_path, undisturbed)


@pytest.mark.parametrize(("rank", "how"), [(1, "kill"), pytest.param(0, "fail", marks=pytest.mark.slow)])
def test_a_rank_that_comes_to_grief_leaves_no_other_waiting(study, tmp_path, rank, how):
    script = tmp_path / "faulty.py"
    script.write_text(FAULTY)
    results = tmp_path / "results"
    status, output = finished(started([str(rank), how, *options(study, results)], program=[str(script)]))
    assert status == 1
    record = records(results)[0]
    assert record["status"] == "failed", output
    told = "out of memory (no room for gradients)"
    assert ("another rank has ended" if rank else told) in record["error"]
    assert how == "kill" or told in output


@pytest.mark.parametrize(
    ("ranks", "more", "told"),
    [
        (3, [], "optimiser.batch_size is 64, which 3 ranks cannot share out equally"),
        (2, ["--jobs", "2"], "torchrun's processes train one run at a time: leave out --launcher, --jobs"),
        (
            6,
            ["--set", "optimiser.batch_size=12", "--set", "model.norm_shares=4"],
            "one must be a multiple of the other",
        ),
    ],
)
@pytest.mark.parametrize("rank", [0, 1])
def test_combinations_that_make_no_sense_are_refused_before_anything_is_written(
    study, tmp_path, monkeypatch, capsys, rank, ranks, more, told
):
    """By one rank in this process, which meets no others."""
    monkeypatch.setattr("torch.distributed.init_process_group", lambda *_, **__: None)
    monkeypatch.setattr(command, "GRACE", 0.0)
    for name, value in (("RANK", rank), ("WORLD_SIZE", ranks)):
        monkeypatch.setenv(name, str(value))
        monkeypatch.setenv(f"LOCAL_{name}", str(value))
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "here")
    assert main(options(study, tmp_path / "results", *more)) == 2
    error = capsys.readouterr().err
    assert told in error
    assert len(error.splitlines()) == 1 and ("rank 1: " in error) == (rank == 1)
    assert not (tmp_path / "results").exists()
