#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Hostile tensor files for so many seconds (default 600): safetensors, .npy and checkpoint indices, by libFuzzer under
# the address and undefined-behaviour sanitizers. Needs clang-14 and libclang-rt-14-dev, and installs them where they
# are missing. The corpus grows in build/fuzz/corpus; an input that fails stays in build/fuzz, and running
# build/fuzz/tensor_files_fuzzer on it repeats the failure.
set -euo pipefail
cd "$(dirname "$0")/.."
seconds=${1:-600}
[[ "$seconds" =~ ^[1-9][0-9]*$ ]] || { echo "usage: $0 [SECONDS]" >&2; exit 2; }

scripts/install_dependencies.sh --fuzz
out=build/fuzz
mkdir -p "$out/corpus"
# Only what the readers need: no CMake build of the whole project with a second compiler.
sources=(tests/fuzz/{hostile_files,tensor_files,tensor_files_fuzzer}.cpp models/base/error.cpp
  sim/workload/{safetensors,npy,weight_map,json_text,mapped_file}.cpp sim/config/{files,atomic_file,units,node,problems}.cpp)
sanitizers=(-fsanitize=address,undefined -fno-sanitize-recover=undefined)
rm -f "$out"/*.o
printf '%s\n' "${sources[@]}" | xargs -P "$(nproc)" -I{} sh -c 'clang++-14 "$@" -c {} -o '"$out"'/$(basename {} .cpp).o' sh \
  -std=c++20 -O1 -g1 -I. -DOSCSIM_SOURCE_ROOT="\"$PWD\"" "${sanitizers[@]}" -fsanitize=fuzzer-no-link
mains=("$out/tensor_files.o" "$out/tensor_files_fuzzer.o")
readers=()
for object in "$out"/*.o; do [[ " ${mains[*]} " == *" $object "* ]] || readers+=("$object"); done
clang++-14 "${sanitizers[@]}" -fsanitize=fuzzer-no-link "${readers[@]}" "${mains[0]}" -lfmt -o "$out/tensor_files"
clang++-14 "${sanitizers[@]}" -fsanitize=fuzzer "${readers[@]}" "${mains[1]}" -lfmt -o "$out/tensor_files_fuzzer"
"$out/tensor_files" --write "$out/corpus"
exec "$out/tensor_files_fuzzer" "$out/corpus" -max_total_time="$seconds" -max_len=4096 -timeout=10 -rss_limit_mb=2048 \
  -artifact_prefix="$out/" -print_final_stats=1
