"""One run on two processes that torchrun starts: close to one process, the same bits each time, none left hanging."""

import csv
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from mini import ROOT, bits, write_study
from processes import family, kill, records, wait_until

from repro.run import main

OPTIONS = ["--only", "resnet-8", "--precision", "fp32", "--device", "cpu", "--checkpoint-every", "0.2"]
#: Enough for a signal to arrive before the last.
ITERATIONS = 120
FOLDER = Path(f"digits/demo/resnet-8+optimiser.batch_size=64,schedule.iterations={ITERATIONS}/seed-0")
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
    return str(write_study(tmp_path_factory.mktemp("study"), ITERATIONS, seeds="0"))


def started(*arguments):
    """Under torchrun, by two ranks."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith("OMP")}
    return subprocess.Popen(
        [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", *map(str, arguments)],
        cwd=ROOT,
        env={**environment, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def finished(process):
    try:
        output, _ = process.communicate(timeout=600)
    finally:
        kill(process)
    return process.returncode, output


def torchrun(*arguments):
    return finished(started("-m", "repro.run", *arguments))


def pretend(monkeypatch, rank, count):
    """To be a rank in this process, which meets no others."""
    for name, value in {"RANK": rank, "WORLD_SIZE": count, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": 1}.items():
        monkeypatch.setenv(name, str(value))


def curve(results):
    with (results / FOLDER / "curve.csv").open() as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory, study):
    results = tmp_path_factory.mktemp("undisturbed")
    status, output = torchrun(study, *OPTIONS, "--results", results)
    assert status == 0, output
    # Rank 0 alone says anything.
    told = f"1 run of {ITERATIONS} iterations on digits, preset demo; cpu, fp32, one at a time on 2 ranks"
    assert output.count(told) == 1
    assert output.count("seed 0: complete") == 1
    return results


def test_the_first_iterations_are_close_to_those_of_one_process(undisturbed, study, tmp_path):
    assert main([study, *OPTIONS, "--threads", "1", "--jobs", "1", "--results", str(tmp_path), "--stop-at", "10"]) == 0
    one, two = curve(tmp_path)[0], curve(undisturbed)[0]
    assert one["iteration"] == two["iteration"] == "10"
    assert float(two["train_loss"]) == pytest.approx(float(one["train_loss"]), rel=0.02)
    assert float(two["train_error"]) == pytest.approx(float(one["train_error"]), abs=2)
    assert records(undisturbed)[0]["numerics"]["ranks"] == 2
    assert records(undisturbed)[0]["hash"] == records(tmp_path)[0]["hash"]
    assert "ranks" not in records(tmp_path)[0]["numerics"]


def test_stopped_and_carried_on_it_has_the_bits_of_one_that_was_not(undisturbed, study, tmp_path):
    """Stopped by --stop-at where no row is due, then by SIGTERM at any iteration."""
    arguments = [study, *OPTIONS, "--results", tmp_path]
    status, output = torchrun(*arguments, "--stop-at", 13)
    assert status == 0, output
    assert records(tmp_path)[0]["iteration"] == 13
    process = started("-m", "repro.run", *arguments)
    wait_until(lambda: len(curve(tmp_path)) > 1, process)
    process.terminate()
    status, output = finished(process)
    assert status != 0
    assert output.count("stopped; the same command carries on") == 1, output
    assert records(tmp_path)[0]["status"] == "stopped"
    assert 13 < records(tmp_path)[0]["iteration"] < ITERATIONS
    status, output = torchrun(*arguments)
    assert status == 0, output
    assert bits(tmp_path) == bits(undisturbed)


@pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGINT, 130), pytest.param(signal.SIGTERM, 143, marks=pytest.mark.slow)]
)
def test_a_signal_to_either_rank_stops_both_after_a_checkpoint(study, tmp_path, number, status):
    process = started("-m", "repro.run", study, *OPTIONS, "--set", "schedule.iterations=100000", "--results", tmp_path)
    wait_until(lambda: list(tmp_path.glob("**/curve.csv")), process)
    ranks = [pid for pid in family(process.pid) if "repro.run" in Path(f"/proc/{pid}/cmdline").read_text()]
    os.kill(ranks[-1], number)
    code, output = finished(process)
    assert code != 0
    assert output.count("stopped; the same command carries on") == 1, output
    # torchrun ends with a status of its own, and tells those of the ranks.
    assert f"exitcode  : {status}" in output
    record = records(tmp_path)[0]
    assert record["status"] == "stopped"
    assert record["iteration"] > 0


def test_another_number_of_ranks_is_refused_with_what_to_do(undisturbed, study, tmp_path, capsys):
    arguments = [study, *OPTIONS, "--results", str(tmp_path), "--stop-at", "3"]
    status, output = torchrun(*arguments)
    assert status == 0, output
    before = (tmp_path / FOLDER / "run.json").read_bytes()
    assert main([*arguments[:-2], "--jobs", "1"]) == 1
    words = "the run began on 2 ranks, not 1: start it with torchrun --nproc-per-node 2 to carry on with the same bits"
    assert words in capsys.readouterr().out
    assert (tmp_path / FOLDER / "run.json").read_bytes() == before


@pytest.mark.slow
def test_a_run_of_one_process_is_not_carried_on_by_two(study, tmp_path):
    """Nor are the others left waiting: each run has its outcome on all ranks."""
    arguments = [study, *OPTIONS, "--results", str(tmp_path)]
    assert main([*arguments, "--jobs", "1", "--stop-at", "3"]) == 0
    status, output = torchrun(*arguments, "--seeds", "0,1", "--stop-at", "3")
    assert status == 1
    words = "the run began on 1 rank, not 2: start it without torchrun to carry on with the same bits"
    assert output.count(words) == 1, output
    assert "seed 1: stopped: at iteration 3" in output


@pytest.mark.parametrize(("rank", "how"), [(1, "fail"), (1, "kill"), pytest.param(0, "fail", marks=pytest.mark.slow)])
def test_a_rank_that_comes_to_grief_leaves_no_other_waiting(study, tmp_path, rank, how):
    script = tmp_path / "faulty.py"
    script.write_text(FAULTY)
    results = tmp_path / "results"
    status, output = finished(started(script, rank, how, study, *OPTIONS, "--results", results))
    assert status == 1
    record = records(results)[0]
    assert record["status"] == "failed", output
    told = {
        (0, "fail"): "out of memory (no room for gradients)",
        (1, "fail"): "rank 1: MemoryError: no room for gradients; start again to carry on",
        (1, "kill"): "another rank ended without a word; start again to carry on",
    }[rank, how]
    assert told in record["error"]
    assert told in output


@pytest.mark.parametrize(
    ("ranks", "options", "words"),
    [
        (3, [], "optimiser.batch_size is 64, which 3 ranks cannot share out equally"),
        (128, [], "optimiser.batch_size is 64, which 128 ranks cannot share out equally"),
        (2, ["--jobs", "2"], "--jobs 2: under torchrun all ranks train one run at a time: leave it out"),
        (2, ["--launcher", "ray"], "--launcher ray starts processes of its own: leave it out, or start without torchr"),
        (2, ["--launcher", "slurm"], "--launcher slurm starts processes of its own"),
        (
            6,
            ["--set", "optimiser.batch_size=12", "--set", "model.norm_shares=4"],
            "model.norm_shares is 4 and there are 6 ranks: one must be a multiple of the other",
        ),
    ],
)
def test_combinations_that_make_no_sense_are_refused_before_anything_is_written(
    study, tmp_path, monkeypatch, capsys, ranks, options, words
):
    pretend(monkeypatch, 0, ranks)
    results = tmp_path / "results"
    assert main([study, "--only", "resnet-8", "--results", str(results), *options]) == 2
    error = capsys.readouterr().err
    assert words in error
    assert len(error.splitlines()) == 1
    assert not results.exists()


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        ({"RANK": "0", "WORLD_SIZE": "two"}, "WORLD_SIZE is 'two' in the environment"),
        ({"RANK": "2", "WORLD_SIZE": "2"}, "rank 2 of 2 in the environment"),
        ({"RANK": "0", "WORLD_SIZE": "2"}, "WORLD_SIZE but no MASTER_ADDR and MASTER_PORT: start with torchrun"),
    ],
)
def test_an_environment_that_makes_no_sense_is_refused(study, monkeypatch, capsys, variables, words):
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert main([study]) == 2
    assert words in capsys.readouterr().err


def test_one_rank_is_one_process(study, tmp_path, monkeypatch):
    pretend(monkeypatch, 0, 1)
    assert main([study, *OPTIONS, "--jobs", "1", "--stop-at", "2", "--results", str(tmp_path)]) == 0
    assert "ranks" not in records(tmp_path)[0]["numerics"]


def test_a_dry_run_is_rank_0s_and_says_what_it_leaves_out(study, tmp_path, monkeypatch, capsys):
    command = [study, *OPTIONS, "--dry-run", "--results", str(tmp_path / "results")]
    pretend(monkeypatch, 1, 2)
    assert main(command) == 0
    assert capsys.readouterr().out == ""
    pretend(monkeypatch, 0, 2)
    assert main(command) == 0
    assert (
        "1 at a time on 2 ranks, without what they wait for each other; nothing was written" in capsys.readouterr().out
    )
    assert not (tmp_path / "results").exists()
