# SPDX-License-Identifier: Apache-2.0
"""What is shown of a run or a sweep: one report for both ways to draw it."""

import os

from figures import run_figures, run_tables, sweep_figures, sweep_tables
from figures.model import Report
from figures.results import read_run, read_sweep
from figures.run import Run
from figures.sweep import Sweep


def run_report(result):
    run = Run(result)
    provenance = result["provenance"]
    speedup = result["total"]["speedup"]
    summary = [
        f"{run.names['scheme']} against {run.names['baseline']} on {run.machine_name}, {provenance['trace_name']}: "
        + (f"{speedup:.4f} times as fast." if speedup is not None else "no speed-up."),
        f"oscsim {provenance['version']} (git {provenance['git']}), seed {provenance['seed']}"
        + (", timing only." if provenance["timing_only"] else ", with outputs."),
    ]
    figures = [
        run_figures.speedup_by_gemm(run) if run.gemms else None,
        run_figures.speedup_by_layer(run),
        run_figures.speedup_by_m(run),
        run_figures.accuracy_by_gemm(run),
        run_figures.roofline(run),
        *run_figures.stacks(run),
    ]
    tables = [
        run_tables.totals_table(run),
        run_tables.kinds_table(run),
        run_tables.area_table(run),
        run_tables.gemms_table(run) if run.gemms else None,
    ]
    title = f"{run.names['scheme']} against {run.names['baseline']} on {run.machine_name}"
    return Report(
        title, summary, [figure for figure in figures if figure], [table for table in tables if table], provenance
    )


def sweep_report(head, rows):
    sweep = Sweep(head, rows)
    base = head["base"]
    summary = [head["description"]] if head["description"] else []
    summary.append(sweep_tables.counts_text(sweep))
    ranked = sweep.ranked()
    if ranked and sweep.same_work:
        times = [f"{row['scheme_time_us']:.2f} µs (point {row['index']})" for row in (ranked[0], ranked[-1])]
        summary.append(f"All points do the same work; the fastest takes {times[0]}, the slowest {times[1]}.")
    elif ranked:
        summary.append("The work differs between points, so they are compared by their speed-up.")
    if by_speedup := sorted((row for row in sweep.done if row["speedup"] is not None), key=lambda row: row["speedup"]):
        texts = [f"{row['speedup']:.4f} (point {row['index']})" for row in (by_speedup[0], by_speedup[-1])]
        summary.append(f"{sweep_figures.capital(sweep.speedup.label)}: from {texts[0]} to {texts[1]}.")
    program = f"oscsim {head['version']} (git {head['git']})"
    summary.append(f"Base: {base['scheme']} against {base['baseline']} on {base['machine']}; {program}.")
    measures = [sweep.time] if sweep.same_work else []
    measures += [sweep.speedup] + ([sweep.sqnr] if sweep.has_accuracy else [])
    front_figure, fronts = sweep_figures.pareto(sweep)
    figures = [
        *(draw(sweep, measure) for measure in measures for draw in (sweep_figures.by_axis, sweep_figures.by_category)),
        front_figure,
        sweep_figures.cycles(sweep),
        sweep_figures.parallel(sweep),  # last: the slowest to draw
    ]
    tables = []
    if ranked:
        tables.append(sweep_tables.ranking_table(sweep))
    tables += [
        sweep_tables.points_table(sweep, f"Front: {title}", front, is_open=False) for title, front in fronts.items()
    ]
    tables += [
        sweep_tables.bounds(sweep),
        sweep_tables.axes_table(sweep),
        sweep_tables.failures_table(sweep) if sweep.failed else None,
    ]
    return Report(
        f"Sweep {head['sweep']}",
        summary,
        [figure for figure in figures if figure],
        [table for table in tables if table],
        head,
    )


def report_of(path):
    """Of a run's JSON or a sweep's folder."""
    return sweep_report(*read_sweep(path)) if os.path.isdir(path) else run_report(read_run(path))
