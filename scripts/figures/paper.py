# SPDX-License-Identifier: Apache-2.0
"""Figures for papers, drawn by matplotlib: PDF with embedded fonts and PNG, as wide as one or two columns."""

import math
import os

import matplotlib

matplotlib.use("Agg")

from matplotlib import pyplot  # noqa: E402
from matplotlib.collections import LineCollection  # noqa: E402

import support  # noqa: E402
from figures.model import Bars, Groups, Panels  # noqa: E402

SUFFIXES = (".pdf", ".png")
MOST_PIXELS = 60000  # of a side; matplotlib draws less than 2^16
SINGLE, DOUBLE = 3.5, 7.16  # inches, a column and two of an IEEE page
MARKERS = {
    "circle": "o",
    "square": "s",
    "triangle-up": "^",
    "diamond": "D",
    "triangle-down": "v",
    "cross": "P",
    "x": "X",
    "star": "*",
}
STYLE = {
    "font.size": 7,
    "font.family": "DejaVu Sans",
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "legend.frameon": False,
    "hatch.linewidth": 0.5,
    "lines.linewidth": 0.9,
    "lines.markersize": 3.5,
    "pdf.fonttype": 42,  # TrueType: embedded, and editable
    "text.parse_math": False,  # a $ in a name is a $
}


def set_axis(axis, which, plot):
    getattr(plot, f"set_{which}label")(axis.label)
    if axis.log:
        getattr(plot, f"set_{which}scale")("log")
    if axis.from_zero:
        getattr(plot, f"set_{which}lim")(0, max(1, max(max(line.get_ydata()) for line in plot.get_lines())) * 1.08)
    if axis.ticks:
        getattr(plot, f"set_{which}ticks")([place for place, _ in axis.ticks], [text for _, text in axis.ticks])
        getattr(plot, f"{which}axis").set_minor_locator(matplotlib.ticker.NullLocator())
    long_text = max((len(text) for _, text in axis.ticks), default=0) if axis.ticks else 0
    if which == "x" and axis.ticks and long_text * len(axis.ticks) > 36:
        plot.tick_params("x", labelrotation=35 if len(axis.ticks) <= 5 else 90)


def legend_above(figure, handles, labels, columns):
    if len(labels) > 1:
        rows = math.ceil(len(labels) / columns)
        options = {"ncols": math.ceil(len(labels) / rows), "handlelength": 1.4, "columnspacing": 1.2}
        figure.legend(handles, labels, loc="outside upper left", **options)


def bars(content, width):
    count = len(content.categories)
    rows = count * (1 if content.stacked else len(content.series))
    figure, plot = pyplot.subplots(figsize=(width, 0.75 + 0.15 * max(rows, 3)), layout="constrained")
    left = [0.0] * count
    thickness = 0.72 / (1 if content.stacked else len(content.series))
    for number, series in enumerate(content.series):
        values = [value or 0 for value in series.values]
        shift = 0 if content.stacked else (number - (len(content.series) - 1) / 2) * thickness
        drawn = plot.barh(
            [place + shift for place in range(count)],
            values,
            thickness,
            left=left if content.stacked else None,
            color=series.colour,
            hatch=series.hatch * 4,
            edgecolor="white",
            linewidth=0,
            label=series.name,
        )
        if content.stacked:
            left = [below + value for below, value in zip(left, values)]
        else:
            texts = ["-" if value is None else f"{value:.2f}" for value in series.values]
            box = {"facecolor": "white", "edgecolor": "none", "pad": 0.4}
            plot.bar_label(drawn, texts, padding=2, bbox=box)
    if content.reference is not None:
        plot.axvline(content.reference, color="#222222", linestyle=":", linewidth=0.8)
    plot.set_yticks(range(count), content.categories)
    plot.invert_yaxis()
    plot.margins(x=0.08 if not content.stacked else 0.02, y=0.02)
    set_axis(content.axis, "x", plot)
    legend_above(figure, *plot.get_legend_handles_labels(), 4 if width == SINGLE else 9)
    return figure


def add_series(plot, series):
    shown = {"color": series.colour, "label": series.name}
    marker = MARKERS.get(series.marker)
    if series.line:
        style = "steps-post" if series.steps else "default"
        plot.plot(series.x, series.y, marker=marker, drawstyle=style, **shown)
    else:
        # Thousands of points as an image: a PDF of each would be slow to show.
        plot.plot(
            series.x, series.y, linestyle="", marker=marker, markeredgewidth=0, rasterized=len(series.x) > 500, **shown
        )
    for text, place, where in ((series.end_text, -1, (0, 2)), (series.start_text, 0, (5, -1))):
        if text:
            align = {"ha": "right", "va": "bottom"} if place else {"ha": "left", "va": "center"}
            at = (series.x[place], series.y[place])
            plot.annotate(text, at, textcoords="offset points", xytext=where, fontsize=6, **align)


