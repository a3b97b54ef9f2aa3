#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# clang-tidy (names and a few bug patterns, see .clang-tidy) over the files that git knows, or those given.
set -euo pipefail
cd "$(dirname "$0")/.."

[[ -f build/compile_commands.json ]] || { echo "no build/compile_commands.json: run scripts/test.sh or scripts/run.sh first" >&2; exit 2; }
if [[ $# -gt 0 ]]; then files=("$@"); else mapfile -t files < <(git ls-files --cached --others --exclude-standard '*.cpp'); fi
# Flags that clang does not know come from GCC's compile commands.
printf '%s\n' "${files[@]}" | xargs -P "$(nproc)" -n 4 clang-tidy -p build --quiet \
  --extra-arg=-Wno-unknown-warning-option --extra-arg=-Wno-unused-command-line-argument 2>/dev/null
