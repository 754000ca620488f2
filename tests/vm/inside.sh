#!/bin/sh
# One part of suite.py inside the guest, as root: inside.sh PART SUITES IMAGES [pytest arguments]
#   root      the black-box cases by root
#   user      the same, without those marked `root`, by an ordinary user whose cgroup was delegated by hand (cgroup-v2.rst, "Delegation")
#   runtime   tests/runtime: among them the same bundle by crun, runc and ours
set -eu
part=$1 suites=$2 images=$3
shift 3
export PYTHONPATH=/src:/packages PYTHONDONTWRITEBYTECODE=1
report="-p tests.vm.report -p no:cacheprovider -q -q --no-header --no-summary --color=no"
case $part in
    runtime)
        cd /src
        ulimit -n "$(ulimit -Hn)" # runc, as every Go program, raises its own soft limit and hands it on
        # shellcheck disable=SC2086
        exec python3 -m pytest $report "$@" tests/runtime
        ;;
    root) run() { "$@"; } ;;
    user)
        useradd --create-home --uid 1000 --shell /bin/sh person
        echo person:100000:65536 | tee /etc/subuid >/etc/subgid
        install -d -o person /run/user/1000
        chmod 666 /dev/net/tun # as where udev rules it
        group=/sys/fs/cgroup/delegated
        mkdir $group
        echo "+cpu +cpuset +io +memory +pids" >/sys/fs/cgroup/cgroup.subtree_control
        mkdir $group/session
        for one in $group $group/session; do
            chown person $one $one/cgroup.procs $one/cgroup.threads $one/cgroup.subtree_control
        done
        chown -R person "$suites" # for pytest's own files there
        run() {
            # shellcheck disable=SC2016
            sh -c 'echo $$ >/sys/fs/cgroup/delegated/session/cgroup.procs
                export HOME=/home/person XDG_RUNTIME_DIR=/run/user/1000
                exec setpriv --reuid 1000 --regid 1000 --init-groups "$@"' sh "$@"
        }
        set -- -m "not root" "$@"
        ;;
esac
for tar in "$images"/*.tar; do run compose-lite image load -i "$tar"; done
cd "$suites"
# shellcheck disable=SC2086
run python3 -m pytest $report --cli compose-lite --engine-cli compose-lite "$@"
