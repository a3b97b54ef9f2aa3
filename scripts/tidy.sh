#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# clang-tidy (names and a few bug patterns, see .clang-tidy) over the files that are given, or over all that git knows: those
# of the sanitizer build in its large translation units, which read the common headers once, the rest one by one.
set -euo pipefail
cd "$(dirname "$0")/.."

[[ -f build/compile_commands.json ]] || { echo "no build/compile_commands.json: run scripts/test.sh or scripts/run.sh first" >&2; exit 2; }

# tidy DATABASE FILES...
tidy() {
  local database=$1
  shift
  # Flags that clang does not know come from GCC's compile commands.
  printf '%s\n' "$@" | xargs -P "$(nproc)" -n 1 clang-tidy -p "$database" --quiet --config-file=.clang-tidy \
    --extra-arg=-Wno-unknown-warning-option --extra-arg=-Wno-unused-command-line-argument 2>/dev/null
}

if [[ $# -gt 0 ]]; then
  tidy build "$@"
  exit
fi
status=0
mapfile -t rest < <(git ls-files --cached --others --exclude-standard '*.cpp')
if [[ -f build/asan/compile_commands.json ]]; then
  mapfile -t units < <(sed -n 's/^ *"file": "\(.*\)",\?$/\1/p' build/asan/compile_commands.json | sort -u)
  tidy build/asan "${units[@]}" || status=1
  # A unit is a source file, or a list of #include lines.
  mapfile -t rest < <(comm -23 <(printf '%s\n' "${rest[@]}" | sort) \
    <({ printf '%s\n' "${units[@]}"; sed -n 's/^#include "\(.*\.cpp\)"$/\1/p' "${units[@]}"; } | sed "s|^$PWD/||" | sort -u))
fi
tidy build "${rest[@]}" || status=1
exit $status
