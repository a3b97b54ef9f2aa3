#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The merged rows of a sweep as Parquet: DIR/results.jsonl to DIR/results.parquet.

usage: to_parquet.py DIR

Runs itself in build/venv-parquet (pyarrow), which scripts/python_environment.sh makes when it is missing. What the sweep
is (DIR/sweep.json) stands in the file's metadata under "oscsim". Columns without any value are of type string.
"""

import os
import sys

sys.dont_write_bytecode = True  # nothing is written to the source tree

import support  # noqa: E402

support.begin()
from figures.results import ResultError, files_of, read_head, read_rows  # noqa: E402

try:
    import pyarrow
    from pyarrow import json, parquet
except ImportError as missing:
    support.rerun(__file__, "parquet", missing)


def table_of(folder):
    path = os.path.join(folder, "results.jsonl")
    read_head(folder)
    read_rows(folder)
    try:
        table = json.read_json(path)
    except pyarrow.ArrowException as error:  # a column has text in one line and numbers in another
        raise ResultError(f"{path}: {error}") from error
    for index, field in enumerate(table.schema):
        if pyarrow.types.is_null(field.type):
            table = table.set_column(index, field.name, pyarrow.nulls(len(table), pyarrow.string()))
    with open(os.path.join(folder, "sweep.json"), "rb") as file:
        return table.replace_schema_metadata({"oscsim": file.read()})


def convert():
    if len(sys.argv) != 2 or sys.argv[1] in ("-h", "--help"):
        sys.exit(__doc__)
    folder = sys.argv[1]
    path = os.path.join(folder, "results.parquet")
    support.check_outputs([path], files_of(folder))
    table = table_of(folder)
    with support.whole_file(path) as file:
        parquet.write_table(table, file)
    print(f"{len(table)} rows, {table.num_columns} columns\n{path}")


if __name__ == "__main__":
    support.run(lambda: support.status_of(convert, "to_parquet.py"))