def add_boxes(plot, boxes, orientation="vertical"):
    stats = [
        {"med": box.median, "q1": box.lower, "q3": box.upper, "whislo": box.least, "whishi": box.greatest, "fliers": []}
        for box in boxes
    ]
    line = {"color": "#4477AA", "linewidth": 0.7}
    plot.bxp(
        stats,
        [box.position for box in boxes],
        orientation=orientation,
        widths=0.5,
        showfliers=False,
        manage_ticks=False,
        patch_artist=True,
        boxprops={"facecolor": "#C5D5E6", "edgecolor": "#4477AA", "linewidth": 0.7},
        medianprops=line,
        whiskerprops=line,
        capprops=line,
    )


def panels(content, width):
    columns = min(len(content.panels), 1 if width == SINGLE else 3)
    rows = math.ceil(len(content.panels) / columns)
    height = (2.4 if len(content.panels) == 1 else 2.1 if columns == 2 else 1.75) * rows
    names = {}
    figure, grid = pyplot.subplots(rows, columns, figsize=(width, height + 0.3), layout="constrained", squeeze=False)
    for plot in grid.flat[len(content.panels) :]:
        plot.remove()
    for panel, plot in zip(content.panels, grid.flat):
        if panel.boxes:
            add_boxes(plot, panel.boxes)
        for series in panel.series:
            add_series(plot, series)
        set_axis(panel.x, "x", plot)
        set_axis(panel.y, "y", plot)
        wanted = {series.name for series in panel.series if series.in_legend}
        names |= {label: handle for handle, label in zip(*plot.get_legend_handles_labels()) if label in wanted}
    legend_above(figure, list(names.values()), list(names), 2 if width == SINGLE else 4)
    return figure


def groups(content, width):
    counts = [len(group.names) for group in content.groups]
    size = (width, 0.45 + 0.15 * sum(counts) + 0.4 * len(counts))
    options = {"layout": "constrained", "squeeze": False, "sharex": True}
    figure, grid = pyplot.subplots(len(counts), 1, figsize=size, height_ratios=counts, **options)
    for plot, group in zip(grid.flat, content.groups):
        if boxes := [box for box in group.boxes if box]:
            add_boxes(plot, boxes, "horizontal")
        plot.set_yticks(range(len(group.names)), group.names)
        plot.set_ylim(len(group.names) - 0.5, -0.5)
        plot.set_xlim(*content.limits())
        plot.set_title(group.title, loc="left", fontsize=7, fontweight="bold")
    set_axis(content.axis, "x", plot)
    return figure


def parallel(content, width):
    columns = [dimension.scaled() for dimension in content.dimensions]
    height = max(2.6, 1 + 0.09 * max(len(ticks) for _, ticks in columns))
    figure, plot = pyplot.subplots(figsize=(width, height), layout="constrained")
    order = sorted(range(len(content.colours)), key=lambda at: content.colours[at])  # the highest on top
    lines = [[(place, values[at]) for place, (values, _) in enumerate(columns)] for at in order]
    drawn = LineCollection(
        lines, array=[content.colours[at] for at in order], cmap="cividis", linewidths=0.4, alpha=0.7, rasterized=True
    )
    plot.add_collection(drawn)
    for place, (_, ticks) in enumerate(columns):
        plot.axvline(place, color="#222222", linewidth=0.6)
        for at, text in ticks:
            box = {"facecolor": "white", "edgecolor": "none", "alpha": 0.7, "pad": 0.3}
            plot.annotate(
                text, (place, at), textcoords="offset points", xytext=(2, 0), fontsize=5, va="center", bbox=box
            )
    plot.set_xlim(-0.1, len(columns) - 0.5)
    plot.set_ylim(-0.04, 1.04)
    plot.set_yticks([])
    plot.spines["left"].set_visible(False)
    plot.spines["bottom"].set_visible(False)
    plot.tick_params("x", length=0)
    plot.set_xticks(range(len(columns)), [dimension.label for dimension in content.dimensions], rotation=25, ha="right")
    figure.colorbar(drawn, ax=plot, label=content.colour_label, pad=0.01, aspect=30)
    return figure


def width_of(content):
    """One column for a single plot that fits it, else two."""
    if isinstance(content, Bars):
        return SINGLE if len(content.categories) <= 12 and max(map(len, content.categories)) <= 24 else DOUBLE
    if isinstance(content, Groups):
        return SINGLE if max(len(name) for group in content.groups for name in group.names) <= 24 else DOUBLE
    return SINGLE if isinstance(content, Panels) and len(content.panels) == 1 else DOUBLE


def draw(figure):
    content = figure.content
    kind = {Bars: bars, Panels: panels, Groups: groups}.get(type(content), parallel)
    return kind(content, width_of(content))


def paths_of(report, folder):
    return [os.path.join(folder, figure.name + suffix) for figure in report.figures for suffix in SUFFIXES]


def write(report, folder):
    """The paths of what it writes."""
    with matplotlib.rc_context(STYLE):
        for figure in report.figures:
            drawn = draw(figure)
            dpi = min(300, MOST_PIXELS / max(drawn.get_size_inches()))
            for suffix in SUFFIXES:
                metadata = {"Title": figure.title} | ({"CreationDate": None} if suffix == ".pdf" else {})
                with support.whole_file(os.path.join(folder, figure.name + suffix)) as file:
                    drawn.savefig(file, format=suffix[1:], metadata=metadata, dpi=dpi)
            pyplot.close(drawn)
    return paths_of(report, folder)
