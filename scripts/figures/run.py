# SPDX-License-Identifier: Apache-2.0
"""A run's result, grouped by kind: GEMMs of the same name in different layers, and experts, are one kind (`q_proj`,
`experts.up_proj`)."""

import re

from figures.model import Cell
from figures.results import quantity

SIDES = ("scheme", "baseline")

TIMES = [(1e6, "s"), (1e3, "ms"), (1, "µs")]

ENERGIES = [(1e6, "J"), (1e3, "mJ"), (1, "µJ")]


def kind_of(name):
    name = re.sub(r"^model\.layers\.\d+\.", "", name)
    name = re.sub(r"experts\.\d+\.", "experts.", name)
    return re.sub(r"^(self_attn|mlp)\.", "", name)


def without_m(kind):
    """GEMMs of the command line are named after their sizes."""
    return re.sub(r"^gemm_\d+x(\d+x\d+)", r"gemm_Mx\1", kind)


def layer_of(name):
    match = re.match(r"model\.layers\.(\d+)\.", name)
    return int(match[1]) if match else None


def unit_of(largest, units):
    """(factor, name) of the largest of `units` in which `largest` is at least 1."""
    return next((unit for unit in units if largest / unit[0] >= 1), units[-1])


def number(value, form=".4g"):
    return Cell("-" if value is None else format(value, form), value)


def sizes_text(works):
    sizes = {(work["m"], work["n"], work["k"]) for work in works}
    (m, n, k), *more = sorted(sizes)
    return f"{m} x {n} x {k}" + (f" and {len(more)} other sizes" if more else "")


# Operations per second (a multiply-accumulate is two) of all matrix units for operands of `bits` bits, as
# models/units/matrix_timing.h counts them.
def peak(machine, bits):
    tensor = machine["core"]["tensor"]
    systolic = tensor["kind"] == "systolic"
    size = tensor["rows"] * tensor["columns"] if systolic else tensor["m0"] * tensor["n0"]
    return 2 * size * tensor[f"k0_{bits}bit"] * machine["cores"] * quantity(machine["clock"])


class Run:
    """A result, grouped by kind."""

    def __init__(self, result):
        self.result = result
        provenance = result["provenance"]
        self.names = {"scheme": provenance["scheme_name"], "baseline": provenance["baseline_name"]}
        self.machine_name = provenance["machine_name"]
        self.machine = provenance["machine"]
        if self.names["scheme"] == self.names["baseline"]:
            self.names = {side: f"{name} ({side})" for side, name in self.names.items()}
        self.gemms = self.grouped(result["gemms"], lambda work: kind_of(work["name"]))
        self.shared = self.grouped(result["shared"], lambda work: f"shared: {kind_of(work['input'])}")
        self.operations = self.grouped(result["operations"], lambda work: work["op"])

    @staticmethod
    def grouped(works, kind):
        groups = {}
        for work in works:
            groups.setdefault(kind(work), []).append(work)
        return groups

    @property
    def works(self):
        return {**self.gemms, **self.shared, **self.operations}

    @staticmethod
    def sum_of(works, side, value):
        """Over `works`, times repeat; None when the side does none of them, or when a value is missing."""
        values = [(value(work[side]), work["repeat"]) for work in works if work[side]]
        if not values or any(number is None for number, _ in values):
            return None
        return sum(number * repeat for number, repeat in values)

    def time_us(self, works, side):
        return self.sum_of(works, side, lambda one: one["time_us"])

    def speedup(self, works):
        scheme, baseline = (self.time_us(works, side) for side in SIDES)
        return baseline / scheme if scheme and baseline is not None else None
