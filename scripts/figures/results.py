# SPDX-License-Identifier: Apache-2.0
"""Reads what oscsim wrote, for all scripts: the JSON of `oscsim run`, the folder of a sweep. What is wrong with a file is
a ResultError with its name, line and reason."""

import json
import os
import re

import support
from figures.shapes import (
    GREATEST,
    LEAST,
    Mismatch,
    amount,
    anything,
    expected,
    line_of,
    list_of,
    maybe,
    number,
    one_of,
    place_text,
    plain,
    record,
    scalar,
    shown,
    table_of,
    text,
    truth,
    whole,
    within,
)


class ResultError(support.UserError):
    """Of a file that was to be read."""


# Frequencies in Hz and bandwidths in B/s, as sim/config/units.cpp has them.
UNITS = {"Hz": 1, "kHz": 1e3, "MHz": 1e6, "GHz": 1e9, "B/s": 1, "kB/s": 1e3, "MB/s": 1e6, "GB/s": 1e9, "TB/s": 1e12}
UNITS |= {"KiB/s": 2**10, "MiB/s": 2**20, "GiB/s": 2**30, "TiB/s": 2**40}


def quantity(words):
    """'1.65GHz' -> 1.65e9."""
    match = re.fullmatch(r"(\d+\.?\d*(?:e[+-]?\d+)?)(\D+)", str(words), re.ASCII)
    if not match or match[2] not in UNITS:
        raise ResultError(f"'{words}' in the provenance is no frequency and no bandwidth")
    return float(match[1]) * UNITS[match[2]]


def rate(value):
    try:
        is_fit = isinstance(value, str) and LEAST <= quantity(value) <= GREATEST
    except ResultError:
        is_fit = False
    if not is_fit:
        raise expected("a frequency or a bandwidth above 0, such as 1.6TB/s", value)


# What is read of a run (sim/report/json.cpp writes it).
SIDE = record(
    formats=text,
    cycles=amount,
    time_us=amount,
    bound=text,
    cycle_stack=table_of(amount),
    bytes=record(hbm_read=amount, hbm_write=amount, l2_read=amount, l2_write=amount),
    energy_uj=maybe(amount),
    energy_parts_uj=table_of(maybe(amount)),
    sqnr_db=maybe(number),
)
SIDES = {"scheme": maybe(SIDE), "baseline": maybe(SIDE)}
TOTAL = record(cycles=amount, time_us=amount, energy_uj=maybe(amount), energy_assumed_share=maybe(amount))


RATES = ("k0_4bit", "k0_8bit", "k0_16bit")


def tensor_unit(value):
    """0: no rate for operands of that width."""
    record(kind=text)(value)
    sizes = ("rows", "columns") if value["kind"] == "systolic" else ("m0", "n0")
    record(**dict.fromkeys(sizes, whole(1)), **dict.fromkeys(RATES, whole(0)))(value)
    if not any(value[rate] for rate in RATES):
        raise Mismatch("has no rate for any width of operands")


MACHINE = record(
    cores=whole(1),
    clock=rate,
    core=record(tensor=tensor_unit),
    hbm=record(bandwidth=rate),
    l2=record(bandwidth=rate),
)


def either_side(shape):
    def check(value):
        shape(value)
        if value["scheme"] is None and value["baseline"] is None:
            raise Mismatch("has neither a scheme's nor a baseline's result")

    return check


