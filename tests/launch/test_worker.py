"""A worker without a cluster around it: what it tells, and that a run it trains has the same bits as any other."""

import time

import pytest
from mini import bits, write_study

from repro import study as studies
from repro.data import load
from repro.launch import local
from repro.launch.execute import Options, Outcome, Progress, Stop
from repro.launch.transfer import put, take
from repro.launch.worker import Worker
from repro.records import RunFolder

#: Enough to be stopped after the first row and before the end.
ITERATIONS = 160


@pytest.fixture(scope="module")
def data():
    return load("digits")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    study = studies.load(str(write_study(tmp_path_factory.mktemp("study"), iterations=ITERATIONS, seeds="0")))
    return study.runs("demo", only=["resnet-8"])[0]


def options(results, **more):
    return Options(results=results, device="cpu", precision="fp32", default_threads=1, **more)


@pytest.fixture(scope="module")
def expected(run, tmp_path_factory):
    results = tmp_path_factory.mktemp("here")
    local.run_all([run], options(results), ("digits", results), 1, lambda item: None, Stop())
    return bits(results)


def news(worker, until=lambda items: isinstance(items[-1], Outcome)):
    """All that a worker tells, as one who loses every other answer hears it."""
    items = []
    deadline = time.monotonic() + 60
    while not items or not until(items):
        assert time.monotonic() < deadline
        lost = worker.ask(len(items))
        answer = worker.ask(len(items))
        assert answer[: len(lost)] == lost
        items += answer
    return items


def test_in_a_shared_folder_a_run_trains_where_it_belongs(run, data, expected, tmp_path):
    worker = Worker(options(tmp_path), data)
    hello = worker.hello()
    assert (tmp_path / hello.token).exists()
    worker.forget(hello.token)
    assert not list(tmp_path.iterdir())
    worker.begin(run, None)
    items = news(worker)
    assert items[-1] == Outcome(run, "complete")
    assert all(isinstance(item, Progress) for item in items[:-1])
    assert [item.row.iteration for item in items[:-1] if item.row] == list(range(10, ITERATIONS + 1, 10))
    assert bits(tmp_path) == expected


def test_a_folder_that_is_not_there_is_not_made(run, data, tmp_path):
    assert Worker(options(tmp_path / "missing"), data).hello().token is None
    assert not list(tmp_path.iterdir())


def test_apart_its_files_come_back_and_another_carries_on_from_them(run, data, expected, tmp_path):
    here = RunFolder(tmp_path / "here", run)
    apart = options(tmp_path / "not-here", checkpoint_every=0)
    first = Worker(apart, data)
    first.begin(run, {})
    items = news(first, until=lambda items: any(isinstance(item, Progress) and item.iteration >= 20 for item in items))
    for item in items:
        if not isinstance(item, Progress):
            put(here, item)
    # That worker is lost now: what it has told is all there is.
    first.stop()
    assert here.checkpoint_path.exists()
    second = Worker(apart, data)
    second.begin(run, take(here, previous=True))
    items = news(second)
    assert isinstance(items[0], Progress)
    assert 0 < items[0].began_at < ITERATIONS
    assert items[-1] == Outcome(run, "complete")
    for item in items:
        if not isinstance(item, Progress | Outcome):
            put(here, item)
    assert bits(tmp_path / "here") == expected
    assert sorted(path.name for path in tmp_path.iterdir()) == ["here"]
    news(first)  # its end, which would otherwise be cut off with its folder left behind


def test_stopped_it_sends_a_checkpoint_before_its_outcome(run, data, tmp_path):
    worker = Worker(options(tmp_path / "not-here", checkpoint_every=1000), data)
    worker.begin(run, {})
    news(worker, until=lambda items: any(isinstance(item, Progress) and item.row for item in items))
    worker.stop()
    *_, files, outcome = news(worker)
    assert outcome.status == "stopped"
    here = RunFolder(tmp_path / "here", run)
    put(here, files)
    assert here.read()["status"] == "stopped"
    assert 10 <= here.read()["iteration"] < ITERATIONS
    assert here.checkpoint_path.exists()


def test_its_messages_name_the_folder_that_the_other_side_knows(run, data, tmp_path):
    worker = Worker(options(tmp_path), data)
    worker.begin(run, {"run.json": b"no record"})
    outcome = news(worker)[-1]
    assert outcome.status == "failed"
    assert f"{tmp_path / run.path / 'run.json'}: cannot be read as a record" in outcome.message
