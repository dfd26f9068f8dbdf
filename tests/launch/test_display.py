"""What is told of runs: as bars on a terminal, as lines elsewhere."""

import io
from dataclasses import replace

import pytest
from rich.console import Console

from repro.launch import display
from repro.launch.display import Display
from repro.launch.execute import Outcome, Progress
from repro.records import Row
from repro.spec import Run

RUN = Run(network="plain-8")


@pytest.fixture
def shown(monkeypatch):
    """Shows items at given seconds; gives the lines so far."""
    now = [0.0]
    monkeypatch.setattr(display.time, "monotonic", lambda: now[0])
    file = io.StringIO()
    target = Display(Console(file=file), total=2)

    def show(seconds, item):
        now[0] = seconds
        target(item)
        return file.getvalue().splitlines()

    return show


def at(iteration, note="", row=True):
    values = Row(iteration, 0.0, 0.1, 1.5, 40.0, float("nan"), float("nan")) if row else None
    return Progress(RUN, iteration, 0, 1000, values, note)


def test_the_time_left_is_counted_from_when_a_run_last_stood_still(shown):
    shown(0, at(0, "waits in a queue", row=False))
    shown(1000, at(0, row=False))
    assert shown(1010, at(100))[-1].endswith("100/1,000 loss 1.500, train 40.00 %, 1 min 30 s left")
    shown(1020, at(50, "its worker was lost", row=False))
    shown(2000, at(50, row=False))
    assert shown(2100, at(150))[-1].endswith("150/1,000 loss 1.500, train 40.00 %, 14 min 10 s left")


def test_notes_and_outcomes_are_lines_of_their_own(shown):
    assert shown(0, at(0, "its worker was lost", row=False)) == ["plain-8 seed 0: its worker was lost"]
    assert shown(1, Outcome(RUN, "failed", "no room"))[-1] == "[1/2] plain-8 seed 0: failed: no room"


def test_on_a_terminal_the_whole_study_is_seen_at_once(monkeypatch):
    """Where it is, a bar for each run that has begun or stands in a queue, and none for those that have ended."""
    now = 0.0
    monkeypatch.setattr(display.time, "monotonic", lambda: now)
    target = Display(Console(file=io.StringIO(), force_terminal=True, width=110), total=4)

    def seen():
        file = io.StringIO()
        Console(file=file, width=110).print(target.bars)
        return [" ".join(line.replace("━", "").replace("╸", "").split()) for line in file.getvalue().splitlines()]

    target(at(500))
    other = replace(RUN, seed=1)
    now = 10.0
    target(Progress(other, 0, 0, 1000, None, "waits in a queue"))
    assert seen() == [
        "all runs 12% 0 ended, 1 training, 3 waiting",
        "plain-8 seed 0 50% loss 1.50, train 40.0 %",
        "plain-8 seed 1 0%",
    ]
    target(Outcome(RUN, "complete"))
    now = 20.0
    target(replace(at(250), run=other))
    assert seen() == [
        "all runs 31% 1 ended, 1 training, 2 waiting",
        "plain-8 seed 1 25% loss 1.50, train 40.0 %, 0:00:30",
    ]


def test_bars_are_drawn_by_what_is_told_and_at_most_four_times_a_second(monkeypatch):
    now = 0.0
    monkeypatch.setattr(display.time, "monotonic", lambda: now)
    file = io.StringIO()
    target = Display(Console(file=file, force_terminal=True, width=110), total=2)
    with target.showing():
        drawn = []
        for step in range(41):
            now = step / 10
            before = len(file.getvalue())
            target(at(step))
            if len(file.getvalue()) > before:
                drawn.append(step)
    assert drawn == list(range(0, 41, 3))
