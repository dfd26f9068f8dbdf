"""Studies on real Ray clusters of this machine: the same bits as here, whatever is lost on the way."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import uuid
from importlib.util import find_spec
from pathlib import Path

import pytest
from processes import begin, family, kill, let_go, seen_under_way, seize, trainers, under_way, wait_until
from runs import assert_same_bits, records, trained, words, write_study

from repro.errors import UserError
from repro.launch.options import Options
from repro.run import main

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.skipif(find_spec("ray") is None, reason="ray is not installed: pip install -e '.[cluster]'"),
    pytest.mark.skipif(sys.platform != "linux", reason="needs /proc, and more than one loopback address"),
]
#: Of a study's driver and its nodes: no report to Ray's makers, strangers kept out, a lost node noticed in seconds.
ENVIRONMENT = {
    **os.environ,
    "OMP_NUM_THREADS": "1",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_AUTH_MODE": "token",
    "RAY_AUTH_TOKEN": uuid.uuid4().hex * 2,
    "RAY_health_check_initial_delay_ms": "500",
    "RAY_health_check_period_ms": "500",
    "RAY_health_check_timeout_ms": "2000",
    "RAY_health_check_failure_threshold": "4",
}


#: Of each run: so many that none ends before the driver has seen it under way, or before a signal has reached it.
ITERATIONS = 400


class Cluster:
    """A head and nodes, with one CPU and a loopback address each."""

    def __init__(self, folder):
        self.folder = folder
        self.nodes = []
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.address = f"127.0.0.1:{self.port}"

    def start_head(self):
        return self.start("--head", f"--port={self.port}", "--include-dashboard=false", f"--temp-dir={self.folder}")

    def start_node(self):
        return self.start(f"--address={self.address}", f"--node-ip-address=127.0.0.{len(self.nodes) + 1}")

    def start(self, *arguments):
        ray = [sys.executable, "-c", "from ray.scripts.scripts import main; main()", "start", "--block", "--num-cpus=1"]
        ports = ["--min-worker-port=0", "--max-worker-port=0", "--dashboard-agent-listen-port=0"]
        log = self.folder / f"node-{len(self.nodes)}.log"
        with log.open("w") as file:
            node = subprocess.Popen(
                [*ray, *ports, *arguments],
                env={**ENVIRONMENT, "TMPDIR": str(self.folder)},
                stdout=file,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self.nodes.append(node)
        deadline = time.monotonic() + 600
        while "Ray runtime started" not in log.read_text():
            assert time.monotonic() < deadline, log.read_text()
            assert node.poll() is None, log.read_text()
            time.sleep(0.1)
        return node


@pytest.fixture
def short_path():
    """Not tmp_path: the path of a Unix socket below it may have 107 characters."""
    folder = Path(tempfile.mkdtemp(prefix="ray-", dir="/tmp"))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def cluster(short_path):
    made = Cluster(short_path)
    try:
        yield made
    finally:
        for node in made.nodes:
            kill(node)


@pytest.fixture(scope="module")
def here(tmp_path_factory):
    return trained(tmp_path_factory.mktemp("here"), ITERATIONS, seeds="0, 1")


def in_first_half(node, results, besides=()):
    return trainers(family(node.pid), results, rows=30, besides=besides)


@pytest.mark.slow
def test_a_node_and_a_worker_are_killed_and_all_runs_complete_with_the_same_bits(cluster, here, tmp_path):
    study, expected = here
    results = tmp_path / "results"
    head, node = cluster.start_head(), cluster.start_node()
    options = ["--launcher", "ray", "--address", cluster.address, "--checkpoint-every", 0.05]
    driver = begin(ENVIRONMENT, words(study, results, *options, jobs=None))
    try:
        worker = wait_until(lambda: seize(lambda: in_first_half(node, results)), driver)
        lost = under_way(worker, results)
        kill(node)
        # Not the run that was lost already: killed before its next checkpoint, it would have one record of both losses.
        worker = wait_until(lambda: seize(lambda: in_first_half(head, results, besides=lost)), driver)
        os.kill(worker, signal.SIGKILL)
        output, _ = driver.communicate(timeout=600)
    finally:
        kill(driver)
    assert driver.returncode == 0, output
    assert output.count("tried again from its last checkpoint") == output.count("its worker was lost") == 2
    assert "[4/4]" in output
    assert len(seen_under_way(output, ITERATIONS)) == 4, output
    assert_same_bits(results, expected)
    later = [session["from"] for record in records(results) for session in record["sessions"][1:]]
    assert len(later) == 2
    assert all(0 < iteration < ITERATIONS for iteration in later)
    assert not list(results.glob(".*"))


@pytest.mark.slow
def test_ctrl_c_stops_a_cluster_started_here_and_runs_carry_on(here, tmp_path, short_path):
    study, expected = here
    results = tmp_path / "results"
    environment = {**ENVIRONMENT, "RAY_TMPDIR": str(short_path)}
    driver = begin(environment, words(study, results, "--launcher", "ray", "--checkpoint-every", 0.2))
    try:
        wait_until(lambda: list(results.glob("**/curve.csv")), driver)
        processes = family(driver.pid)
        worker = next(pid for pid in processes[1:] if under_way(pid, results))
        os.kill(worker, signal.SIGSTOP)  # its run does not end before it has been told to
        os.killpg(driver.pid, signal.SIGINT)
        time.sleep(1)  # meanwhile the driver tells the worker
        let_go(worker)
        output, _ = driver.communicate(timeout=600)
    finally:
        kill(driver)
    assert driver.returncode == 130, output
    assert "stopped; the same command carries on" in output
    (record,) = records(results)
    assert record["status"] == "stopped"
    assert 0 < record["iteration"] < ITERATIONS
    assert len(processes) > 4
    deadline = time.monotonic() + 60  # Ray's agents look only now and then whether their raylet has ended
    while any(Path(f"/proc/{pid}/exe").exists() for pid in processes):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert main(words(study, results)) == 0
    assert_same_bits(results, expected)


@pytest.mark.parametrize("fails", ["curve.csv", "health.csv", "checkpoint.pt", "run.json"])
def test_interrupted_anywhere_rows_are_never_behind_the_checkpoint_nor_it_behind_the_record(
    tmp_path, monkeypatch, fails
):
    from repro.launch import ray

    names = ("curve.csv", "health.csv", "checkpoint.pt", "run.json")
    ray.put(tmp_path, dict.fromkeys(names, b"10"))
    real = ray.replacing

    def failing(path):
        if path.name == fails:
            raise OSError(28, "No space left on device")
        return real(path)

    monkeypatch.setattr(ray, "replacing", failing)
    with pytest.raises(OSError, match="No space"):
        ray.put(tmp_path, dict.fromkeys(names, b"20"))
    at = {name: int(content) for name, content in ray.take(tmp_path).items()}
    assert at["curve.csv"] >= at["checkpoint.pt"] >= at["run.json"] == 10
    assert at["health.csv"] >= at["checkpoint.pt"]


def test_what_cannot_be_had_is_said_in_one_line_at_once(tmp_path, monkeypatch, capsys):
    from repro.launch import ray as launcher

    study = write_study(tmp_path)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{probe.getsockname()[1]}"
        assert main(words(study, tmp_path / "results", "--launcher", "ray", "--address", address, jobs=None)) == 2
    assert f"no Ray cluster answers at {address}" in capsys.readouterr().err
    nodes = [{"Alive": True, "Resources": {"CPU": 4.0}}, {"Alive": False, "Resources": {"CPU": 64.0}}]
    monkeypatch.setattr(launcher.ray, "nodes", lambda: nodes)
    with pytest.raises(UserError, match="CPU: 8, GPU: 0: give fewer --threads"):
        launcher.check_room(8, 0)

    def full(images):
        raise launcher.ray.exceptions.ObjectStoreFullError("the object store is full")

    monkeypatch.setattr(launcher.ray, "put", full)
    monkeypatch.setattr(launcher, "_connect", lambda address: None)
    with (
        pytest.raises(UserError, match="no room for the images of digits"),
        launcher.launcher(Options(tmp_path, default_threads=1), "digits"),
    ):
        pass
