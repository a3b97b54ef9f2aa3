#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Files of the program: outputs onto inputs, what signals and limits leave behind, inputs that become shorter, names
that are not UTF-8, and where configurations and paths in files are looked up.

usage: faults_files_test.py OSCSIM SOURCE_ROOT
"""

import json
import os
import random
import resource
import shutil
import signal
import struct
import subprocess
import time
import unittest

from matrix_files import npy, safetensors
from program import IS_SANITIZED, PROGRAM, ROOT, ProgramTest, main

NAME = "model.layers.{}.self_attn.q_proj"
WEIGHTS = {f"{NAME.format(layer)}.weight": ("BF16", (16, 64), [1.0] * 1024) for layer in (0, 1)}
INPUTS = {f"model.layers.{layer}.attn_in": ("BF16", (8, 64), [(i % 13 - 6) / 4 for i in range(512)]) for layer in (0, 1)}
TRACE = f"""schema: 1
gemms:
  - {{name: "{NAME.format("{layer}")}", layers: 0-1, position: attn_in, m: 8, n: 16, k: 64,
     input: "model.layers.{{layer}}.attn_in"}}
"""
WIDE = """schema: 1
gemms:
  - {name: wide, position: attn_in, m: 65536, n: 16, k: 2048, weight: w, input: model.layers.2.attn_in}
"""
CONFIG = {"model_type": "qwen3", "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 1, "head_dim": 32,
          "num_attention_heads": 2, "num_key_value_heads": 2, "vocab_size": 128}  # fmt: skip
SWEEP = """schema: 1
base: {machine: m.yaml, trace: t.yaml, gemms_only: true}
axes:
  machine.cores: [1, 2]
