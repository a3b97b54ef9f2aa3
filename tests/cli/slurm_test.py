#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A sweep under a real Slurm on this machine: submitted, a task requeued, a worker killed, a task cancelled, submitted
again, merged; equal to the local run.

usage: slurm_test.py OSCSIM SOURCE_ROOT

Needs slurm-wlm, slurm-client and munge (scripts/install_dependencies.sh --develop). The daemons run as this user, in a
folder of their own, on free ports, and end with the test.
"""

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time

from program import PROGRAM, ProgramTest, main

SWEEP = """
schema: 1
base:
  machine: ascend_950pr
  gemms: ["1024,4096,4096,attn_in"]
axes:
  machine.hbm.bandwidth: {from: 0.5TB/s, to: 4TB/s, scale: log2, count: 15}
  machine.core.feed.a_rate: {from: 64B/cycle, to: 512B/cycle, scale: log2, count: 10}
"""
POINTS = 150
SHARDS = 4


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Slurm:
    """munged, slurmctld and slurmd in the foreground, as children of this process."""

    def __init__(self):
        self.root = tempfile.mkdtemp(prefix="oscsim-slurm-")
        os.chmod(self.root, 0o755)
        self.host = socket.gethostname().split(".")[0]
        self.user = subprocess.run(["id", "-un"], capture_output=True, text=True, check=True).stdout.strip()
        self.daemons = []
        self.environment = os.environ | {"SLURM_CONF": f"{self.root}/slurm.conf"}

    def configuration(self):
        return f"""ClusterName=local
