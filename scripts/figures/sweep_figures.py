# SPDX-License-Identifier: Apache-2.0
"""Figures of a sweep."""

import collections
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
    Group,
    Groups,
    Panel,
    Panels,
    Parallel,
    Series,
    style_of,
)
from figures.run import ENERGIES, TIMES, unit_of
from figures.sweep import MOST_POSITIONS, Measure

DRAWN_POINTS = 2000  # of those that are not on the front; more slow the page down and hide each other


def quotient(row, above, below):
    return row[above] / row[below] if row[above] is not None and row[below] else None


def quartiles(values):
    """Inclusive method: the quartiles of few values are among them or between neighbours."""
    if len(values) == 1:
        return values * 3
    return statistics.quantiles(values, n=4, method="inclusive")


def boxes_of(values):
    """{position: values} to boxes in the order of the positions."""
    return [Box(position, min(some), *quartiles(some), max(some)) for position, some in sorted(values.items())]


def values_by_position(axis, rows, measure):
    values = collections.defaultdict(list)
    for row in rows:
        values[axis.of(row)].append(measure.value(row))
    return values


def axis_panel(sweep, axis, rows, measure):
    panel = Panel(axis.path, Axis(axis.name, ticks=axis.ticks), Axis(measure.label))
    if axis.is_continuous:
        drawn = sample(rows)
        x, y = [axis.of(row) for row in drawn], [measure.value(row) for row in drawn]
        texts = [sweep.texts(row) for row in drawn]
        panel.series.append(Series("points", x, y, POINT_COLOUR, "circle", texts=texts, in_legend=False))
        return panel
    values = values_by_position(axis, rows, measure)
    panel.boxes = boxes_of(values)
    names = dict(axis.ticks)
    texts = [
        [
            f"{axis.path} = {names[box.position]}",
            f"median {box.median:{measure.form}}",
            f"{len(values[box.position])} points",
        ]
        for box in panel.boxes
    ]
    x, y = [box.position for box in panel.boxes], [box.median for box in panel.boxes]
    panel.series.append(Series("median", x, y, FRONT_COLOUR, line=True, texts=texts, in_legend=False))
    return panel


def by_axis(sweep, measure):
    """A measure against each axis of numbers; None where there is none."""
    rows = [row for row in sweep.done if measure.value(row) is not None]
    panels = [axis_panel(sweep, axis, rows, measure) for axis in sweep.axes if not axis.is_categorical]
    if not panels or not rows:
        return None
    caption = (
        "Distribution over all points with a value of the axis, whatever the other axes: box from quartile to quartile "
        f"with the median, whiskers to the least and the greatest. Axes with more than {MOST_POSITIONS} values show "
        "points. The line joins the medians."
    )
    if measure is sweep.speedup:
        caption += f" {sweep.speedup_text}"
    return Figure(f"{measure.name}_by_axis", f"{capital(measure.label)} by axis", caption, Panels(panels))


def by_category(sweep, measure):
    """A measure for each value of the axes that are no numbers; None where there is none."""
    rows = [row for row in sweep.done if measure.value(row) is not None]
    groups = []
    for axis in sweep.axes if rows else []:
        if axis.is_categorical:
            boxes = {box.position: box for box in boxes_of(values_by_position(axis, rows, measure))}
            groups.append(Group(axis.path, [name for _, name in axis.ticks], [boxes.get(at) for at, _ in axis.ticks]))
    if not groups:
        return None
    caption = (
        "Distribution over all points of a category, whatever the other axes: box from quartile to quartile with the "
        "median, whiskers to the least and the greatest."
    )
    if measure is sweep.speedup:
        caption += f" {sweep.speedup_text}"
    title = f"{capital(measure.label)} by category"
    return Figure(f"{measure.name}_by_category", title, caption, Groups(groups, Axis(measure.label)))


def capital(text):
    return text[:1].upper() + text[1:]


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
    time = Measure("time", f"time of the scheme ({time_unit})", lambda row: row["scheme_time_us"] / factor)
    energy = Measure(
        "energy",
        f"energy of the scheme ({energy_unit})",
        lambda row: None if row["scheme_energy_uj"] is None else row["scheme_energy_uj"] / energy_factor,
    )
    area = Measure("area", "area of the machine (mm²)", lambda row: row["area_mm2"])
    saving = Measure(
        "saving",
        "energy of the baseline / of the scheme",
        lambda row: quotient(row, "baseline_energy_uj", "scheme_energy_uj"),
        larger_is_better=True,
    )
    if sweep.same_work:
        pairs = [(area, time), (energy, time), (area, sweep.speedup), (time, sweep.sqnr)]
    else:
        pairs = [(area, sweep.speedup), (saving, sweep.speedup), (sweep.speedup, sweep.sqnr)]
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
    caption = "On a front no other point is at least as good in both measures and better in one. " + sweep.speedup_text
    if not sweep.same_work:
        caption += " The work differs between points, so only ratios are compared."
    if len(sweep.done) > DRAWN_POINTS:
        caption += f" Of the other points {DRAWN_POINTS} are drawn, chosen by a fixed seed; the front is of all."
    return Figure("pareto", "Pareto front", caption, Panels(panels)), fronts


def parallel(sweep):
    ranked = [row for row in sweep.done if sweep.rank.value(row) is not None]
    rows = sample(ranked)
    if len(rows) < 2 or not sweep.axes:
        return None
    dimensions = [Dimension(axis.name, [axis.of(row) for row in rows], axis.ticks) for axis in sweep.axes]
    results = [
        ("scheme_time_us", "time (µs)"),
        ("speedup", sweep.speedup.label),
        ("scheme_energy_uj", "energy (µJ)"),
        ("area_mm2", "area (mm²)"),
        ("scheme_sqnr_db", "SQNR (dB)"),
    ]
    for column, label in results:
        values = [row.get(column) for row in rows]
        if None not in values and len(set(values)) > 1:
            dimensions.append(Dimension(label, values))
    label, form = sweep.rank.label, sweep.rank.form
    caption = f"Each line is a point; its colour is its {label}. On the page, a click on a range hides its lines."
    if len(rows) < len(sweep.done):
        caption += f" {len(rows)} of {len(sweep.done)} points are drawn, chosen by a fixed seed."
    colours = [sweep.rank.value(row) for row in rows]
    names = [f"point {row['index']}, {label} {sweep.rank.value(row):{form}}" for row in rows]
    return Figure("parallel", "Parallel coordinates", caption, Parallel(dimensions, colours, label, names))


PLACES = {
    True: ("fastest", "faster quarter", "median", "slower quarter", "slowest"),
    False: ("highest speed-up", "upper quartile", "median", "lower quartile", "lowest speed-up"),
}


def representative(sweep):
    """(what it stands for, row) of at most five different points."""
    ranked = sweep.ranked()
    places = {}
    for place, name in enumerate(PLACES[sweep.same_work]):
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
            row.get(f"{side}_stack_{part}", 0) * row[f"{side}_time_us"] / (row[f"{side}_cycles"] or 1) / factor
            for _, row, side in bars
        ]
        if any(values):
            series.append(BarSeries(part, values, *style_of(CYCLE_STYLES, part)))
    caption = "Where the time of the main matrix unit goes, for points that stand for the distribution of the " + (
        "time." if sweep.same_work else "speed-up."
    )
    return Figure(
        "cycles",
        "Time by part",
        caption,
        Bars([name for name, _, _ in bars], series, Axis(f"time ({unit})"), stacked=True),
    )
