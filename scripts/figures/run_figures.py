# SPDX-License-Identifier: Apache-2.0
"""Figures of one run, from its JSON (sim/report/json.cpp writes it)."""

from figures.model import (
    CYCLE_STYLES,
    ENERGY_STYLES,
    LINE_COLOURS,
    MARKERS,
    ROOF_COLOUR,
    SIDE_COLOURS,
    Axis,
    Bars,
    BarSeries,
    Figure,
    Panel,
    Panels,
    Series,
    log_ticks,
    style_of,
)
from figures.results import quantity
from figures.run import ENERGIES, SIDES, TIMES, kind_of, layer_of, peak, sizes_text, unit_of, without_m

WIDTHS = (4, 8, 16)  # bits that matrix units have a rate for


def speedup_by_gemm(run):
    rows = [(kind, run.speedup(works)) for kind, works in run.gemms.items()]
    rows.append(("all work", run.result["total"]["speedup"]))
    return Figure(
        "speedup_by_gemm",
        "Speed-up by GEMM",
        f"Time of {run.names['baseline']} / time of {run.names['scheme']}, summed over all GEMMs of a kind; "
        "all work is with the work that GEMMs share and the operations between them.",
        Bars(
            [kind for kind, _ in rows],
            [BarSeries("speed-up", [value for _, value in rows], SIDE_COLOURS["scheme"])],
            Axis("speed-up"),
            reference=1,
        ),
    )


