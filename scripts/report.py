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

support.begin()
from figures import command  # noqa: E402
from figures.reports import report_of  # noqa: E402
from figures.results import files_of  # noqa: E402

try:
    from figures.page import page_of
except ImportError as missing:
    support.rerun(__file__, "figures", missing)


def show():
    arguments = command.parsed_arguments(__doc__, ("FILE", "the page")).parse_args()
    support.check_outputs([arguments.output], files_of(arguments.result))
    support.write_whole(arguments.output, page_of(report_of(arguments.result)))
    if not support.is_standard_output(arguments.output):
        print(arguments.output)


if __name__ == "__main__":
    support.run(lambda: support.status_of(show, "report.py"))
