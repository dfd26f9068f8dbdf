"""The scheduler without any place to train: order, retries, runs of others and stopping."""

import io
import signal

import pytest
from rich.console import Console

from repro import study as studies
from repro.launch import scheduler
from repro.launch.attempt import Outcome
from repro.launch.display import Display
from repro.launch.options import Options
from repro.launch.scheduler import RETRIES, Scheduler, longest_first
from repro.launch.stop import Stop
from repro.records import RunFolder
from repro.spec import Run


class Fake:
    """Runs that end as they are told to: with each of these statuses in turn, at last complete."""

    every = 0.0

    def __init__(self, statuses=None):
        self.statuses = statuses or {}
        self.started, self.stopped, self.most = [], [], 0
        self.under_way = set()

    def start(self, run):
        self.started.append(run)
        self.under_way.add(run)
        self.most = max(self.most, len(self.under_way))
        return run

    def ask(self, run):
        status = next(self.statuses.get(run, iter(())), "complete")
        if status is None and run not in self.stopped:
            return None
        self.under_way.discard(run)
        return Outcome(run, status or "stopped", "its machine burnt down" if status == "lost" else "")

    def stop(self, run):
        self.stopped.append(run)


@pytest.fixture
def plan():
    return [Run("plain-8", data="digits", preset="demo", seed=seed) for seed in range(3)]


@pytest.fixture
def carry_out(tmp_path, plan):
    """Carries the plan out; gives what came of each run, and what was said."""

    def act(launcher, jobs=2, stop=None):
        file, stop = io.StringIO(), stop or Stop()
        options = Options(tmp_path / "results")
        display = Display(Console(file=file, width=200), options, len(plan), stop)
        outcomes = Scheduler(launcher, options, display, stop).carry_out(plan, jobs)
        return {outcome.run: outcome for outcome in outcomes}, file.getvalue()

    return act


def test_every_run_is_started_once_in_order_and_no_more_than_the_jobs_at_a_time(carry_out, plan):
    launcher = Fake({run: iter([None, None]) for run in plan})
    outcomes, said = carry_out(launcher)
    assert launcher.started == plan and launcher.most == 2
    assert {outcome.status for outcome in outcomes.values()} == {"complete"}
    assert "[3/3] plain-8 seed 2: complete" in said


def test_the_longest_run_is_begun_first():
    runs = studies.load("degradation").runs("demo", only=["plain-20", "resnet-110", "plain-56"])
    assert [run.network for run in longest_first(runs)] == ["resnet-110", "plain-56", "plain-20"]


def session(folder, *began):
    folder.path.mkdir(parents=True, exist_ok=True)
    folder.write({"status": "running", "iteration": 0, "sessions": [{"from": at} for at in began]})


def test_a_run_that_is_lost_each_time_at_the_same_checkpoint_fails_alone(carry_out, plan):
    launcher = Fake({plan[0]: iter(["lost"] * 99)})
    outcomes, said = carry_out(launcher)
    assert launcher.started.count(plan[0]) == 1 + RETRIES
    assert outcomes[plan[0]].status == "failed"
    assert outcomes[plan[0]].message == "lost 4 times at the same checkpoint: its machine burnt down"
    assert said.count("its machine burnt down; tried again from its last checkpoint") == RETRIES
    assert [outcomes[run].status for run in plan[1:]] == ["complete"] * 2


def test_a_run_that_is_lost_is_tried_for_as_long_as_it_gets_further(carry_out, plan, tmp_path):
    folder = RunFolder(tmp_path / "results", plan[0])

    def unlucky():
        for at in range(10):
            session(folder, 0, at)
            yield "lost"

    outcomes, _ = carry_out(Fake({plan[0]: unlucky()}))
    assert outcomes[plan[0]].status == "complete"


def test_a_run_that_another_process_trains_is_waited_for_and_others_go_first(carry_out, plan, tmp_path, monkeypatch):
    monkeypatch.setattr(scheduler, "ASK_AGAIN", 0.0)
    claim = RunFolder(tmp_path / "results", plan[0]).claim()
    assert claim.__enter__()

    def last():
        claim.__exit__(None, None, None)
        yield from ()

    launcher = Fake({plan[2]: last(), plan[1]: iter(["busy"])})
    outcomes, said = carry_out(launcher, jobs=1)
    assert launcher.started == [plan[1], plan[2], plan[0], plan[1]] or launcher.started[-2:] == [plan[1], plan[0]]
    assert len(outcomes) == 3
    for seed in (0, 1):
        assert said.count(f"plain-8 seed {seed}: another process is training it: waiting for it") == 1


def test_once_stopped_runs_under_way_are_told_and_no_other_is_begun(carry_out, plan):
    stop = Stop()

    def interrupted():
        yield None
        stop(signal.SIGINT)
        while True:
            yield None

    launcher = Fake({plan[0]: interrupted(), plan[1]: iter([None] * 99)})
    outcomes, _ = carry_out(launcher, stop=stop)
    assert sorted(launcher.stopped, key=plan.index) == launcher.started == plan[:2]
    assert [outcomes[run].status for run in plan[:2]] == ["stopped"] * 2
    assert plan[2] not in outcomes
