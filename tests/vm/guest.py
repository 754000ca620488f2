"""Runs a command of this project in a machine of its own with cgroup v2 only: a qemu guest with Debian's cloud kernel.

    python tests/vm/guest.py [--systemd] [--boots N] [--cache FOLDER] [--memory MB] [--share FOLDER ...] -- COMMAND ...

The command sees the project at /src, shared folders at /share/<name>, `compose-lite` on PATH and pytest; its output is ours, its
exit status too. PID 1 is a shell script, or systemd with logind and D-Bus (--systemd); then the machine can be booted several times
(--boots): the command runs in each with its number in GUEST_BOOT, and between two the machine goes down in order. Needs root, Debian's
qemu-system-x86, debootstrap, busybox-static and e2fsprogs, and apt for the kernel package.
KVM is used where it works; without it expect a tenth of the speed. It must never touch the machine beyond its cache folder.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import threading
from compileall import compile_dir
from pathlib import Path

SOURCE = Path(__file__).resolve().parents[2]
ALIVE, KVM_SECONDS = "GUEST-ALIVE", 20.0
PACKAGES = (
    "python3,busybox-static,kmod,iproute2,procps,perl-base,uidmap,passt,crun,runc,"
    "systemd,systemd-sysv,dbus,dbus-user-session,libpam-systemd"
)
MODULES = "overlay bridge veth nf_tables nft_ct nft_masq nft_chain_nat nft_redir br_netfilter tun fuse loop"
# In this order: what the first file system stands on. The rest of the modules is loaded from the disk, by name.
FIRST_MODULES = (
    *("virtio/virtio_ring", "virtio/virtio", "virtio/virtio_pci_legacy_dev", "virtio/virtio_pci_modern_dev", "virtio/virtio_pci"),
    *("block/virtio_blk", "char/hw_random/virtio-rng"),
)
INITRAMFS_INIT = """#!/bin/busybox sh
/bin/busybox mount -t devtmpfs dev /dev
for module in MODULES; do /bin/busybox insmod /$module; done
while ! [ -b /dev/vda ]; do /bin/busybox sleep 0.02; done
/bin/busybox mount -t ext4 -o noatime,nobarrier /dev/vda /new
exec /bin/busybox switch_root /new FIRST
"""
GUEST_INIT = f"""#!/bin/sh
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8
mount -t proc proc /proc; mount -t sysfs sys /sys; mount -t devtmpfs dev /dev 2>/dev/null
mkdir -p /dev/pts /dev/shm; mount -t devpts devpts /dev/pts; mount -t tmpfs -o mode=1777 shm /dev/shm
mount -t tmpfs -o mode=755 run /run; mount -t tmpfs -o mode=1777 tmp /tmp; mount -t cgroup2 -o nsdelegate cgroup2 /sys/fs/cgroup
ln -sf /proc/self/fd /dev/fd
depmod -a
for m in {MODULES}; do modprobe $m; done
hostname guest; ip link set lo up
echo {ALIVE}
cd /src && COMMAND < /dev/null; echo "EXIT=$?"
sync; mount -o remount,ro /; echo o > /proc/sysrq-trigger; sleep 60
"""
SYSTEMD_INIT = f"""#!/bin/sh
export HOME=/root LANG=C.UTF-8 GUEST_BOOT=$(($(cat /var/lib/guest-boot 2>/dev/null || echo 0) + 1))
echo $GUEST_BOOT >/var/lib/guest-boot
[ $GUEST_BOOT -gt 1 ] || depmod -a
for m in {MODULES}; do modprobe $m; done
chmod 666 /dev/net/tun # as where udev rules it
echo {ALIVE}
cd /src && COMMAND < /dev/null; echo "EXIT=$?"
systemctl --no-block poweroff
"""
# The command's service: no getty beside it on the console, and nothing of its own groups that the engine could make use of.
SYSTEMD_UNIT = """[Unit]
Wants=systemd-logind.service dbus.service
After=systemd-logind.service dbus.service systemd-user-sessions.service
[Service]
Type=oneshot
ExecStart=/sbin/guest
StandardInput=null
StandardOutput=tty
StandardError=inherit
TTYPath=/dev/ttyS0
KillMode=process
[Install]
WantedBy=multi-user.target
"""
UNWANTED = ("serial-getty@ttyS0.service", "apt-daily.timer", "apt-daily-upgrade.timer", "dpkg-db-backup.timer", "e2scrub_all.timer")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cache", type=Path, default=Path("/var/tmp/compose-lite-guest"))
    parser.add_argument("--memory", type=int, default=2048)
    parser.add_argument("--share", type=Path, action="append", default=[])
    parser.add_argument("--timeout", type=int, default=3000)
    parser.add_argument("--no-kvm", action="store_true", help="do not try it: where /dev/kvm opens and no guest runs, 20 s are won")
    parser.add_argument("--systemd", action="store_true", help="systemd is PID 1")
    parser.add_argument("--boots", type=int, default=1, help="how often the machine is started on the same disk (with --systemd)")
    parser.add_argument("command", nargs="+")
    wish = parser.parse_args()
    missing = [tool for tool in ("qemu-system-x86_64", "debootstrap", "busybox", "mke2fs", "cpio") if not shutil.which(tool)]
    if missing or os.geteuid() != 0:
        print(f"needs root and {', '.join(missing) or 'nothing else'}", file=sys.stderr)
        return 125
    wish.cache.mkdir(parents=True, exist_ok=True)
    kernel, modules = kernel_of(wish.cache)
    with tempfile.TemporaryDirectory(dir=wish.cache) as scratch:
        initramfs = make_initramfs(Path(scratch), modules, "/lib/systemd/systemd" if wish.systemd else "/sbin/guest")
        disk = make_disk(Path(scratch), base_of(wish.cache), modules, wish.share, wish.command, systemd=wish.systemd)
        for number in range(1, wish.boots + 1):
            status = boot(kernel, initramfs, disk, wish.memory, wish.timeout, kvm=not wish.no_kvm)
            if status:
                return status
            if number < wish.boots:
                print(f"boot {number + 1} of {wish.boots}", flush=True)
        return 0


def kernel_of(cache: Path) -> tuple[Path, Path]:
    """The kernel's image and its module folder, unpacked from Debian's package, not installed."""
    folder = cache / "kernel"
    if not folder.exists():
        depends = subprocess.run(["apt-cache", "depends", "linux-image-cloud-amd64"], capture_output=True, text=True, check=True).stdout
        name = re.search(r"Depends: (linux-image-\S+)", depends)
        assert name, "apt knows no cloud kernel"
        subprocess.run(["apt-get", "download", "-q", name[1]], cwd=cache, check=True)
        (package,) = cache.glob("linux-image-*.deb")
        subprocess.run(["dpkg-deb", "-x", str(package), str(folder)], check=True)
        package.unlink()
    (kernel,) = (folder / "boot").glob("vmlinuz-*")
    (modules,) = (folder / "lib/modules").iterdir()
    return kernel, modules


def base_of(cache: Path) -> Path:
    """Debian with what the tests need."""
    base = cache / f"base-{hashlib.sha256(PACKAGES.encode()).hexdigest()[:8]}"
    if not base.exists():
        lists = [Path("/etc/apt/sources.list"), *Path("/etc/apt/sources.list.d").glob("*")]
        sources = "\n".join(path.read_text() for path in lists if path.is_file())
        mirror = re.search(r"^(?:URIs:\s*|deb\s+(?:\[[^]]*\]\s*)?)(\S+/debian/?)(?:\s|$)", sources, re.M)
        assert mirror, "no Debian mirror in the apt sources"
        half = cache / "base.half"
        shutil.rmtree(half, ignore_errors=True)
        command = ["debootstrap", "--variant=minbase", f"--include={PACKAGES}", "bookworm", str(half), mirror[1]]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        shutil.rmtree(half / "var/cache/apt", ignore_errors=True)
        half.rename(base)
    return base


def make_initramfs(scratch: Path, modules: Path, first: str) -> Path:
    """first: the program that is PID 1 once the disk is mounted."""
    tree = scratch / "initramfs"
    for name in ("bin", "dev", "new", "proc"):
        (tree / name).mkdir(parents=True)
    busybox = shutil.which("busybox")
    assert busybox
    shutil.copy(busybox, tree / "bin/busybox")
    loaded = []
    for module in FIRST_MODULES:
        path = modules / f"kernel/drivers/{module}.ko"
        if path.exists():  # else it is built in
            shutil.copy(path, tree)
            loaded.append(path.name)
    init = tree / "init"
    init.write_text(INITRAMFS_INIT.replace("MODULES", " ".join(loaded)).replace("FIRST", first))
    init.chmod(0o755)
    made = scratch / "initramfs.cpio"
    names = "\n".join(str(path.relative_to(tree)) for path in sorted(tree.rglob("*")))
    with made.open("wb") as out:
        subprocess.run(["cpio", "-o", "-H", "newc", "--quiet"], cwd=tree, input=names.encode(), stdout=out, check=True)
    return made


def make_disk(scratch: Path, base: Path, modules: Path, shared: list[Path], command: list[str], *, systemd: bool) -> Path:
    """An ext4 image of the base, the project, its Python packages and what is shared."""
    tree = scratch / "tree"
    subprocess.run(["cp", "-a", "--reflink=auto", str(base), str(tree)], check=True)
    (tree / "lib/modules").mkdir(exist_ok=True)
    subprocess.run(["cp", "-a", str(modules), str(tree / "lib/modules")], check=True)
    ignore = shutil.ignore_patterns(".git", ".venv", "__pycache__", "*.pyc")
    shutil.copytree(SOURCE, tree / "src", ignore=ignore, symlinks=True)
    for folder in shared:
        shutil.copytree(folder, tree / "share" / folder.name, ignore=ignore, symlinks=True)
    packages_into(tree)
    shim = tree / "usr/local/bin/compose-lite"
    shim.write_text('#!/bin/sh\nexec python3 -m compose_lite "$@"\n')
    shim.chmod(0o755)
    (tree / "usr/local/lib/python3.11/dist-packages").mkdir(parents=True, exist_ok=True)
    (tree / "usr/local/lib/python3.11/dist-packages/guest.pth").write_text("/src\n/packages\n")  # as if pip had installed it
    init = tree / "sbin/guest"
    init.write_text((SYSTEMD_INIT if systemd else GUEST_INIT).replace("COMMAND", shlex.join(command)))
    init.chmod(0o755)
    if systemd:
        configure_systemd(tree)
    disk = scratch / "disk.ext4"
    with disk.open("wb") as file:
        file.truncate(6 << 30)
    subprocess.run(["mke2fs", "-q", "-t", "ext4", "-d", str(tree), str(disk)], check=True)
    shutil.rmtree(tree)
    return disk


def configure_systemd(tree: Path) -> None:
    """The command as a service; what only takes time in a machine that lives for minutes is masked."""
    units = tree / "etc/systemd/system"
    (units / "guest.service").write_text(SYSTEMD_UNIT)
    (units / "multi-user.target.wants").mkdir(exist_ok=True)
    (units / "multi-user.target.wants/guest.service").symlink_to("/etc/systemd/system/guest.service")
    for name in UNWANTED:
        (units / name).unlink(missing_ok=True)
        (units / name).symlink_to("/dev/null")
    (tree / "etc/hostname").write_text("guest\n")
    (tree / "etc/machine-id").write_text(f"{hashlib.sha256(b'guest').hexdigest()[:32]}\n")  # else every boot is a first one


def packages_into(tree: Path) -> None:
    """Our dependencies, for the guest's Python 3.11: this interpreter's own when it is one, else from pip."""
    target = tree / "packages"
    if sys.version_info[:2] == (3, 11):
        import sysconfig

        shutil.copytree(sysconfig.get_path("purelib"), target, ignore=shutil.ignore_patterns("mypy*", "ruff*"))
        compile_dir(tree / "src/compose_lite", quiet=1, stripdir=str(tree))  # emulated, the guest would take a minute for it
        return
    pip = [sys.executable, "-m", "pip", "install", "-q", "--target", str(target), "--python-version", "3.11", "--only-binary=:all:"]
    subprocess.run([*pip, f"{SOURCE}[test]"], check=True)


def boot(kernel: Path, initramfs: Path, disk: Path, memory: int, timeout: int, *, kvm: bool) -> int:
    """Shows what the guest prints; its EXIT=n is the status. A /dev/kvm that opens may still not run a guest (nested): then without."""
    common = [
        *("qemu-system-x86_64", "-nodefaults", "-nographic", "-no-reboot", "-m", str(memory), "-smp", str(min(os.cpu_count() or 1, 4))),
        *("-kernel", str(kernel), "-initrd", str(initramfs), "-append", "console=ttyS0 quiet edd=off panic=-1"),
        *("-drive", f"file={disk},format=raw,if=virtio,cache=unsafe", "-device", "virtio-rng-pci", "-serial", "stdio"),
    ]
    ways = [("-accel", "tcg,thread=multi", "-cpu", "max")]
    if kvm and os.access("/dev/kvm", os.R_OK | os.W_OK):
        ways.insert(0, ("-accel", "kvm", "-cpu", "host"))
    for way in ways:
        status = _run([*common, *way], timeout, alive_in=None if way is ways[-1] else KVM_SECONDS)
        if status is not None:
            return status
        print(f"no guest with {way[1]}", file=sys.stderr)
    return 124


def _run(command: list[str], timeout: int, alive_in: float | None) -> int | None:
    """None: it did not come to life within alive_in seconds, or never ended."""
    machine = subprocess.Popen(["timeout", str(timeout), *command], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
    assert machine.stdout
    alive, status = False, None
    late = threading.Timer(alive_in or timeout, lambda: alive or machine.terminate())
    late.start()
    for raw in machine.stdout:
        line = raw.decode("utf-8", "replace").rstrip("\r\n")
        if line.endswith(ALIVE):  # after what the BIOS writes
            alive = True
        elif found := re.fullmatch(r"EXIT=(\d+)", line):
            status = int(found[1])
        elif alive and status is None:
            print(line, flush=True)
    machine.wait()
    late.cancel()
    return status


if __name__ == "__main__":
    sys.exit(main())
