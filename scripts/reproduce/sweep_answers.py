#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs a sweep that answers a question and prints the answer (Markdown).

    scripts/reproduce/sweep_answers.py branch_hidden|osc_pays|cheapest [-o FOLDER]

The sweep of that name in configs/sweeps says what it varies. With -o its rows stay, and the same command goes on where
it ended. OSCSIM names another program than build/oscsim.
"""

import argparse
import pathlib
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "scripts"))
sys.dont_write_bytecode = True  # nothing into the source tree
import oscsim  # noqa: E402
import support  # noqa: E402

TARGET = 1.7  # of `cheapest`


def print_table(heading, rows):
    for cells in (heading, ["---"] * len(heading), *rows):
        print("| " + " | ".join(map(str, cells)) + " |")


def by(rows, *paths):
    """Rows by the values of these axes, in sweep order."""
    groups = {}
    for row in rows:
        groups.setdefault(tuple(row[path] for path in paths), []).append(row)
    return groups


def branch_hidden(rows):
    """Time over W4A4's by width of the branch, at the most gather lanes; then the fewest lanes that are as good."""
    lanes, width = "machine.core.gather.lanes", "machine.core.branch.k0"
    widths, most = sorted({row[width] for row in rows}), max(row[lanes] for row in rows)
    table = []
    for key, group in by(rows, "gemm.m", "scheme.outliers.group", "machine.count_branch_weights").items():
        cost = {(row[width], row[lanes]): 100 * (1 / row["speedup"] - 1) for row in group}
        least = min(w for w in widths if cost[w, most] < cost[widths[-1], most] + 0.5)
        fewest = min(l for w, l in cost if w == least and cost[w, l] < cost[w, most] + 0.25)
        m, outliers, counted = key
        table.append(
            [m, outliers, "loaded" if counted else "free", *(f"{cost[w, most]:.1f} %" for w in widths), least, fewest]
        )
    print_table(["M", "group", "16-bit rows", *(f"k0 = {w}" for w in widths), "least k0", "fewest lanes"], table)


def osc_pays(rows):
    bandwidth = "machine.hbm.bandwidth"
    columns = list(dict.fromkeys(row[f"{bandwidth}.text"] for row in rows))
    table = []
    for (model, tokens), group in by(rows, "generate.model", "generate.tokens").items():
        speedup = {row[f"{bandwidth}.text"]: row["speedup"] for row in group}
        table.append([model, tokens, *(f"{speedup[column]:.3f}" for column in columns)])
    print_table(["model", "tokens", *columns], table)


def cheapest(rows):
    fallback, machine = "scheme.fallback.positions", "machine.core."
    # W8A8 does not know the branch: with ascend_950pr's own buffers and vector unit it is ascend_950pr's.
    stock = next(
        row["baseline_time_us"]
        for row in rows
        if row[f"{machine}buffers.l1.text"] == "512KiB"
        and row[f"{machine}buffers.l0c.text"] == "256KiB"
        and row[f"{machine}buffers.ub.text"] == "256KiB"
        and row[f"{machine}vector.rate.text"] == "512B/cycle"
    )
    print(f"W8A8 on ascend_950pr: {stock:.1f} us\n")
    varied = [
        name.removesuffix(".text") for name in rows[0] if name.endswith(".text") and not name.startswith(fallback)
    ]
    table = []
    for (positions,), group in by(rows, fallback).items():
        reach = [row for row in group if row["speedup"] >= TARGET]
        also = [row for row in reach if row["scheme_time_us"] * TARGET <= stock]
        for what, chosen in (
            ("fastest ratio", max(group, key=lambda row: row["speedup"])),
            (f"cheapest with {TARGET} over its own W8A8", min(reach, key=lambda row: row["area_mm2"], default=None)),
            (
                f"cheapest with {TARGET} over ascend_950pr's too",
                min(also, key=lambda row: row["area_mm2"], default=None),
            ),
        ):
            cells = (
                ["none"] * (3 + len(varied))
                if chosen is None
                else [
                    f"{chosen['speedup']:.3f}",
                    f"{chosen['scheme_time_us']:.1f}",
                    f"{chosen['area_mm2']:.1f}",
                    *(chosen[f"{path}.text"] for path in varied),
                ]
            )
            table.append([positions, what, *cells])
    names = [path.removeprefix(machine).removeprefix("buffers.") for path in varied]
    print_table(["fallback", "machine", "speed-up", "us", "mm2", *names], table)


ANSWERS = {answer.__name__: answer for answer in (branch_hidden, osc_pays, cheapest)}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sweep", choices=ANSWERS)
    parser.add_argument("-o", "--output", help="folder for the rows")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        file = ROOT / "configs/sweeps" / f"{arguments.sweep}.yaml"
        rows = oscsim.sweep_rows(file, arguments.output or f"{folder}/rows")
    failed = [row for row in rows if row["status"] != "ok"]
    if failed:
        sys.exit(f"sweep_answers: {len(failed)} of {len(rows)} points failed: {failed[0]['error']}")
    ANSWERS[arguments.sweep](rows)


if __name__ == "__main__":
    support.run(lambda: support.status_of(main, "sweep_answers"))
