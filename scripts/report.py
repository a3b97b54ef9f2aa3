#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""One HTML page that shows a run or a sweep: figures, tables, provenance.

    report.py RESULT.json -o report.html    what `oscsim run --json RESULT.json` wrote
    report.py DIR -o report.html            the folder of `oscsim sweep`, merged

The page has plotly.js in it (4.8 MB) and opens from disk without a network. Runs itself in build/venv-figures, which
scripts/python_environment.sh makes when it is missing.
"""

import sys

sys.dont_write_bytecode = True  # nothing is written to the source tree

import support  # noqa: E402
from figures import command  # noqa: E402
from figures.reports import report_of  # noqa: E402
from figures.results import ResultError  # noqa: E402

try:
    from figures.page import page_of
except ImportError as missing:
    support.rerun(__file__, "figures", missing)


def show():
    arguments = command.parsed_arguments(__doc__, ("FILE", "the page")).parse_args()
    page = page_of(report_of(arguments.result))
    try:
        with support.whole_file(arguments.output) as part:
            with open(part, "w", encoding="utf-8", errors="replace") as file:
                file.write(page)
    except OSError as error:
        raise ResultError(f"{arguments.output}: {error.strerror}") from error
    print(arguments.output)


if __name__ == "__main__":
    command.main(show)
