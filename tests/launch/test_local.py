"""Runs side by side in processes of their own: none twice, none that takes others with it when it dies."""

import json
import os
import signal
import subprocess
import sys
import time
from multiprocessing.process import BaseProcess as Process
from types import SimpleNamespace as Fake

import pytest
import torch
from processes import ROOT, begin, wait_until
from runs import assert_same_bits, folder_of, records, runs, trained, words, write_study

from repro.errors import UserError
from repro.launch import local, start
from repro.launch.local import Processes, launcher
from repro.launch.options import Options
from repro.launch.scheduler import Scheduler
from repro.lock import is_held
from repro.records import RunFolder
from repro.run import main
from repro.train.precision import Numerics
from repro.train.ranks import ALONE


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """A study, and its results where one run follows the other."""
    return trained(tmp_path_factory.mktemp("one"), 100)


def test_a_worker_that_is_killed_is_replaced_and_its_run_has_the_same_bits(undisturbed, tmp_path, capfd, monkeypatch):
    """In the company of one that is left alone. The killer looks where the scheduler does: at the records on disk."""
    study, expected = undisturbed
    folder, killed = folder_of(study, tmp_path, "resnet-8"), []
    really = Scheduler._begin

    def begin(self, jobs):
        really(self, jobs)
        claim = folder.path / "holder.lock"
        if not killed and folder.checkpoint_path.exists() and claim.exists():
            killed.append(int(claim.read_text().split()[1]))
            os.kill(killed[0], signal.SIGKILL)

    monkeypatch.setattr(Scheduler, "_begin", begin)
    assert main(words(study, tmp_path, "--checkpoint-every", 0.05, jobs=2)) == 0
    assert killed and killed[0] != os.getpid()
    assert "its process ended with signal 9" in capfd.readouterr().out
    other, (first, second) = (record["sessions"] for record in records(tmp_path))
    assert first["from"] == 0 < second["from"] and len(other) == 1
    assert_same_bits(tmp_path, expected)


def test_runs_go_to_the_card_that_has_the_fewest(tmp_path, monkeypatch):
    given = []

    class Started:
        def __init__(self, target, args, daemon):
            given.append(args[-1])

        def start(self):
            pass

    (run, _) = runs(write_study(tmp_path))
    processes = Processes(Options(tmp_path), cards=[0, 2, 5])
    monkeypatch.setattr(type(processes.context), "Process", Started)
    jobs = [processes.start(run) for _ in range(4)]
    assert given == [0, 2, 5, 0]
    processes.jobs.remove(jobs[1])
    processes.start(run)
    assert given[-1] == 2


def test_a_word_stops_a_worker_after_a_checkpoint_on_every_system(tmp_path, monkeypatch):
    """Windows ends a process that is sent a signal, and has neither a tracker of resources nor SIGKILL."""
    monkeypatch.setattr(local.sys, "platform", "win32")
    monkeypatch.setattr(local.resource_tracker, "ensure_running", lambda: pytest.fail("needs _posixsubprocess"))
    monkeypatch.delattr(signal, "SIGKILL")
    monkeypatch.setattr(Process, "terminate", lambda self: pytest.fail("would end it at once"))
    run = runs(write_study(tmp_path, iterations=100_000), "resnet-8")[0]
    options = Options(tmp_path, device="cpu", precision="fp32", threads=1, checkpoint_every=1000)
    with launcher(options, run.data) as processes:
        job, folder = processes.start(run), RunFolder(tmp_path, run)
        wait_until(folder.curve_path.exists, Fake(poll=lambda: job.process.exitcode))
        processes.stop(job)
        outcome = wait_until(lambda: processes.ask(job), Fake(poll=lambda: None))
    assert outcome.status == folder.read().status == "stopped"
    assert folder.checkpoint_path.exists()
    gone = processes._gone(Fake(run=run, process=Fake(exitcode=0)))
    assert (gone.status, gone.message) == ("lost", "its process ended with status 0")


def test_only_who_trains_takes_a_gpu(tmp_path, monkeypatch):
    """The parent of several jobs would hold memory on the first one, and in exclusive mode all of it."""
    monkeypatch.setattr(start, "resolve", lambda *_: Numerics("cuda", "fp32", 1))
    monkeypatch.setattr(start, "cards", lambda: [0, 2])
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 3)
    monkeypatch.setattr(start, "check_gpu", lambda: (_ for _ in ()).throw(UserError("no kernels")))
    study, plan = Fake(for_preset=lambda name: Fake(stop_at={})), runs(write_study(tmp_path))
    options, _ = start.settle(study, plan, Options(tmp_path), ALONE)
    assert options.jobs == 2
    start.settle(study, plan, Options(tmp_path, launcher="slurm", jobs=1), ALONE)
    with pytest.raises(UserError, match="no kernels"):
        start.settle(study, plan, Options(tmp_path, jobs=1), ALONE)


def test_a_worker_whose_parent_is_gone_stops_with_a_checkpoint(tmp_path):
    """As one does that no one could tell: the record says that it was stopped, and it lets go of its claim."""
    study = write_study(tmp_path, iterations=100_000)
    parent = begin(os.environ, words(study, tmp_path, "--checkpoint-every", 1000, jobs=2))
    folders = [folder_of(study, tmp_path, network) for network in ("plain-8", "resnet-8")]
    wait_until(lambda: all(folder.curve_path.exists() for folder in folders), parent)
    parent.kill()
    parent.communicate()
    deadline = time.monotonic() + 600
    for folder in folders:
        while is_held(folder.path):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        assert folder.read().status == "stopped"
        assert folder.checkpoint_path.exists()


def test_a_second_start_skips_what_is_complete_and_a_record_names_no_place(undisturbed, capsys):
    study, results = undisturbed
    before = records(results)
    assert main(words(study, results)) == 0
    assert "2 of 2 runs are complete already" in capsys.readouterr().out
    assert records(results) == before
    assert before[0]["numerics"] == {"device": "cpu", "precision": "fp32", "threads": 1}
    assert not [place for place in (results, ROOT) if str(place) in json.dumps(before)]


def test_a_script_without_a_guard_ends_in_one_line(tmp_path):
    """Each worker imports the script, and would begin the study again."""
    script = tmp_path / "mine.py"
    begin = words(write_study(tmp_path), tmp_path / "results", jobs=2)
    script.write_text(f"from repro.run import main\nraise SystemExit(main({begin!r}))\n")
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    ended = subprocess.run([sys.executable, script], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert ended.returncode == 2
    assert "__name__ == '__main__'" in ended.stderr and ended.stderr.count("\n") == 1
