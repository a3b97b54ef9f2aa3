#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The long runs of the property tests: 50 sweeps whose workers and parents are killed at random moments, a sweep as
# Parquet, every figure and table in full (scripts/reproduce), the invariants of 10,000 random machines, GEMMs and
# schemes, then 10^8 outputs of random products, formats, kernels and threads, each bit compared with the scalar
# reference. About 40 minutes.
# Arguments go to oscsim_property (--seed 7 --outputs 1000000), which then runs alone.
set -euo pipefail
cd "$(dirname "$0")/.."

scripts/install_dependencies.sh --develop
mkdir -p build
{ cmake -S . -B build -G Ninja -DCMAKE_BUILD_TYPE=Release -DOSCSIM_TESTS=ON && ninja -C build oscsim oscsim_property machine_properties; } \
  >build/build.log 2>&1 || { cat build/build.log >&2; exit 3; }
if [[ $# -eq 0 ]]; then
  OSCSIM_SWEEP_KILLS=50 python3 -B tests/cli/sweep_test.py build/oscsim .
  folder=$(mktemp -d)
  trap 'rm -rf "$folder"' EXIT
  build/oscsim sweep ten_parameters -o "$folder" --limit 10
  scripts/to_parquet.py "$folder"
  scripts/reproduce/all.sh --full
  RC_PARAMS="max_success=10000" build/bin/machine_properties
  set -- --outputs 100000000
fi
exec build/bin/oscsim_property "$@"
