#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Measures the mapping search: against random mappings, and against itself on a machine or a GEMM one step away.

    scripts/reproduce/search_cases.py [--cases FILE] [--limit N] [--pins N] [--jobs N] [-o CSV]

A case is a GEMM, a machine, a scheme and a seed (columns m,n,k,machine,scheme,seed; search_cases/cases.csv has 120). Its
search runs, and PINS (45) random mappings that fit the machine, of which the fastest counts. A random mapping pins
mapping.m and mapping.n (multiples of 16, from 16 to 1024 or the whole of the GEMM, their logarithm evenly), order (one of
four), cores_m (1 to the tiles along m or the machine's cores, evenly in its logarithm), cores_n (half of the time what the
other cores allow, else anything below) and l1_slots (2, 3 or 4); the search chooses the rest. What does not fit is drawn
again, in up to eight rounds. Prints the ratio search / best pin of each case, then how many are within 5 %; and with
--limit 0 (the default: all cases) the pairs of neighbours: more cores, or a row or column less, must not cost more than
1 %. OSCSIM names another program than build/oscsim.
"""

import argparse
import csv
import math
import pathlib
import random
import re
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "scripts"))
sys.dont_write_bytecode = True  # nothing into the source tree
import oscsim  # noqa: E402
import support  # noqa: E402

CASES = ROOT / "scripts/reproduce/search_cases/cases.csv"
WITHIN = 1.05
NEIGHBOUR = 1.01
ROUNDS = 8
ORDERS = ["m_outer", "n_outer", "a_resident", "b_resident"]
PINS = ["mapping." + name for name in ("m", "n", "order", "cores_m", "cores_n", "l1_slots")]
SMALL_L2 = {"cores": 4, "l2": "64KiB"}

# What must not be slower by more than 1 %, and than what: (m, n, k, machine, scheme, cores).
NEIGHBOURS = [
    ((65, 4096, 4096, "ascend_910b1", "bf16", 24), (127, 4096, 4096, "ascend_910b1", "bf16", 24)),
    ((65, 4096, 4096, "ascend_910b1", "w4a4", 24), (65, 4096, 4096, "ascend_910b1", "osc", 24)),
    *(
        ((4096, 4096, 4096, machine, scheme, more), (4096, 4096, 4096, machine, scheme, fewer))
        for machine, more, fewer in (("edge_npu", 6, 4), ("ascend_910b1", 28, 24))
        for scheme in ("bf16", "w8a8", "w4a4", "osc")
    ),
    *(
        ((m, 32, 4096, "ascend_950pr", scheme, 32), (m, 33, 4096, "ascend_950pr", scheme, 32))
        for m in (1024, 4096)
        for scheme in ("bf16", "w8a8", "w4a4")
    ),
]


class Case:
    def __init__(self, m, n, k, machine, scheme, seed=0, cores=None, l2=None):
        self.m, self.n, self.k = int(m), int(n), int(k)
        self.machine, self.scheme, self.seed = machine, scheme, int(seed)
        text = (ROOT / f"configs/machines/{machine}.yaml").read_text()
        self.cores = cores or int(re.search(r"^cores: *(\d+)", text, re.M)[1])
        self.l2 = l2 or re.search(r"^l2:\n +capacity: *(\S+)", text, re.M)[1]
        self.random = random.Random(self.seed)
        self.search, self.pins, self.drawn = None, {}, set()

    def name(self):
        text = f"{self.m} x {self.n} x {self.k}, {self.scheme} on {self.machine}, {self.cores} cores"
        return text + (f", {self.l2} of L2" if self.l2 == SMALL_L2["l2"] else "")

    def point(self):
        return {
            "machine": self.machine,
            "scheme": self.scheme,
            "baseline": self.scheme,
            "gemm.m": self.m,
            "gemm.n": self.n,
            "gemm.k": self.k,
            "machine.cores": self.cores,
            "machine.l2.capacity": self.l2,
        }

    def draw(self):
        """A mapping that was not drawn before: the values of PINS."""

        def size(extent):
            most = min(1024, -(-extent // 16) * 16)
            return round(16 ** (1 - (at := self.random.random())) * most**at / 16) * 16

        def count(most):
            return max(1, round(most ** self.random.random()))

        while True:
            m, n, order = size(self.m), size(self.n), self.random.choice(ORDERS)
            cores_m = count(min(self.cores, -(-self.m // m)))
            most = min(self.cores // cores_m, -(-self.n // n))
            cores_n = most if self.random.random() < 0.5 else count(most)
            pins = (m, n, order, cores_m, cores_n, self.random.choice([2, 3, 4]))
            if pins not in self.drawn:
                self.drawn.add(pins)
                return pins

    def best(self):
        return min(self.pins, key=self.pins.get)

    def ratio(self):
        return self.search / self.pins[self.best()]


def read_cases(path, limit):
    with open(path, newline="") as file:
        rows = list(csv.DictReader(file))
    if not rows or set(rows[0]) != {"m", "n", "k", "machine", "scheme", "seed"}:
        sys.exit(f"search_cases: {path}: wants the columns m,n,k,machine,scheme,seed and a row")
    if limit:
        rows = random.Random(0).sample(rows, min(limit, len(rows)))
    return [Case(**row) for row in rows]


def cycles_of(points, folder, jobs):
    """Of each point, None where it does not fit; all points in one sweep."""
    sweep = {
        "schema": 1,
        "base": {
            "machine": points[0]["machine"],
            "scheme": points[0]["scheme"],
            "baseline": points[0]["baseline"],
            "gemms": ["16,16,16,attn_in"],
            "timing_only": True,
        },
        "points": points,
    }
    rows = oscsim.sweep_rows(sweep, folder, **({"jobs": jobs} if jobs else {}))
    for row in rows:
        if row["status"] not in ("ok", "failed"):
            sys.exit(f"search_cases: point {row['index']}: {row['status']}: {row['error']}")
    return [row["scheme_gemm_cycles"] if row["status"] == "ok" else None for row in rows]


def run_pins(cases, wanted, folder, jobs):
    for turn in range(ROUNDS):
        # So many as are missing, and no fewer than a few: some do not fit.
        missing = [(case, case.draw()) for case in cases for _ in range(wanted - len(case.pins))]
        if not missing:
            return
        points = [case.point() | dict(zip(PINS, pins)) for case, pins in missing]
        for (case, pins), cycles in zip(missing, cycles_of(points, folder / f"pins_{turn}", jobs)):
            if cycles is not None:
                case.pins[pins] = cycles
    for case in cases:
        if not case.pins:
            sys.exit(f"search_cases: {case.name()}: no random mapping fits")


def print_cases(cases):
    for case in cases:
        pins = ", ".join(f"{name.removeprefix('mapping.')} {value}" for name, value in zip(PINS, case.best()))
        print(f"{case.ratio():6.3f}  {case.name()}: {case.search} cycles; {pins}: {case.pins[case.best()]}")


def summary(cases):
    ratios = sorted((case.ratio() for case in cases), reverse=True)
    within = sum(ratio <= WITHIN for ratio in ratios)
    mean = math.exp(sum(map(math.log, ratios)) / len(ratios))
    return f"{within} of {len(ratios)} within 5 % of the best random mapping, worst {ratios[0]:.3f}, mean {mean:.3f}"


def print_neighbours(neighbours):
    never = 0
    for one, other in neighbours:
        ratio = one.search / other.search
        never += ratio <= NEIGHBOUR
        print(f"{ratio:6.3f}  {one.name()}: {one.search} cycles; {other.name()}: {other.search}")
    print(f"{never} of {len(neighbours)} neighbours not slower by more than 1 %")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=pathlib.Path, default=CASES, help="CSV of cases")
    parser.add_argument("--limit", type=int, default=0, help="so many cases, drawn; 0: all, and the neighbours")
    parser.add_argument("--pins", type=int, default=45, help="random mappings of each case")
    parser.add_argument("--jobs", type=int, help="processes (default: as many as there are processors)")
    parser.add_argument("-o", "--output", help="a row for each case, as CSV")
    options = parser.parse_args()
    cases = read_cases(options.cases, options.limit)
    small, neighbours = [], []
    if not options.limit:
        shapes = sorted({(case.m, case.n, case.k) for case in cases})
        small = [Case(*shape, "systolic_128", "w8a8", 1000 + at, **SMALL_L2) for at, shape in enumerate(shapes)]
        neighbours = [[Case(*row[:5], cores=row[5]) for row in pair] for pair in NEIGHBOURS]
    alone = {}
    for case in [*cases, *small, *(case for pair in neighbours for case in pair)]:
        alone.setdefault(tuple(case.point().values()), []).append(case)
    with tempfile.TemporaryDirectory(prefix="oscsim-") as folder:
        folder = pathlib.Path(folder)
        points = [same[0].point() for same in alone.values()]
        for same, cycles in zip(alone.values(), cycles_of(points, folder / "search", options.jobs)):
            for case in same:
                case.search = cycles
        run_pins([*cases, *small], options.pins, folder, options.jobs)
    print_cases(cases)
    print(summary(cases))
    if small:
        print_cases(small)
        print(f"small L2: {summary(small)}")
        print_neighbours(neighbours)
    if options.output:
        with support.whole_file(options.output) as part, open(part, "w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["m", "n", "k", "machine", "scheme", "seed", "search", "best", "ratio", *PINS])
            for case in cases:
                row = [case.m, case.n, case.k, case.machine, case.scheme, case.seed, case.search]
                writer.writerow([*row, case.pins[case.best()], f"{case.ratio():.4f}", *case.best()])


if __name__ == "__main__":
    try:
        main()
    except oscsim.Error as error:
        sys.exit(f"search_cases: {error}")
