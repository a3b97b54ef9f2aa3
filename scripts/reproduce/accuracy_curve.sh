#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Draws SQNR against density and magnitude of the outliers; see accuracy_curve.py, which gets the arguments.
exec "$(dirname "$0")/../python_environment.sh" --figures "$(dirname "$0")/accuracy_curve.py" "$@"
