#!/bin/sh
# The black-box suite `runtime` (or the pytest arguments given) of CONFORMANCE_DIR in a cgroup-v2 guest; see guest.py, which needs root.
# Of the 221 cases five fail without KVM for reasons of their own: two read a file that v2 has not (test_cpus_quota_visible,
# test_cpu_quota_and_period), three are too slow emulated or want a device that the guest has not.
# IMAGES: a folder with busybox-latest.tar and debian-bookworm-slim.tar, as the suite's images.py leaves them in its cache.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
images=${IMAGES:-/tmp/conformance-images}
[ $# -gt 0 ] || set -- runtime
# shellcheck disable=SC2016
exec "${PYTHON:-python3}" "$here/guest.py" ${GUEST_OPTIONS:-} --share "$CONFORMANCE_DIR" --share "$images" -- sh -c '
    folder=$1; images=$2; shift 2
    for tar in "/share/$images"/*.tar; do compose-lite image load -i "$tar"; done
    cd "/share/$folder"
    python3 -m pytest -q -p no:cacheprovider --cli compose-lite --engine-cli compose-lite -rA --tb=short --color=no "$@"
' sh "$(basename "$CONFORMANCE_DIR")" "$(basename "$images")" "$@"
