#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Installs the Debian 12 packages that are missing: those to build and run, with --develop those to test as well, with --fuzz
# those of scripts/fuzz.sh.
set -euo pipefail

packages=(g++ cmake ninja-build pkg-config git ca-certificates
  libsystemc-dev libboost-dev libyaml-cpp-dev libfmt-dev libtbb-dev nlohmann-json3-dev libcli11-dev libssl-dev zlib1g-dev libre2-dev)
if [[ "${1:-}" == --develop ]]; then
  packages+=(libgtest-dev libgmock-dev libbenchmark-dev librapidcheck-dev libdnnl-dev slurm-wlm slurm-client munge clang-format clang-tidy
    python3 python3-venv python3-torch chromium)
elif [[ "${1:-}" == --fuzz ]]; then
  packages+=(clang-14 libclang-rt-14-dev)
elif [[ $# -gt 0 ]]; then
  echo "usage: $0 [--develop | --fuzz]" >&2
  exit 2
fi

missing=()
for package in "${packages[@]}"; do
  [[ "$(dpkg-query --show --showformat='${db:Status-Status}' "$package" 2>/dev/null)" == installed ]] || missing+=("$package")
done
[[ ${#missing[@]} -eq 0 ]] && exit 0

as_root=()
if [[ $EUID -ne 0 ]]; then
  command -v sudo >/dev/null || { echo "missing packages: ${missing[*]}; install them as root" >&2; exit 2; }
  as_root=(sudo)
fi
echo "installing: ${missing[*]}" >&2
"${as_root[@]}" apt-get update -qq
DEBIAN_FRONTEND=noninteractive "${as_root[@]}" apt-get install -y -qq --no-install-recommends "${missing[@]}" >&2
