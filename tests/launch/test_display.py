"""What is told of runs, as lines where there is no terminal."""

import io

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
    values = Row(iteration, 0.0, 0.1, 1.5, 40.0, float("nan"), float("nan"), 1.0) if row else None
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
