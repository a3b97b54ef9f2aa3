# SPDX-License-Identifier: Apache-2.0
"""Tables of a sweep."""

import collections

from figures.model import Cell, Table
from figures.run import SIDES, number
from figures.sweep import MOST_POSITIONS

LISTED_POINTS = 20

SORTED_POINTS = 2000  # rows that the page holds

LISTED_FAILURES = 200


def bounds(sweep):
    counts = collections.Counter(row["scheme_bound"] for row in sweep.done)
    if not counts:
        return None
    shares = {bound: count / len(sweep.done) for bound, count in counts.items()}
    rows = [[bound, str(count), Cell(f"{shares[bound]:.1%}", shares[bound])] for bound, count in counts.most_common()]
    return Table("What bounds the scheme", ["largest part of the cycle stack", "points", "share"], rows)


def points_table(sweep, title, rows, note="", is_open=True, shown=None):
    fastest = min((row["scheme_time_us"] for row in sweep.done), default=0)
    ratio = sweep.same_work and fastest > 0
    heading = ["point", *(axis.name for axis in sweep.axes), "time (µs)"]
    heading += ["time / the fastest's"] if ratio else []
    heading += [sweep.speedup.label, "energy (µJ)", "area (mm²)"]
    heading += ["SQNR (dB)", "baseline's SQNR (dB)"] if sweep.has_accuracy else []
    heading += ["bound", "key"]
    cells = []
    for row in rows:
        line = [str(row["index"])]
        line += [Cell(row[axis.path + ".text"] or "none", row[axis.path]) for axis in sweep.axes]
        line.append(number(row["scheme_time_us"], ".2f"))
        line += [number(row["scheme_time_us"] / fastest, ".3f")] if ratio else []
        line += [number(row["speedup"], ".4f"), number(row["scheme_energy_uj"]), number(row["area_mm2"])]
        if sweep.has_accuracy:
            line += [number(row.get(f"{side}_sqnr_db"), ".2f") for side in SIDES]
        cells.append([*line, row["scheme_bound"], row["key"]])
    return Table(title, heading, cells, note, is_open, shown)


def ranking_table(sweep):
    """All points that are ok, the best first; sorting by another column looks at all of them too."""
    ranked = sweep.ranked()
    order = (
        "The fastest first: all points do the same work."
        if sweep.same_work
        else f"The highest {sweep.speedup.label} first: the work differs between points, so times do not compare."
    )
    note = f"{order} {sweep.speedup_text} A click on a heading sorts by its column, a second one the other way round."
    if len(ranked) > SORTED_POINTS:
        note += f" The first {SORTED_POINTS} of {len(ranked)} points are here; results.jsonl has all."
    rows = ranked[:SORTED_POINTS]
    return points_table(sweep, f"Points ({len(ranked)})", rows, note, shown=LISTED_POINTS)


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
            + ", ".join(f"{axis.path} = {axis.ticks[0][1]}" for axis in sweep.constant)
            + "."
        )
    return text
