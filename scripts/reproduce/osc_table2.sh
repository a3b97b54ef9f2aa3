#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The speed-up table of arXiv 2604.12782 (OSC over W8A8), simulated on the idealised machine `paper`, beside the paper's values.
# OSCSIM names another program than build/oscsim. Exit status 1 when an end of a row is off by more than 0.01, or a compute-bound value differs in four digits.
set -euo pipefail
cd "$(dirname "$0")/../.."
oscsim=${OSCSIM:-build/oscsim}
[[ -x $oscsim ]] || { echo "$oscsim is not there: run scripts/run.sh first" >&2; exit 2; }

csv=$(mktemp --suffix=.csv)
trap 'rm -f "$csv"' EXIT

# Shapes (m n k, one a line) on standard input to the smallest and the largest speed-up.
range() {
  local group=$1 shapes=()
  while read -r m n k; do shapes+=(--gemm "$m,$n,$k"); done
  "$oscsim" run --machine paper --scheme osc --baseline w8a8 --timing-only --set "scheme.outliers.group=$group" \
    "${shapes[@]}" --csv "$csv" >/dev/null
  awk -F, '!column { for (i = 1; i <= NF; i++) if ($i == "speedup") column = i; next }
           $1 == "gemm" { v = $column; if (!n++ || v < low) low = v; if (v > high) high = v }
           END { printf "%.4f %.4f\n", low, high }' "$csv"
}

small() { for m in 16 32 64; do for k in 2048 4096; do for n in 512 768 2048 4096 12288; do echo "$m $n $k"; done; done; done; }
large() { for m in 128 2048 8192; do for k in 2048 4096; do for n in 2048 12288; do echo "$m $n $k"; done; done; done; }

status=0
printf '%-6s %-28s %-28s\n' '' 'M = 16..64' 'M >= 128'
printf '%-6s %-14s %-13s %-14s %-13s\n' group simulated paper simulated paper
while read -r group low high bound exact; do
  read -r small_low small_high < <(small | range "$group")
  read -r large_low large_high < <(large | range "$group")
  printf '%-6s %-14s %-13s %-14s %-13s\n' "$group" "$(printf '%.3f-%.3f' "$small_low" "$small_high")" "$low-$high" \
    "$([[ $large_low == "$large_high" ]] && echo "$large_low" || echo "$large_low-$large_high")" "$bound"
  awk -v a="$small_low" -v b="$low" -v c="$small_high" -v d="$high" \
    'function off(x, y) { return x > y ? x - y : y - x } BEGIN { exit off(a, b) > 0.01 || off(c, d) > 0.01 }' || status=1
  [[ $large_low == "$exact" && $large_high == "$exact" ]] || status=1
done <<'TABLE'
16 1.50 1.59 1.60 1.6000
32 1.64 1.76 1.78 1.7778
64 1.72 1.86 1.88 1.8824
TABLE
[[ $status -eq 0 ]] && echo "agrees" || echo "DIFFERS"
exit $status
