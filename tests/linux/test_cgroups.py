from __future__ import annotations

import os

import pytest

from compose_lite.linux import cgroups

RESOURCES = {"memory": {"limit": 64 << 20}, "cpu": {"quota": 50_000, "period": 100_000}, "pids": {"limit": 50}}


FILES = {
    "memory": "memory.limit_in_bytes memory.memsw.limit_in_bytes memory.swappiness memory.oom_control",
    "cpu": "cpu.cfs_period_us cpu.cfs_quota_us",
    "pids": "pids.max",
    "blkio": "blkio.bfq.weight blkio.throttle.read_bps_device",
}


@pytest.fixture
def hierarchies(tmp_path, monkeypatch):
    """Folders that stand for mounted hierarchies of version 1: ours unless said otherwise."""

    def make(*, ours: bool) -> None:
        found = {name: str(tmp_path / name) for name in FILES}
        for name, folder in found.items():
            os.makedirs(f"{folder}/compose-lite")
            for file in FILES[name].split():
                (tmp_path / name / "compose-lite" / file).touch()
        monkeypatch.setattr(cgroups, "_layout", cgroups.Layout(1, found, ""))
        monkeypatch.setattr(cgroups, "_may_make_groups", lambda folder: ours or folder.endswith("pids"))

    return make


def test_where_all_groups_are_ours_every_limit_is_kept(hierarchies) -> None:
    hierarchies(ours=True)
    assert cgroups.unkept(RESOURCES) == {}


def test_limits_without_a_group_of_ours_are_named_once(hierarchies) -> None:
    hierarchies(ours=False)
    assert cgroups.unkept(RESOURCES) == {"memory limit": "memory", "cpu period": "cpu", "cpu limit": "cpu"}


DISK = {"major": 8, "minor": 0}
RARE = {
    "memory": {"limit": 1, "swap": 1, "swappiness": 0, "disableOOMKiller": True},
    "cpu": {"realtimeRuntime": 1, "realtimePeriod": 1},
    "blockIO": {"weight": 100, "weightDevice": [{**DISK, "weight": 10}], "throttleReadBpsDevice": [{**DISK, "rate": 1}]},
}


def test_a_limit_without_its_file_is_named(hierarchies) -> None:
    """BFQ's file counts for the weight; this kernel has none for devices, and no real-time groups."""
    hierarchies(ours=True)
    assert cgroups.unkept(RARE) == {"cpu realtime period": "", "cpu realtime runtime": "", "block io weight of a device": ""}


@pytest.mark.parametrize(("parents", "kept"), [("0", False), ("99", False), ("100", True), ("950000", True), ("-1", True), ("", False)])
def test_real_time_is_taken_from_the_group_above(hierarchies, tmp_path, parents: str, kept: bool) -> None:
    hierarchies(ours=True)
    (tmp_path / "cpu/compose-lite/cpu.rt_runtime_us").write_text(parents)
    assert cgroups.unkept({"cpu": {"realtimeRuntime": 100}}) == ({} if kept else {"cpu realtime runtime": ""})


@pytest.fixture
def unified(tmp_path, monkeypatch):
    """A folder that stands for a version 2 group that is ours."""

    def make(controllers: str, files: str) -> None:
        (tmp_path / "cgroup.controllers").write_text(f"{controllers}\n")
        (tmp_path / "compose-lite").mkdir()
        for file in files.split():
            (tmp_path / "compose-lite" / file).touch()
        monkeypatch.setattr(cgroups, "_layout", cgroups.Layout(2, {}, str(tmp_path)))

    return make


def test_version_2_counts_what_is_delegated(unified) -> None:
    unified("memory pids", "memory.max memory.swap.max pids.max")
    assert cgroups.unkept(RESOURCES) == {"cpu limit": "cpu"}


def test_version_2_has_no_file_for_some(unified) -> None:
    unified("memory cpu io", "memory.max io.max")
    assert cgroups.unkept(RARE) == {
        "memory and swap limit": "",
        "memory swappiness": "",
        "disabled oom killer": "",
        "cpu realtime period": "",
        "cpu realtime runtime": "",
        "block io weight": "",
        "block io weight of a device": "",
    }


MOUNTS_V2 = "24 22 0:22 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw,nsdelegate\n"
MOUNTS_HYBRID = (
    "30 22 0:30 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"
    "31 22 0:31 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n"
    "32 22 0:32 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n"
)


