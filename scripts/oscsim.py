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
import os
import pathlib
import signal
import subprocess
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[1]


class Error(Exception):
    """What the program said."""


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


def options_of(options):
    """As the command line has them: {"timing_only": True, "set": {"a": 1}} to --timing-only --set a=1."""
    for name, value in options.items():
        option = "--" + name.replace("_", "-")
        if isinstance(value, bool) or value is None:
            if value:
                yield option
            continue
        if isinstance(value, dict):
            value = [f"{path}={_text(item)}" for path, item in value.items()]
        for item in value if isinstance(value, (list, tuple)) else [value]:
            yield option
            yield _text(item)


def _text(value):
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (list, tuple)):
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
        return f"oscsim.Result({len(self.rows)} rows, speedup {self.speedup:.3f})"


def run(**options):
    """`oscsim run`; every option of it by its name: machine, scheme, trace, gemm (one or a list), set (a dict or a
    list), timing_only, layers, seed, ... A Result."""
    with tempfile.TemporaryDirectory(prefix="oscsim-") as folder:
        path = pathlib.Path(options.pop("json", None) or f"{folder}/result.json")
        call(["run", *options_of(options), "--json", path])
        return Result(json.loads(path.read_text()))


def sweep_rows(sweep_file, folder, **options):
    """`oscsim sweep`, as `sweep`; the rows as dicts (needs no pandas)."""
    if isinstance(sweep_file, dict):
        path = pathlib.Path(f"{folder}.json")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(sweep_file, indent=1) + "\n")
        sweep_file = path
    call(["sweep", sweep_file, "-o", folder, *options_of(options)], good=(0, 1))  # 1: no point is ok; the rows say why
    return read_rows(folder)


def sweep(sweep_file, folder, **options):
    """`oscsim sweep` of a file, a name in configs/sweeps, or a dict that says what a file would (kept as FOLDER.json),
    into a folder, where the same call goes on when it was interrupted; options: jobs, shard, limit, retry_failed. A
    DataFrame."""
    return _frame_of(sweep_rows(sweep_file, folder, **options), folder)


def read_rows(folder):
    path = pathlib.Path(folder) / "results.jsonl"
    try:
        with path.open() as file:
            return [json.loads(line) for line in file]
    except OSError as error:
        raise Error(f"{path}: {error.strerror}; oscsim sweep merge {folder} writes it") from None


def load(path):
    """The DataFrame of a sweep's folder, or of a result that `oscsim run --json` wrote. `attrs` holds what the run was
    ("sweep", or "provenance", "total" and "whole")."""
    path = pathlib.Path(path)
    if path.is_dir():
        return _frame_of(read_rows(path), path)
    try:
        data = json.loads(path.read_text())
        return _rows_of(data)
    except OSError as error:
        raise Error(f"{path}: {error.strerror}") from None
    except (ValueError, KeyError, TypeError):
        raise Error(f"{path}: neither a result of oscsim run --json nor a folder of oscsim sweep") from None


def _frame_of(rows, folder):
    import pandas

    frame = pandas.DataFrame(rows)
    frame.attrs["sweep"] = json.loads((pathlib.Path(folder) / "sweep.json").read_text())
    return frame


def _rows_of(data):
    """One row for each GEMM, piece of shared work and operation; nested values by path: scheme_cycle_stack_tensor."""
    import pandas

    kinds = {"gemm": "gemms", "shared": "shared", "operation": "operations"}
    rows = [{"kind": kind, **row} for kind, key in kinds.items() for row in data[key]]
    frame = pandas.json_normalize(rows, sep="_")
    frame.attrs = {key: data[key] for key in ("provenance", "total", "whole")}
    return frame
