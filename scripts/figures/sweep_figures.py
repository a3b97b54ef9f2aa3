# SPDX-License-Identifier: Apache-2.0
"""Figures and tables of a sweep, from its merged rows (sim/sweep/README.md has the columns)."""

import collections
import dataclasses
import random
import statistics

from figures.model import (
    CYCLE_STYLES,
    FRONT_COLOUR,
    POINT_COLOUR,
    Axis,
    Bars,
    BarSeries,
    Box,
    Dimension,
    Figure,
    Panel,
    Panels,
    Parallel,
    Report,
    Series,
    Table,
    style_of,
)
from figures.run_figures import ENERGIES, TIMES, number, unit_of

MOST_POSITIONS = 12  # values of an axis that have a tick of their own
MOST_TICKS = 6  # of them with a text
DRAWN_POINTS = 2000  # of those that are not on the front; more slow the page down and hide each other
LISTED_POINTS = 20
LISTED_FAILURES = 200
WORKLOAD = ("gemm.", "generate.", "trace")  # axes that change the work that is done


@dataclasses.dataclass
class Measure:
    """A result that points are compared by."""

    label: str
    value: object  # of a row, or None
    larger_is_better: bool = False


def quotient(row, above, below):
    return row[above] / row[below] if row[above] is not None and row[below] else None


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


def quartiles(values):
    """Inclusive method: the quartiles of few values are among them or between neighbours."""
    if len(values) == 1:
        return values * 3
    return statistics.quantiles(values, n=4, method="inclusive")


def speedup_by_axis(sweep):
    panels = []
    for axis in sweep.axes:
        panel = Panel(axis.path, Axis(axis.name, ticks=axis.ticks), Axis("speed-up"))
        values = collections.defaultdict(list)
        rows = [row for row in sweep.done if row["speedup"] is not None]
        for row in rows:
            values[axis.of(row)].append(row["speedup"])
        if axis.is_continuous:
            drawn = sample(rows)
            panel.series.append(
                Series(
                    "points",
                    [axis.of(row) for row in drawn],
                    [row["speedup"] for row in drawn],
                    POINT_COLOUR,
                    "circle",
                    texts=[sweep.texts(row) for row in drawn],
                    in_legend=False,
                )
            )
        else:
            for position, some in sorted(values.items()):
                panel.boxes.append(Box(position, min(some), *quartiles(some), max(some)))
            medians = [(box.position, box.median) for box in panel.boxes]
            texts = [
                [f"{axis.path} = {text}", f"median speed-up {median:.4f}", f"{len(values[position])} points"]
                for (position, median), (_, text) in zip(medians, axis.all_ticks)
            ]
            panel.series.append(
                Series(
                    "median",
                    [at for at, _ in medians],
                    [median for _, median in medians],
                    FRONT_COLOUR,
                    line=True,
                    texts=texts,
                    in_legend=False,
                )
            )
        panels.append(panel)
    if not panels:
        return None
    caption = (
        "Distribution of the speed-up over all points with a value of the axis, whatever the other axes: box from quartile "
        "to quartile with the median, whiskers to the least and the greatest. Axes with more than "
        f"{MOST_POSITIONS} values show points. The line joins the medians."
    )
    return Figure("speedup_by_axis", "Speed-up against each axis", caption, Panels(panels))


def sample(rows):
    """All, or a seeded choice in their order."""
    if len(rows) <= DRAWN_POINTS:
        return rows
    chosen = set(random.Random(1).sample(range(len(rows)), DRAWN_POINTS))
    return [row for place, row in enumerate(rows) if place in chosen]


def front_of(rows, x, y):
    """The points that no other point beats: at least as good in both measures and better in one. Of equal points the first."""
    sign_x, sign_y = (-1 if measure.larger_is_better else 1 for measure in (x, y))
    front = []
    for row in sorted(rows, key=lambda row: (sign_x * x.value(row), sign_y * y.value(row), row["index"])):
        if not front or sign_y * y.value(row) < sign_y * y.value(front[-1]):
            front.append(row)
    return front


