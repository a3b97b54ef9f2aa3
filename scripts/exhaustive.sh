#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Casts all 2^32 floats to every element type, by the definition and by the fast casts, and compares the codes with
# ml_dtypes, numpy and a table of rounding boundaries. Minutes. Arguments go to tests/oracle/exhaustive_casts.py
# (--types e4m3,bf16 --jobs 1).
set -euo pipefail
cd "$(dirname "$0")/.."

scripts/install_dependencies.sh --develop
mkdir -p build
{ cmake -S . -B build -G Ninja -DCMAKE_BUILD_TYPE=Release -DOSCSIM_TESTS=ON && ninja -C build oscsim_cast_stream; } \
  >build/build.log 2>&1 || { cat build/build.log >&2; exit 3; }
exec scripts/python_environment.sh tests/oracle/exhaustive_casts.py build/bin/oscsim_cast_stream --full "$@"
