#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The figures of a run or a sweep for papers: PDF (fonts embedded) and PNG, one or two columns wide.

    plot.py RESULT.json -o folder    what `oscsim run --json RESULT.json` wrote
    plot.py DIR -o folder            the folder of `oscsim sweep`, merged

They show the data of report.py's page. Runs itself in build/venv-figures, which scripts/python_environment.sh makes
when it is missing.
"""

import os
import sys

sys.dont_write_bytecode = True  # nothing is written to the source tree

import support  # noqa: E402

support.begin()
from figures import command  # noqa: E402
from figures.reports import report_of  # noqa: E402
from figures.results import ResultError, files_of  # noqa: E402

try:
    from figures import paper
except ImportError as missing:
    support.rerun(__file__, "figures", missing)


def show():
    arguments = command.parsed_arguments(__doc__, ("FOLDER", "for the figures; made when it is missing")).parse_args()
    inputs = files_of(arguments.result)
    support.check_outputs([arguments.output], inputs)
    report = report_of(arguments.result)
    if not report.figures:
        raise ResultError(f"{arguments.result}: no point is ok, there is nothing to plot; report.py lists the errors")
    support.check_outputs(paper.paths_of(report, arguments.output), inputs)
    os.makedirs(arguments.output, exist_ok=True)
    print("\n".join(paper.write(report, arguments.output)))


if __name__ == "__main__":
    support.run(lambda: support.status_of(show, "plot.py"))
