# SPDX-License-Identifier: Apache-2.0
"""Figures of a sweep."""

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
    Series,
    style_of,
)
from figures.run import ENERGIES, TIMES, unit_of
from figures.sweep import MOST_POSITIONS

DRAWN_POINTS = 2000  # of those that are not on the front; more slow the page down and hide each other


@dataclasses.dataclass
class Measure:
    """A result that points are compared by."""

    label: str
    value: object  # of a row, or None
    larger_is_better: bool = False


def quotient(row, above, below):
    return row[above] / row[below] if row[above] is not None and row[below] else None


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
        "Distribution of the speed-up over all points with a value of the axis, whatever the other axes: box from "
        "quartile to quartile with the median, whiskers to the least and the greatest. Axes with more than "
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
    """The points that no other point beats: at least as good in both measures and better in one. Of equal ones the
    first."""
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
        caption += f" Of the other points {DRAWN_POINTS} are drawn, chosen by a fixed seed; the front is of all."
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
    caption = "Each line is a point; its colour is its speed-up. On the page, a click on a range hides its lines."
    if len(rows) < len(sweep.done):
        caption += f" {len(rows)} of {len(sweep.done)} points are drawn, chosen by a fixed seed."
    return Figure(
        "parallel",
        "Parallel coordinates",
        caption,
        Parallel(
            dimensions,
            [row["speedup"] for row in rows],
            "speed-up",
            [f"point {row['index']}, speed-up {row['speedup']:.4f}" for row in rows],
        ),
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
