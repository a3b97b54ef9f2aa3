#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Faults of sweeps and of limits that came in from outside, each under its number.

usage: faults_sweep_test.py OSCSIM SOURCE_ROOT
"""

import json
import os
import shutil
import subprocess
import time

from program import IS_SANITIZED, PROGRAM, ROOT, SMALL, ProgramTest, main

SWEEP = "schema: 1\nbase: {machine: edge_npu, gemms: ['64,256,512,attn_in']}\naxes: {machine.cores: [1, 2, 3, 4]}\n"
FAILING = "schema: 1\nbase: {machine: edge_npu, gemms: ['64,256,512,attn_in']}\naxes: {mapping.m: [4096, 8192]}\n"
# Whose simulation takes minutes.
LONG = ["run", "--timing-only", "--gemm", "65536,16384,16384"]
LONG_SWEEP = "schema: 1\nbase: {gemms: ['65536,16384,16384']}\naxes: {gemm.m: [16, 65536]}\n"

# No threads, or no processes, are to be had: what a limit of the user's processes does, also for root.
NO_THREADS = """
#include <errno.h>
#include <pthread.h>
int pthread_create(pthread_t* thread, const pthread_attr_t* kind, void* (*run)(void*), void* with) { return EAGAIN; }
"""
FEW_PROCESSES = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/types.h>
static int left = -1;
pid_t fork(void) {
  if (left < 0) left = atoi(getenv("FORKS_LEFT"));
  if (left == 0) { errno = EAGAIN; return -1; }
  --left;
  return ((pid_t(*)(void))dlsym(RTLD_NEXT, "fork"))();
}
"""


class FaultTest(ProgramTest):
    def write(self, text, name="sweep.yaml"):
        with open(self.path(name), "w") as file:
            file.write(text)

    def sweep(self, *more, **options):
        done = self.run_program(["sweep", "sweep.yaml", "-o", "out", *more], **options)
        return done.returncode, done.stdout, done.stderr

    def rows(self):
        with open(self.path("out/results.jsonl")) as file:
            return [json.loads(line) for line in file]


