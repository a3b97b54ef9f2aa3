# SPDX-License-Identifier: Apache-2.0
"""A sweep's merged rows (sim/sweep/README.md has the columns) and its axes."""

from figures.run import number

MOST_POSITIONS = 12  # values of an axis that have a tick of their own

MOST_TICKS = 5  # of them with a text

WORKLOAD = ("gemm.", "generate.", "trace")  # axes that change the work that is done


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
    """A parameter that varies: positions 0, 1, ... of its values in their order, or the values where they are many."""

    def __init__(self, path, name, rows):
        self.path, self.name = path, name
        texts = {}
        for row in rows:
            texts.setdefault(row[path], row[path + ".text"])
        numeric = all(isinstance(value, (int, float)) and not isinstance(value, bool) for value in texts)
        values = sorted(texts) if numeric else list(texts)
        self.count = len(values)
        self.is_continuous = numeric and len(values) > MOST_POSITIONS
        self.position = {value: value if self.is_continuous else place for place, value in enumerate(values)}
        step = -(-len(values) // MOST_TICKS)
        shown = (
            [values[round(place * (len(values) - 1) / 4)] for place in range(5)]
            if self.is_continuous
            else values[::step]
        )
        self.ticks = [(self.position[value], texts[value] or "none") for value in shown]
        self.all_ticks = (
            self.ticks if self.is_continuous else [(self.position[value], texts[value] or "none") for value in values]
        )

    def of(self, row):
        return self.position[row[self.path]]


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
        self.same_work = not any(axis.path.startswith(WORKLOAD) for axis in self.axes)

    def texts(self, row):
        """What names a point."""
        lines = [f"point {row['index']}, key {row['key']}"]
        lines += [f"{axis.name} = {row[axis.path + '.text']}" for axis in self.axes]
        lines.append(f"speed-up {number(row['speedup'], '.4f')}, {number(row['scheme_time_us'])} µs")
        lines.append(f"energy {number(row['scheme_energy_uj'])} µJ, area {number(row['area_mm2'])} mm²")
        return lines

    def best(self):
        return sorted((row for row in self.done if row["speedup"] is not None), key=lambda row: -row["speedup"])
