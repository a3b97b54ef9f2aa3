# SPDX-License-Identifier: Apache-2.0
"""Tables of a sweep."""

import collections

from figures.model import Table
from figures.run import number
from figures.sweep import MOST_POSITIONS

LISTED_POINTS = 20

LISTED_FAILURES = 200


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