class SweepFaults(FaultTest):
    def test_b8_a_sweep_whose_points_all_fail(self):
        self.write(FAILING)
        code, out, error = self.sweep()
        self.assertEqual((code, out), (1, "2 points: 0 ok, 2 failed, 0 left\nout/results.jsonl\n"))
        self.assertTrue(
            error.startswith(
                "oscsim: all 2 points that ran failed, and none is ok\n  the first, point 0: no tile of a 64 x 256 x 512 "
                "GEMM fits the machine with mapping.m 4096: "
            ),
            error,
        )

    def test_b8_variant_resumed_merged_and_limited(self):
        self.write(FAILING)
        self.assertEqual(self.sweep("--limit", "1")[0], 1)
        self.assertEqual(self.sweep()[0], 1)
        self.assertEqual(self.sweep()[0], 1)  # nothing is left to run
        self.assertEqual(self.run_program(["sweep", "merge", "out"]).returncode, 1)
        self.assertEqual(self.run_program(["sweep", "status", "out"]).returncode, 0)

    def test_b8_variant_one_good_point_is_enough_and_none_is_no_failure(self):
        self.write(FAILING.replace("[4096, 8192]", "[16, 4096]"))
        self.assertEqual(self.sweep("--limit", "0")[0], 0)
        code, out, error = self.sweep()
        self.assertEqual((code, out, error), (0, "2 points: 1 ok, 1 failed, 0 left\nout/results.jsonl\n", ""))

    def test_b7_an_array_with_steps_covers_the_sweep(self):
        self.write(SWEEP)
        array = {"SLURM_ARRAY_TASK_COUNT": "3", "SLURM_ARRAY_TASK_MIN": "1", "SLURM_ARRAY_TASK_MAX": "9"}
        for task in ("1", "5", "9"):
            environment = os.environ | array | {"SLURM_ARRAY_TASK_STEP": "4", "SLURM_ARRAY_TASK_ID": task}
            self.assertEqual(self.sweep(env=environment)[0], 0)
        self.assertEqual(
            self.check_done(["sweep", "merge", "out"]), "4 points: 4 ok, 0 failed, 0 left\nout/results.jsonl\n"
        )

    def test_b7_a_list_is_refused(self):
        self.write(SWEEP)
        array = {"SLURM_ARRAY_TASK_COUNT": "2", "SLURM_ARRAY_TASK_MIN": "2", "SLURM_ARRAY_TASK_MAX": "7"}
        for task in ("2", "7"):
            environment = os.environ | array | {"SLURM_ARRAY_TASK_STEP": "1", "SLURM_ARRAY_TASK_ID": task}
            self.assertEqual(
                self.sweep(env=environment),
                (
                    2,
                    "",
                    f"oscsim: this is task {task} of a Slurm array of 2 tasks from 2 to 7, whose place in it cannot be told\n"
                    "  give --shard I/N with I from 1 to N, or an array such as 1-8 or 1-9:4\n",
                ),
            )

    def test_d1_a_folder_that_would_be_lines_of_the_script(self):
        self.write(SWEEP)
        folder = "a\ntouch pwned\n"
        for more in (["--dry-run"], []):
            done = self.run_program(["sweep", "submit", "sweep.yaml", "-o", folder, *more])
            self.assertEqual((done.returncode, done.stdout), (2, ""))
            self.assertTrue(done.stderr.endswith(": a batch script cannot hold a name with a control character\n"))
        self.assertEqual(os.listdir(self.folder.name), ["sweep.yaml"])

    def test_d1_variant_other_names_are_quoted(self):
        os.mkdir(self.path("it's $(touch pwned)"))
        self.write(SWEEP, "it's $(touch pwned)/sweep.yaml")
        script = self.check_done(
            ["sweep", "submit", "it's $(touch pwned)/sweep.yaml", "-o", "`touch pwned`", "--dry-run", "--shards", "1"]
        )
        script = script.replace("exec ", "echo ", 1)
        done = subprocess.run(["bash"], input=script, capture_output=True, text=True, cwd=self.folder.name)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertIn("/it's $(touch pwned)/sweep.yaml -o ", done.stdout)
        self.assertFalse(os.path.exists(self.path("pwned")))

    def test_d10_damage_is_named_and_nothing_hangs(self):
        self.write(SWEEP)
        self.sweep()
        os.mkfifo(self.path("out/rows/x.jsonl"))
        refused = (2, "", "oscsim: out/rows/x.jsonl: is no regular file; the sweep's folder is damaged\n")
        for command in (["sweep.yaml", "-o", "out"], ["status", "out"], ["merge", "out"]):
            done = self.run_program(["sweep", *command])
            self.assertEqual((done.returncode, done.stdout, done.stderr), refused)
        os.remove(self.path("out/rows/x.jsonl"))
        self.write('{"version": 1, "git": "x"}', "out/sweep.json")
        for command in (["sweep.yaml", "-o", "out"], ["merge", "out"]):
            self.check_refused(["sweep", *command], "out/sweep.json: 'version' is no text; the sweep's folder is damaged")

    def test_d10_variant_points_of_another_kind(self):
        self.write(SWEEP)
        self.sweep()
        self.write('{"key":1}\n', "out/points.jsonl")
        message = "out/points.jsonl:1: 'key' is not 20 hexadecimal digits; the sweep's folder is damaged"
        for command in ("status", "merge"):
            self.check_refused(["sweep", command, "out"], message)
        self.assertEqual(self.sweep()[0], 0)  # it writes them anew
        self.check_done(["sweep", "status", "out"])

    def test_d14_a_formula_among_the_values_of_an_axis(self):
        shutil.copy(f"{ROOT}/configs/schemes/osc.yaml", self.path("=cmd|x.yaml"))
        self.write(SWEEP.replace("axes: {", "axes: {scheme: ['=cmd|x.yaml'], "))
        self.sweep()
        with open(self.path("out/results.csv")) as file:
            self.assertIn(",\"'=cmd|x.yaml\",\"'=cmd|x.yaml\",1,1,ok,,", file.read())


