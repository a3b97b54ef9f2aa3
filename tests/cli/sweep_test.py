#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""oscsim sweep: errors of sweep files, rows, resuming, kills, shards.

usage: sweep_test.py OSCSIM SOURCE_ROOT

OSCSIM_SWEEP_KILLS sets how many disturbed sweeps are run (scripts/long_tests.sh: 50).
"""

import collections
import csv
import glob
import json
import os
import pty
import random
import signal
import subprocess
import time

from program import PROGRAM, ROOT, ProgramTest, main

KILLS = int(os.environ.get("OSCSIM_SWEEP_KILLS", "5"))

# 48 points of some milliseconds.
SMALL = """
schema: 1
base:
  machine: edge_npu
  gemms: ["128,256,1024,attn_in"]
axes:
  machine.hbm.bandwidth: [50GB/s, 100GB/s]
  machine.core.gather.lanes: {from: 4, to: 32, scale: log2}
  scheme.outliers.group: [16, 32, 64]
linked:
  - machine.core.branch.m0: [8, 16]
    machine.core.branch.n0: [8, 16]
"""

WRONG = """schema: 1
base:
  machine: edge_npu
  gemms: ["64,256,512,attn_in"]
  sede: 3
axes:
  machine.core.gather.lnaes: [8, 16]
  machine.core.buffers.l1: [64KiB, 128, 256KiB]
  machine.core.gather.banks: [8, 0, abc]
  machine.core.buffers.l0a: {from: 1MiB, to: 64KiB, scale: log2}
  machine.core.branch.placement: {from: 1, to: 2, count: 2}
  scheme: [osc, osk]
  machin.cores: [1]
  generate.tokens: [16]
  machine.cores: []
  machine.hbm.latency: [10ns, 0.01us]
linked:
  - machine.core.buffers.l0b: [32KiB, 64KiB]
    machine.core.buffers.l0c: [128KiB, 256KiB, 512KiB]
where:
  - machine.core.gather.lanes <= machine.core.gather.bnks
  - machine.cores
