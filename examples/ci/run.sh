#!/bin/sh
# One CI job: bring the project up, test it at its published port, show the logs if something failed, leave nothing behind.
# COMPOSE_LITE: the command, `compose-lite` where it is not given.
set -eu
cd "$(dirname "$0")"
compose=${COMPOSE_LITE:-compose-lite}
finish() {
    status=$?
    [ "$status" = 0 ] || $compose logs --no-color
    $compose --progress quiet down --volumes --timeout 1
    exit "$status"
}
trap finish EXIT
$compose --progress plain up --detach --wait --wait-timeout 60
COUNTER=$($compose port counter 8080) python3 test_counter.py