class LimitFaults(FaultTest):
    def test_a_run_beyond_its_cycle_limit(self):
        self.check_refused(
            [*SMALL, "--timing-only", "--cycle-limit", "10", "--json", "r.json"],
            "gemm_8x16x64.input (shared work) under osc: the scheme takes more than 10 cycles, the --cycle-limit, with this "
            "and what came before",
        )
        self.assertEqual(os.listdir(self.folder.name), [])
        self.check_done([*SMALL, "--timing-only", "--cycle-limit", "1000000000000000000"])
        self.check_refused([*SMALL, "--cycle-limit", "0"], "--cycle-limit: 0; allowed: at least 1")

    def test_a_run_beyond_its_time_limit(self):
        begin = time.monotonic()
        done = self.run_program([*LONG, "--time-limit", "2", "--json", "r.json"])
        self.assertEqual((done.returncode, done.stdout), (2, ""))
        self.assertEqual(done.stderr, "oscsim: more than 2 s, the --time-limit, at gemm_65536x16384x16384\n")
        self.assertEqual(os.listdir(self.folder.name), [])
        self.assertLess(time.monotonic() - begin, 60)
        self.check_done([*SMALL, "--time-limit", "100"])
        self.check_refused([*SMALL, "--time-limit", "0"], "--time-limit: 0; allowed: 0.001 to 1000000000")

    def test_a_point_beyond_its_cycle_limit_is_a_row(self):
        self.write(SWEEP)
        self.sweep()
        cycles = [max(row["scheme_cycles"], row["baseline_cycles"]) for row in self.rows()]
        shutil.rmtree(self.path("out"))
        limit = sorted(cycles)[1]
        code, out, error = self.sweep("--cycle-limit", str(limit))
        self.assertEqual((code, out, error), (0, "4 points: 2 ok, 2 failed, 0 left\nout/results.jsonl\n", ""))
        for row, taken in zip(self.rows(), cycles):
            self.assertEqual(row["status"], "ok" if taken <= limit else "failed")
            if taken > limit:
                self.assertRegex(row["error"], rf"^gemm_64x256x512.*: the \w+ takes more than {limit} cycles, the --cycle-limit")
        with open(self.path("out/results.jsonl"), "rb") as file:
            before = file.read()
        shutil.rmtree(self.path("out"))
        self.sweep("--cycle-limit", str(limit), "--jobs", "1", "--no-memo")
        with open(self.path("out/results.jsonl"), "rb") as file:
            self.assertEqual(file.read(), before)
        self.sweep("--retry-failed")
        self.assertEqual([row["status"] for row in self.rows()], ["ok"] * 4)

    def test_a_point_beyond_its_time_limit_is_a_row(self):
        self.write(LONG_SWEEP)
        code, out, error = self.sweep("--time-limit", "2", "--jobs", "1")
        self.assertEqual((code, out, error), (0, "2 points: 1 ok, 1 failed, 0 left\nout/results.jsonl\n", ""))
        self.assertEqual(
            [(row["status"], row["error"]) for row in self.rows()],
            [("ok", None), ("failed", "more than 2 s, the --time-limit of a point")],
        )

    def test_submit_hands_the_limits_on(self):
        self.write(LONG_SWEEP.replace("16, 65536", "65536"))
        script = self.check_done(
            ["sweep", "submit", "sweep.yaml", "-o", "o", "--dry-run", "--time-limit", "1.5", "--cycle-limit", "77"]
        )
        self.assertTrue(script.endswith('--shard "$SLURM_ARRAY_TASK_ID/1" --time-limit 1.5 --cycle-limit 77\n'), script)


