#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Makes build/venv with the packages of tests/requirements.txt when it is missing or they have changed, then runs its
# Python with the arguments, if there are any. Needs the network (PyPI) only when it makes something.
# With --extra NAME first: build/venv-NAME and scripts/requirements_NAME.txt, what only some scripts need.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
venv=$root/build/venv
requirements=$root/tests/requirements.txt
if [[ "${1:-}" == --extra ]]; then
  venv=$root/build/venv-$2
  requirements=$root/scripts/requirements_$2.txt
  shift 2
fi

make_environment() {
  echo "python environment: installing $requirements into $venv" >&2
  rm -rf "$venv"
  if ! python3 -m venv "$venv" >"$venv.log" 2>&1; then
    cat "$venv.log" >&2
    echo "python environment: python3 -m venv failed; scripts/install_dependencies.sh --develop installs it" >&2
    return 1
  fi
  if ! "$venv/bin/pip" install --quiet --disable-pip-version-check --require-hashes --only-binary :all: \
    --requirement "$requirements" >"$venv.log" 2>&1; then
    tail -n 5 "$venv.log" >&2
    echo "python environment: pip could not install $requirements: it needs PyPI (or PIP_FIND_LINKS with the wheels)" \
      "and CPython 3.11; this one is $("$venv/bin/python" --version)" >&2
    return 1
  fi
  cp "$requirements" "$venv/installed.txt"
}

mkdir -p "$root/build"
exec 9>"$venv.lock"
flock 9  # tests run in parallel
cmp -s "$requirements" "$venv/installed.txt" || make_environment
exec 9>&-
if [[ $# -gt 0 ]]; then exec "$venv/bin/python" -B "$@"; fi
