# SPDX-License-Identifier: Apache-2.0
"""Tables of one run, from its JSON (sim/report/json.cpp writes it)."""

from figures.model import Table
from figures.run import SIDES, number, sizes_text

LISTED_GEMMS = 500  # rows of the table of all GEMMs


def ratio(baseline, scheme):
    return number(baseline / scheme, ".4f") if scheme and baseline is not None else "-"


def totals_table(run):
    total = run.result["total"]
    works = [work for some in run.works.values() for work in some]
    rows = []
    for label, key, form in (
        ("time (µs)", "time_us", ".2f"),
        ("cycles", "cycles", "d"),
        ("energy (µJ)", "energy_uj", ".2f"),
    ):
        scheme, baseline = (total[side][key] for side in SIDES)
        rows.append([label, number(scheme, form), number(baseline, form), ratio(baseline, scheme)])
    for label, key in (
        ("HBM read", "hbm_read"),
        ("HBM write", "hbm_write"),
        ("L2 read", "l2_read"),
        ("L2 write", "l2_write"),
    ):
        scheme, baseline = (run.sum_of(works, side, lambda one: one["bytes"][key]) for side in SIDES)
        scheme, baseline = (None if moved is None else moved / 1e6 for moved in (scheme, baseline))
        rows.append([f"{label} (MB)", number(scheme, ".2f"), number(baseline, ".2f"), ratio(baseline, scheme)])
    names = [run.names[side] for side in SIDES]
    return Table("Totals", ["", *names, "baseline / scheme"], rows)


def kinds_table(run):
    rows = []
    for kind, works in run.works.items():
        times = [run.time_us(works, side) for side in SIDES]
        one = works[0]["scheme"] or works[0]["baseline"]
        size = sizes_text(works) if kind in run.gemms else ""
        count = sum(work["repeat"] for work in works)
        rows.append(
            [
                kind,
                str(count),
                size,
                one["formats"],
                *(number(time, ".2f") for time in times),
                number(run.speedup(works), ".4f"),
                one["bound"],
            ]
        )
    heading = [
        "work",
        "count",
        "m x n x k",
        "formats",
        *(f"{run.names[side]} (µs)" for side in SIDES),
        "speed-up",
        "bound",
    ]
    return Table(
        "By kind", heading, rows, "Times are sums over all of a kind; sizes, formats and bound are those of the first."
    )


def gemms_table(run):
    gemms = run.result["gemms"]
    rows = [
        [gemm["name"], gemm["position"], f"{gemm['m']} x {gemm['n']} x {gemm['k']}", str(gemm["repeat"])]
        + [number(gemm[side]["time_us"], ".2f") for side in SIDES]
        + [
            number(gemm["speedup"], ".4f"),
            gemm["scheme"]["bound"],
            number(gemm["scheme"]["sqnr_db"], ".2f"),
            number(gemm["baseline"]["sqnr_db"], ".2f"),
        ]
        for gemm in gemms[:LISTED_GEMMS]
    ]
    names = [run.names[side] for side in SIDES]
    heading = [
        "GEMM",
        "position",
        "m x n x k",
        "repeat",
        *(f"{name} (µs)" for name in names),
        "speed-up",
        "bound",
        *(f"{name} SQNR (dB)" for name in names),
    ]
    note = f"The first {LISTED_GEMMS} of {len(gemms)}; the result's JSON has all." if len(gemms) > LISTED_GEMMS else ""
    return Table(f"All {len(gemms)} GEMMs", heading, rows, note, is_open=False)


def area_table(run):
    area = run.result["area_mm2"]
    if area["total"] is None:
        return None
    rows = [[part, number(value)] for part, value in area["parts"].items()] + [["total", number(area["total"])]]
    note = "" if area["assumed_share"] is None else f"{area['assumed_share']:.0%} of it rests on assumed numbers."
    return Table("Area of the machine", ["part", "mm²"], rows, note)