class ProgressFaults(FaultTest):
    def test_a_log_gets_a_line_now_and_then(self):
        process = subprocess.Popen(
            [PROGRAM, *LONG],
            cwd=self.folder.name,
            env=os.environ | {"OSCSIM_PROGRESS_SECONDS": "0.3"},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.addCleanup(process.stderr.close)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        seconds = []
        for _ in range(3):
            line = process.stderr.readline()
            self.assertRegex(line, r"^oscsim: 0/1  \d+\.\d s  gemm_65536x16384x16384\n$")
            seconds.append(float(line.split()[2]))
        self.assertGreaterEqual(seconds[1] - seconds[0], 0.2)
        self.assertGreaterEqual(seconds[2] - seconds[1], 0.2)

    def test_a_sweep_says_what_it_is_at(self):
        self.write(LONG_SWEEP)
        environment = os.environ | {"OSCSIM_PROGRESS_SECONDS": "1"}
        code, _, error = self.sweep("--time-limit", "4", "--jobs", "1", env=environment)
        self.assertEqual(code, 0)
        lines = error.splitlines()
        self.assertGreaterEqual(len(lines), 2)
        for line in lines[:-1]:
            self.assertRegex(line, r"^oscsim: 1/2  \d+\.\d s  \d+\.\d points/s, \d+:\d\d left, at point 1$")

    def test_a_minute_is_the_default_and_0_is_never(self):
        self.assertEqual(self.run_program([*SMALL, "--timing-only"]).stderr, "")
        environment = os.environ | {"OSCSIM_PROGRESS_SECONDS": "0"}
        self.assertEqual(self.run_program([*LONG, "--time-limit", "0.5"], env=environment).stderr.count("\n"), 1)
        environment["OSCSIM_PROGRESS_SECONDS"] = "often"
        done = self.run_program([*SMALL, "--timing-only"], env=environment)
        self.assertEqual((done.returncode, done.stderr), (2, "oscsim: OSCSIM_PROGRESS_SECONDS: 'often' is not a finite decimal number\n"))


class ResourceFaults(FaultTest):
    def preload(self, source):
        if IS_SANITIZED:
            self.skipTest("the sanitizers preload a library of their own")
        self.write(source, "preload.c")
        command = ["cc", "-shared", "-fPIC", "-o", self.path("preload.so"), self.path("preload.c"), "-ldl"]
        if subprocess.run(command, capture_output=True).returncode != 0:
            self.skipTest("no C compiler")
        return os.environ | {"LD_PRELOAD": self.path("preload.so")}

    def test_d11_without_threads_it_goes_on_with_one(self):
        expected = self.check_done(SMALL)
        environment = self.preload(NO_THREADS)
        for more in ([], ["--threads", "8"], ["--verify"]):
            done = self.run_program([*SMALL, *more], env=environment)
            self.assertEqual((done.returncode, done.stderr), (0, ""), more)
            if not more:
                self.assertEqual(done.stdout, expected)

    def test_d11_variant_a_sweep_with_fewer_workers(self):
        self.write(SWEEP)
        environment = self.preload(FEW_PROCESSES) | {"FORKS_LEFT": "1"}
        self.assertEqual(
            self.sweep("--jobs", "4", env=environment), (0, "4 points: 4 ok, 0 failed, 0 left\nout/results.jsonl\n", "")
        )

    def test_d11_variant_a_sweep_without_any_worker(self):
        self.write(SWEEP)
        environment = self.preload(FEW_PROCESSES) | {"FORKS_LEFT": "0"}
        code, out, error = self.sweep(env=environment)
        self.assertEqual((code, out), (2, ""))
        self.assertRegex(
            error,
            r"^oscsim: a worker process cannot be started: Resource temporarily unavailable"
            r"(; this user may have \d+ processes \(ulimit -u\))?\n$",
        )

    def test_d11_variant_a_limit_of_memory_is_named(self):
        if IS_SANITIZED:
            self.skipTest("the sanitizers need terabytes of addresses")
        for megabytes in (30, 60, 100):
            command = f"ulimit -v {megabytes * 1000}; exec {PROGRAM} run --gemm 8,16,64 --machine edge_npu --timing-only"
            done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, cwd=self.folder.name)
            if "error while loading" in done.stderr or done.returncode == 127:
                continue  # not even the program
            self.assertIn(done.returncode, (0, 2), done.stderr)
            self.assertNotIn("defect", done.stderr)


if __name__ == "__main__":
    main()