def objectives(sweep):
    """The pairs of measures with a front worth a look: both differ between points, and compare equal work."""
    factor, time_unit = unit_of(max((row["scheme_time_us"] for row in sweep.done), default=1), TIMES)
    energy_factor, energy_unit = unit_of(
        max((row["scheme_energy_uj"] or 0 for row in sweep.done), default=1) or 1, ENERGIES
    )
    time = Measure(f"time of the scheme ({time_unit})", lambda row: row["scheme_time_us"] / factor)
    energy = Measure(
        f"energy of the scheme ({energy_unit})",
        lambda row: None if row["scheme_energy_uj"] is None else row["scheme_energy_uj"] / energy_factor,
    )
    area = Measure("area of the machine (mm²)", lambda row: row["area_mm2"])
    speedup = Measure("speed-up", lambda row: row["speedup"], True)
    saving = Measure(
        "energy of the baseline / of the scheme",
        lambda row: quotient(row, "baseline_energy_uj", "scheme_energy_uj"),
        True,
    )
    if sweep.same_work:
        pairs = [(area, time), (energy, time), (area, speedup)]
    else:
        pairs = [(area, speedup), (saving, speedup)]
    for x, y in pairs:
        rows = [row for row in sweep.done if x.value(row) is not None and y.value(row) is not None]
        if all(len({measure.value(row) for row in rows}) > 1 for measure in (x, y)):
            yield x, y, rows


def pareto(sweep):
    panels = []
    fronts = {}
    for x, y, rows in objectives(sweep):
        front = front_of(rows, x, y)
        on_front = {row["index"] for row in front}
        others = sample([row for row in rows if row["index"] not in on_front])
        panel = Panel(f"{y.label} against {x.label}", Axis(x.label), Axis(y.label))
        for name, some, colour, marker in (
            ("points", others, POINT_COLOUR, "circle"),
            ("front", front, FRONT_COLOUR, "diamond"),
        ):
            panel.series.append(
                Series(
                    name,
                    [x.value(row) for row in some],
                    [y.value(row) for row in some],
                    colour,
                    marker,
                    line=name == "front",
                    steps=True,
                    texts=[sweep.texts(row) for row in some],
                    in_legend=not panels,
                )
            )
        panels.append(panel)
        fronts[panel.title] = front
    if not panels:
        return None, {}
    caption = "On a front no other point is at least as good in both measures and better in one."
    if not sweep.same_work:
        caption += " The work differs between points, so only ratios are compared."
    if len(sweep.done) > DRAWN_POINTS:
        caption += f" Of the other points {DRAWN_POINTS} are drawn, chosen by a fixed seed; the front is of all {len(sweep.done)}."
    return Figure("pareto", "Pareto front", caption, Panels(panels)), fronts


def parallel(sweep):
    rows = [row for row in sweep.done if row["speedup"] is not None]
    rows = sample(rows)
    if len(rows) < 2 or not sweep.axes:
        return None
    dimensions = [Dimension(axis.name, [axis.of(row) for row in rows], axis.all_ticks) for axis in sweep.axes]
    results = [
        ("speedup", "speed-up"),
        ("scheme_time_us", "time (µs)"),
        ("scheme_energy_uj", "energy (µJ)"),
        ("area_mm2", "area (mm²)"),
    ]
    for column, label in results:
        values = [row[column] for row in rows]
        if None not in values and len(set(values)) > 1:
            dimensions.append(Dimension(label, values))
    caption = "Each line is a point; its colour is its speed-up. In the HTML page a drag along an axis keeps the lines that cross there."
    if len(rows) < len(sweep.done):
        caption += f" {len(rows)} of {len(sweep.done)} points are drawn, chosen by a fixed seed."
    return Figure(
        "parallel", "Parallel coordinates", caption, Parallel(dimensions, [row["speedup"] for row in rows], "speed-up")
    )


PLACES = ("highest speed-up", "upper quartile", "median", "lower quartile", "lowest speed-up")


def representative(sweep):
    """(what it stands for, row) of at most five different points."""
    ranked = sweep.best()
    places = {}
    for place, name in enumerate(PLACES):
        if ranked:
            row = ranked[round(place * (len(ranked) - 1) / 4)]
            places.setdefault(row["index"], (name, row))
    return list(places.values())


def cycles(sweep):
    bars = [
        (f"{name}: point {row['index']}, {side}", row, side)
        for name, row in representative(sweep)
        for side in ("scheme", "baseline")
    ]
    if not bars:
        return None
    factor, unit = unit_of(max(row[f"{side}_time_us"] for _, row, side in bars), TIMES)
    prefix = "scheme_stack_"
    parts = [name.removeprefix(prefix) for name in bars[0][1] if name.startswith(prefix)]
    series = []
    for part in sorted(
        parts, key=lambda part: list(CYCLE_STYLES).index(part) if part in CYCLE_STYLES else len(CYCLE_STYLES)
    ):
        values = [
            row[f"{side}_stack_{part}"] * row[f"{side}_time_us"] / row[f"{side}_cycles"] / factor
            for _, row, side in bars
        ]
        if any(values):
            series.append(BarSeries(part, values, *style_of(CYCLE_STYLES, part)))
    caption = "Where the time of the main matrix unit goes, for points that stand for the distribution of the speed-up."
    return Figure(
        "cycles",
        "Time by part",
        caption,
        Bars([name for name, _, _ in bars], series, Axis(f"time ({unit})"), stacked=True),
    )


