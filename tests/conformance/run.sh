#!/bin/sh
# Runs the black-box suites of CONFORMANCE_DIR by their own runner: the cases recorded in *.txt beside this file, which all have to
# pass. Needs root, Debian's busybox-static and debootstrap. More arguments go to pytest; --all runs every case of the suites there are.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
python=${PYTHON:-$here/../../.venv/bin/python}
command=${COMPOSE_LITE:-$(dirname "$python")/compose-lite}
scratch=$(mktemp -d)
export COMPOSE_LITE_RUN_DIR="$scratch/run" COMPOSE_LITE_DATA_DIR="$scratch/data" COMPOSE_LITE_IDLE=3 PYTHONDONTWRITEBYTECODE=1
clean() {
    while [ -e "$COMPOSE_LITE_RUN_DIR/engine.sock" ]; do sleep 0.5; done # the engine goes when it is idle
    rm -rf "$scratch"
}
trap clean EXIT
cases=""
for list in "$here"/*.txt; do
    suite=$(basename "$list" .txt)
    [ -d "$CONFORMANCE_DIR/$suite" ] || { echo "skipped: the conformance suite $suite is not there"; continue; }
    [ "${1:-}" = --all ] && cases="$cases $suite" || cases="$cases @$list"
done
[ "${1:-}" != --all ] || shift
cd "$CONFORMANCE_DIR"
# word splitting is meant: the lists' folder has no blanks in its path
# shellcheck disable=SC2086
"$python" -m pytest -q -n 2 -p no:cacheprovider --cli "$command" --engine-cli "$command" \
    --prepare "$python images.py --load '$command image load -i'" "$@" $cases