RUN = record(
    provenance=record(
        scheme_name=text,
        baseline_name=text,
        machine_name=text,
        machine=MACHINE,
        trace_name=text,
        version=text,
        git=text,
        seed=scalar,
        timing_only=truth,
        costs_name=text,
    ),
    gemms=list_of(
        record(
            name=text,
            position=text,
            m=whole(1),
            n=whole(1),
            k=whole(1),
            repeat=whole(1),
            scheme=SIDE,
            baseline=SIDE,
            speedup=maybe(amount),
        )
    ),
    shared=list_of(either_side(record(input=text, repeat=whole(1), **SIDES))),
    operations=list_of(either_side(record(name=text, op=text, repeat=whole(1), **SIDES))),
    total=record(scheme=TOTAL, baseline=TOTAL, speedup=maybe(amount)),
    area_mm2=record(total=maybe(amount), parts=table_of(maybe(amount)), assumed_share=maybe(amount)),
)
# What is read of a sweep (sim/sweep/README.md).
AXIS = record(path=text, type=text, values=list_of(scalar))
HEAD = record(
    sweep=text,
    description=maybe(text),
    version=text,
    git=text,
    base=record(scheme=text, baseline=text, machine=text),
    axes=list_of(AXIS),
)
# Columns of every row, besides those of the axes; then those that only points have that are ok.
COLUMNS = {
    "key": text,
    "index": whole(0),
    "status": one_of("ok", "failed", "died", "missing"),
    "error": maybe(text),
    "speedup": maybe(amount),
    "area_mm2": maybe(amount),
}
OK_COLUMNS = {}
for side in ("scheme", "baseline"):
    OK_COLUMNS |= {f"{side}_time_us": amount, f"{side}_cycles": amount, f"{side}_bound": text}
    OK_COLUMNS |= {f"{side}_energy_uj": maybe(amount)}
OPTIONAL_COLUMNS = {"scheme_sqnr_db": maybe(number), "baseline_sqnr_db": maybe(number)}
STACK = re.compile(r"(scheme|baseline)_stack_\w+")


def read_text(path, is_any=False):
    """Of a file; with is_any also of a FIFO or a device, as `<(command)` gives."""
    if not is_any and os.path.exists(path) and not (os.path.isfile(path) or os.path.isdir(path)):
        raise ResultError(f"{path}: is no file")  # a FIFO that nobody writes to would be waited for
    try:
        with open(path, "rb") as file:
            data = file.read()
    except OSError as error:
        raise ResultError(f"{path}: {error.strerror}") from error
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ResultError(f"{path}:{line}: is no UTF-8 (byte 0x{data[error.start]:02x})") from None


class Document:
    """JSON text from a file, or one line of it."""

    def __init__(self, path, words, hint, first_line=1, shape=plain):
        self.path, self.words, self.first_line = path, words, first_line
        try:
            self.value = json.loads(words)
        except json.JSONDecodeError as error:
            where, why = first_line + error.lineno - 1, f"{error.msg} in column {error.colno}"
        except RecursionError:
            where, why = first_line, "nested too deeply"
        except ValueError:  # Python reads no number of more than 4300 digits
            before = words[: re.search(r"\d{4300}", words).start()]
            where, why = first_line + before.count("\n"), "a number of more than 4300 digits"
        else:
            self.check(shape)
            return
        raise ResultError(f"{path}:{where}: is no JSON ({why}){hint}")

    def check(self, shape):
        try:
            shape(self.value)
        except Mismatch as mismatch:
            self.refuse(mismatch.place, f"{place_text(mismatch.place)} {mismatch.text}")

    def refuse(self, place, why):
        line = self.first_line + line_of(self.words, place) - 1
        raise ResultError(f"{self.path}:{line}: {why}")


def read_document(path, hint="", is_any=False):
    return Document(path, read_text(path, is_any), hint)


def check_schema(document):
    if (schema := document.value.get("schema")) != 1 or isinstance(schema, bool):
        place = ("schema",) if "schema" in document.value else ()
        document.refuse(place, f"has schema {shown(schema)}; this script reads 1")


WORKS = ("gemms", "shared", "operations")
# What any result of a run is; RUN is what figures need.
RESULT = record(
    provenance=table_of(anything),
    **dict.fromkeys(WORKS, list_of(table_of(anything))),
    total=record(speedup=maybe(number)),
    whole=table_of(anything),
)


