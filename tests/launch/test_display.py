"""What is told of runs, as their records on disk have it: as bars on a terminal, as lines elsewhere."""

import io
import math

import pytest
from rich.console import Console

from repro.launch import display
from repro.launch.display import Display
from repro.launch.options import Options
from repro.launch.stop import Stop
from repro.records import Row, RunFolder
from repro.spec import Run, override

RUN = override(Run(network="plain-8"), {"schedule.iterations": 1000, "log_every": 50, "evaluate_every": 100})


@pytest.fixture
def shown(monkeypatch, tmp_path):
    """A display of two runs that is not of a terminal, and what it shows at given seconds: all lines so far."""
    now, file = [0.0], io.StringIO()
    monkeypatch.setattr(display.time, "monotonic", lambda: now[0])
    target = Display(Console(file=file, width=110), Options(tmp_path), 2, Stop())
    target.bars.get_time = lambda: now[0]

    def at(seconds):
        now[0] = seconds
        target.look()
        return file.getvalue().splitlines()

    return target, at


def session(tmp_path, began_at, notes=()):
    """The record as a run begins, or is resumed."""
    folder = RunFolder(tmp_path, RUN)
    folder.path.mkdir(parents=True, exist_ok=True)
    record = folder.read()
    former = [past.to_dict() for past in record.sessions] if record else []
    folder.write({"status": "running", "iteration": 0, "sessions": [*former, {"from": began_at, "notes": list(notes)}]})
    return folder


def row(iteration, test=math.nan):
    return Row(iteration, 0.0, 0.1, 1.5, 40.0, math.nan if math.isnan(test) else 1.0, test)


def test_the_time_left_is_that_of_iterations_since_a_run_was_begun_or_resumed_last(shown, tmp_path):
    target, at = shown
    session(tmp_path, 0, ["an old note"]).append(row(100))
    target.begin(RUN)
    assert at(0) == [] == at(1000), "it waits in a queue, and what is on disk already is no news"
    RunFolder(tmp_path, RUN).curve_path.unlink()
    folder = session(tmp_path, 0)
    folder.append(row(100))
    assert at(1011)[-1].endswith("100/1,000 loss 1.500, train 40.00 %")
    folder.append(row(200))
    assert at(1031)[-1].endswith("200/1,000 loss 1.500, train 40.00 %, 0:02:40 left")
    target.note(RUN, "its worker was lost")
    target.begin(RUN)
    assert at(1500)[-1] == "plain-8 seed 0: its worker was lost"
    folder.curve_path.unlink()
    session(tmp_path, 50, ["carries on from iteration 50"])
    assert at(2000)[-1] == "plain-8 seed 0: carries on from iteration 50"
    folder.append(row(150))
    at(2100)
    folder.append(row(200, test=30.0))
    assert at(2150)[-1].endswith("200/1,000 loss 1.500, train 40.00 %, test 30.00 %, 0:13:20 left")


def test_times_are_told_however_long():
    times = [display.duration(seconds) for seconds in (200.4, 2 * 86_400 + 10_800, 9e15)]
    assert times == ["0:03:20", "2 days, 3:00:00", "999999999 days, 0:00:00"]


@pytest.mark.parametrize(
    ("seconds", "shown_at"), [(1, ["50", "800", "1,000"]), (1000, ["50", "300", "550", "800", "1,000"])]
)
def test_lines_of_a_run_come_seldom_and_a_run_of_days_has_no_more(seconds, shown_at, shown, tmp_path, monkeypatch):
    monkeypatch.setattr(display, "LINES", 4 if seconds > 1 else display.LINES)
    target, at = shown
    target.begin(RUN)
    folder = session(tmp_path, 0)
    at(0)
    for step in range(1, 21):
        folder.append(row(50 * step))
        at(seconds * step)
    assert [line.split()[3].split("/")[0] for line in at(30 * seconds)] == shown_at
