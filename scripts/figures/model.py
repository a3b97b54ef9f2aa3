# SPDX-License-Identifier: Apache-2.0
"""What a figure is, without saying how it is drawn: page.py draws it with plotly, paper.py with matplotlib.

Texts are plain; whoever draws escapes them. Colours are Paul Tol's "bright" and "muted" schemes, which colour-blind
readers can tell apart (https://personal.sron.nl/~pault).
"""

import dataclasses
import math

SIDE_COLOURS = {"scheme": "#4477AA", "baseline": "#EE6677"}
ROOF_COLOUR = "#555555"
FRONT_COLOUR = "#EE6677"
POINT_COLOUR = "#88A9CC"
LINE_COLOURS = ["#4477AA", "#EE6677", "#228833", "#CCBB44", "#66CCEE", "#AA3377", "#999933", "#882255"]

# Colour and hatching of each part of a stack: (colour, hatch), '' is plain. What works is plain, what waits is hatched.
CYCLE_STYLES = {
    "tensor": ("#332288", ""),
    "branch": ("#CC6677", ""),
    "vector": ("#44AA99", ""),
    "startup": ("#999933", ""),
    "wait_load": ("#88CCEE", "/"),
    "wait_feed": ("#DDCC77", "/"),
    "wait_gather": ("#CC6677", "/"),
    "wait_tensor": ("#8878C3", "/"),
    "wait_vector": ("#44AA99", "/"),
    "wait_drain": ("#AA4499", "/"),
    "wait_memory": ("#117733", "/"),
    "idle": ("#DDDDDD", ""),
}
ENERGY_STYLES = {
    "tensor": ("#332288", ""),
    "branch": ("#CC6677", ""),
    "accumulate": ("#8878C3", ""),
    "l0": ("#88CCEE", ""),
    "l0c": ("#88CCEE", "/"),
    "l1": ("#117733", ""),
    "ub": ("#117733", "/"),
    "gather": ("#882255", ""),
    "vector": ("#44AA99", ""),
    "l2": ("#DDCC77", ""),
    "hbm": ("#AA4499", ""),
    "leakage": ("#DDDDDD", ""),
}


def style_of(styles, part):
    """Parts that a later version of the program adds are grey."""
    return styles.get(part, ("#777777", "x"))


def log_ticks(least, greatest):
    """1, 2, 5, 10, ... between two numbers, or decades where these would be many."""
    digits = (1, 2, 5) if greatest / least < 200 else (1,)
    decades = range(math.floor(math.log10(least)), math.ceil(math.log10(greatest)) + 1)
    values = [digit * 10.0**decade for decade in decades for digit in digits]
    return [(value, f"{value:,.10g}") for value in values if least <= value <= greatest]


@dataclasses.dataclass
class Axis:
    label: str  # with the unit
    log: bool = False
    ticks: list = None  # (position, text) of each, or None: chosen by whoever draws
    from_zero: bool = False


@dataclasses.dataclass
class Bars:
    """Horizontal bars, the first category on top: side by side, or stacked."""

    categories: list
    series: list  # BarSeries
    axis: Axis
    stacked: bool = False
    reference: float = None  # a line at this value


@dataclasses.dataclass
class BarSeries:
    name: str
    values: list  # one for each category, None where there is none
    colour: str
    hatch: str = ""


@dataclasses.dataclass
class Series:
    name: str
    x: list
    y: list
    colour: str
    marker: str = ""  # of MARKERS, '' for none
    line: bool = False
    texts: list = None  # for each point the lines that it shows when it is pointed at
    steps: bool = False  # the line keeps its y up to the next x
    end_text: str = ""  # above the last point and to its left
    start_text: str = ""  # below the first point and to its right
    in_legend: bool = True


# circle, square, ...: names of plotly; paper.py has those of matplotlib.
MARKERS = ["circle", "square", "triangle-up", "diamond", "triangle-down", "cross", "x", "star"]


@dataclasses.dataclass
class Box:
    """The distribution at a position: least value, quartiles, greatest value."""

    position: float
    least: float
    lower: float
    median: float
    upper: float
    greatest: float


@dataclasses.dataclass
class Panel:
    title: str
    x: Axis
    y: Axis
    series: list = dataclasses.field(default_factory=list)
    boxes: list = dataclasses.field(default_factory=list)


@dataclasses.dataclass
class Panels:
    """Plots with axes of their own, side by side in rows."""

    panels: list


@dataclasses.dataclass
class Dimension:
    label: str
    values: list
    ticks: list = None  # (position, text)

    def scaled(self):
        """Values between 0 and 1, with the place and text of each tick."""
        places = self.values + [place for place, _ in self.ticks or []]
        least, greatest = min(places), max(places)
        size = (greatest - least) or 1
        ticks = self.ticks or [(at, f"{at:,.0f}" if at >= 1e4 else f"{at:.4g}") for at in (least, greatest)]
        shown = [((place - least) / size, text) for place, text in ticks]
        return [(value - least) / size for value in self.values], shown


@dataclasses.dataclass
class Parallel:
    """Parallel coordinates: each line is a point; its colour is `colours`."""

    dimensions: list
    colours: list
    colour_label: str
    names: list  # of the points


@dataclasses.dataclass
class Figure:
    name: str  # of its files
    title: str
    caption: str
    content: object  # Bars, Panels or Parallel


@dataclasses.dataclass
class Table:
    title: str
    heading: list
    rows: list  # of texts
    note: str = ""
    is_open: bool = True


@dataclasses.dataclass
class Report:
    """Everything that is shown of a result."""

    title: str
    summary: list  # sentences
    figures: list
    tables: list
    provenance: dict