def bounds(sweep):
    counts = collections.Counter(row["scheme_bound"] for row in sweep.done)
    if not counts:
        return None
    rows = [[bound, str(count), f"{count / len(sweep.done):.1%}"] for bound, count in counts.most_common()]
    return Table("What bounds the scheme", ["largest part of the cycle stack", "points", "share"], rows)


def points_table(sweep, title, rows, note="", is_open=True):
    heading = [
        "point",
        *(axis.name for axis in sweep.axes),
        "speed-up",
        "time (µs)",
        "energy (µJ)",
        "area (mm²)",
        "bound",
        "key",
    ]
    cells = [
        [str(row["index"]), *(row[axis.path + ".text"] or "none" for axis in sweep.axes)]
        + [
            number(row["speedup"], ".4f"),
            number(row["scheme_time_us"], ".2f"),
            number(row["scheme_energy_uj"]),
            number(row["area_mm2"]),
        ]
        + [row["scheme_bound"], row["key"]]
        for row in rows
    ]
    return Table(title, heading, cells, note, is_open)


def failures_table(sweep):
    paths = list(sweep.names)
    heading = ["point", "status", "error", "values"]
    rows = [
        [
            str(row["index"]),
            row["status"],
            row["error"] or "",
            ", ".join(f"{sweep.names[path]} = {row[path + '.text']}" for path in paths),
        ]
        for row in sweep.failed[:LISTED_FAILURES]
    ]
    note = (
        f"The first {LISTED_FAILURES} of {len(sweep.failed)}; results.jsonl has all."
        if len(sweep.failed) > LISTED_FAILURES
        else ""
    )
    return Table(
        f"Failed points ({len(sweep.failed)})", heading, rows, note, is_open=len(sweep.failed) <= LISTED_POINTS
    )


def axes_table(sweep):
    rows = [
        [axis["path"], axis["type"], str(len(axis["values"])), shortened(axis["values"])]
        for axis in sweep.sweep["axes"]
    ]
    return Table("Axes", ["parameter", "type", "values", ""], rows)


def shortened(values):
    texts = ["none" if value is None else str(value) for value in values]
    return ", ".join(texts if len(texts) <= MOST_POSITIONS else [*texts[:3], "...", texts[-1]])


def counts_text(sweep):
    text = (
        f"{len(sweep.rows)} points: {len(sweep.done)} ok, {len(sweep.failed)} failed, {len(sweep.missing)} not run yet."
    )
    if sweep.constant:
        text += (
            " The same in all of them: "
            + ", ".join(f"{axis.path} = {axis.all_ticks[0][1]}" for axis in sweep.constant)
            + "."
        )
    return text


def report_of(head, rows):
    sweep = Sweep(head, rows)
    base = head["base"]
    summary = [head["description"]] if head["description"] else []
    summary.append(counts_text(sweep))
    if ranked := sweep.best():
        summary.append(
            f"Speed-up from {ranked[-1]['speedup']:.4f} (point {ranked[-1]['index']}) to {ranked[0]['speedup']:.4f} (point {ranked[0]['index']})."
        )
    summary.append(
        f"Base: {base['scheme']} against {base['baseline']} on {base['machine']}; oscsim {head['version']} (git {head['git']})."
    )
    front_figure, fronts = pareto(sweep)
    figures = [speedup_by_axis(sweep), front_figure, cycles(sweep), parallel(sweep)]  # the slowest to draw is last
    tables = []
    if ranked:
        tables.append(
            points_table(
                sweep,
                f"Highest speed-up ({min(LISTED_POINTS, len(ranked))} of {len(ranked)} points)",
                ranked[:LISTED_POINTS],
            )
        )
    tables += [points_table(sweep, f"Front: {title}", front, is_open=False) for title, front in fronts.items()]
    tables += [bounds(sweep), axes_table(sweep), failures_table(sweep) if sweep.failed else None]
    return Report(
        f"Sweep {head['sweep']}",
        summary,
        [figure for figure in figures if figure],
        [table for table in tables if table],
        head,
    )