SlurmctldHost={self.host}(127.0.0.1)
SlurmUser={self.user}
SlurmdUser={self.user}
AuthType=auth/munge
AuthInfo=socket={self.root}/munge/sock,cred_expire=5
CredType=cred/munge
StateSaveLocation={self.root}/state
SlurmdSpoolDir={self.root}/spool
SlurmctldPidFile={self.root}/ctld.pid
SlurmdPidFile={self.root}/slurmd.pid
SlurmctldLogFile={self.root}/log/ctld
SlurmdLogFile={self.root}/log/slurmd
SlurmctldPort={free_port()}
SlurmdPort={free_port()}
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SchedulerType=sched/backfill
SchedulerParameters=sched_interval=1,bf_interval=1
MpiDefault=none
ReturnToService=2
SlurmdParameters=config_overrides
NodeName={self.host} NodeAddr=127.0.0.1 CPUs=16 State=UNKNOWN
PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""

    def start(self):
        for folder in ("state", "spool", "log", "munge"):
            os.mkdir(f"{self.root}/{folder}")
        os.chmod(f"{self.root}/munge", 0o755)
        key = f"{self.root}/munge/key"
        with open(key, "wb") as file:
            file.write(os.urandom(1024))
        os.chmod(key, 0o400)
        with open(f"{self.root}/slurm.conf", "w") as file:
            file.write(self.configuration())
        munge = [f"--{name}-file={self.root}/munge/{name}" for name in ("key", "pid", "log", "seed")]
        self.daemon("munged", "--foreground", f"--socket={self.root}/munge/sock", *munge)
        self.wait(lambda: os.path.exists(f"{self.root}/munge/sock"), "munged")
        self.daemon("slurmctld", "-D", "-f", f"{self.root}/slurm.conf")
        self.daemon("slurmd", "-D", "-f", f"{self.root}/slurm.conf")
        self.wait(lambda: "idle" in self.ask("sinfo", "--noheader", "--format=%t"), "an idle node")

    def daemon(self, name, *arguments):
        program = shutil.which(name) or f"/usr/sbin/{name}"
        with open(f"{self.root}/{name}.out", "w") as log:
            self.daemons.append(subprocess.Popen([program, *arguments], stdout=log, stderr=log, env=self.environment))

    def ask(self, *command):
        return subprocess.run(command, capture_output=True, text=True, env=self.environment, timeout=60).stdout

    def wait(self, condition, what, seconds=120):
        end = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > end:
                raise AssertionError(f"waited in vain for {what}\n{self.logs()}")
            time.sleep(0.05)

    def logs(self):
        text = ""
        for name in ("munged.out", "slurmctld.out", "slurmd.out", "log/ctld", "log/slurmd"):
            if os.path.exists(f"{self.root}/{name}"):
                with open(f"{self.root}/{name}", errors="replace") as file:
                    text += f"--- {name}\n{file.read()[-2000:]}\n"
        return text

    def stop(self):
        self.ask("scancel", "--user", self.user)
        end = time.monotonic() + 20
        while self.ask("squeue", "--noheader", "--states=RUNNING,COMPLETING").strip() and time.monotonic() < end:
            time.sleep(0.1)
        for process in reversed(self.daemons):
            process.terminate()
            try:
                process.wait(timeout=20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        shutil.rmtree(self.root, ignore_errors=True)


def children_of(pid):
    try:
        with open(f"/proc/{pid}/task/{pid}/children") as file:
            return [int(child) for child in file.read().split()]
    except OSError:
        return []


def sweep_of_shard(shard):
    """The process that runs a shard of this test."""
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/cmdline", "rb") as file:
                words = file.read().decode(errors="replace").split("\0")
        except OSError:
            continue
        if words[0] == PROGRAM and f"{shard}/{SHARDS}" in words and children_of(pid):
            return int(pid)
    return None


class SlurmTest(ProgramTest):
    def setUp(self):
        super().setUp()
        self.slurm = Slurm()
        self.addCleanup(self.slurm.stop)
        self.slurm.start()
        with open(self.path("sweep.yaml"), "w") as file:
            file.write(SWEEP)

    def program(self, *arguments):
        # A batch job must not think that it is a task of the job that runs this test.
        environment = {k: v for k, v in self.slurm.environment.items() if not k.startswith("SLURM_") or k == "SLURM_CONF"}
        done = self.run_program(arguments, env=environment)
        self.assertEqual((done.returncode, done.stderr), (0, ""), done.stdout)
        return done.stdout

    def submit(self):
        text = self.program("sweep", "submit", "sweep.yaml", "-o", "out", "--shards", str(SHARDS))
        self.assertRegex(text, r"^\d+ points left in \d of 4 shards: array job \d+, merge job \d+\n$")
        words = text.replace(",", "").split()
        return words[words.index("array") + 2], words[words.index("merge") + 2]

    def queued(self, job):
        return self.slurm.ask("squeue", "--noheader", "--array", f"--jobs={job}", "--format=%K %T").strip()

    def running(self, shard):
        self.slurm.wait(lambda: sweep_of_shard(shard), f"shard {shard} to run")
        return sweep_of_shard(shard)

    def test_a_disturbed_array_merges_to_the_local_result(self):
        array, merge = self.submit()
        self.running(1)
        self.slurm.ask("scontrol", "requeue", f"{array}_1")
        workers = children_of(self.running(3))
        os.kill(workers[0], signal.SIGKILL)
        self.running(4)
        self.slurm.ask("scancel", f"{array}_4")
        self.slurm.wait(lambda: not self.queued(array) and not self.queued(merge), "the jobs to end")
        counts = self.program("sweep", "status", "out").strip().split("\n")[-1]
        self.assertRegex(counts, rf"^{POINTS} points: \d+ ok, 0 failed, [1-9]\d* left$")

        array, merge = self.submit()
        self.slurm.wait(lambda: not self.queued(array) and not self.queued(merge), "the jobs to end")
        self.assertEqual(
            self.program("sweep", "status", "out"),
            f"{SHARDS} of {SHARDS} shards are done\n{POINTS} points: {POINTS} ok, 0 failed, 0 left\n",
        )
        with open(self.path("out/results.jsonl"), "rb") as file:
            merged = file.read()  # by the merge job
        self.program("sweep", "sweep.yaml", "-o", "local")
        with open(self.path("local/results.jsonl"), "rb") as file:
            self.assertEqual(merged, file.read())
        self.assertEqual(
            self.program("sweep", "submit", "sweep.yaml", "-o", "out"),
            "nothing is left to run; see: oscsim sweep merge\n",
        )

    def test_b7_every_array_covers_the_sweep_or_is_refused(self):
        with open(self.path("sweep.yaml"), "w") as file:
            file.write(SWEEP.replace("1024,4096,4096", "16,256,512"))
        for array, shards in (("1-9:4", 3), ("0-3%2", 4), ("2,7", 0)):
            folder = self.path(f"array_{shards}")
            with open(self.path("job.sh"), "w") as file:
                file.write(
                    f"#!/usr/bin/env bash\n#SBATCH --array={array}\n#SBATCH --output={self.path('log')}_%a\n"
                    f"exec {PROGRAM} sweep {self.path('sweep.yaml')} -o {folder}\n"
                )
            job = self.slurm.ask("sbatch", "--parsable", self.path("job.sh")).strip()
            self.slurm.wait(lambda: not self.queued(job), f"the array {array} to end")
            if shards == 0:
                self.assertFalse(os.path.exists(folder))
                continue
            self.assertEqual(
                self.program("sweep", "merge", folder),
                f"{POINTS} points: {POINTS} ok, 0 failed, 0 left\n{folder}/results.jsonl\n",
            )
            shards_seen = {name.split(".")[0] for name in os.listdir(f"{folder}/rows")}
            self.assertEqual(shards_seen, {f"{i}_of_{shards}" for i in range(1, shards + 1)})


if __name__ == "__main__":
    main()
