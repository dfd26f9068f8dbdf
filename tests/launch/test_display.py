"""What is told of runs, as their records on disk have it: as bars on a terminal, as lines elsewhere."""

import io
import math
from dataclasses import replace

import pytest
from rich.console import Console

from repro.launch import display
from repro.launch.attempt import Outcome
from repro.launch.display import Display
from repro.launch.options import Options
from repro.launch.stop import Stop
from repro.records import Row, RunFolder
from repro.spec import Run, override

RUN = override(Run(network="plain-8"), {"schedule.iterations": 1000, "log_every": 50, "evaluate_every": 100})


@pytest.fixture
def clock(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(display.time, "monotonic", lambda: now[0])
    return now


@pytest.fixture
def shown(clock, tmp_path):
    """A display of two runs, not of a terminal unless told so, and what it shows at given seconds: all lines so far."""

    def make(**console):
        file = io.StringIO()
        target = Display(Console(file=file, width=110, **console), Options(tmp_path), 2, Stop())

        def at(seconds):
            clock[0] = seconds
            target.look()
            return file.getvalue().splitlines()

        return target, at

    return make


def session(tmp_path, began_at, notes=(), run=RUN):
    """The record as a run begins, or is resumed."""
    folder = RunFolder(tmp_path, run)
    folder.path.mkdir(parents=True, exist_ok=True)
    record = folder.read()
    former = [past.to_dict() for past in record.sessions] if record else []
    folder.write({"status": "running", "iteration": 0, "sessions": [*former, {"from": began_at, "notes": list(notes)}]})
    return folder


def row(iteration, test=math.nan):
    return Row(iteration, 0.0, 0.1, 1.5, 40.0, math.nan if math.isnan(test) else 1.0, test)


def test_the_time_left_is_counted_from_when_a_run_was_begun_or_resumed_last(shown, tmp_path, clock):
    target, at = shown()
    target.begin(RUN)
    assert at(0) == [] == at(1000), "it waits in a queue"
    folder = session(tmp_path, 0)
    at(1001)
    folder.append(row(100))
    assert at(1011)[-1].endswith("100/1,000 loss 1.500, train 40.00 %, 1 min 30 s left")
    target.note(RUN, "its worker was lost")
    target.begin(RUN)
    assert at(1500)[-1] == "plain-8 seed 0: its worker was lost"
    folder.curve_path.unlink()
    session(tmp_path, 50, ["carries on from iteration 50"])
    assert at(2000)[-1] == "plain-8 seed 0: carries on from iteration 50"
    folder.append(row(150, test=30.0))
    assert at(2100)[-1].endswith("150/1,000 loss 1.500, train 40.00 %, test 30.00 %, 14 min 10 s left")


def test_lines_of_a_run_come_seldom_but_its_last_one_always(shown, tmp_path):
    target, at = shown()
    target.begin(RUN)
    folder = session(tmp_path, 0)
    for step in range(1, 21):
        folder.append(row(50 * step))
        at(step)
    lines = at(30)
    assert [line.split()[3].split("/")[0] for line in lines] == ["50", "800", "1,000"]


def test_a_run_of_days_prints_no_more_lines_than_one_of_minutes(shown, tmp_path, monkeypatch):
    monkeypatch.setattr(display, "LINES", 4)
    target, at = shown()
    target.begin(RUN)
    folder = session(tmp_path, 0)
    at(0)
    for step in range(1, 21):
        folder.append(row(50 * step))
        at(1000 * step)
    lines = at(30_000)
    assert [line.split()[3].split("/")[0] for line in lines] == ["50", "300", "550", "800", "1,000"]


def test_what_was_on_disk_before_a_run_is_begun_is_no_news(shown, tmp_path):
    session(tmp_path, 0, ["an old note"]).append(row(100))
    target, at = shown()
    target.begin(RUN)
    assert at(1) == []


def test_outcomes_are_lines_of_their_own(shown, tmp_path):
    target, at = shown()
    target.begin(RUN)
    session(tmp_path, 0).append(row(1000, test=12.345))
    target.finish(Outcome(RUN, "complete"))
    target.finish(Outcome(replace(RUN, seed=1), "failed", "no room"))
    assert at(1)[-2:] == [
        "[1/2] plain-8 seed 0: complete, test error 12.35 %",
        "[2/2] plain-8 seed 1: failed: no room",
    ]


def test_on_a_terminal_the_whole_study_is_seen_at_once(shown, tmp_path):
    """Where it is, a bar for each run that has begun or stands in a queue, and none for those that have ended."""
    target, at = shown(force_terminal=True)

    def seen():
        file = io.StringIO()
        Console(file=file, width=110).print(target.bars)
        return [" ".join(line.replace("━", "").replace("╸", "").split()) for line in file.getvalue().splitlines()]

    other = replace(RUN, seed=1)
    target.begin(RUN), target.begin(other)
    folder = session(tmp_path, 0)
    at(0)
    folder.append(row(500))
    at(10)
    assert seen() == [
        "all runs 25% 0 ended, 1 training, 1 waiting",
        "plain-8 seed 0 50% loss 1.50, train 40.0 %, 0:00:10",
        "plain-8 seed 1 0%",
    ]
    target.finish(Outcome(RUN, "complete"))
    at(20)
    assert seen() == ["all runs 50% 1 ended, 0 training, 1 waiting", "plain-8 seed 1 0%"]


def test_the_disk_is_looked_at_four_times_a_second_at_most(shown, tmp_path, monkeypatch):
    target, at = shown(force_terminal=True)
    target.begin(RUN)
    looks = []
    monkeypatch.setattr(display._Shown, "has_changed", lambda self: looks.append(1))
    for step in range(40):
        at(step / 10)
    assert 10 <= len(looks) <= 16
