#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# From a fresh Debian 12 machine to the report of one Qwen3-8B layer at 2048 tokens: OSC against W8A8, with outputs.
# Arguments replace that choice: scripts/run.sh --trace qwen3_30b_a3b_decode --timing-only
set -euo pipefail
cd "$(dirname "$0")/.."

scripts/install_dependencies.sh
mkdir -p build
if [[ ! -f build/build.ninja ]]; then
  echo "configuring in build/ (log: build/configure.log)" >&2
  # Tests and benchmarks need more packages: scripts/test.sh turns them on.
  cmake -S . -B build -G Ninja -DCMAKE_BUILD_TYPE=Release -DOSCSIM_TESTS=OFF >build/configure.log 2>&1 ||
    { cat build/configure.log >&2; exit 3; }
fi
echo "building build/oscsim" >&2
ninja -C build oscsim >build/build.log 2>&1 || { cat build/build.log >&2; exit 3; }

if [[ $# -eq 0 ]]; then set -- --layers 0; fi
exec build/oscsim run "$@"