random: {count: 10}
"""

GATHER = (
    "allowed: mode, ports, lanes, banks, bank_width, table_entries, table_reload, zero_behind, setup, dma_granule, "
    "dma_element"
)
WRONG_MESSAGES = [
    "5:3: unknown key 'sede' in base\n  allowed: machine, scheme, baseline, costs, trace, generate, gemms, settings, tensors, "
    "table, layers, only, timing_only, gemms_only, seed; did you mean 'seed'?",
    f"7:3: unknown key 'lnaes' in core.gather\n  {GATHER}; did you mean 'lanes'?",
    "8:36: core.buffers.l1 must be a size: '128' has no unit; write for example 512KiB\n"
    "  units: B, KiB, MiB, GiB, TiB, kB, MB, GB, TB",
    "9:34: core.gather.banks is 0; allowed: 1 to 65536",
    "9:37: core.gather.banks must be an integer: 'abc' is not a number",
    "10:29: machine.core.buffers.l0a: from must be less than to",
    "11:34: machine.core.branch.placement is no number (it is: choice): give a list of values",
    f"12:17: 'osk' is neither a file nor a name in {ROOT}/configs/schemes\n  available: "
    + ", ".join(sorted(name[:-5] for name in os.listdir(f"{ROOT}/configs/schemes")))
    + "; did you mean 'osc'?",
    "13:3: 'machin.cores' is no parameter: it begins with 'machin'\n"
    "  allowed: machine, scheme, baseline, mapping, trace, generate, gemm; did you mean 'machine'?",
    "14:3: generate.tokens needs base.generate",
    "15:18: machine.cores must be a list of values such as [a, b], or a range {from: a, to: b, count: n}, found an "
    "empty list",
    "16:31: machine.hbm.latency: 0.01us is there already",
    "19:31: machine.core.buffers.l0c has 3 values, but machine.core.buffers.l0b, which it is linked with, has 2",
    f"21:5: unknown key 'bnks' in core.gather\n  {GATHER}; did you mean 'banks'?",
    "22:5: condition 'machine.cores': no comparison: one of < <= > >= == != is needed\n"
    "  write for example machine.core.buffers.l0a <= 64KiB",
]

WRONG_FILES = [
    ("schema: 1\nbase: {gemms: ['8,16,64']}\n", "1:1: nothing varies: give axes, linked or points"),
    (
        "schema: 1\nbase: {trace: qwen3_8b_decode, gemms: ['8,16,64']}\naxes: {machine.cores: [1]}\n",
        "2:7: base: several of trace, generate and gemms; give one of them",
    ),
    (
        "schema: 1\nbase: {gemms: ['8,16,64']}\npoints: [{gemm.m: 8, gemm.n: 8}, {gemm.m: 9}, {gemm.m: 8, gemm.k: 2}]\n",
        "3:34: the point has no gemm.n; every point gives the same parameters\n"
        "3:47: the point has no gemm.n; every point gives the same parameters\n"
        "3:59: 'gemm.k' is not in the first point; every point gives the same parameters",
    ),
    (
        "schema: 1\nbase: {gemms: ['8,16,64']}\naxes:\n  scheme.outliers: [null]\n  scheme.outliers.group: [16]\n",
        "5:3: scheme.outliers.group lies inside scheme.outliers, which varies too",
    ),
]


class SweepTest(ProgramTest):
    def write(self, text, name="sweep.yaml"):
        with open(self.path(name), "w") as file:
            file.write(text)

    def sweep(self, *more, folder="out", file="sweep.yaml"):
        return self.check_done(["sweep", file, "-o", folder, *more])

    def merged(self, folder="out"):
        with open(self.path(f"{folder}/results.jsonl"), "rb") as file:
            return file.read()

    def rows(self, folder="out"):
        return [json.loads(line) for line in self.merged(folder).decode().splitlines()]

    def raw_lines(self, folder="out"):
        lines = []
        for name in glob.glob(self.path(f"{folder}/rows/*.jsonl")):
            with open(name, "rb") as file:
                lines += file.read().splitlines(keepends=True)
        return lines


class FileTest(SweepTest):
    def test_everything_wrong_is_reported_at_once_and_nothing_is_written(self):
        self.write(WRONG)
        self.check_refused(["sweep", "sweep.yaml", "-o", "out"], "\n".join(f"sweep.yaml:{m}" for m in WRONG_MESSAGES))
        self.assertFalse(os.path.exists(self.path("out")))

    def test_single_faults(self):
        for text, messages in WRONG_FILES:
            with self.subTest(text=text):
                self.write(text)
                lines = "\n".join(f"sweep.yaml:{line}" for line in messages.split("\n"))
                self.check_refused(["sweep", "sweep.yaml", "-o", "out"], lines)

    def test_too_few_points_for_a_random_choice(self):
        self.write("schema: 1\nbase: {gemms: ['8,16,64']}\naxes: {machine.cores: [1, 2]}\nrandom: {count: 3}\n")
        self.check_refused(
            ["sweep", "sweep.yaml", "-o", "out"],
            "sweep.yaml: random.count is 3, but only 2 different points that meet the conditions were found among 2",
        )

    def test_the_same_simulation_twice_is_refused(self):
        self.write("schema: 1\nbase: {gemms: ['8,16,64']}\naxes: {scheme: [osc, osc_copy.yaml]}\n")
        with open(f"{ROOT}/configs/schemes/osc.yaml") as file:
            self.write(file.read(), "osc_copy.yaml")
        done = self.run_program(["sweep", "sweep.yaml", "-o", "out"])
        self.assertEqual((done.returncode, done.stdout), (2, ""))
        self.assertIn("sweep.yaml: points 0 and 1 are the same simulation", done.stderr)

    def test_wrong_command_lines(self):
        self.write(SMALL)
        self.check_refused(["sweep", "sweep.yaml"], "-o is missing: the folder for the results")
        for shard in ("0/2", "3/2", "2", "a/b", "1/0"):
            self.check_refused(
                ["sweep", "sweep.yaml", "-o", "out", "--shard", shard],
                f"--shard: '{shard}' is no shard; write i/n, with i from 1 to n and n up to 100000",
            )
        os.mkdir(self.path("full"))
        self.write("x", "full/file")
        self.check_refused(
            ["sweep", "sweep.yaml", "-o", "full"],
            "full: holds files, but no sweep.json; take an empty or a new folder",
        )

    def test_every_ready_sweep_is_read(self):
        for name in sorted(os.listdir(f"{ROOT}/configs/sweeps")):
            with self.subTest(name=name):
                self.assertIn(" points\n", self.check_done(["describe", "sweep", name.removesuffix(".yaml")]))


class RowTest(SweepTest):
    def test_rows_are_what_run_says(self):
        self.write(
            "schema: 1\nbase: {machine: edge_npu, gemms: ['64,256,512,attn_in']}\n"
            "axes:\n  machine.hbm.bandwidth: [50GB/s]\n  scheme: [osc, w4a4]\n"
        )
        self.assertEqual(self.sweep(), "2 points: 2 ok, 0 failed, 0 left\nout/results.jsonl\n")
        for row, scheme in zip(self.rows(), ("osc", "w4a4")):
            self.assertEqual((row["scheme"], row["machine.hbm.bandwidth"]), (scheme, 50e9))
            self.assertEqual(row["machine.hbm.bandwidth.text"], "50GB/s")
            options = ["--machine", "edge_npu", "--gemm", "64,256,512,attn_in", "--scheme", scheme, "--timing-only"]
            self.check_done(["run", *options, "--set", "machine.hbm.bandwidth=50GB/s", "--json", "run.json"])
            with open(self.path("run.json")) as file:
                result = json.load(file)
            for side in ("scheme", "baseline"):
                self.assertEqual(row[f"{side}_cycles"], result["total"][side]["cycles"])
                parts = {name: cycles for name, cycles in row.items() if name.startswith(f"{side}_stack_")}
                self.assertEqual(sum(parts.values()), row[f"{side}_cycles"])
                works = [work[side] for work in result["gemms"] + result["shared"] if work[side]]
                self.assertEqual(row[f"{side}_hbm_read_bytes"], sum(work["bytes"]["hbm_read"] for work in works))
                self.assertEqual(row[f"{side}_tile_m"], result["gemms"][0][side]["tile"]["m"])
            self.assertEqual(row["speedup"], result["total"]["speedup"])
        with open(self.path("out/results.csv")) as file:
            table = list(csv.DictReader(file))
        self.assertEqual([line["key"] for line in table], [row["key"] for row in self.rows()])
        self.assertEqual(list(table[0]), list(self.rows()[0]))

    def test_generated_traces_and_outputs(self):
        self.write(
            "schema: 1\nbase:\n  machine: edge_npu\n  timing_only: false\n  layers: '0'\n  only: k_proj\n"
            "  generate: {model: Qwen3-0.6B, phase: decode, tokens: 4}\n"
            "axes: {generate.tokens: [4, 8], generate.model: [Qwen3-0.6B]}\n"
        )
        self.sweep()
        for row, tokens in zip(self.rows(), (4, 8)):
            self.check_done(["trace", "Qwen3-0.6B", "--phase", "decode", "--tokens", str(tokens), "-o", "trace.yaml"])
            options = ["--machine", "edge_npu", "--trace", "trace.yaml", "--layers", "0", "--only", "k_proj"]
            self.check_done(["run", *options, "--json", "run.json"])
            with open(self.path("run.json")) as file:
                result = json.load(file)
            self.assertEqual((row["status"], row["generate.tokens"]), ("ok", tokens))
            self.assertEqual(row["scheme_cycles"], result["total"]["scheme"]["cycles"])
            self.assertEqual(row["scheme_sqnr_db"], result["gemms"][0]["scheme"]["sqnr_db"])

    def test_progress_is_for_terminals(self):
        self.write(SMALL)
        try:
            ours, theirs = pty.openpty()
        except OSError as error:  # a container without /dev/pts
            self.skipTest(f"no pseudo-terminal here: {error}")
        done = self.run_program(
            ["sweep", "sweep.yaml", "-o", "out"], capture_output=False, stdout=subprocess.PIPE, stderr=theirs
        )
        os.close(theirs)
        with os.fdopen(ours, "rb") as terminal:
            shown = terminal.read1(65536).decode()
        self.assertEqual((done.returncode, done.stdout), (0, "48 points: 48 ok, 0 failed, 0 left\nout/results.jsonl\n"))
        self.assertRegex(shown, r"\r\d+/48  \d+\.\d s  \[#*\.*\] ")
        self.assertTrue(shown.endswith("\r"), shown)

    def test_a_failing_point_is_a_row_and_stops_nothing(self):
        self.write(
            "schema: 1\nbase: {machine: edge_npu, gemms: ['64,256,512,attn_in']}\naxes: {mapping.m: [16, 4096, 32]}\n"
        )
        self.assertEqual(self.sweep(), "3 points: 2 ok, 1 failed, 0 left\nout/results.jsonl\n")
        rows = self.rows()
        self.assertEqual([row["status"] for row in rows], ["ok", "failed", "ok"])
        self.assertRegex(rows[1]["error"], "^no tile of a 64 x 256 x 512 GEMM fits the machine with mapping.m 4096: ")
        self.assertEqual(list(rows[0]), list(rows[1]))
        # Failed points are done, unless they are asked for.
        self.sweep()
        self.assertEqual(len(self.raw_lines()), 3)
        self.sweep("--retry-failed")
        self.assertEqual(len(self.raw_lines()), 4)
        self.assertEqual(self.rows(), rows)

    def test_memory_of_equal_work_changes_no_row(self):
        self.write(
            """
