#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The long run of the property test: 10^8 outputs of random products, formats, kernels and threads, each bit compared
# with the scalar reference. About a quarter of an hour. Arguments go to oscsim_property (--seed 7 --outputs 1000000).
set -euo pipefail
cd "$(dirname "$0")/.."

scripts/install_dependencies.sh --develop
mkdir -p build
{ cmake -S . -B build -G Ninja -DCMAKE_BUILD_TYPE=Release -DOSCSIM_TESTS=ON && ninja -C build oscsim_property; } \
  >build/build.log 2>&1 || { cat build/build.log >&2; exit 3; }
if [[ $# -eq 0 ]]; then set -- --outputs 100000000; fi
exec build/bin/oscsim_property "$@"
