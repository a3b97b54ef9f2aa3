# SPDX-License-Identifier: Apache-2.0
"""What report.py and plot.py share: their arguments, their errors."""

import argparse
import os
import sys

from figures.results import ResultError


def parsed_arguments(description, output):
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("result", metavar="RESULT", help="JSON of oscsim run, or folder of oscsim sweep")
    parser.add_argument("-o", dest="output", required=True, metavar=output[0], help=output[1])
    return parser


def main(show):
    """Calls it; the user's mistakes end with exit status 2."""
    try:
        show()
    except ResultError as error:
        print(f"{os.path.basename(sys.argv[0])}: {error}", file=sys.stderr)
        sys.exit(2)