schema: 1
base: {machine: edge_npu, gemms: ["64,256,512,attn_in"]}
axes:
  scheme: [osc, osc_nvfp4, w4a4, bf16, osc_hif4]
  baseline: [w8a8, w8a8_mxfp8]
  machine.cores: [1, 2]
  machine.clock: [1GHz, 1.5GHz]
  machine.core.branch.placement: [own, shared]
  machine.core.branch.m0: [4, 16]
  machine.core.branch.startup: [0cycles, 50cycles]
  machine.core.tensor.k0_4bit: [32, 64]
  machine.core.tensor.k0_8bit: [16, 32]
  machine.core.tensor.k0_16bit: [8, 16]
  machine.core.gather.lanes: [2, 16]
  machine.core.gather.mode: [on_chip, on_load, strided_dma]
  machine.core.vector.rate: [32B/cycle, 256B/cycle]
  machine.core.buffers.ub: [16KiB, 128KiB]
  machine.core.feed.a_rate: [32B/cycle, 256B/cycle]
  machine.core.issue.step_folded: [0cycles, 100cycles]
  machine.hbm.bandwidth: [20GB/s, 100GB/s]
  machine.model_gather: [true, false]
  machine.model_shared_work: [true, false]
  machine.model_branch_startup: [true, false]
  machine.count_branch_weights: [true, false]
  mapping.quantise: [prologue, fused]