def speedup_by_layer(run):
    layers = {}
    for group in ("gemms", "shared", "operations"):
        for work in run.result[group]:
            layer = layer_of(work.get("name", work.get("input", "")))
            if layer is not None:
                layers.setdefault(layer, {"gemms": [], "all": []})["all"].append(work)
                if group == "gemms":
                    layers[layer]["gemms"].append(work)
    if len(layers) < 2:
        return None
    series = []
    for number, (key, name) in enumerate((("all", "all work"), ("gemms", "GEMMs alone"))):
        points = [(layer, run.speedup(works[key])) for layer, works in sorted(layers.items())]
        points = [point for point in points if point[1] is not None]
        texts = [[f"layer {layer}, {name}", f"speed-up {value:.4f}"] for layer, value in points]
        x, y = ([point[i] for point in points] for i in (0, 1))
        series.append(Series(name, x, y, LINE_COLOURS[number], MARKERS[number], line=True, texts=texts))
    caption = "Time of the baseline / time of the scheme, of everything in a layer and of its GEMMs alone."
    ticks = [(layer, str(layer)) for layer in sorted(layers)[:: -(-len(layers) // 12)]]
    panel = Panel("", Axis("layer", ticks=ticks), Axis("speed-up", from_zero=True), series)
    return Figure("speedup_by_layer", "Speed-up by layer", caption, Panels([panel]))


def speedup_by_m(run):
    sizes = sorted({gemm["m"] for gemm in run.result["gemms"]})
    if len(sizes) < 2:
        return None
    lines = {}  # kinds with equal points are one
    for kind, works in run.grouped(run.result["gemms"], lambda work: without_m(kind_of(work["name"]))).items():
        by_m = run.grouped(works, lambda work: work["m"])
        points = [(m, run.speedup(some)) for m, some in sorted(by_m.items())]
        if points := tuple(point for point in points if point[1] is not None):
            lines.setdefault(points, []).append(kind)
    if not lines:
        return None
    series = []
    for number, (points, kinds) in enumerate(lines.items()):
        name = ", ".join(kinds)
        x, y = map(list, zip(*points))
        texts = [[f"{name}, M = {m}", f"speed-up {value:.4f}"] for m, value in points]
        colour, marker = LINE_COLOURS[number % len(LINE_COLOURS)], MARKERS[number % len(MARKERS)]
        series.append(Series(name, x, y, colour, marker, line=True, texts=texts))
    caption = "Time of the baseline / time of the scheme; GEMMs of a kind with the same M are summed."
    ticks = [(1 << power, str(1 << power)) for power in range(sizes[-1].bit_length()) if sizes[0] <= 1 << power]
    panel = Panel(
        "",
        Axis("M (rows of the activation)", True, ticks or [(m, str(m)) for m in sizes]),
        Axis("speed-up", from_zero=True),
        series,
    )
    return Figure("speedup_by_m", "Speed-up by M", caption, Panels([panel]))


def accuracy_by_gemm(run):
    """None where no output was computed."""
    series = []
    for side in SIDES:
        values = []
        for works in run.gemms.values():
            found = [work[side]["sqnr_db"] for work in works if work[side]["sqnr_db"] is not None]
            values.append(min(found, default=None))
        if any(value is not None for value in values):
            series.append(BarSeries(run.names[side], values, SIDE_COLOURS[side]))
    if not series:
        return None
    caption = (
        "Signal to quantisation noise of the outputs against the FP32 product of the operands as they were, the least "
        "over all GEMMs of a kind. No bar: exact, or not computed."
    )
    return Figure("accuracy_by_gemm", "SQNR by GEMM", caption, Bars(list(run.gemms), series, Axis("SQNR (dB)")))


def roofline_points(run, side, level):
    """{(operations per byte, operations per second): (kinds, texts)}, equal GEMMs as one point."""
    points = {}
    for kind, works in run.gemms.items():
        for work in works:
            one = work[side]
            moved = one["bytes"][f"{level}_read"] + one["bytes"][f"{level}_write"]
            if not moved or not one["time_us"]:
                continue
            count = 2 * work["m"] * work["n"] * work["k"]
            at = (count / moved, count / one["time_us"] * 1e6)
            points.setdefault(at, {}).setdefault(kind, []).append(work)
    return points


def roofline_series(run, side, level):
    groups = {}
    for at, kinds in roofline_points(run, side, level).items():
        groups.setdefault(tuple(kinds), []).append((at, [work for works in kinds.values() for work in works]))
    for kinds, points in groups.items():
        texts = [
            [
                f"{', '.join(kinds)}: {sizes_text(works)}",
                f"{run.names[side]}, {works[0][side]['formats']}",
                f"{rate / 1e12:.4g} TOP/s, {intensity:.4g} op/B",
                f"{works[0][side]['time_us']:.4g} µs, bound by {works[0][side]['bound']}",
            ]
            for (intensity, rate), works in points
        ]
        yield kinds, [at[0] for at, _ in points], [at[1] / 1e12 for at, _ in points], texts


def roof_lines(run, level, least, greatest):
    """The slope of a memory and a roof for each operand width, between two intensities."""
    bandwidth = quantity(run.machine[level]["bandwidth"])
    roofs = {bits: roof for bits in WIDTHS if (roof := peak(run.machine, bits))}
    ridge = max(roofs.values()) / bandwidth
    name = f"{level.upper()} {run.machine[level]['bandwidth']}"
    if ridge > least:
        end = min(ridge, greatest)
        x = [least * (end / least) ** 0.15, end]  # its text stands at its beginning
        y = [bandwidth * at / 1e12 for at in x]
        yield Series(name, x, y, ROOF_COLOUR, line=True, start_text=name, in_legend=False, texts=[[name]] * 2)
    for bits, roof in roofs.items():
        begin = max(roof / bandwidth, least)
        text = f"{bits}-bit {roof / 1e12:.4g} TOP/s"
        x = [min(begin, greatest), greatest]
        yield Series(
            text, x, [roof / 1e12] * 2, ROOF_COLOUR, line=True, end_text=text, in_legend=False, texts=[[text]] * 2
        )


def roofline(run):
    panels = []
    for level in ("hbm", "l2"):
        drawn = {side: list(roofline_series(run, side, level)) for side in SIDES}
        intensities = [at for side in SIDES for _, x, _, _ in drawn[side] for at in x]
        if not intensities:
            continue
        bandwidth = quantity(run.machine[level]["bandwidth"])
        # The ridges are shown unless the memory is so fast, or so slow, that they are far from every GEMM.
        ridges = [
            at
            for bits in WIDTHS
            if min(intensities) / 1e3 < (at := peak(run.machine, bits) / bandwidth) < max(intensities) * 1e3
        ]
        least, greatest = min(intensities + ridges) / 3, max(intensities + ridges)
        greatest *= max(4, (greatest / least) ** 0.4)  # room for the texts of the roofs
        roofs = list(roof_lines(run, level, least, greatest))
        rates = [at for series in roofs for at in series.y] + [
            at for side in SIDES for _, _, y, _ in drawn[side] for at in y
        ]
        x_axis = Axis(f"operations per byte of {level.upper()} traffic (op/B)", True, log_ticks(least, greatest))
        y_axis = Axis("operations per second (TOP/s)", True, log_ticks(min(rates) / 1.5, max(rates) * 1.5))
        panel = Panel(f"{level.upper()} traffic", x_axis, y_axis, roofs)
        markers = {}
        for side in SIDES:
            for kinds, _, _, _ in drawn[side]:
                markers.setdefault(kinds, MARKERS[len(markers) % len(MARKERS)])
        is_told_apart = len(markers) <= len(MARKERS)
        for side in SIDES:
            named = set()
            for kinds, x, y, texts in drawn[side]:
                name = run.names[side] + (f": {', '.join(kinds)}" if is_told_apart else "")
                marker = markers[kinds] if is_told_apart else MARKERS[SIDES.index(side)]
                in_legend = not panels and name not in named
                panel.series.append(Series(name, x, y, SIDE_COLOURS[side], marker, texts=texts, in_legend=in_legend))
                named.add(name)
        panels.append(panel)
    if not panels:
        return None
    caption = (
        "Roof of b-bit operands: 2 x (multiply-accumulates per cycle of a tensor unit) x cores x clock of the resolved "
        "machine; multiply-accumulates per cycle are m0 x n0 x k0 of a cube, rows x columns x k0 of a systolic array. "
        "Slope: bandwidth of the memory. A point is a GEMM: 2 x M x N x K operations on both sides, so that what a "
        "branch adds counts as time, not as work; bytes are reads and writes. Work that GEMMs share is left out."
    )
    return Figure("roofline", "Roofline", caption, Panels(panels))


def stack(run, name, title, caption, groups, values, styles, units):
    """Two bars for each group, the parts of `values(works, side)` stacked."""
    rows = []
    for kind, works in groups.items():
        for side in SIDES:
            parts = values(works, side)
            if parts:
                rows.append((f"{kind}, {run.names[side]}", parts))
    if not rows:
        return None
    factor, unit = unit_of(max(sum(parts.values()) for _, parts in rows), units)
    names = list(dict.fromkeys([*styles, *(part for _, parts in rows for part in parts)]))
    series = []
    for part in names:
        numbers = [parts.get(part, 0) / factor for _, parts in rows]
        if any(numbers):
            series.append(BarSeries(part, numbers, *style_of(styles, part)))
    axis = Axis(f"{title.split()[0].lower()} ({unit})")
    return Figure(name, title, caption, Bars([row for row, _ in rows], series, axis, stacked=True))


def cycle_parts(run):
    def values(works, side):
        parts = {}
        for work in works:
            one = work[side]
            for part, cycles in (one["cycle_stack"] if one and one["cycles"] else {}).items():
                parts[part] = parts.get(part, 0) + cycles * work["repeat"] * one["time_us"] / one["cycles"]
        return parts

    return values


def energy_parts(run):
    def values(works, side):
        parts = {}
        for work in works:
            for part, energy in (work[side]["energy_parts_uj"] if work[side] else {}).items():
                parts[part] = parts.get(part, 0) + (energy or 0) * work["repeat"]
        return parts

    return values


CYCLE_CAPTION = (
    "Where the time of the main matrix unit goes, mean over the cores. A wait is named after the pipe at its root; "
    "the parts sum to the time."
)


def stacks(run):
    everything = {"total": [work for works in run.works.values() for work in works]}
    costs = run.result["provenance"]["costs_name"]
    shares = [
        f"{run.result['total'][side]['energy_assumed_share']:.0%} of {run.names[side]}'s"
        for side in SIDES
        if run.result["total"][side]["energy_assumed_share"] is not None
    ]
    energy_caption = f"By the cost table {costs}." + (
        f" On assumed numbers rest {' and '.join(shares)} energy." if shares else ""
    )
    yield stack(
        run,
        "cycles_total",
        "Time by what the matrix unit does",
        CYCLE_CAPTION,
        everything,
        cycle_parts(run),
        CYCLE_STYLES,
        TIMES,
    )
    yield stack(run, "cycles", "Time by GEMM and part", CYCLE_CAPTION, run.works, cycle_parts(run), CYCLE_STYLES, TIMES)
    yield stack(
        run,
        "energy_total",
        "Energy by component",
        energy_caption,
        everything,
        energy_parts(run),
        ENERGY_STYLES,
        ENERGIES,
    )
    yield stack(
        run,
        "energy",
        "Energy by GEMM and component",
        energy_caption,
        run.works,
        energy_parts(run),
        ENERGY_STYLES,
        ENERGIES,
    )
