"""Killed or told to stop at any moment, a study carries on, and its results have the bits of one left alone."""

import os
import random
import signal
import sys
from contextlib import suppress
from functools import partial

import commands
import pytest
from commands import Command
from runs import assert_same_bits, folder_of

from repro.records import Source, collect
from repro.run import main

KILLS = 20


@pytest.mark.slow
def test_killed_twenty_times_at_random_moments_and_then_completed(long, tmp_path):
    study, undisturbed = long
    chance = random.Random(2015)
    attempts = [tmp_path / "0"]
    came_to = []
    while len(came_to) < KILLS:
        command = Command(commands.arguments(study, attempts[-1]), tmp_path / f"log-{len(came_to)}")
        if len(came_to) % 2:  # from the first moment of the process on
            command.process.join(chance.uniform(0.0, 0.8))
        else:  # some way into the training, however long the machine takes to come there
            size = written(attempts[-1]) + chance.uniform(0, 300)
            command.wait_for(lambda command=command, size=size: written(attempts[-1]) > size or command.has_ended())
        command.send(signal.SIGKILL)
        if command.wait() == 0:  # complete by then on a fast machine: the rest of the kills hit another
            attempts.append(tmp_path / str(len(attempts)))
            continue
        assert command.wait() == -signal.SIGKILL
        assert "Traceback" not in command.text
        came_to.append(sum(collect([Source("killed", attempts[-1])]).curves.groupby("folder")["iteration"].max()))
    assert len(set(came_to)) > 5, "killed at different moments of training"
    for results in attempts:
        assert main(commands.arguments(study, results)) == 0
        for note in results.rglob("holder.lock"):  # of one killed when all was written: nobody has claimed it since
            note.unlink()
        assert_same_bits(results, undisturbed)


def written(results):
    """Bytes of all curves."""
    return sum(path.stat().st_size for path in results.glob("**/curve.csv"))


@pytest.mark.parametrize(("number", "status", "jobs"), [(signal.SIGINT, 130, 2), (signal.SIGTERM, 143, 1)])
def test_told_to_stop_it_writes_checkpoints_and_carries_on_later(number, status, jobs, long, tmp_path):
    study, undisturbed = long
    results = tmp_path / "results"
    words = commands.arguments(study, results, jobs=jobs)
    # No checkpoint by the clock: what there is afterwards was written because of the signal.
    command = Command([*words, "--checkpoint-every", "1000"], tmp_path / "log")
    first = folder_of(study, results, "plain-8")
    command.wait_for(first.curve_path.exists)
    for _ in range(3):  # it stops once
        command.send(number)
    assert command.wait() == status
    assert "stopped; the same command carries on" in command.text
    assert "Traceback" not in command.text
    assert commands.record(first)["status"] in ("stopped", "complete")
    assert 0 < commands.at(first) == commands.record(first)["iteration"]
    assert commands.record(first)["sessions"][-1]["to"] == commands.at(first)
    assert main(commands.arguments(study, results)) == 0
    assert_same_bits(results, undisturbed)


@pytest.mark.parametrize(
    ("how", "jobs", "status"), [("in front", 2, 129), ("in its background", 1, 0), ("with nohup", 1, 0)]
)
def test_with_its_terminal_lost_it_ends_with_checkpoints_or_as_told_goes_on(how, jobs, status, long, tmp_path):
    study, undisturbed = long
    results = tmp_path / "results"
    terminal, other_end = os.openpty()
    os.set_blocking(terminal, False)
    words = [*commands.arguments(study, results, jobs=jobs), "--checkpoint-every", "1000"]
    command = Command(words, tmp_path / "log", partial(on_terminal, os.ttyname(other_end), how))
    first = folder_of(study, results, "plain-8")

    def begun():
        with suppress(BlockingIOError):  # a full terminal would hold the command up
            os.read(terminal, 65536)
        return first.curve_path.exists()

    command.wait_for(begun)
    os.close(other_end)
    os.close(terminal)
    assert command.wait() == status
    if status:
        assert 0 < commands.at(first) == commands.record(first)["iteration"]
        assert commands.record(first)["status"] in ("stopped", "complete")
        assert main(commands.arguments(study, results)) == 0
    assert_same_bits(results, undisturbed)


def on_terminal(name, how):
    """Make this process the first of a session on that terminal, or a mere user of it, to whom no SIGHUP is sent."""
    os.setsid()
    if how == "with nohup":
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
    terminal = os.open(name, os.O_RDWR | (os.O_NOCTTY if how == "in its background" else 0))
    for stream in (sys.stdout, sys.stderr):  # of a file, which Python treats as one to the end
        stream.close()
    for number in (0, 1, 2):
        os.dup2(terminal, number)
    sys.stdout, sys.stderr = (os.fdopen(number, "w", buffering=1) for number in (1, 2))


def test_several_commands_on_one_results_folder(study, undisturbed, tmp_path):
    results = tmp_path / "results"
    started = [Command(commands.arguments(study, results), tmp_path / f"log-{i}") for i in range(3)]
    assert [command.wait() for command in started] == [0, 0, 0]
    for network in ("plain-8", "resnet-8"):
        sessions = commands.record(folder_of(study, results, network))["sessions"]
        assert len(sessions) == 1, "trained once, by one of them"
    for command in started:
        assert "Traceback" not in command.text
        assert "complete" in command.text
    assert_same_bits(results, undisturbed)


def test_one_of_two_commands_is_killed_and_the_other_takes_its_run_over(long, tmp_path):
    study, undisturbed = long
    results = tmp_path / "results"
    words = commands.arguments(study, results, "--only", "resnet-8")
    first = Command(words, tmp_path / "log-1")
    folder = folder_of(study, results, "resnet-8")
    first.wait_for(folder.checkpoint_path.exists)
    first.send(signal.SIGSTOP)  # so that it is not done before the other one has begun
    second = Command(words, tmp_path / "log-2")
    second.wait_for(lambda: "another process is training it: waiting for it" in second.text)
    first.send(signal.SIGKILL)
    assert second.wait() == 0
    assert [session["from"] > 0 for session in commands.record(folder)["sessions"]] == [False, True]
    assert_same_bits(results, undisturbed, "resnet-8")
