#!/bin/sh
# Installs compose-lite into .venv (once), brings the quickstart up, asks its front, takes it down.
set -eu
cd "$(dirname "$0")/../.."
[ -x .venv/bin/compose-lite ] || { python3 -m venv .venv && .venv/bin/pip install --quiet .; }
cd examples/quickstart
down() { ../../.venv/bin/compose-lite down --volumes --timeout 1; }
trap down EXIT
../../.venv/bin/compose-lite up --detach --wait --wait-timeout 60
python3 -c "import urllib.request; print(urllib.request.urlopen('http://127.0.0.1:${QUICKSTART_PORT:-8070}/', timeout=10).read().decode(), end='')"