def test_an_unwritable_top_means_beside_ourselves() -> None:
    found = cgroups.parse_layout(MOUNTS_V2, "0::/user.slice/app.scope\n")
    assert (found.version, found.controllers) == (2, {})
    assert found.unified in ("/sys/fs/cgroup", "/sys/fs/cgroup/user.slice/app.scope")


def test_hybrid_counts_as_version_1() -> None:
    found = cgroups.parse_layout(MOUNTS_HYBRID, "3:memory:/\n2:cpu,cpuacct:/\n0::/\n")
    assert found.version == 1
    assert found.controllers["cpuacct"] == found.controllers["cpu"] == "/sys/fs/cgroup/cpu,cpuacct"


def test_a_join_is_anticipated_on_version_1_only(hierarchies, tmp_path, monkeypatch) -> None:
    hierarchies(ours=True)
    assert not cgroups.anticipate_joins("/compose-lite-engine")  # there is no such group
    (tmp_path / "memory/compose-lite-engine").mkdir()
    (tmp_path / "memory/compose-lite-engine/cgroup.procs").touch()
    assert cgroups.anticipate_joins("/compose-lite-engine")
    assert (tmp_path / "memory/compose-lite-engine/cgroup.procs").read_text() == "0"
    monkeypatch.setattr(cgroups, "_layout", cgroups.Layout(2, {}, str(tmp_path / "memory")))
    assert not cgroups.anticipate_joins("/compose-lite-engine")


@pytest.mark.parametrize(
    ("ours", "marked", "own", "base"),
    [
        ((), (), "/user.slice/session-1.scope", "/user.slice/session-1.scope"),
        (("/given", "/given/session"), (), "/given/session", "/given"),
        (("/given",), (), "/given/compose-lite-engine", "/given"),
        (("/given", "/given/session"), ("/given/session",), "/given/session", "/given/session"),
        (("/u/user@1", "/u/user@1/app", "/u/user@1/app/x"), ("/u/user@1",), "/u/user@1/app/x", "/u/user@1"),
        (("", "/given"), (), "/given", ""),
        (("", "/s/compose-lite.scope"), (), "/s/compose-lite.scope", "/s/compose-lite.scope"),
        (("", "/s"), (), "/s/compose-lite-1a2b3c4d.scope/compose-lite-engine", "/s/compose-lite-1a2b3c4d.scope"),
        (("",), (), "/s/compose-lite.scope/compose-lite/0123", ""),
        (("",), (), "/s/compose-liter.scope", ""),
    ],
)
def test_groups_are_made_where_the_delegation_begins(tmp_path, monkeypatch, ours, marked, own, base) -> None:
    """Beside the caller's group, never in it: a group with processes hands no controllers down."""
    monkeypatch.setattr(cgroups, "_ours", lambda folder: folder in {f"{tmp_path}{name}" for name in ours})
    monkeypatch.setattr(cgroups, "_begins_delegation", lambda folder: folder in {f"{tmp_path}{name}" for name in marked})
    assert cgroups._base(str(tmp_path), own) == f"{tmp_path}{base}"


def test_a_group_goes_with_those_below_it(tmp_path) -> None:
    """rmdir(2) of a group fails while there are groups below it, or processes in it (which files stand for here)."""
    top = tmp_path / "memory"
    (top / "inner/innermost").mkdir(parents=True)
    (top / "other").mkdir()
    (top / "other/process").touch()
    group = cgroups.Group(1, {"memory": str(top)}, "")
    assert not group.remove_now()
    assert not (top / "inner").exists() and (top / "other").exists()
    (top / "other/process").unlink()
    assert group.remove_now() and not top.exists()
    assert group.remove_now()


@pytest.mark.parametrize(("mounts", "whole"), [(MOUNTS_V2, True), (MOUNTS_HYBRID, False), ("", False)])
def test_only_version_2_is_unified(monkeypatch, mounts: str, whole: bool) -> None:
    monkeypatch.setattr(cgroups, "read_file", lambda path: mounts.encode())
    assert cgroups.is_unified() is whole


def test_who_is_at_the_top_stays_there() -> None:
    top, below = "/sys/fs/cgroup/", "/sys/fs/cgroup/pids/user"
    cpu = f"{top}cpu,cpuacct"
    where = cgroups.Layout(1, {"cpu": cpu, "cpuacct": cpu, "memory": f"{top}memory", "pids": below}, f"{top}unified")
    assert cgroups.tops(where, "4:memory:/session\n3:pids:/user\n2:cpu,cpuacct:/\n0::/\n") == {cpu, f"{top}unified"}
    assert cgroups.tops(cgroups.Layout(2, {}, "/sys/fs/cgroup"), "0::/\n") == frozenset()
