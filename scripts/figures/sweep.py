# SPDX-License-Identifier: Apache-2.0
"""A sweep's merged rows (sim/sweep/README.md has the columns) and its axes."""

import dataclasses
import os

from figures.run import number

MOST_POSITIONS = 12  # values of an axis that have a tick of their own

WORKLOAD = ("gemm.", "generate.", "trace")  # axes that change the work that is done

SAME = "trace.synthetic."  # but these, which change values only


def short_names(paths):
    """The last parts of each path, as many as tell them apart, two at least."""
    names = {}
    for path in paths:
        parts = path.split(".")
        for count in range(min(2, len(parts)), len(parts) + 1):
            names[path] = ".".join(parts[-count:])
            if sum(other == names[path] or other.endswith("." + names[path]) for other in paths) == 1:
                break
    return names


class SweepAxis:
    """A parameter that varies: positions 0, 1, ... of its values in their order, or the values where they are many
    numbers."""

    def __init__(self, path, name, rows):
        self.path, self.name = path, name
        texts = {}
        for row in rows:
            texts.setdefault(row[path], row[path + ".text"])
        self.is_categorical = not all(
            isinstance(value, (int, float)) and not isinstance(value, bool) for value in texts
        )
        values = list(texts) if self.is_categorical else sorted(texts)
        self.count = len(values)
        self.is_continuous = not self.is_categorical and len(values) > MOST_POSITIONS
        self.position = {value: value if self.is_continuous else place for place, value in enumerate(values)}
        shown = [values[round(place * (len(values) - 1) / 4)] for place in range(5)] if self.is_continuous else values
        self.ticks = [(self.position[value], texts[value] or "none") for value in shown]

    def of(self, row):
        return self.position[row[self.path]]


@dataclasses.dataclass
class Measure:
    """A result that points are compared by."""

    name: str  # in names of figures
    label: str
    value: object  # of a row, or None
    form: str = ".4f"
    larger_is_better: bool = False


class Sweep:
    def __init__(self, sweep, rows):
        self.sweep, self.rows = sweep, rows
        self.done = [row for row in rows if row["status"] == "ok"]
        self.failed = [row for row in rows if row["status"] in ("failed", "died")]
        self.missing = [row for row in rows if row["status"] == "missing"]
        paths = [axis["path"] for axis in sweep["axes"]]
        self.names = short_names(paths)
        axes = [SweepAxis(path, self.names[path], self.done) for path in paths] if self.done else []
        self.axes = [axis for axis in axes if axis.count > 1]
        self.constant = [axis for axis in axes if axis.count == 1]
        varied = [axis.path for axis in self.axes]
        self.same_work = not any(path.startswith(WORKLOAD) and not path.startswith(SAME) for path in varied)
        name = "its baseline" if any(path.startswith("baseline") for path in varied) else sweep["base"]["baseline"]
        speedup = f"speed-up over {os.path.basename(name).removesuffix('.yaml')}"
        self.time = Measure("time", "time of the scheme (µs)", lambda row: row["scheme_time_us"], ".2f")
        self.speedup = Measure("speedup", speedup, lambda row: row["speedup"], larger_is_better=True)
        self.sqnr = Measure("sqnr", "SQNR of the scheme (dB)", lambda row: row.get("scheme_sqnr_db"), ".2f", True)
        self.speedup_text = "A speed-up is the baseline's time / the scheme's of the same point, on the same machine."
        # Ratios alone compare points whose work differs.
        self.rank = self.time if self.same_work else self.speedup
        self.has_accuracy = any(self.sqnr.value(row) is not None for row in self.done)

    def texts(self, row):
        """What names a point."""
        lines = [f"point {row['index']}, key {row['key']}"]
        lines += [f"{axis.name} = {row[axis.path + '.text']}" for axis in self.axes]
        lines.append(f"{number(row['scheme_time_us'])} µs, {self.speedup.label} {number(row['speedup'], '.4f')}")
        lines.append(f"energy {number(row['scheme_energy_uj'])} µJ, area {number(row['area_mm2'])} mm²")
        if self.has_accuracy:
            lines.append(f"SQNR {number(self.sqnr.value(row), '.2f')} dB")
        return lines

    def ranked(self):
        """Points that are ok, the best first: by time where all do the same work, else by speed-up."""
        sign = -1 if self.rank.larger_is_better else 1
        rows = [row for row in self.done if self.rank.value(row) is not None]
        return sorted(rows, key=lambda row: (sign * self.rank.value(row), row["index"]))
