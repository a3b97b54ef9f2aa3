#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Makes a Python environment when it is missing or its requirements have changed, then runs its Python with the arguments,
# if there are any. Needs the network (PyPI) only when it makes something.
#   (no option)  build/venv           tests/requirements.txt
#   --torch      build/venv-torch     tests/requirements_torch.txt on Debian's python3-torch
#   --capture    build/venv-capture   scripts/capturing/requirements.txt: torch and transformers, about 3 GB
#   --figures    build/venv-figures   scripts/requirements_figures.txt: plotly, jinja2, matplotlib
#   --notebook   build/venv-notebook  scripts/requirements_notebook.txt: pandas
#   --optimise   build/venv-optimise  scripts/requirements_optimise.txt: Optuna
#   --parquet    build/venv-parquet   scripts/requirements_parquet.txt: pyarrow
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
venv=$root/build/venv
requirements=$root/tests/requirements.txt
python=python3
options=()
case "${1:-}" in
  --torch)
    venv=$root/build/venv-torch
    requirements=$root/tests/requirements_torch.txt
    python=/usr/bin/python3  # whichever comes first in PATH does not see Debian's modules
    options=(--system-site-packages)
    shift ;;
  --capture)
    venv=$root/build/venv-capture
    requirements=$root/scripts/capturing/requirements.txt
    shift ;;
  --figures | --notebook | --optimise | --parquet)
    venv=$root/build/venv-${1#--}
    requirements=$root/scripts/requirements_${1#--}.txt
    shift ;;
esac

make_environment() {
  echo "python environment: installing $requirements into $venv" >&2
  rm -rf "$venv"
  if ! "$python" -m venv "${options[@]}" "$venv" >"$venv.log" 2>&1; then
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