def result_document(path, shape):
    document = read_document(path, "; oscsim run --json FILE writes what is expected", is_any=True)
    value = document.value
    if not isinstance(value, dict) or not {"provenance", "gemms", "shared", "operations", "total"} <= value.keys():
        raise ResultError(f"{path}: is no result of a run; oscsim run --json FILE writes one")
    check_schema(document)
    document.check(shape)
    return document.value


def read_result(path):
    """The JSON of a run."""
    return result_document(path, RESULT)


def read_run(path):
    """The same, with what figures need of it."""
    result = result_document(path, RUN)
    if not any(result[group] for group in WORKS):
        raise ResultError(f"{path}: the run has no work, there is nothing to show")
    return result


class Row(Document):
    """A line of results.jsonl: a flat object."""

    def __init__(self, path, line, words, folder):
        self.merge = f"; oscsim sweep merge {folder} writes it anew"
        super().__init__(path, words, self.merge, line)
        self.check(table_of(scalar))

    def check_columns(self, shapes):
        for name, shape in shapes.items():
            if name not in self.value:
                self.refuse((), f"has no column {shown(name)[1:-1]}{self.merge}")
            self.check(lambda row, name=name, shape=shape: within(name, shape, row[name]))


def documents_of(folder):
    """The lines of a merged sweep, all with the same columns, a point each."""
    path = os.path.join(folder, "results.jsonl")
    if not os.path.exists(path):
        raise ResultError(f"{folder}: has no results.jsonl; oscsim sweep merge {folder} writes it")
    lines = read_text(path).removesuffix("\n").split("\n")
    if lines == [""]:
        raise ResultError(f"{path}: holds no point")
    rows, lines_of = [], {}
    for place, line in enumerate(lines, 1):
        row = Row(path, place, line, folder)
        row.check_columns(COLUMNS)
        if rows and (odd := row.value.keys() ^ rows[0].value.keys()):
            row.refuse((), f"differs from line 1 in column {shown(min(odd))[1:-1]}{row.merge}")
        index = row.value["index"]
        if index in lines_of:
            row.refuse((), f"has index {index}, as line {lines_of[index]}{row.merge}")
        lines_of[index] = place
        rows.append(row)
    return rows


def read_rows(folder):
    return [row.value for row in documents_of(folder)]


def read_head(folder):
    """What the sweep is."""
    path = os.path.join(folder, "sweep.json")
    if not os.path.exists(path):
        raise ResultError(f"{folder}: has no sweep.json, so it is no folder of oscsim sweep")
    document = read_document(path)
    document.check(table_of(anything))
    check_schema(document)
    document.check(HEAD)
    return document.value


def read_sweep(folder):
    """(what the sweep is, its rows)"""
    head, documents = read_head(folder), documents_of(folder)
    columns = dict.fromkeys((axis["path"] for axis in head["axes"]), scalar)
    columns |= dict.fromkeys((axis["path"] + ".text" for axis in head["axes"]), maybe(text))
    first = documents[0].value
    columns |= {name: shape for name, shape in OPTIONAL_COLUMNS.items() if name in first}
    stack = {name: amount for name in first if STACK.fullmatch(name)}
    for row in documents:
        row.check_columns(columns)
        row.check_columns(OK_COLUMNS | stack if row.value["status"] == "ok" else dict.fromkeys(OK_COLUMNS, scalar))
    if all(row.value["status"] == "missing" for row in documents):
        raise ResultError(f"{folder}: none of its {len(documents)} points has run yet")
    return head, [row.value for row in documents]


def files_of(path):
    """What a script that reads a result must not overwrite: a run's JSON, or what oscsim wrote into a sweep's folder."""
    if not os.path.isdir(path):
        return [path]
    files = [os.path.join(path, name) for name in ("sweep.json", "points.jsonl", "results.jsonl", "results.csv")]
    for part in ("rows", "slurm"):
        for folder, _, names in os.walk(os.path.join(path, part)):
            files += [os.path.join(folder, name) for name in names]
    return files
