# SPDX-License-Identifier: Apache-2.0
"""A report as one HTML page: figures drawn by plotly.js, which is in the page, so that it opens without a network."""

import html
import json
import os

import jinja2
import markupsafe
import plotly.graph_objects as go
from plotly.offline import get_plotlyjs
from plotly.subplots import make_subplots

from figures.model import Bars, Groups, Panels

FONT = {"family": "system-ui, sans-serif", "size": 13, "color": "#222222"}
COLUMNS = 3  # panels in a row
PANEL_HEIGHT = 300  # pixels
BAR_HEIGHT = 24
GROUP_HEIGHT = 64  # between groups: their titles and ticks
CIVIDIS = ["#FEE838", "#BCAF6F", "#7C7B78", "#434E6C", "#00224E"]  # five colours of the map that paper.py draws with
# Above the plot and below the buttons.
LEGEND = {"orientation": "h", "traceorder": "normal", "y": 1, "yanchor": "bottom", "x": 0, "xanchor": "left"}


def escaped(text):
    """plotly takes some HTML in texts; what comes from files is none."""
    return html.escape(str(text), quote=False)


def axis_of(axis, **more):
    options = {"title": {"text": escaped(axis.label), "standoff": 8}, "automargin": True, "gridcolor": "#E5E5E5"}
    options |= {"zeroline": False, "showline": True, "linecolor": "#888888", "ticks": "outside"} | more
    if axis.log:
        options["type"] = "log"
    if axis.from_zero:
        options["rangemode"] = "tozero"
    if axis.ticks:
        places, texts = zip(*axis.ticks)
        options |= {"tickmode": "array", "tickvals": places, "ticktext": [escaped(text) for text in texts]}
    return options


def hover_of(texts):
    return ["<br>".join(map(escaped, lines)) for lines in texts]


def bars(content):
    figure = go.Figure()
    for series in content.series:
        pattern = {"shape": series.hatch, "fgcolor": "white", "fillmode": "overlay", "size": 7, "solidity": 0.35}
        figure.add_bar(
            orientation="h",
            name=escaped(series.name),
            y=[escaped(category) for category in content.categories],
            x=series.values,
            marker={"color": series.colour, "pattern": pattern},
            texttemplate=None if content.stacked else "%{x:.3f}",
            textposition="none" if content.stacked else "auto",
            insidetextanchor="start",  # away from the line at the reference
            hovertemplate="%{y}<br>" + escaped(series.name) + " %{x:.5g}<extra></extra>",
        )
    if content.reference is not None:
        figure.add_vline(content.reference, line={"color": "#222222", "dash": "dot", "width": 1})
    count = len(content.categories) * (1 if content.stacked else len(content.series))
    figure.update_layout(
        barmode="stack" if content.stacked else "group",
        bargap=0.25,
        height=120 + BAR_HEIGHT * max(count, 2),
        xaxis=axis_of(content.axis),
        yaxis={"autorange": "reversed", "type": "category", "automargin": True, "ticksuffix": "  ", "dtick": 1},
        showlegend=len(content.series) > 1,
        legend=LEGEND,
    )
    return figure


def add_boxes(figure, boxes, row, column, is_horizontal=False):
    columns = zip(*((box.position, box.least, box.lower, box.median, box.upper, box.greatest) for box in boxes))
    places, least, lower, median, upper, greatest = map(list, columns)
    figure.add_box(
        row=row,
        col=column,
        **({"y": places, "orientation": "h"} if is_horizontal else {"x": places}),
        lowerfence=least,
        q1=lower,
        median=median,
        q3=upper,
        upperfence=greatest,
        width=0.5,
        line={"color": "#4477AA", "width": 1},
        fillcolor="#C5D5E6",
        showlegend=False,
        hoverinfo="x" if is_horizontal else "y",
    )


def add_series(figure, series, row, column):
    text = [""] * len(series.x)
    if series.start_text:
        text[0] = "\u00a0" + escaped(series.start_text)
    if series.end_text:
        text[-1] = escaped(series.end_text)
    modes = [
        name for name, wanted in (("lines", series.line), ("markers", series.marker), ("text", any(text))) if wanted
    ]
    figure.add_scatter(
        row=row,
        col=column,
        name=escaped(series.name),
        x=series.x,
        y=series.y,
        mode="+".join(modes),
        line={"color": series.colour, "width": 1.5, "shape": "hv" if series.steps else "linear"},
        marker={"color": series.colour, "symbol": series.marker or "circle", "size": 8},
        text=text if any(text) else None,
        textposition="top left" if series.end_text else "bottom right",
        customdata=hover_of(series.texts) if series.texts else None,
        hovertemplate="%{customdata}<extra></extra>" if series.texts else None,
        showlegend=series.in_legend,
        legendgroup=escaped(series.name),
    )


