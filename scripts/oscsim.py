# SPDX-License-Identifier: Apache-2.0
"""oscsim from Python: run the program, get pandas DataFrames.

    import sys; sys.path.insert(0, "scripts")
    import oscsim
    result = oscsim.run(gemm=["2048,4096,4096,attn_in"], timing_only=True, set={"machine.core.gather.lanes": 32})
    result.speedup, result.rows
    rows = oscsim.sweep("branch_hidden", "/tmp/branch_hidden")
    rows = oscsim.load("/tmp/branch_hidden")      # or a result of oscsim run --json

pandas is in build/venv-notebook, which `scripts/python_environment.sh --notebook` makes. The program is build/oscsim,
or what the environment's OSCSIM names. A user's mistake is an Error with the program's message.
"""

import ctypes
import json
import math
import numbers
import os
import pathlib
import signal
import subprocess
import tempfile
from collections.abc import ItemsView, KeysView, Mapping, Sequence, ValuesView

import support
from figures import results

ROOT = pathlib.Path(__file__).resolve().parents[1]


class Error(support.UserError):
    """What the program said, or what is wrong with a file."""


def _end_with_parent():
    """In the child: a sweep must not go on, and keep its folder locked, when this process is killed."""
    ctypes.CDLL(None).prctl(1, signal.SIGTERM)  # PR_SET_PDEATHSIG, linux/prctl.h


def call(arguments, good=(0,)):
    """Runs the program to its end; what it printed. Other exit statuses than `good` are an Error. On Ctrl-C it is waited for: it leaves nothing half written."""
    program = os.environ.get("OSCSIM", str(ROOT / "build/oscsim"))
    command = [program, *map(str, arguments)]
    try:
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, preexec_fn=_end_with_parent
        )
    except OSError as error:
        raise Error(f"{program}: {error.strerror}; scripts/run.sh builds it, or set OSCSIM") from None
    try:
        out, message = process.communicate()
    except KeyboardInterrupt:
        process.send_signal(signal.SIGINT)
        process.communicate()
        raise
    if process.returncode not in good:
        raise Error(message.strip().removeprefix("oscsim: ") or f"{program} ended with status {process.returncode}")
    return out


def plain(value, key):
    """What JSON knows, of what notebooks have: numbers and arrays of NumPy, Series, ranges, tuples, paths (made absolute,
    for they are the caller's). `key` names the value in the TypeError or ValueError for anything else."""
    if value is None or isinstance(value, (bool, str)):
        return None if value is None else bool(value) if isinstance(value, bool) else str(value)
    if isinstance(value, os.PathLike):
        return os.path.abspath(os.fsdecode(value))
    if isinstance(value, Mapping):
        if odd := [name for name in value if not isinstance(name, str)]:
            raise TypeError(f"{key}: {odd[0]!r} is no text, so it is no key")
        return {str(name): plain(item, f"{key}.{name}" if key else name) for name, item in value.items()}
    if isinstance(value, numbers.Integral):
        return int(value)
    if isinstance(value, numbers.Real):
        if not math.isfinite(value):
            raise ValueError(f"{key}: {value} is no finite number")
        return float(value)
    if hasattr(value, "tolist") and type(listed := value.tolist()) is not type(value):  # NumPy, pandas
        return plain(listed, key)
    is_list = isinstance(value, (Sequence, KeysView, ValuesView)) and not isinstance(
        value, (bytes, bytearray, memoryview)
    )
    if is_list and not isinstance(value, ItemsView):
        return [plain(item, f"{key}[{place}]") for place, item in enumerate(value)]
    kind = type(value)
    name = kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
    allowed = "numbers, text, true and false, None, paths, and lists, ranges, arrays and dicts of them"
    raise TypeError(f"{key}: cannot take a {name}; allowed: {allowed}")


