# SPDX-License-Identifier: Apache-2.0
"""Reads what is to be shown: the JSON of `oscsim run`, or the folder of a sweep."""

import json
import os
import re


class ResultError(Exception):
    """The user's mistake; the text says what to do."""


# Frequencies in Hz and bandwidths in B/s, as sim/config/units.cpp has them.
UNITS = {"Hz": 1, "kHz": 1e3, "MHz": 1e6, "GHz": 1e9, "B/s": 1, "kB/s": 1e3, "MB/s": 1e6, "GB/s": 1e9, "TB/s": 1e12}
UNITS |= {"KiB/s": 2**10, "MiB/s": 2**20, "GiB/s": 2**30, "TiB/s": 2**40}


def quantity(text):
    """'1.65GHz' -> 1.65e9."""
    match = re.fullmatch(r"([0-9.]+(?:e[+-]?[0-9]+)?)(\D+)", str(text))
    if not match or match[2] not in UNITS:
        raise ResultError(f"'{text}' in the provenance is no frequency and no bandwidth")
    return float(match[1]) * UNITS[match[2]]


def read_json(path):
    try:
        with open(path, encoding="utf-8") as file:
            return json.load(file)
    except OSError as error:
        raise ResultError(f"{path}: {error.strerror}") from error
    except ValueError as error:
        raise ResultError(f"{path}: is no JSON ({error}); oscsim run --json FILE writes what is expected") from error


def read_run(path):
    result = read_json(path)
    if not isinstance(result, dict) or not {"provenance", "gemms", "shared", "operations", "total"} <= result.keys():
        raise ResultError(f"{path}: is no result of a run; oscsim run --json FILE writes one")
    if result.get("schema") != 1:
        raise ResultError(f"{path}: has schema {result.get('schema')}; this script reads 1")
    if not any(result[group] for group in ("gemms", "operations", "shared")):
        raise ResultError(f"{path}: the run has no work, there is nothing to show")
    return result


# What figures of sweeps are made of, besides the axes (sim/sweep/README.md).
COLUMNS = ["key", "index", "status", "error", "speedup", "area_mm2"]
COLUMNS += [f"{side}_{name}" for side in ("scheme", "baseline") for name in ("time_us", "cycles", "energy_uj", "bound")]


def read_rows(path):
    rows = []
    with open(path, encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
            try:
                rows.append(json.loads(line))
            except ValueError as error:
                raise ResultError(f"{path}:{number}: is no JSON; oscsim sweep merge writes the file anew") from error
    return rows


def read_sweep(folder):
    """(what the sweep is, its rows)"""
    head = os.path.join(folder, "sweep.json")
    if not os.path.exists(head):
        raise ResultError(f"{folder}: has no sweep.json, so it is no folder of oscsim sweep")
    merged = os.path.join(folder, "results.jsonl")
    if not os.path.exists(merged):
        raise ResultError(f"{folder}: has no results.jsonl; oscsim sweep merge {folder} writes it")
    sweep = read_json(head)
    if sweep.get("schema") != 1:
        raise ResultError(f"{head}: has schema {sweep.get('schema')}; this script reads 1")
    rows = read_rows(merged)
    if not rows:
        raise ResultError(f"{merged}: holds no point")
    wanted = [*COLUMNS, *(axis["path"] + suffix for axis in sweep["axes"] for suffix in ("", ".text"))]
    if absent := [name for name in wanted if any(name not in row for row in rows)]:
        raise ResultError(f"{merged}: has no column {absent[0]}; oscsim sweep merge {folder} writes it anew")
    if all(row["status"] == "missing" for row in rows):
        raise ResultError(f"{folder}: none of its {len(rows)} points has run yet")
    return sweep, rows
