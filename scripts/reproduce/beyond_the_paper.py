#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What arXiv 2604.12782 leaves out: speed-up of OSC over W8A8 for the linear layers of Qwen3-8B and Qwen3-30B-A3B as each
real cost is switched on in turn, M = 1 to 8192, then with the branch, the gather and the cast in other places; and where
the bottleneck moves. Markdown tables on standard output.

    scripts/reproduce/beyond_the_paper.sh [--machine ascend_950pr] [--models Qwen3-8B,Qwen3-30B-A3B]
                                        [--m 1,2,...,8192] [--jobs 2]

One layer stands for all: they are equal. OSCSIM names another program than build/oscsim.
"""
import argparse
import collections
import concurrent.futures
import itertools
import json
import os
import pathlib
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "scripts"))
sys.dont_write_bytecode = True  # nothing is written to the source tree
import support  # noqa: E402

OSCSIM = os.environ.get("OSCSIM", str(ROOT / "build/oscsim"))

# What the paper's idealised machine does not have, on the compute rates, buffers and memory bandwidth of the real one.
FREE = "1000000000B/cycle"
PIPES = {
    "overlap": "perfect",
    "core.load.rate": FREE,
    "core.load.setup": "0cycles",
    "core.feed.a_rate": FREE,
    "core.feed.b_rate": FREE,
    "core.feed.setup": "0cycles",
    "core.feed.shared_port": "0B/cycle",
    "core.issue.step_folded": "0cycles",
    "core.issue.tile_folded": "0cycles",
    "core.tensor.startup": "0cycles",
    "core.tensor.gap": "0cycles",
    "l2.bandwidth": "1000000TB/s",
    "l2.latency": "0ns",
    "hbm.latency": "0ns",
}
IDEAL = PIPES | {
    "count_scale_bytes": "false",
    "model_shared_work": "false",
    "model_gather": "false",
    "model_branch_startup": "false",
    "count_branch_weights": "false",
    "core.drain.rate": FREE,
}
# (column, settings that it takes back). What is taken back stays so in the columns to the right: the last is the machine.
STEPS = (
    ("ideal", ()),
    ("+ scale bytes", ("count_scale_bytes",)),
    ("+ quantisation", ("model_shared_work",)),
    ("+ gather", ("model_gather",)),
    ("+ 16-bit rows", ("count_branch_weights",)),
    ("+ output", ("core.drain.rate",)),
    ("+ pipes that wait", tuple(PIPES)),
    ("+ branch start-up", ("model_branch_startup",)),
)
# On the machine as it is. A branch unit of its own gets the rate of the tensor unit's 16-bit mode, which it relieves.
OWN_BRANCH = {
    "core.branch.placement": "own",
    "core.branch.m0": "16",
    "core.branch.n0": "16",
    "core.branch.k0": "16",
    "core.branch.startup": "92cycles",
    "core.branch.gap": "3cycles",
    "core.branch.operand_buffer": "64KiB",
    "core.branch.accumulator": "256KiB",
}
VARIANTS = (
    ("own branch", OWN_BRANCH),
    ("gather on_load", {"core.gather.mode": "on_load"}),
    ("strided_dma", {"core.gather.mode": "strided_dma"}),
    ("shared ports", {"core.gather.ports": "shared"}),
    ("fused cast", {"mapping.quantise": "fused"}),
    ("fused, OSC only", {"scheme.mapping.quantise": "fused"}),
)

Outcome = collections.namedtuple("Outcome", "speedup bound")


def bound_of(found, settings):
    """What bounds most of the scheme's time."""
    time_of = collections.Counter()
    for entry in found["gemms"] + found["shared"]:
        if entry["scheme"]:
            time_of[entry["scheme"]["bound"]] += entry["scheme"]["time_us"] * entry["repeat"]
    bound = time_of.most_common(1)[0][0].removeprefix("wait_")
    # Where no pipe waits, the matrix unit is idle only for what memory takes beyond its work.
    return "memory" if bound == "idle" and settings.get("overlap") == "perfect" else bound


