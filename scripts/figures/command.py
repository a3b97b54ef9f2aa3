# SPDX-License-Identifier: Apache-2.0
"""The arguments of report.py and plot.py."""

import argparse


def parsed_arguments(description, output):
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("result", metavar="RESULT", help="JSON of oscsim run, or folder of oscsim sweep")
    parser.add_argument("-o", dest="output", required=True, metavar=output[0], help=output[1])
    return parser
