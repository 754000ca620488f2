#!/bin/sh
# Runs the black-box suites of CONFORMANCE_DIR by their own runner: the cases recorded in *.txt beside this file, which all have to
# pass. Needs Debian's busybox-static and debootstrap. More arguments go to pytest; --all runs every case of the suites there are.
# As an ordinary user: the cases that do not ask for root, but for those in rootless.exceptions; the images have to be there already
# (root makes them: images.py). With COMPOSE_LITE_USERNS_REMAP=200000-265535: without remapped.exceptions. The way out of containers needs /dev/net/tun open to that user (docs/rootless.md).
set -eu
here=$(cd "$(dirname "$0")" && pwd)
python=${PYTHON:-$here/../../.venv/bin/python}
command=${COMPOSE_LITE:-$(dirname "$python")/compose-lite}
remap=${COMPOSE_LITE_USERNS_REMAP:-}
scratch=$(mktemp -d)
# the suites take all COMPOSE_ variables out of the environment, so the engine of this run is chosen by a command of its own
cat >"$scratch/compose-lite" <<END
#!/bin/sh
COMPOSE_LITE_RUN_DIR=$scratch/run COMPOSE_LITE_DATA_DIR=$scratch/data COMPOSE_LITE_IDLE=3 COMPOSE_LITE_USERNS_REMAP=$remap
export COMPOSE_LITE_RUN_DIR COMPOSE_LITE_DATA_DIR COMPOSE_LITE_IDLE COMPOSE_LITE_USERNS_REMAP
exec $command "\$@"
END
chmod +x "$scratch/compose-lite"
command=$scratch/compose-lite
export PYTHONDONTWRITEBYTECODE=1
clean() {
    for _ in $(seq 60); do # the engine goes when it is idle
        [ -e "$scratch/run/engine.sock" ] || break
        sleep 0.5
    done
    # an ordinary user's containers have made files that belong to subordinate ids
    rm -rf "$scratch" 2>/dev/null || unshare --map-root-user --map-auto rm -rf "$scratch"
}
trap clean EXIT
cases=""
for list in "$here"/*.txt; do
    suite=$(basename "$list" .txt)
    [ -d "$CONFORMANCE_DIR/$suite" ] || { echo "skipped: the conformance suite $suite is not there"; continue; }
    [ "${1:-}" = --all ] && cases="$cases $suite" || cases="$cases @$list"
done
[ "${1:-}" != --all ] || shift
exceptions=""
if [ "$(id -u)" != 0 ]; then
    set -- -m "not root" "$@"
    exceptions=$here/rootless.exceptions
elif [ -n "$remap" ]; then
    exceptions=$here/remapped.exceptions
fi
if [ -n "$exceptions" ]; then
    while IFS= read -r line; do
        case $line in "" | "#"*) ;; *) set -- --deselect "${line%%  #*}" "$@" ;; esac
    done <"$exceptions"
fi
cd "$CONFORMANCE_DIR"
# word splitting is meant: the lists' folder has no blanks in its path
# shellcheck disable=SC2086
sh "$here/../pytest.sh" "$python" -q -n 2 --cli "$command" --engine-cli "$command" \
    --prepare "$python images.py --load '$command image load -i'" "$@" -- $cases
