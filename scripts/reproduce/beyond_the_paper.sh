#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# What arXiv 2604.12782 leaves out, in one table: beyond_the_paper.py, whose --help says more.
exec python3 "$(dirname "$0")/beyond_the_paper.py" "$@"
