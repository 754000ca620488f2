#!/bin/sh
# One part of suite.py inside the guest, as root: inside.sh PART SUITES IMAGES [pytest arguments]
#   root      the black-box cases by root
#   user      cases by an ordinary user who logs in, to whom systemd delegates all
#   runtime   tests/runtime: among them the same bundle by crun, runc and ours
#   systemd   tests/vm/test_systemd.py, by root and by `person`; `other` is a user who does not linger
set -eu
part=$1 suites=$2 images=$3
shift 3
export PYTHONDONTWRITEBYTECODE=1
report="-p tests.vm.report -p no:cacheprovider -q -q --no-header --no-summary --color=no"
case $part in
    runtime)
        cd /src
        ulimit -n "$(ulimit -Hn)" # runc, as every Go program, raises its own soft limit and hands it on
        # shellcheck disable=SC2086
        exec python3 -m pytest $report "$@" tests/runtime
        ;;
    systemd)
        load='for tar in "$1"/*busybox*.tar; do compose-lite image load -qi "$tar"; done'
        if [ "$GUEST_BOOT" = 1 ]; then
            for who in person other; do
                useradd --create-home --shell /bin/sh $who
                printf '%s:%s:65536\n' person 100000 other 200000 | tee /etc/subuid >/etc/subgid
            done
            loginctl enable-linger person
            chmod -R a+rX "$images"
            # shellcheck disable=SC2016
            sh -c "$load" sh "$images"
            for who in person other; do su -l -c "$load" -- $who sh "$images"; done
            su -l -c "compose-lite engine stop" other # its session gave it a group
        fi
        cd /src
        # shellcheck disable=SC2086
        exec python3 -m pytest $report "$@" tests/vm/test_systemd.py
        ;;
    root) run() { "$@"; } ;;
    user)
        # systemd hands no user cpuset and io by itself (docs/rootless.md)
        mkdir -p /etc/systemd/system/user@.service.d
        printf '[Service]\nDelegate=cpu cpuset io memory pids\n' >/etc/systemd/system/user@.service.d/delegate.conf
        systemctl daemon-reload
        useradd --create-home --uid 1000 --shell /bin/sh person
        echo person:100000:65536 | tee /etc/subuid >/etc/subgid
        loginctl enable-linger person
        chown -R person "$suites" # for pytest's own files there
        chmod -R a+rX "$images"
        run() {
            # shellcheck disable=SC2016
            su -l -c 'cd "$1" && shift && exec env PYTHONDONTWRITEBYTECODE=1 "$@"' -- person sh "$PWD" "$@"
        }
        ;;
esac
for tar in "$images"/*.tar; do run compose-lite image load -i "$tar"; done
cd "$suites"
# shellcheck disable=SC2086
run python3 -m pytest $report --cli compose-lite --engine-cli compose-lite "$@"
