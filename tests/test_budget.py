"""Plans for a budget: the arithmetic on planted costs, and what the command does with a plan."""

from functools import partial
from types import SimpleNamespace

import pytest
from runs import write_study

from repro import budget, study
from repro.budget import Budget, Plan, largest, settles, shortened, told, too_little
from repro.errors import UserError
from repro.launch import start
from repro.measure.cost import Cost, makespan
from repro.run import main

#: Networks of the study degradation, in its order.
NETWORKS = study.load("degradation").networks


def asking(preset="short", **more):
    return partial(study.load("degradation").runs, preset, **{"seeds": range(4), "only": None, "settings": {}} | more)


def taking(runs, minutes):
    """Seconds of each run, by network."""
    return {run: 60.0 * minutes.get(run.network, 10) for run in runs}


def chosen(minutes, budget, jobs=2, done=()):
    """Names and seeds of the largest plan, with planted minutes (10 where none are named)."""
    runs = asking()()
    left = {run: seconds for run, seconds in taking(runs, minutes).items() if (run.network, run.seed) not in done}
    return [(run.network, run.seed) for run in largest(runs, left, Budget(60.0 * budget, jobs))]


def test_more_runs_side_by_side_than_there_are_take_as_long_as_the_longest():
    assert [makespan([1.0, 3.0, 2.0], jobs) for jobs in (1, 2, 10**12)] == [6.0, 3.0, 3.0]


def test_seeds_of_all_networks_come_first_and_what_is_left_is_used():
    """Nine networks of ten minutes, two at a time."""
    found = chosen({}, 70)
    assert sorted(found[:9]) == sorted((network, 0) for network in NETWORKS)
    assert found[9:] == [("plain-20", 1), ("plain-56", 1), ("resnet-20", 1), ("resnet-56", 1), ("plain-32", 1)]
    assert sorted(chosen({}, 90)) == sorted((network, seed) for network in NETWORKS for seed in (0, 1))


def test_of_what_is_too_much_the_pairs_that_settle_most_are_taken():
    assert [chosen({}, minutes) for minutes in (9, 10, 20)] == [
        [],
        [("plain-20", 0), ("plain-56", 0)],
        [(network, 0) for network in ("plain-20", "plain-56", "resnet-20", "resnet-56")],
    ]
    # A pair that does not fit makes room for others.
    assert chosen({"plain-56": 99, "resnet-56": 99}, 10) == [("plain-20", 0), ("plain-32", 0)]


def test_what_is_complete_is_of_the_plan_and_takes_nothing():
    done = [(network, 0) for network in NETWORKS if network != "resnet-110"]
    assert sorted(chosen({}, 10, jobs=1, done=done)) == sorted([*done, ("resnet-110", 0)])


def test_where_two_networks_are_too_much_the_first_pair_is_trained_for_fewer_iterations():
    ask = asking()
    runs = ask()
    costs, held = dict.fromkeys(NETWORKS, Cost(iteration=0.5, image=0.0)), Budget(1200, 2)
    left = {run: costs[run.network].of(run) for run in runs}
    assert too_little(Plan(largest(runs, left, held), left), runs)
    # Two side by side have 1,200 seconds each: 2,400 iterations less those of 5 looks, which count twice; whole rows.
    short = shortened(ask, runs, costs, held)
    assert short.iterations == 2300
    assert [str(run.path) for run in short.runs] == [
        f"cifar10/short/{network}+schedule.iterations=2300/seed-0" for network in ("plain-20", "plain-56")
    ]
    assert "no claim counts them" in "\n".join(told(short, held))
    # One after the other they have half as many.
    assert shortened(ask, runs, costs, Budget(1200, 1)).iterations == 1100
    with pytest.raises(UserError, match="100 iterations of plain-56 and plain-20 take 0:00:5"):
        shortened(ask, runs, costs, Budget(20, 2))


def ids(runs):
    return {claim.id: seeds for claim, seeds in settles(runs)}


def test_claims_are_settled_by_all_networks_of_their_plan_in_their_own_setting():
    pair = asking(only=["plain-20", "plain-56"], seeds=[0, 1])()
    assert ids(pair) == {"H1": 2, "H2": 2, "H14": 2}
    assert ids(pair[:3]) == {"H1": 1, "H2": 1, "H14": 1}, "one seed of plain-56"
    assert ids(asking(settings={"schedule.lr": 0.05})()) == {}, "those are others"
    four = asking(only=["plain-20", "plain-56", "resnet-20", "resnet-56"])()
    assert ids(four).keys() == {"H1", "H2", "H10", "H14"}
    # An error of the paper's own training is judged there alone.
    assert "H13" not in ids(asking()()) and "H13" in ids(asking("paper", data="cifar10")())
    assert "H15" not in ids(asking()()) and ids(study.load("longer").runs("short", seeds=range(3)))["H15"] == 3


def test_the_chance_is_that_of_the_protocol():
    runs = asking("paper", only=["plain-20", "plain-56"], seeds=range(3))()
    said = "\n".join(told(Plan(runs, taking(runs, {})), Budget(1e6, 2)))
    (row,) = budget.power.table().query("claim == 'H2'").to_dict("records")
    assert any(line.split()[:4] == ["H2", "3", row["3"], "%"] for line in said.splitlines())


@pytest.fixture
def tiny(tmp_path, monkeypatch):
    """A command on two small nets, each of whose iterations is said to take a second."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(start, "measure", lambda runs, numerics: [Cost(1.0, 0.0) for _ in runs])
    return [write_study(tmp_path, iterations=4, log_every=2, evaluate_every=4), "--threads", "1", "--jobs", "1"]


def records(folder):
    return sorted(path.parent.relative_to(folder).as_posix() for path in folder.glob("results/local/**/run.json"))


@pytest.mark.parametrize("words", [[], ["--yes", "--dry-run"]])
def test_nothing_is_trained_without_a_yes(tiny, tmp_path, capsys, words):
    assert main([*tiny, "--budget", "1h", *words]) == 0
    said = capsys.readouterr().out
    assert "plain-8" in said and "resnet-8" in said and "0-29" in said and "nothing was trained" in said
    assert not records(tmp_path)


@pytest.mark.parametrize(("answer", "trained"), [("y\n", 2), ("", 0)], ids=["yes", "no more"])
def test_at_a_terminal_it_asks(tiny, tmp_path, monkeypatch, answer, trained):
    terminal = SimpleNamespace(isatty=lambda: True, readline=lambda: answer)
    monkeypatch.setattr(budget, "sys", SimpleNamespace(stdin=terminal, stdout=terminal))
    assert main([*tiny, "--budget", "30s"]) == 0
    assert len(records(tmp_path)) == trained


def test_a_second_budget_goes_on_with_further_seeds(tiny, tmp_path):
    """A run takes four iterations, and ten more for five looks at the signals."""
    words = [*tiny, "--budget", "29s", "--yes"]
    for trained in (2, 4):
        assert main(words) == 0
        assert len(records(tmp_path)) == trained
