#!/bin/sh
# Installs what the tests need into .venv and runs them: unit tests for anybody, real containers as root.
# CONFORMANCE_DIR: the folder of the black-box suites; without it they are skipped with a word.
set -eu
cd "$(dirname "$0")/.."
[ -x .venv/bin/python ] || python3 -m venv .venv
.venv/bin/pip install --quiet --editable '.[test]'
if [ "$(id -u)" = 0 ] && command -v busybox >/dev/null; then
    select="not slow"
else
    select="not slow and not root"
    echo "skipped: tests that need root or Debian's busybox-static"
fi
if [ -z "${CONFORMANCE_DIR:-}" ]; then
    echo "skipped: the conformance suites (CONFORMANCE_DIR is not set)"
    exec sh tests/pytest.sh .venv/bin/python -q -m "$select" "$@" -- tests
fi
sh tests/pytest.sh .venv/bin/python -q -m "$select" "$@" -- tests
exec sh tests/conformance/run.sh
