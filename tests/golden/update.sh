#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Shows what changed against golden.csv and rewrites it.
exec python3 "$(dirname "$0")/golden.py" "$(dirname "$0")/../../build/oscsim" --update