"""
INDEX = "model/model.safetensors.index.json"
SHARDS = ["model/a.safetensors", "model/b.safetensors"]

RUN = ["run", "--machine", "m.yaml", "--trace", "t.yaml"]
TIMED = [*RUN, "--timing-only"]
TENSORS = [*RUN, "--tensors", "x.safetensors", "--tensors"]
Q = ["--format", "mxfp4"]


class FilesTest(ProgramTest):
    def setUp(self):
        super().setUp()
        os.mkdir(self.path("model"))
        for name, content in {
            "m.yaml": self.source("configs/machines/edge_npu.yaml"),
            "s.yaml": self.source("configs/schemes/osc.yaml"),
            "b.yaml": self.source("configs/schemes/w8a8.yaml"),
            "c.yaml": self.source("configs/costs/7nm.yaml"),
            "t.yaml": TRACE,
            "x.yaml": TRACE,  # the trace that stands beside the captured activations
            "sweep.yaml": SWEEP,
            "c.csv": "Layer,M,N,K\na,8,16,64\n",
            "model/config.json": json.dumps(CONFIG),
            "x.safetensors": safetensors(INPUTS),
            "y.safetensors": safetensors(INPUTS),
            "w.safetensors": safetensors(WEIGHTS),
            "a.npy": npy([[1.0] * 64] * 4),
            "b.npy": npy([[0.5] * 64] * 4),
            INDEX: json.dumps({"weight_map": dict(zip(WEIGHTS, (os.path.basename(name) for name in SHARDS)))}),
            SHARDS[0]: safetensors(dict(list(WEIGHTS.items())[:1])),
            SHARDS[1]: safetensors(dict(list(WEIGHTS.items())[1:])),
        }.items():
            self.write(name, content)

    @staticmethod
    def source(name):
        with open(os.path.join(ROOT, name)) as file:
            return file.read()

    def write(self, name, content):
        with open(self.path(name), "wb" if isinstance(content, bytes) else "w") as file:
            file.write(content)

    def read(self, name):
        with open(self.path(name), "rb") as file:
            return file.read()

    def files(self):
        """name -> content, of everything in the folder."""
        return {
            os.path.relpath(os.path.join(folder, name), self.folder.name): self.read(os.path.join(folder, name))
            for folder, _, names in os.walk(self.folder.name)
            for name in names
        }

    def check_all_doors(self, arguments, option, entry):
        """`entry` is read by the command: no output of the option may be it, under whatever name."""
        suffix = os.path.splitext(entry)[1]
        if option == "--timeline":
            suffix = ".json"
        elif option == "--vcd":
            suffix = ".vcd"
        names = [f"link{suffix}", f"hard{suffix}", f"folder/hard{suffix}"]
        os.symlink(entry, self.path(names[0]))
        os.link(self.path(entry), self.path(names[1]))
        os.symlink(".", self.path("folder"))
        if entry.endswith(suffix):
            names += [entry, f"./folder/{entry}"]
        before = self.files()
        for name in names:
            with self.subTest(f"{arguments} {option} {name}"):
                self.check_refused(
                    [*arguments, option, name],
                    f"{option} {name}: is the input {entry}; nothing is written over what is read",
                )
        self.assertEqual(self.files(), before)
        for name in ("folder", *names[:2]):
            os.remove(self.path(name))

    # ------ B1

    def test_b1_json_onto_its_trace(self):
        for option in ("--json", "--csv", "--timeline", "--vcd"):
            self.check_all_doors(TIMED, option, "t.yaml")

    def test_b1_outputs_onto_its_tensors(self):
        for entry in ("x.safetensors", "w.safetensors"):
            self.check_all_doors([*TENSORS, "w.safetensors"], "--outputs", entry)

    def test_b1_csv_and_captured_traces(self):
        self.check_all_doors(["trace", "--from-csv", "c.csv"], "-o", "c.csv")
        self.check_all_doors(["trace", "--fit", "x.safetensors"], "-o", "x.safetensors")
        self.check_all_doors(["trace", "--fit", "x.safetensors"], "-o", "x.yaml")  # found beside the tensors

    def test_b1_variant_every_configuration_of_a_run(self):
        for option, entry in (("--machine", "m.yaml"), ("--scheme", "s.yaml"), ("--baseline", "b.yaml"), ("--costs", "c.yaml")):
            self.check_all_doors(["run", "--gemm", "8,16,64", "--timing-only", option, entry], "--json", entry)

    def test_b1_variant_a_configuration_by_its_name(self):
        for folder in ("configs", "traces"):
            shutil.copytree(os.path.join(ROOT, folder), self.path(f"home/{folder}"))
        home = os.environ | {"OSCSIM_HOME": self.path("home")}
        before = self.files()
        for entry in ("configs/machines/edge_npu.yaml", "configs/costs/7nm.yaml", "traces/qwen3_8b_decode.yaml"):
            done = self.run_program(
                ["run", "--machine", "edge_npu", "--trace", "qwen3_8b_decode", "--layers", "0", "--timing-only",
                 "--csv", f"home/{entry}"],
                env=home,
            )  # fmt: skip
            self.assertEqual(
                (done.returncode, done.stdout, done.stderr),
                (
                    2,
                    "",
                    f"oscsim: --csv home/{entry}: is the input {self.path('home')}/{entry}; "
                    "nothing is written over what is read\n",
                ),
            )
        self.assertEqual(self.files(), before)

    def test_b1_variant_table_of_a_run(self):
        self.check_done(["calibrate", "x.safetensors", "-o", "table.yaml"])
        self.check_all_doors([*TENSORS, "w.safetensors", "--table", "table.yaml"], "--json", "table.yaml")

    def test_b1_variant_checkpoint_index_and_all_its_shards(self):
        for entry in (INDEX, *SHARDS):
            self.check_all_doors([*TENSORS, "model", "--layers", "0"], "--outputs", entry)

    def test_b1_variant_calibrate_quantize_and_gemm(self):
        self.check_all_doors(["calibrate", "x.safetensors", "--holdout", "y.safetensors"], "-o", "x.safetensors")
        self.check_all_doors(["calibrate", "x.safetensors", "--holdout", "y.safetensors"], "-o", "y.safetensors")
        self.check_all_doors(["quantize", "w.safetensors", *Q], "-o", "w.safetensors")
        self.check_all_doors(["quantize", "a.npy", *Q, "-o", "q.safetensors"], "--json", "a.npy")
        product = ["gemm", "a.npy", "b.npy", "--format-a", "mxfp4", "--format-b", "mxfp4"]
        for entry in ("a.npy", "b.npy"):
            self.check_all_doors(product, "-o", entry)
            self.check_all_doors([*product, "-o", "y.npy"], "--json", entry)

    def test_b1_variant_a_models_configuration(self):
        arguments = ["trace", "model", "--phase", "decode", "--tokens", "1"]
        self.check_all_doors(arguments, "-o", "model/config.json")

    def test_b1_variant_files_of_a_sweep(self):
        self.check_done(["sweep", "sweep.yaml", "-o", "out", "--jobs", "1"])
        before = self.files()
        rows = f"rows/{os.listdir(self.path('out/rows'))[0]}"
        for name in ("sweep.json", "points.jsonl", "results.jsonl", "results.csv", rows, "rows/new.jsonl"):
            self.check_refused(
                [*TIMED, "--csv", f"out/{name}"],
                f"--csv out/{name}: is a file of the sweep in {os.path.realpath(self.path('out'))}; take another name",
            )
        self.assertEqual(self.files(), before)
        self.check_done([*TIMED, "--csv", "out/mine.csv"])

    def test_b1_variant_sweep_onto_what_it_reads(self):
        for name in ("results.jsonl", "results.csv", "points.jsonl", "sweep.json", "rows/1_of_1.0.jsonl"):
            for entry in ("sweep.yaml", "m.yaml", "t.yaml"):
                with self.subTest(f"{name} {entry}"):
                    shutil.rmtree(self.path("out"), ignore_errors=True)
                    self.check_done(["sweep", "sweep.yaml", "-o", "out", "--jobs", "1", "--limit", "0"])
                    if os.path.lexists(self.path(f"out/{name}")):
                        os.remove(self.path(f"out/{name}"))
                    os.symlink(self.path(entry), self.path(f"out/{name}"))
                    content = self.read(entry)
                    done = self.run_program(["sweep", "sweep.yaml", "-o", "out", "--jobs", "1"])
                    self.assertEqual(done.returncode, 2, done)
                    self.assertEqual(self.read(entry), content)

    def test_b1_variant_devices_and_standard_output(self):
        self.check_done([*TIMED, "--json", "/dev/null", "--csv", "/dev/null"])
        alone = self.check_done(TIMED)
        both = self.check_done([*TIMED, "--json", "/dev/stdout"])
        self.assertTrue(both.startswith("{") and both.endswith("}\n" + alone))
        self.write("log", "before\n")
        with open(self.path("log"), "a") as log:
            self.run_program([*TIMED, "--json", "/dev/stdout"], capture_output=False, stdout=log, check=True)
        self.assertEqual(self.read("log").decode(), "before\n" + both)
        with open(self.path("t.yaml"), "a") as trace:
            done = self.run_program(
                [*TIMED, "--json", "/dev/stdout"], capture_output=False, stdout=trace, stderr=subprocess.PIPE
            )
        self.assertEqual(
            done.stderr, "oscsim: --json /dev/stdout: is the input t.yaml; nothing is written over what is read\n"
        )
        self.assertEqual(self.read("t.yaml").decode(), TRACE)

    # ------ B5

    def copy(self):
        """A checkout with its program; that program's path."""
        for folder in ("configs", "traces"):
            shutil.copytree(os.path.join(ROOT, folder), self.path(f"copy/{folder}"))
        os.mkdir(self.path("copy/build"))
        return shutil.copy(PROGRAM, self.path("copy/build/oscsim"))

    def result_of(self, program, environment=None):
        subprocess.run(
            [program, "run", "--machine", "edge_npu", "--gemm", "8,16,64", "--timing-only", "--json", "r.json"],
            cwd=self.folder.name, env=environment, check=True, capture_output=True,
        )  # fmt: skip
        return json.loads(self.read("r.json"))["provenance"]

    def test_b5_copied_checkout_reads_its_own(self):
        program = self.copy()
        machine = self.path("copy/configs/machines/edge_npu.yaml")
        with open(machine) as file:
            text = file.read().replace("\ncores: 2\n", "\ncores: 16\n")
        with open(machine, "w") as file:
            file.write(text)
        provenance = self.result_of(program)
        root = os.path.realpath(self.path("copy"))
        self.assertEqual((provenance["machine"]["cores"], provenance["configurations"]), (16, root))
        version = subprocess.run([program, "--version"], capture_output=True, text=True, check=True).stdout
        self.assertEqual(version.splitlines()[1:], [f"configurations: {root}"])
        self.assertEqual(self.result_of(PROGRAM)["machine"]["cores"], 2)

    def test_b5_variant_a_program_that_was_moved_or_linked(self):
        root = os.path.realpath(self.path("copy"))
        program = self.copy()
        os.symlink(program, self.path("oscsim"))
        self.assertEqual(self.result_of(self.path("oscsim"))["configurations"], root)
        os.remove(self.path("oscsim"))
        os.mkdir(self.path("configs"))  # of something else
        moved = shutil.move(program, self.path("oscsim"))
        self.assertEqual(self.result_of(moved)["configurations"], ROOT)
        home = os.environ | {"OSCSIM_HOME": root}
        self.assertEqual(self.result_of(moved, home)["configurations"], root)

    # ------ B6 and D8

    def large(self, name, rows, cols, tensor="w"):
        """Zeros in FP32, in a sparse file."""
        entry = {"dtype": "F32", "shape": [rows, cols], "data_offsets": [0, 4 * rows * cols]}
        text = json.dumps({tensor: entry}).encode()
        with open(self.path(name), "wb") as file:
            file.write(struct.pack("<Q", len(text)) + text)
            file.truncate(8 + len(text) + 4 * rows * cols)

    def long_commands(self):
        self.large("large.safetensors", 4096, 4096)
        timeline = ["run", "--machine", "edge_npu", "--layers", "0", "--timing-only", "--timeline", "out.json"]
        return [
            (timeline, "out.json"),
            (["run", "--machine", "edge_npu", "--gemm", "512,2048,2048", "--outputs", "out.st"], "out.st"),
            (["quantize", "large.safetensors", *Q, "-o", "out.st"], "out.st"),
            (["gemm", "large.safetensors", "large.safetensors", "--format-a", "mxfp4", "--format-b", "mxfp4",
              "-o", "out.npy"], "out.npy"),
        ]  # fmt: skip

    def test_b6_signals_leave_nothing_behind(self):
        for arguments, output in self.long_commands():
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                before = set(os.listdir(self.folder.name))
                process = subprocess.Popen([PROGRAM, *arguments], cwd=self.folder.name, stderr=subprocess.PIPE, text=True,
                                           stdout=subprocess.DEVNULL)  # fmt: skip
                time.sleep(random.uniform(0.1, 0.8))
                process.send_signal(number)
                error = process.communicate(timeout=120)[1]
                with self.subTest(f"{arguments} {number.name}"):
                    left = set(os.listdir(self.folder.name)) - before
                    if process.returncode == 0:
                        self.assertEqual(left, {output})
                        os.remove(self.path(output))
                        continue
                    self.assertEqual(process.returncode, -number)
                    self.assertEqual(error, f"oscsim: stopped by {number.name}; unfinished files are discarded\n")
                    self.assertEqual(left, set())

    @unittest.skipIf(IS_SANITIZED, "minutes")
    def test_d8_a_limit_of_the_file_size_is_an_error(self):
        for arguments, output in self.long_commands():
            before = set(os.listdir(self.folder.name))
            limit = 4096 if output == "out.json" else 1 << 16
            done = self.run_program(
                arguments, preexec_fn=lambda size=limit: resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
            )
            with self.subTest(str(arguments)):
                self.assertEqual(
                    (done.returncode, done.stdout, done.stderr.replace("out.json: core 0 of 2", "")),
                    (2, "", f"oscsim: {output}: cannot be written: File too large\n"),
                )
                self.assertEqual(set(os.listdir(self.folder.name)), before)

    def test_d8_variant_sweep_under_a_limit_and_a_hangup(self):
        self.write("sweep.yaml", SWEEP.replace("[1, 2]", "{from: 1, to: 200, count: 200}"))
        process = subprocess.Popen(
            [PROGRAM, "sweep", "sweep.yaml", "-o", "out", "--jobs", "1"],
            cwd=self.folder.name, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        rows = self.path("out/rows/1_of_1.0.jsonl")
        deadline = time.monotonic() + 60
        while not (os.path.exists(rows) and os.path.getsize(rows) > 0) and time.monotonic() < deadline:
            time.sleep(0.01)
        process.send_signal(signal.SIGHUP)
        out, error = process.communicate(timeout=60)
        self.assertEqual((process.returncode, out), (130, ""))
        self.assertRegex(error, r"^oscsim: interrupted; 200 points: \d+ ok, 0 failed, \d+ left; the same command goes on\n$")
        hidden = [name for _, _, names in os.walk(self.path("out")) for name in names if name.startswith(".")]
        self.assertEqual(hidden, [])
        done = self.run_program(
            ["sweep", "sweep.yaml", "-o", "out", "--jobs", "1"],
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000)),
        )
        self.assertEqual((done.returncode, done.stderr), (2, "oscsim: out/rows/1_of_1.0.jsonl: cannot be written: File too large\n"))
        self.assertTrue(self.check_done(["sweep", "sweep.yaml", "-o", "out", "--jobs", "1"]).startswith("200 points: 200 ok"))

    # ------ D6

    def test_d6_inputs_that_become_shorter(self):
        self.write("large.yaml", WIDE)
        self.write("wide.safetensors", safetensors({"w": ("BF16", (16, 2048), [1.0] * (16 * 2048))}))
        commands = [
            ["quantize", "large.safetensors", *Q, "-o", "out"],
            ["gemm", "large.safetensors", "wide.safetensors", "--format-a", "mxfp4", "--format-b", "mxfp4", "-o", "out.npy"],
            ["calibrate", "large.safetensors", "-o", "out"],
            ["trace", "--fit", "large.safetensors", "-o", "out"],
            ["run", "--trace", "large.yaml", "--tensors", "wide.safetensors", "--tensors", "large.safetensors", "--json", "out"],
        ]
        for arguments in commands:
            self.large("large.safetensors", 1 << 16, 1 << 11, tensor="model.layers.2.attn_in")
            before = set(os.listdir(self.folder.name))
            process = subprocess.Popen([PROGRAM, *arguments], cwd=self.folder.name, stdout=subprocess.PIPE,
                                       stderr=subprocess.PIPE, text=True)  # fmt: skip
            self.wait_for_mapping(process, "large.safetensors")
            os.truncate(self.path("large.safetensors"), 8192)
            out, error = process.communicate(timeout=120)
            with self.subTest(str(arguments)):
                self.assertRegex(
                    error,
                    r"^oscsim: large\.safetensors: byte \d+ is gone: the file became shorter while it was read\n$",
                )
                self.assertEqual((process.returncode, out), (2, ""))
                self.assertEqual(set(os.listdir(self.folder.name)), before)

    @staticmethod
    def wait_for_mapping(process, name):
        while process.poll() is None:
            try:
                with open(f"/proc/{process.pid}/maps") as maps:
                    if name in maps.read():
                        return
            except OSError:
                pass

    # ------ C8

    def test_c8_names_that_are_not_utf8(self):
        folder = os.fsencode(self.folder.name)
        for name in ("t.yaml", "m.yaml", "c.csv", "a.npy", "x.safetensors", "w.safetensors", "sweep.yaml"):
            stem, suffix = os.path.splitext(name)
            shutil.copy(self.path(name), folder + b"/" + stem.encode() + b"\xe9" + suffix.encode())
        tensors = [b"--tensors", b"x\xe9.safetensors", b"--tensors", b"w\xe9.safetensors"]
        shutil.copy(self.path("model/config.json"), folder + b"/\xe9.json")
        for arguments in (
            [b"run", b"--machine", b"m\xe9.yaml", b"--trace", b"t\xe9.yaml", *tensors, b"--outputs", b"o\xe9.safetensors",
             b"--json", b"r\xe9.json", b"--csv", b"r\xe9.csv", b"--timeline", b"l\xe9.json"],
            [b"trace", b"--from-csv", b"c\xe9.csv", b"-o", b"t2\xe9.yaml"],
            [b"trace", b"\xe9.json", b"--phase", b"decode", b"--tokens", b"1", b"-o", b"t3\xe9.yaml"],
            [b"calibrate", b"x\xe9.safetensors", b"-o", b"table\xe9.yaml"],
            [b"run", b"--trace", b"t\xe9.yaml", *tensors, b"--table", b"table\xe9.yaml", b"--json", b"r2.json"],
            [b"run", b"--trace", b"t2\xe9.yaml", b"--timing-only", b"--json", b"r3.json"],
            [b"quantize", b"a\xe9.npy", b"--format", b"mxfp4", b"-o", b"q\xe9.safetensors", b"--json", b"q\xe9.json"],
            [b"quantize", b"w\xe9.safetensors", b"--format", b"mxfp4", b"-o", b"qw\xe9.safetensors"],
            [b"gemm", b"q\xe9.safetensors", b"a\xe9.npy", b"--format-b", b"mxfp4", b"-o", b"y\xe9.safetensors", b"--json", b"y.json"],
            [b"sweep", b"sweep\xe9.yaml", b"-o", b"out\xe9", b"--jobs", b"1"],
        ):  # fmt: skip
            done = subprocess.run([os.fsencode(PROGRAM), *arguments], cwd=folder, capture_output=True)
            notes = [line for line in done.stderr.splitlines() if b"core 0 of" not in line]
            self.assertEqual((done.returncode, notes), (0, []), arguments)
        for name in (b"r\xe9.json", b"q\xe9.json", b"l\xe9.json", b"out\xe9/sweep.json"):
            with open(folder + b"/" + name, encoding="utf-8") as file:
                json.load(file)

    def test_c8_variant_arguments_that_are_not_utf8(self):
        for arguments in (
            [b"run", b"--machine", b"\xe9"],
            [b"run", b"--gemm", b"8,16,64,\xe9"],
            [b"run", b"--set", b"machine.\xe9=1"],
            [b"run", b"--set", b"machine.description=\xe9"],
            [b"describe", b"machine", b"\xe9"],
            [b"sweep", b"\xe9.yaml", b"-o", b"out"],
            [b"quantize", b"w.safetensors:\xe9", b"--format", b"mxfp4", b"-o", b"q"],
            [b"--\xe9"],
        ):
            done = subprocess.run([os.fsencode(PROGRAM), *arguments], cwd=self.folder.name, capture_output=True)
            self.assertEqual((done.returncode, done.stdout), (2, b""), arguments)
            self.assertTrue(done.stderr.startswith(b"oscsim: ") and b"defect" not in done.stderr, done.stderr)

    # ------ C11

    def test_c11_paths_in_a_sweep_file_are_looked_up_beside_it(self):
        os.mkdir(self.path("study"))
        for name in ("m.yaml", "t.yaml", "s.yaml", "b.yaml", "c.yaml", "x.safetensors", "w.safetensors"):
            shutil.move(self.path(name), self.path(f"study/{name}"))
        shutil.move(self.path("model"), self.path("study/model"))
        shutil.copy(self.path("study/m.yaml"), self.path("study/m2.yaml"))
        self.write(
            "study/sweep.yaml",
            """schema: 1
base:
  trace: t.yaml
  scheme: s.yaml
  baseline: ./b.yaml
  costs: c.yaml
  tensors: [x.safetensors, w.safetensors]
  timing_only: false
points:
  - {machine: m.yaml, machine.cores: 1}
  - {machine: m2.yaml, machine.cores: 2}
  - {machine: edge_npu, machine.cores: 4}
""",
        )
        rows = []
        for where, file in ((".", "study/sweep.yaml"), ("study", "sweep.yaml"), (".", self.path("study/sweep.yaml"))):
            done = self.run_program(["sweep", file, "-o", self.path("out"), "--jobs", "1"], cwd=self.path(where))
            self.assertEqual((done.returncode, done.stderr), (0, ""))
            rows.append((self.read("out/results.jsonl"), self.read("out/sweep.json")))
            shutil.rmtree(self.path("out"))
        self.assertEqual([json.loads(line)["machine"] for line in rows[0][0].splitlines()], ["m.yaml", "m2.yaml", "edge_npu"])
        self.assertEqual(rows[0], rows[1])
        self.assertEqual(rows[0], rows[2])

    def test_c11_variant_the_file_beside_comes_before_the_one_here(self):
        os.mkdir(self.path("study"))
        text = self.read("m.yaml").decode()
        self.write("study/m.yaml", text.replace("\ncores: 2\n", "\ncores: 7\n"))
        self.write("study/sweep.yaml", SWEEP.replace("machine.cores", "machine.core.gather.lanes").replace("[1, 2]", "[4, 8]"))
        self.check_done(["sweep", "study/sweep.yaml", "-o", "out", "--jobs", "1"])  # t.yaml is only here
        self.assertEqual(json.loads(self.read("out/sweep.json"))["base"]["machine_resolved"]["cores"], 7)
        os.remove(self.path("study/m.yaml"))
        self.check_done(["sweep", "study/sweep.yaml", "-o", "out2", "--jobs", "1"])
        self.assertEqual(json.loads(self.read("out2/sweep.json"))["base"]["machine_resolved"]["cores"], 2)


if __name__ == "__main__":
    main()