def simulate(machine, trace, settings):
    """Speed-up of the layer, and its bound."""
    with tempfile.TemporaryDirectory() as folder:
        result = f"{folder}/result.json"
        command = [OSCSIM, "run", "--machine", machine, "--trace", trace, "--layers", "0", "--timing-only"]
        for name, value in settings.items():
            path = name if name.startswith(("mapping.", "scheme.")) else f"machine.{name}"
            command += ["--set", f"{path}={value}"]
        subprocess.run(command + ["--json", result], check=True, stdout=subprocess.DEVNULL)
        found = json.loads(pathlib.Path(result).read_text())
    return Outcome(found["total"]["speedup"], bound_of(found, settings))


def make_trace(model, m, folder):
    path = f"{folder}/{model}_{m}.yaml"
    subprocess.run([OSCSIM, "trace", model, "--phase", "prefill", "--tokens", str(m), "-o", path], check=True,
                   stdout=subprocess.DEVNULL)
    return path


def cases():
    """(column, settings) of every run for one trace. The last of the costs is the machine as it is."""
    settings = dict(IDEAL)
    for column, restored in STEPS:
        settings = {name: value for name, value in settings.items() if name not in restored}
        yield column, settings
    yield from VARIANTS


class Progress:
    """On standard error, and only on a terminal."""

    def __init__(self, total):
        self.total, self.done = total, 0

    def step(self):
        self.done += 1
        if sys.stderr.isatty():
            end = "\n" if self.done == self.total else ""
            print(f"\r{self.done} of {self.total} runs", end=end, file=sys.stderr, flush=True)


def print_row(cells):
    print("| " + " | ".join(str(cell) for cell in cells) + " |")


def print_speedups(models, sizes, columns, outcomes):
    print_row(["model", "M", *columns])
    print("|" + " --- |" * (2 + len(columns)))
    for model in models:
        for m in sizes:
            cells = [outcomes[model, m, column] for column in columns]
            print_row([model, m, *(f"{cell.speedup:.3f} {cell.bound}" for cell in cells)])


def stretches(sizes, bounds):
    """What bounds from which size to which: `memory 1-128, tensor 256-8192`."""
    runs = [list(run) for _, run in itertools.groupby(zip(sizes, bounds), key=lambda pair: pair[1])]
    return ", ".join(f"{run[0][1]} {run[0][0]}" + (f"-{run[-1][0]}" if len(run) > 1 else "") for run in runs)


def print_bottlenecks(models, sizes, columns, outcomes):
    print_row(["bound of OSC's time at M =", *models])
    print("|" + " --- |" * (1 + len(models)))
    for column in columns:
        print_row([column, *(stretches(sizes, [outcomes[model, m, column].bound for m in sizes]) for model in models)])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--machine", default="ascend_950pr")
    parser.add_argument("--models", default="Qwen3-8B,Qwen3-30B-A3B")
    parser.add_argument("--m", default=",".join(str(2**i) for i in range(14)), help="tokens (default 1,2,...,8192)")
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    arguments = parser.parse_args()
    models, sizes = arguments.models.split(","), [int(m) for m in arguments.m.split(",")]

    plan = [(model, m, *case) for model in models for m in sizes for case in cases()]
    progress, outcomes = Progress(len(plan)), {}
    with tempfile.TemporaryDirectory() as folder, concurrent.futures.ThreadPoolExecutor(arguments.jobs) as pool:
        traces = {(model, m): make_trace(model, m, folder) for model in models for m in sizes}
        runs = {pool.submit(simulate, arguments.machine, traces[model, m], settings): (model, m, column)
                for model, m, column, settings in plan}
        for run in concurrent.futures.as_completed(runs):
            outcomes[runs[run]] = run.result()
            progress.step()

    columns = [column for column, _ in cases()]
    print_speedups(models, sizes, columns, outcomes)
    print()
    print_bottlenecks(models, sizes, columns, outcomes)


if __name__ == "__main__":
    support.run(lambda: support.status_of(main, "beyond_the_paper.py"))