def panels(content):
    columns = min(COLUMNS, len(content.panels))
    rows = -(-len(content.panels) // columns)
    height = PANEL_HEIGHT if rows > 1 else 460
    spacing = {"horizontal_spacing": 0.09, "vertical_spacing": min(0.9 / rows, 90 / (height * rows))}
    figure = make_subplots(rows, columns, **spacing)
    for place, panel in enumerate(content.panels):
        row, column = place // columns + 1, place % columns + 1
        if panel.boxes:
            add_boxes(figure, panel.boxes, row, column)
        for series in panel.series:
            add_series(figure, series, row, column)
        figure.update_xaxes(axis_of(panel.x), row=row, col=column)
        figure.update_yaxes(axis_of(panel.y), row=row, col=column)
    figure.update_layout(height=height * rows + 30, hovermode="closest", legend=LEGEND)
    return figure


def groups(content):
    counts = [len(group.names) for group in content.groups]
    height = BAR_HEIGHT * sum(counts) + GROUP_HEIGHT * len(counts)
    figure = make_subplots(
        len(counts), 1, row_heights=counts, vertical_spacing=0 if len(counts) == 1 else GROUP_HEIGHT / height
    )
    for row, group in enumerate(content.groups, 1):
        if boxes := [box for box in group.boxes if box]:
            add_boxes(figure, boxes, row, 1, is_horizontal=True)
        else:  # or plotly leaves the axes out
            figure.add_scatter(row=row, col=1, x=[None], y=[None], showlegend=False)
        names = {"tickvals": list(range(len(group.names))), "ticktext": [escaped(name) for name in group.names]}
        options = {"automargin": True, "ticksuffix": "  ", "range": [len(group.names) - 0.5, -0.5], "zeroline": False}
        figure.update_yaxes(names | options | {"showgrid": False}, row=row, col=1)
        label = content.axis.label if row == len(counts) else ""
        x_axis = axis_of(content.axis) | {"range": content.limits(), "title": {"text": escaped(label), "standoff": 8}}
        figure.update_xaxes(x_axis, row=row, col=1)
        figure.add_annotation(
            text=f"<b>{escaped(group.title)}</b>",
            xref="x domain" if row == 1 else f"x{row} domain",
            yref="y domain" if row == 1 else f"y{row} domain",
            x=0,
            y=1,
            xanchor="left",
            yanchor="bottom",
            showarrow=False,
        )
    figure.update_layout(height=height + 70, showlegend=False)
    return figure


def classes(content):
    """Lines of similar colour, equally many in each: (name, colour, indices), the highest first."""
    order = sorted(range(len(content.colours)), key=lambda at: -content.colours[at])
    count = min(len(CIVIDIS), len(order))
    for number in range(count):
        some = order[number * len(order) // count : (number + 1) * len(order) // count]
        name = f"{content.colour_label} {content.colours[some[0]]:.3f} to {content.colours[some[-1]]:.3f}"
        yield name, CIVIDIS[number], some


def parallel(content):
    """As lines of SVG: plotly's own (parcoords) takes WebGL and, where no GPU draws that, two seconds."""
    figure = go.Figure()
    columns = [dimension.scaled() for dimension in content.dimensions]
    places = list(range(len(columns)))
    for name, colour, some in reversed(list(classes(content))):
        figure.add_scatter(
            name=escaped(name),
            x=[*places, None] * len(some),
            y=[value for at in some for value in (*(values[at] for values, _ in columns), None)],
            customdata=[text for at in some for text in [escaped(content.names[at])] * (len(columns) + 1)],
            hovertemplate="%{customdata}<extra></extra>",
            mode="lines",
            line={"color": colour, "width": 1},
            opacity=0.8,
        )
    for place, (_, ticks) in enumerate(columns):
        figure.add_vline(place, line={"color": "#222222", "width": 1})
        for at, text in ticks:
            figure.add_annotation(
                x=place,
                y=at,
                text=escaped(text),
                showarrow=False,
                xanchor="left",
                font={"size": 11},
                bgcolor="rgba(255,255,255,0.8)",
            )
    labels = [escaped(dimension.label) for dimension in content.dimensions]
    hidden = {"showgrid": False, "zeroline": False}
    x_axis = {
        "tickvals": places,
        "ticktext": labels,
        "side": "top",
        "tickangle": -25,
        "range": [-0.1, len(columns) - 0.4],
    }
    figure.update_layout(
        height=max(480, 160 + 14 * max(len(ticks) for _, ticks in columns)),
        hovermode="closest",
        xaxis=hidden | x_axis,
        yaxis=hidden | {"showticklabels": False, "range": [-0.03, 1.03]},
        legend={"orientation": "h", "y": -0.02, "yanchor": "top", "x": 0, "xanchor": "left", "traceorder": "reversed"},
        margin={"t": 110, "b": 50, "l": 60, "r": 50},
        modebar={"orientation": "v"},
    )
    return figure


def drawn(content):
    draw = {Bars: bars, Panels: panels, Groups: groups}.get(type(content), parallel)
    figure = draw(content)
    layout = {"template": "none", "font": FONT, "paper_bgcolor": "white", "plot_bgcolor": "white"}
    if draw is not parallel:
        with_legend = (
            any(trace.name and trace.showlegend is not False for trace in figure.data)
            and figure.layout.showlegend is not False
        )
        layout["margin"] = {"t": 50 if with_legend else 20, "b": 50, "l": 60, "r": 50}
        layout["modebar"] = {"orientation": "v"}  # beside the plot, where no legend is
    figure.update_layout(layout)
    return figure


def in_script(text):
    """No text from a file ends the script that it stands in."""
    return text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


def sort_key(cell):
    """The attribute that sorts a cell which shows less than its value, or its value in a unit."""
    value = getattr(cell, "value", None)
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return markupsafe.Markup(f' data-value="{value!r}"') if is_number else ""


def page_of(report):
    loader = jinja2.FileSystemLoader(os.path.dirname(os.path.abspath(__file__)))
    environment = jinja2.Environment(
        loader=loader, autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    plots = ",\n".join(in_script(drawn(figure.content).to_json()) for figure in report.figures)
    return environment.get_template("page.html.j2").render(
        report=report,
        sort_key=sort_key,
        plots=f"[{plots}]",
        names=[figure.name for figure in report.figures],
        plotly=get_plotlyjs(),
        provenance=json.dumps(report.provenance, indent=2, ensure_ascii=False),
    )
