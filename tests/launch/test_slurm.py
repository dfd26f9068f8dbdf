"""Studies on a real Slurm of one node, which these tests start and end: preempted or stopped, the same bits as here."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path

import pytest
from processes import begin, has_coming, kill, let_go, seen_under_way, seize, trainers, wait_until
from runs import assert_same_bits, records, trained, words, write_study

from repro.run import main

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch")
pytestmark = [
    pytest.mark.cluster,
    pytest.mark.skipif(find_spec("submitit") is None, reason="submitit is not installed: pip install -e '.[slurm]'"),
    pytest.mark.skipif(not all(map(shutil.which, PROGRAMS)), reason="Slurm is not installed: slurm-wlm, munge"),
    pytest.mark.skipif(hasattr(os, "getuid") and os.getuid() != 0, reason="Slurm's daemons need root"),
]

CONFIGURATION = """
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
SlurmdPort={ports[1]}
SlurmUser=root
AuthType=auth/munge
# A job that is queued again waits as long as a credential is valid.
AuthInfo=socket={folder}/munge.socket,cred_expire=5
CredType=cred/munge
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
SlurmctldParameters=preempt_send_user_signal
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SchedulerParameters=bf_interval=1,sched_interval=1,sched_min_interval=0,batch_sched_delay=0
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
KillWait=5
# The node has two processors, however many this machine has.
SlurmdParameters=config_overrides
# Jobs are not queued again unless they ask for it.
JobRequeue=0
NodeName=here NodeHostname={host} NodeAddr=127.0.0.1 CPUs=2 State=UNKNOWN
PartitionName=low Nodes=here Default=YES MaxTime=INFINITE PriorityTier=1 GraceTime=60
PartitionName=high Nodes=here MaxTime=INFINITE PriorityTier=10 PreemptMode=OFF
"""


def free_ports(number):
    probes = [socket.socket() for _ in range(number)]
    for probe in probes:
        probe.bind(("127.0.0.1", 0))
    ports = [probe.getsockname()[1] for probe in probes]
    for probe in probes:
        probe.close()
    return ports


class Slurm:
    """Controller and node daemon with a configuration of their own, and what they are asked."""

    def __init__(self, folder):
        self.folder = folder
        self.daemons = []
        self.environment = {**os.environ, "OMP_NUM_THREADS": "1", "SLURM_CONF": str(folder / "slurm.conf")}

    def start(self):
        key = self.folder / "munge.key"
        key.write_bytes(os.urandom(128))
        key.chmod(0o600)
        for name in ("state", "spool"):
            (self.folder / name).mkdir()
        text = CONFIGURATION.format(host=socket.gethostname().split(".")[0], folder=self.folder, ports=free_ports(2))
        (self.folder / "slurm.conf").write_text(text)
        files = [f"--{name}-file={self.folder}/munge.{name}" for name in ("key", "pid", "log", "seed")]
        # Forced: it does not like keys below a folder that others may write to, such as /tmp.
        self.daemon("munged", "--foreground", "--force", f"--socket={self.folder}/munge.socket", *files)
        self.wait_for(lambda: (self.folder / "munge.socket").exists())
        self.daemon("slurmctld", "-D", "-i")
        self.daemon("slurmd", "-D", "-N", "here")
        self.wait_for(lambda: "idle" in self.ask("sinfo", "--noheader", "--format=%T"))

    def daemon(self, *command):
        with (self.folder / f"{command[0]}.out").open("w") as log:
            self.daemons.append(
                subprocess.Popen(command, env=self.environment, stdout=log, stderr=log, start_new_session=True)
            )

    def stop(self):
        """End its jobs, whose processes are no children of its daemons, and then those."""
        deadline = time.monotonic() + 20
        while self.ask("squeue", "--noheader") and time.monotonic() < deadline:
            self.ask("scancel", "--user=root", "--state=PENDING")
            self.ask("scancel", "--user=root", "--full", "--signal=KILL")
            time.sleep(0.5)
        for daemon in reversed(self.daemons):
            kill(daemon)

    def wait_for(self, condition, seconds=600):
        deadline = time.monotonic() + seconds
        while not condition():
            logs = "\n".join(path.read_text() for path in self.folder.glob("*.out"))
            assert time.monotonic() < deadline, logs
            assert all(daemon.poll() is None for daemon in self.daemons), logs
            time.sleep(0.2)

    def processes(self):
        """Its daemons and all that its jobs started."""
        found = []
        for path in Path("/proc").glob("[0-9]*/environ"):
            with contextlib.suppress(OSError):
                found += [int(path.parent.name)] if str(self.folder).encode() in path.read_bytes() else []
        return found

    def ask(self, *command):
        return subprocess.run(command, env=self.environment, capture_output=True, text=True, timeout=60).stdout


@pytest.fixture(scope="module")
def slurm():
    folder = Path(tempfile.mkdtemp(prefix="slurm-", dir="/tmp"))
    made = Slurm(folder)
    try:
        made.start()
        yield made
    finally:
        made.stop()
        shutil.rmtree(folder, ignore_errors=True)


#: Of each run: so many that none ends while these tests ask Slurm something.
ITERATIONS = 640
#: Rows, one for every five iterations, of a run that is well under way and far from its end.
UNDER_WAY = {"rows": 40, "least": 4}


@pytest.fixture(scope="module")
def here(tmp_path_factory):
    return trained(tmp_path_factory.mktemp("here"), ITERATIONS)


def begun(slurm, study, results, *more):
    options = ["--launcher", "slurm", "--checkpoint-every", 0.2, *more]
    return begin(slurm.environment, words(study, results, *options, jobs=None))


def held_under_way(slurm, results, driver, besides=()):
    """A process that trains a run under way, held still."""

    def find():
        return [pid for pid in trainers(slurm.processes(), results, **UNDER_WAY) if pid not in besides]

    return wait_until(lambda: seize(find), driver)


@pytest.mark.slow
def test_jobs_that_are_preempted_are_queued_again_and_give_the_same_bits(slurm, here, tmp_path):
    study, expected = here
    driver = begun(slurm, study, tmp_path)
    try:
        workers = [held_under_way(slurm, tmp_path, driver)]
        workers.append(held_under_way(slurm, tmp_path, driver, besides=workers))
        assert slurm.ask("sbatch", "--partition=high", "--ntasks=2", "--output=/dev/null", "--wrap=sleep 1")
        for worker in workers:
            wait_until(lambda worker=worker: has_coming(signal.SIGUSR2, worker), driver)
            let_go(worker)
        output, _ = driver.communicate(timeout=600)
    finally:
        kill(driver)
    assert driver.returncode == 0, output
    assert "[2/2]" in output
    assert len(seen_under_way(output, ITERATIONS)) == 2, output
    assert_same_bits(tmp_path, expected)
    for record in records(tmp_path):
        first, second = record["sessions"]
        assert (first["from"], first["how"]) == (0, "stopped")
        assert 10 < first["to"] == second["from"] < ITERATIONS
    logs = [path.read_text() for path in (tmp_path / ".slurm").glob("*_log.err")]
    assert all("this job is preempted" in log for log in logs)
    assert len(logs) == 2


def test_what_slurm_refuses_is_said_in_one_line(slurm, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("SLURM_CONF", slurm.environment["SLURM_CONF"])
    options = ["--launcher", "slurm", "--slurm", "partition=gone"]
    assert main(words(write_study(tmp_path), tmp_path / "results", *options, jobs=None)) == 2
    error = capsys.readouterr().err
    assert "Slurm did not take the job" in error
    assert "invalid partition specified: gone" in error
    assert len(error.splitlines()) == 1