random: {count: 150, seed: 3}
"""
        )
        self.sweep("--jobs", "1")
        self.sweep("--jobs", "1", "--no-memo", folder="anew")
        self.assertEqual(self.merged(), self.merged("anew"))
        self.assertGreater(sum(row["status"] == "ok" for row in self.rows()), 100)

    def test_keys_do_not_depend_on_the_sweep(self):
        base = "schema: 1\nbase: {machine: edge_npu, gemms: ['64,256,512,attn_in']}\n"
        self.write(base + "axes:\n  machine.cores: [1, 2]\n  machine.core.gather.lanes: [8, 16]\n")
        self.sweep("--limit", "0")
        keys = {(row["machine.cores"], row["machine.core.gather.lanes"]): row["key"] for row in self.rows()}
        self.write(base + "points:\n  - {machine.core.gather.lanes: 16, machine.cores: 2}\n")
        self.sweep("--limit", "0", folder="other")
        self.assertEqual(self.rows("other")[0]["key"], keys[2, 16])
        self.write(
            "schema: 1\nbase: {machine: edge_npu, gemms: ['64,256,512,attn_in'], settings: [machine.cores=2]}\n"
            "axes: {machine.core.gather.lanes: [16]}\n"
        )
        self.sweep("--limit", "0", folder="third")
        self.assertEqual(self.rows("third")[0]["key"], keys[2, 16])
        self.assertEqual(len(set(keys.values())), 4)


class ResumeTest(SweepTest):
    def setUp(self):
        super().setUp()
        self.write(SMALL)

    def test_shards_merge_to_the_local_result(self):
        self.assertEqual(self.sweep(), "48 points: 48 ok, 0 failed, 0 left\nout/results.jsonl\n")
        for index in (3, 1, 2):
            text = self.sweep("--shard", f"{index}/3", folder="shards")
            self.assertEqual(text, f"shard {index}/3, 16 points: 16 ok, 0 failed, 0 left\n")
            self.assertFalse(os.path.exists(self.path("shards/results.jsonl")))
        text = self.check_done(["sweep", "merge", "shards"])
        self.assertEqual(text, "48 points: 48 ok, 0 failed, 0 left\nshards/results.jsonl\n")
        self.assertEqual(self.merged("shards"), self.merged())

    def test_a_slurm_array_task_knows_its_shard(self):
        array = {"SLURM_ARRAY_TASK_ID": "6", "SLURM_ARRAY_TASK_COUNT": "4", "SLURM_ARRAY_TASK_MIN": "5"}
        done = self.run_program(["sweep", "sweep.yaml", "-o", "out"], env=os.environ | array)
        self.assertEqual(done.stdout, "shard 2/4, 12 points: 12 ok, 0 failed, 0 left\n")

    def test_a_limit_and_a_longer_sweep_go_on(self):
        self.assertEqual(self.sweep("--limit", "7"), "48 points: 7 ok, 0 failed, 41 left\nout/results.jsonl\n")
        self.assertEqual([row["status"] for row in self.rows()].count("missing"), 41)
        self.sweep()
        self.write(SMALL.replace("[16, 32, 64]", "[8, 16, 32, 64]"))
        self.assertEqual(self.sweep("--limit", "0"), "64 points: 48 ok, 0 failed, 16 left\nout/results.jsonl\n")
        self.assertEqual(len(self.raw_lines()), 48)

    def test_a_torn_line_is_dropped(self):
        self.sweep("--jobs", "1")
        whole = self.merged()
        (name,) = glob.glob(self.path("out/rows/*.jsonl"))
        os.truncate(name, os.path.getsize(name) - 20)
        status = self.check_done(["sweep", "status", "out"])
        self.assertTrue(status.endswith("\n48 points: 47 ok, 0 failed, 1 left\n"), status)
        self.sweep("--jobs", "1")
        self.assertEqual(self.merged(), whole)
        self.assertEqual(len(self.raw_lines()), 48)

    def test_another_version_s_folder_is_refused(self):
        self.sweep("--limit", "1")
        with open(self.path("out/sweep.json")) as file:
            text = file.read()
        begun = json.loads(text)
        self.write(text.replace(f'"git": "{begun["git"]}"', '"git": "0123"'), "out/sweep.json")
        done = self.run_program(["sweep", "sweep.yaml", "-o", "out"])
        self.assertEqual(
            done.stderr,
            f"oscsim: out/sweep.json: was begun by oscsim {begun['version']} (git 0123), this is {begun['version']} "
            f"(git {begun['git']}); take another folder\n",
        )


class DisturbedTest(SweepTest):
    """Kills, at moments that a seed chooses."""

    def start(self, *more, folder="out"):
        return subprocess.Popen(
            [PROGRAM, "sweep", "sweep.yaml", "-o", folder, "--jobs", "2", *more],
            cwd=self.folder.name,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    @staticmethod
    def children(process):
        try:
            with open(f"/proc/{process.pid}/task/{process.pid}/children") as file:
                return [int(child) for child in file.read().split()]
        except OSError:
            return []

    def wait_for(self, condition, what):
        end = time.monotonic() + 100
        while time.monotonic() < end:
            if condition():
                return
            time.sleep(0.005)
        self.fail(f"waited in vain for {what}")

    def test_kills_of_workers_and_parents_change_nothing(self):
        seed = random.randrange(2**32)
        chance = random.Random(seed)
        self.write(SMALL)
        begin = time.monotonic()
        self.sweep(folder="whole")
        duration = time.monotonic() - begin
        kills = 0
        for round_number in range(KILLS):
            with self.subTest(seed=seed, round=round_number):
                kills += self.disturbed_round(chance, duration, f"out{round_number}")
        self.assertGreater(kills, 0)

    def disturbed_round(self, chance, duration, folder):
        kills = 0
        for _ in range(chance.randint(1, 3)):
            process = self.start(folder=folder)
            time.sleep(chance.uniform(0, duration))
            victims = self.children(process) if chance.random() < 0.5 else [process.pid]
            for victim in chance.sample(victims, min(len(victims), chance.randint(1, 2))):
                try:
                    os.kill(victim, signal.SIGKILL)
                    kills += 1
                except ProcessLookupError:
                    pass
            process.communicate(timeout=120)
            self.assertIn(process.returncode, (0, -signal.SIGKILL))
        self.sweep("--retry-failed", folder=folder)
        self.assertEqual(self.merged(folder), self.merged("whole"))
        lines = self.raw_lines(folder)
        self.assertTrue(all(line.endswith(b"\n") for line in lines))
        rows = collections.Counter(json.loads(line)["key"] for line in lines)
        self.assertEqual(len(rows), 48)
        # A worker that is killed between its line and the next point leaves that point to be run again.
        self.assertLessEqual(sum(rows.values()) - len(rows), 2 * kills)
        return kills

    def test_workers_end_with_a_killed_parent_and_a_second_parent_is_refused(self):
        self.write(SMALL.replace("128,256,1024", "4096,4096,4096"))
        process = self.start()
        self.addCleanup(process.kill)
        self.wait_for(lambda: len(self.children(process)) == 2, "workers")
        workers = self.children(process)
        self.check_refused(
            ["sweep", "sweep.yaml", "-o", "out"],
            "out: another process is at work on shard 1/1 of this folder",
        )
        process.kill()
        process.communicate(timeout=60)
        self.wait_for(lambda: not any(os.path.exists(f"/proc/{worker}") for worker in workers), "workers to end")

    def test_a_worker_that_dies_twice_makes_a_row(self):
        self.write("schema: 1\nbase: {gemms: ['65536,16384,16384']}\naxes: {machine.cores: [1]}\n")
        process = self.start()
        killed = set()
        for _ in range(2):
            self.wait_for(lambda: set(self.children(process)) - killed, "a worker")
            (worker,) = set(self.children(process)) - killed
            time.sleep(0.2)  # it takes the point when it begins
            os.kill(worker, signal.SIGKILL)
            killed.add(worker)
        out, error = process.communicate(timeout=120)
        self.assertEqual((process.returncode, out), (1, "1 points: 0 ok, 1 failed, 0 left\nout/results.jsonl\n"))
        self.assertEqual(
            error,
            "oscsim: the point that ran failed, and none is ok\n"
            "  the first, point 0: its worker ended twice: signal 9 (Killed)\n",
        )
        (row,) = self.rows()
        self.assertEqual((row["status"], row["error"]), ("died", "its worker ended twice: signal 9 (Killed)"))

    def test_an_interrupt_leaves_a_folder_that_goes_on(self):
        self.write(SMALL.replace("to: 32, scale: log2", "to: 400, count: 397"))
        for number in (signal.SIGINT, signal.SIGTERM):
            process = self.start()
            before = len(self.raw_lines())
            self.wait_for(lambda: len(self.raw_lines()) > before + 5, "rows")
            process.send_signal(number)
            out, error = process.communicate(timeout=60)
            lines = self.raw_lines()
            self.assertEqual((process.returncode, out), (130, ""))
            self.assertEqual(
                error,
                f"oscsim: interrupted; 4764 points: {len(lines)} ok, 0 failed, {4764 - len(lines)} left; "
                "the same command goes on\n",
            )
            self.assertTrue(all(json.loads(line)["status"] == "ok" for line in lines))


if __name__ == "__main__":
    main()
