#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The gate: installs what is missing, builds with warnings as errors, runs every test in Release and under the address
# and undefined-behaviour sanitizers, and checks format and names. Ends with the line `N passed, N failed`.
# OSCSIM_GATE_STEPS picks steps: any of format release asan tidy (default: all, in this order).
set -uo pipefail
cd "$(dirname "$0")/.."

passed=0
failed=0

say() { printf '\n== %s\n' "$*"; }

# A step that counts as one test.
check() {
  local name=$1
  shift
  if "$@"; then
    passed=$((passed + 1))
    echo "ok: $name"
  else
    failed=$((failed + 1))
    echo "FAILED: $name"
  fi
}

# Every ctest counts for itself.
run_ctest() {
  local folder=$1
  local log=$folder/ctest.log
  ctest --test-dir "$folder" --output-on-failure -j "$(($(nproc) + 1))" >"$log" 2>&1
  local summary
  summary=$(grep -E '[0-9]+ tests? failed out of [0-9]+' "$log")
  if [[ -z "$summary" ]]; then
    tail -n 40 "$log"
    failed=$((failed + 1))
    return
  fi
  local bad total
  bad=$(sed -E 's/.* ([0-9]+) tests? failed out of.*/\1/' <<<"$summary")
  total=$(sed -E 's/.*failed out of ([0-9]+).*/\1/' <<<"$summary")
  passed=$((passed + total - bad))
  failed=$((failed + bad))
  if [[ $bad -gt 0 ]]; then grep -vE '^ *[0-9]+/[0-9]+ Test.*Passed' "$log"; fi
  echo "$folder: $summary"
}

configure_and_build() {
  local folder=$1
  shift
  mkdir -p "$folder"
  cmake -S . -B "$folder" -G Ninja -DOSCSIM_TESTS=ON -DOSCSIM_WERROR=ON "$@" >"$folder/configure.log" 2>&1 ||
    { cat "$folder/configure.log"; return 1; }
  ninja -C "$folder" >"$folder/build.log" 2>&1 || { grep -vE '^\[[0-9]+/[0-9]+\]' "$folder/build.log"; return 1; }
}

sources() { git ls-files --cached --others --exclude-standard '*.cpp' '*.h'; }

step_format() {
  say "format"
  check "clang-format" bash -c 'xargs clang-format --dry-run --Werror' < <(sources)
  check "no generated file in the tree" test -z "$(git ls-files build)"
}

step_release() {
  say "release build and tests"
  check "release build" configure_and_build build -DCMAKE_BUILD_TYPE=Release -DOSCSIM_BENCHMARKS=ON \
    -DOSCSIM_UNITY_TESTS=ON
  run_ctest build
}

step_asan() {
  say "sanitizer build and tests"
  # SystemC and TBB keep memory to the end of the process: leaks are not looked for.
  export ASAN_OPTIONS=detect_leaks=0 UBSAN_OPTIONS=print_stacktrace=1
  # -g1: stack traces need lines, not variables; a fifth of the compile time. Unity: half of it. A name that two files of a
  # target have in their unnamed namespaces is an error here: share it, or call the two things by two names. What a source
  # file forgets to include is found by the release build.
  check "sanitizer build" configure_and_build build/asan -DCMAKE_BUILD_TYPE=Debug -DCMAKE_CXX_FLAGS_DEBUG=-g1 \
    -DOSCSIM_SANITIZE=ON -DOSCSIM_BENCHMARKS=OFF -DCMAKE_UNITY_BUILD=ON -DCMAKE_UNITY_BUILD_BATCH_SIZE=0
  run_ctest build/asan
}

step_tidy() {
  say "clang-tidy"
  check "clang-tidy" scripts/tidy.sh
}

check "dependencies" scripts/install_dependencies.sh --develop
check "python environment" scripts/python_environment.sh
for step in ${OSCSIM_GATE_STEPS:-format release asan tidy}; do
  "step_$step"
done

echo
echo "$passed passed, $failed failed"
[[ $failed -eq 0 ]]