def options_of(options):
    """As the command line has them: {"timing_only": True, "set": {"a": 1}} to --timing-only --set a=1."""
    for name, value in options.items():
        option, value = "--" + name.replace("_", "-"), plain(value, name)
        if isinstance(value, bool) or value is None:
            if value:
                yield option
            continue
        if isinstance(value, dict):
            value = [f"{path}={_text(item)}" for path, item in value.items()]
        if name == "gemm" and isinstance(value, list):  # (64, 256, 512, "attn_in") is one of them
            gemms = [value] if value and isinstance(value[0], int) else value
            value = [",".join(map(_text, gemm)) if isinstance(gemm, list) else gemm for gemm in gemms]
        for item in value if isinstance(value, list) else [value]:
            yield option
            yield _text(item)


def _text(value):
    if value is None:
        return "none"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return "[" + ", ".join(map(_text, value)) + "]"
    return str(value)


class Result:
    """A result of `oscsim run`: `data` is the whole JSON, `rows` a DataFrame of GEMMs, shared work and operations."""

    def __init__(self, data):
        self.data = data
        self.rows = _rows_of(data)

    @property
    def speedup(self):
        return self.data["total"]["speedup"]

    def __repr__(self):
        speedup = "none" if self.speedup is None else f"{self.speedup:.3f}"
        return f"oscsim.Result({len(self.rows)} rows, speedup {speedup})"


def run(**options):
    """`oscsim run`; every option of it by its name: machine, scheme, trace, gemm (one or a list), set (a dict or a
    list), timing_only, layers, seed, ... A Result."""
    with tempfile.TemporaryDirectory(prefix="oscsim-") as folder:
        path = pathlib.Path(options.pop("json", None) or f"{folder}/result.json")
        call(["run", *options_of(options), "--json", path])
        return Result(_read(results.read_result, path))


def _read(read, path):
    try:
        return read(path)
    except results.ResultError as error:
        raise Error(str(error)) from None


def _write_sweep(description, folder):
    """As FOLDER.json, which is overwritten when it holds a sweep."""
    folder = pathlib.Path(os.path.abspath(folder))
    path = folder.with_name(f"{folder.name}.json")
    text = json.dumps(plain(description, ""), indent=1) + "\n"
    if path.exists():
        known = _read(results.read_document, path).value
        if not isinstance(known, dict) or "base" not in known:
            raise Error(f"{path}: is no sweep and would be overwritten by this one; take another folder")
    path.parent.mkdir(parents=True, exist_ok=True)
    support.write_whole(path, text)
    return path


def sweep_rows(sweep_file, folder, **options):
    """`oscsim sweep`, as `sweep`; the rows as dicts (needs no pandas)."""
    if isinstance(sweep_file, Mapping):
        sweep_file = _write_sweep(sweep_file, folder)
    call(["sweep", sweep_file, "-o", folder, *options_of(options)], good=(0, 1))  # 1: no point is ok; the rows say why
    return read_rows(folder)


def sweep(sweep_file, folder, **options):
    """`oscsim sweep` of a file, a name in configs/sweeps, or a dict that says what a file would (kept as FOLDER.json),
    into a folder, where the same call goes on when it was interrupted; options: jobs, shard, limit, retry_failed. A
    DataFrame."""
    return _frame_of(sweep_rows(sweep_file, folder, **options), folder)


def read_rows(folder):
    return _read(results.read_rows, folder)


def load(path):
    """The DataFrame of a sweep's folder, or of a result that `oscsim run --json` wrote. `attrs` holds what the run was
    ("sweep", or "provenance", "total" and "whole")."""
    path = pathlib.Path(path)
    return _frame_of(read_rows(path), path) if path.is_dir() else _rows_of(_read(results.read_result, path))


def _frame_of(rows, folder):
    import pandas

    frame = pandas.DataFrame(rows)
    frame.attrs["sweep"] = _read(results.read_head, folder)
    return frame


def _rows_of(data):
    """One row for each GEMM, piece of shared work and operation; nested values by path: scheme_cycle_stack_tensor."""
    import pandas

    kinds = {"gemm": "gemms", "shared": "shared", "operation": "operations"}
    rows = [{"kind": kind, **row} for kind, key in kinds.items() for row in data[key]]
    frame = pandas.json_normalize(rows, sep="_")
    frame.attrs = {key: data[key] for key in ("provenance", "total", "whole")}
    return frame
