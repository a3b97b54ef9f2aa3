#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Every figure and table, compared with its expected values: all.py, whose --help says more.
exec python3 -B "$(dirname "$0")/all.py" "$@"
