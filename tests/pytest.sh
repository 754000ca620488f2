#!/bin/sh
# pytest.sh PYTHON [options] -- [tests]: runs pytest; up to five tests that failed run once more, alone. Thousands of tests with real
# processes on a loaded machine meet what no single one does; a test named here is a defect to look for all the same.
python=$1
shift
cache=$(mktemp -d)
trap 'rm -rf "$cache"' EXIT
# tests are named by their path from the root folder, which pytest otherwise guesses from whatever is a path among the words
set -- --rootdir "$PWD" -o cache_dir="$cache" "$@"
"$python" -m pytest "$@"
status=$?
[ $status = 1 ] || exit $status
failed=$("$python" -c 'import json, sys; print("\n".join(json.load(open(sys.argv[1]))))' "$cache/v/cache/lastfailed") || exit 1
[ "$(printf '%s\n' "$failed" | wc -l)" -le 5 ] || exit 1
echo "unsteady or broken, once more and alone:"
printf '    %s\n' "$failed"
# the options again, with the failed tests in the place of all (--last-failed does not find those that were named one by one)
options=0
for word; do
    [ "$word" != -- ] || break
    options=$((options + 1))
done
at=0
for word; do
    shift
    [ $at -ge $options ] || set -- "$@" "$word"
    at=$((at + 1))
done
set -- "$@" -n 0 --
while IFS= read -r test; do set -- "$@" "$test"; done <<END
$failed
END
"$python" -m pytest "$@"
