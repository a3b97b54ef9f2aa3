#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Hostile inputs for the readers of outside text and bytes (tests/fuzz/reader.h), by libFuzzer under the address and
# undefined-behaviour sanitizers: machines, schemes, traces, sweeps, tables, config.json, safetensors, .npy, CSV, ...
# A reader is done when it has had BOTH so many inputs and so many seconds. Needs clang-14 and libclang-rt-14-dev, and
# installs them where they are missing. Corpora grow in build/fuzz/corpus; an input that fails stays in
# build/fuzz/findings, and the line that is printed repeats the failure.
set -euo pipefail
cd "$(dirname "$0")/.."

usage() {
  echo "usage: $0 [READER|all] [--seconds N] [--runs N]    default: all, 900 seconds and 10000000 inputs each" >&2
  exit 2
}
reader=all seconds=900 runs=10000000
while [[ $# -gt 0 ]]; do
  case "$1" in
    --seconds | --runs)
      [[ "${2:-}" =~ ^[0-9]{1,12}$ ]] || usage
      declare "${1#--}=$2"
      shift
      ;;
    -*) usage ;;
    *) reader=$1 ;;
  esac
  shift
done

scripts/install_dependencies.sh --fuzz
out=build/fuzz
mkdir -p "$out/corpus" "$out/findings" "$out/logs"
{ cmake -S . -B "$out" -G Ninja -DCMAKE_CXX_COMPILER=clang++-14 -DCMAKE_BUILD_TYPE=Debug -DOSCSIM_SANITIZE=ON \
    -DOSCSIM_TESTS=OFF -DOSCSIM_FUZZERS=ON -DOSCSIM_BENCHMARKS=OFF \
    -DCMAKE_CXX_FLAGS_DEBUG="-O1 -g1 -fsanitize=fuzzer-no-link" &&
  ninja -C "$out" fuzz_readers libfuzzer_readers; } >"$out/build.log" 2>&1 || { cat "$out/build.log" >&2; exit 3; }

# Runs the fuzzer with further options; adds the inputs that it had to `inputs`.
fuzz() {
  local log=$out/logs/$1.log
  # SystemC and TBB keep memory to the end of the process.
  OSCSIM_READER=$1 ASAN_OPTIONS=detect_leaks=0:allocator_may_return_null=1 UBSAN_OPTIONS=print_stacktrace=1 \
    "$out/bin/libfuzzer_readers" "$out/corpus/$1" -dict="$out/corpus/$1.dict" -max_len="$2" -timeout=20 -rss_limit_mb=4096 \
    -artifact_prefix="$out/findings/$1-" -print_final_stats=1 "${@:3}" >"$log" 2>&1 ||
    { echo "$1: FAILED"; tail -n 40 "$log"; echo "again: OSCSIM_READER=$1 $out/bin/libfuzzer_readers $out/findings/$1-..."; return 1; }
  inputs=$((inputs + $(sed -n 's/^stat::number_of_executed_units: *//p' "$log")))
}

one() {
  local inputs=0 start=$SECONDS
  mkdir -p "$out/corpus/$1"
  "$out/bin/fuzz_readers" "$1" --write "$out/corpus/$1"
  # libFuzzer takes 0 for no limit.
  if [[ $seconds -gt 0 ]]; then fuzz "$1" "$2" -max_total_time="$seconds" || return 1; fi
  if [[ $inputs -lt $runs ]]; then fuzz "$1" "$2" -runs="$((runs - inputs))" || return 1; fi
  echo "$1: $inputs inputs in $((SECONDS - start)) s, nothing found"
}
export -f one fuzz
export out seconds runs

"$out/bin/fuzz_readers" --list | awk -v reader="$reader" 'reader == "all" || $1 == reader' >"$out/readers"
[[ -s "$out/readers" ]] || { echo "no reader '$reader'; there are:" $("$out/bin/fuzz_readers" --list | cut -d' ' -f1) >&2; exit 2; }
xargs -P "$(nproc)" -L 1 bash -c 'one "$1" "$2"' one <"$out/readers"
