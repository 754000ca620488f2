from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from compose_lite.disk import Folders
from compose_lite.engine.copyup import copy_up
from compose_lite.engine.events import Bus
from compose_lite.engine.record import Container
from compose_lite.engine.store import Store
from compose_lite.engine.volumes import Volumes, check_propagation, clean, folder_mode, resolved, visible
from compose_lite.errors import EngineError
from compose_lite.linux import mount
from tests.engine.made import container


@pytest.fixture
def folders(tmp_path: Path) -> Folders:
    (tmp_path / "data").mkdir()
    return Folders(tmp_path / "run", tmp_path / "data")


Open = Callable[..., Volumes]


@pytest.fixture
def volumes(folders: Folders) -> Iterator[Open]:
    """Opens the volumes of the folders as an engine does at its start."""
    with contextlib.ExitStack() as stores:

        def open_them(known: dict[str, Container] | None = None) -> Volumes:
            stores.close()  # the engine before
            store = stores.enter_context(contextlib.closing(Store(folders.data / "state.db")))
            return Volumes(store, folders, Bus(), known if known is not None else {})

        yield open_them


def points(room: Volumes, host: dict[str, Any], find: Any = None, image: tuple[str, ...] = (), **config: Any) -> dict[str, dict[str, Any]]:
    return {p["Destination"]: p for p in room.mount_points(container(host, **config), image, find)}


def test_documents_stay_over_a_restart(volumes: Open) -> None:
    made = volumes().create({"Name": "kept", "Labels": {"a": "b"}})
    again = volumes()
    assert again.find("kept") == made and Path(made["Mountpoint"]).is_dir()
    assert again.create({"Name": "kept", "Labels": {"c": "d"}}) == made, "one that is there is given back"
    again.remove("kept")
    assert not Path(made["Mountpoint"]).exists()
    with pytest.raises(EngineError, match="get kept: no such volume"):
        again.find("kept")


@pytest.mark.parametrize(
    "body", [{"Name": "a/b"}, {"Name": "-a"}, {"Name": "ab", "Driver": "nfs"}, {"Name": "ab", "DriverOpts": {"x": "y"}}]
)
def test_volumes_that_cannot_be(volumes: Open, body: dict[str, Any]) -> None:
    with pytest.raises(EngineError):
        volumes().create(body)


def test_a_used_volume_stays(volumes: Open) -> None:
    known: dict[str, Container] = {}
    room = volumes(known)
    user = container({"Binds": ["data:/data"]})
    user.mounts = room.mount_points(user, (), known.__getitem__)
    known[user.id] = user
    with pytest.raises(EngineError, match="volume is in use"):
        room.remove("data", force=False)
    assert room.prune({"all": ["true"]})["VolumesDeleted"] == []
    known.clear()
    assert room.prune({})["VolumesDeleted"] == [], "named volumes go only with all"
    assert room.prune({"all": ["true"]})["VolumesDeleted"] == ["data"]


def test_mount_points_of_all_kinds(volumes: Open, tmp_path: Path) -> None:
    room = volumes()
    host = {
        "Binds": ["named:/n:ro,nocopy", f"{tmp_path}/new:/b"],
        "Mounts": [{"Type": "tmpfs", "Target": "/t", "TmpfsOptions": {"SizeBytes": 1024, "Mode": 0o700}}],
        "Tmpfs": {"/run/": "size=1m"},
    }
    found = points(room, host, image=("/image",), Volumes={"/anonymous": {}})
    assert set(found) == {"/n", "/b", "/t", "/run", "/image", "/anonymous"}
    assert (found["/n"]["Name"], found["/n"]["RW"], found["/n"]["x-nocopy"]) == ("named", False, True)
    assert found["/t"]["x-options"] == "size=1024,mode=700"
    assert found["/anonymous"]["Name"] != found["/image"]["Name"]
    assert not any(key.startswith("x-") for key in visible(found["/n"]))


def test_volumes_from_and_what_wins(volumes: Open) -> None:
    room = volumes()
    other = container({"Binds": ["aa:/one", "bb:/two"]})
    other.mounts = room.mount_points(other, (), dict[str, Container]().__getitem__)
    found = points(room, {"VolumesFrom": ["other:ro"], "Binds": ["cc:/two"]}, lambda name: other)
    assert (found["/one"]["Name"], found["/one"]["RW"]) == ("aa", False)
    assert (found["/two"]["Name"], found["/two"]["RW"]) == ("cc", True)


@pytest.mark.parametrize(
    "host",
    [
        {"Binds": ["aa:/x", "bb:/x/"]},
        {"Binds": ["aa:/x:nonsense"]},
        {"Binds": ["aa:b:c:d"]},
        {"Binds": ["aa:/"]},
        {"Binds": ["aa:relative"]},
        {"Mounts": [{"Type": "bind", "Source": "/no/such/folder", "Target": "/x"}]},
        {"Mounts": [{"Type": "volume", "Source": "aa", "Target": "x"}]},
        {"Mounts": [{"Type": "volume", "Source": "aa", "Target": ""}]},
        {"Mounts": [{"Type": "npipe", "Source": "aa", "Target": "/x"}]},
    ],
)
def test_mounts_that_cannot_be(volumes: Open, host: dict[str, Any]) -> None:
    with pytest.raises(EngineError) as caught:
        points(volumes(), host)
    assert caught.value.http_status == 400


def test_an_empty_volume_takes_the_images_content_once(volumes: Open, tmp_path: Path) -> None:
    layer = tmp_path / "layer"
    (layer / "data/sub").mkdir(parents=True)
    (layer / "data/sub/file").write_text("image")
    (layer / "data/link").symlink_to("/etc/passwd")
    room = volumes()
    point = points(room, {"Binds": ["vv:/data"]})["/data"]
    source = Path(room.source(point, [str(layer)]))
    assert (source / "sub/file").read_text() == "image" and os.readlink(source / "link") == "/etc/passwd"
    (source / "sub/file").write_text("mine")
    room.source(point, [str(layer)])
    assert (source / "sub/file").read_text() == "mine"


def test_copy_up_follows_no_link_out_of_the_image(tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside/secret").write_text("secret")
    (tmp_path / "layer").mkdir()
    (tmp_path / "layer/data").symlink_to("../outside")
    (tmp_path / "target").mkdir()
    copy_up([str(tmp_path / "layer")], "/data", str(tmp_path / "target"))
    assert list((tmp_path / "target").iterdir()) == []


def test_a_subpath_stays_in_the_volume(volumes: Open, tmp_path: Path) -> None:
    room = volumes()
    mounts = [{"Type": "volume", "Source": "vv", "Target": "/x", "VolumeOptions": {"Subpath": "sub"}}]
    point = points(room, {"Mounts": mounts})["/x"]
    data = Path(room.find("vv")["Mountpoint"])
    with pytest.raises(EngineError, match="cannot access path"):
        room.source(point, [])
    (data / "sub").mkdir()
    assert room.source(point, []) == str(data / "sub")
    (data / "sub").rmdir()
    (data / "sub").symlink_to(tmp_path)
    with pytest.raises(EngineError):
        room.source(point, [])


@pytest.mark.root
def test_what_is_mounted_by_a_volumes_options_is_not_deleted_with_it(volumes: Open, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere/precious").touch()
    room = volumes()
    for name, options in (
        ("memory", {"type": "tmpfs", "device": "tmpfs"}),
        ("bound", {"type": "none", "o": "bind", "device": f"{tmp_path}/elsewhere"}),
    ):
        room.create({"Name": name, "DriverOpts": options})
        found = points(room, {"Binds": [f"{name}:/x"]})["/x"]
        source = room.source(found, [])
        (Path(source) / "file").touch()
    mount.mount(f"{tmp_path}/elsewhere", room.find("memory")["Mountpoint"], None, mount.BIND)  # as an NFS share would stand there
    room.unmount()
    assert not os.path.ismount(room.find("memory")["Mountpoint"])
    mount.mount(f"{tmp_path}/elsewhere", room.find("memory")["Mountpoint"], None, mount.BIND)
    room.remove("memory", force=False)
    room.remove("bound", force=False)
    assert (tmp_path / "elsewhere/precious").exists() and (tmp_path / "elsewhere/file").exists()
    assert str(tmp_path) not in Path("/proc/self/mountinfo").read_text()


@pytest.mark.parametrize(("path", "wanted"), [("/a//b/../c/", "/a/c"), ("a", "/a"), ("/../..", "/"), ("//a", "/a")])
def test_clean(path: str, wanted: str) -> None:
    assert clean(path) == wanted


def test_containers_that_start_side_by_side_fill_a_volume_once(volumes: Open, tmp_path: Path) -> None:
    room, layer = volumes(), tmp_path / "layer"
    for number in range(300):
        (layer / f"data/{number % 7}").mkdir(parents=True, exist_ok=True)
        (layer / f"data/{number % 7}/{number}").write_text("x")
    room.create({"Name": "shared"})
    point = {"Type": "volume", "Name": "shared", "Destination": "/data"}
    with ThreadPoolExecutor(4) as starts:
        roots = set(starts.map(lambda _: room.source(point, [str(layer)]), range(4)))
    assert len(roots) == 1 and sum(len(files) for _, _, files in os.walk(roots.pop())) == 300


def test_a_filling_that_was_broken_off_is_done_again(volumes: Open, tmp_path: Path) -> None:
    room, layer = volumes(), tmp_path / "layer"
    (layer / "data").mkdir(parents=True)
    (layer / "data/one").write_text("whole")
    root = Path(room.create({"Name": "half"})["Mountpoint"])
    (root / "one").write_text("wh")
    (root.parent / "filling").touch()
    point = {"Type": "volume", "Name": "half", "Destination": "/data"}
    assert Path(room.source(point, [str(layer)]), "one").read_text() == "whole"
    (root / "one").write_text("written since")
    assert Path(room.source(point, [str(layer)]), "one").read_text() == "written since"


def test_a_mount_is_shared_only_where_its_source_is(tmp_path: Path) -> None:
    table = tmp_path / "mountinfo"
    lines = [
        "20 1 8:1 / / rw shared:1 - ext4 /dev/x rw",
        "21 20 8:2 / /a rw - ext4 /dev/y rw",
        "22 20 8:3 / /b rw master:3 - ext4 /dev/z rw",
    ]
    table.write_text("\n".join(lines) + "\n")
    for path, wish in (("/c", "rshared"), ("/c", "slave"), ("/b", "rslave"), ("/a", "rprivate"), ("/a", "")):
        check_propagation(path, wish, str(table))
    for path, wish, kind in (
        ("/a/x", "rshared", "shared mount"),
        ("/a", "slave", "shared or slave mount"),
        ("/b", "shared", "shared mount"),
    ):
        with pytest.raises(EngineError, match=f"is mounted on {path[:2]} but it is not a {kind}"):
            check_propagation(path, wish, str(table))


@pytest.mark.parametrize(
    ("mount", "says"),
    [
        ({"Type": "volume", "Target": "/v", "ReadOnly": True}, "must not set ReadOnly mode when using anonymous volumes"),
        ({"Type": "tmpfs", "Source": "x", "Target": "/v"}, "field Source must not be specified"),
        ({"Type": "bind", "Target": "/v"}, "field Source must not be empty"),
        ({"Type": "npipe", "Source": "x", "Target": "/v"}, "mount type unknown"),
        ({"Type": "volume", "Target": "/"}, "destination can.t be"),
        ({"Type": "image", "Source": "nosuch", "Target": "/v"}, "No such image: nosuch"),
    ],
)
def test_mounts_that_docker_refuses(volumes: Open, mount: dict[str, Any], says: str) -> None:
    with pytest.raises(EngineError, match=says):
        volumes().mount_points(container({"Mounts": [mount]}), (), lambda name: container())


def test_the_server_of_a_network_volume_is_resolved(monkeypatch: pytest.MonkeyPatch) -> None:
    known = {"127.0.0.1": "127.0.0.1", "files.example": "192.0.2.7"}

    def look_up(host: str, *_: Any, **__: Any) -> list[Any]:  # a machine may know no name, not even localhost
        if host not in known:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (known[host], 0))]

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    assert resolved("addr=127.0.0.1") == "addr=127.0.0.1"
    assert resolved("addr=files.example") == "addr=192.0.2.7"
    assert (resolved("rw"), resolved("addr=")) == ("rw", "addr=")


def test_a_tmpfs_on_an_images_folder_takes_its_permissions(tmp_path: Path) -> None:
    low, top = tmp_path / "low", tmp_path / "top"
    (low / "a").mkdir(parents=True, mode=0o700)
    (top / "b").mkdir(parents=True)
    (low / "b").mkdir()
    (top / "b").chmod(0o711)
    (top / "link").symlink_to("/b")
    (low / "file").touch()
    layers = [str(low), str(top)]
    assert [oct(folder_mode(layers, path)) for path in ("/a", "/b", "/link", "/file", "/new")] == [
        "0o700", "0o711", "0o711", "0o1777", "0o1777",
    ]  # fmt: skip


@pytest.mark.parametrize(("path", "says"), [("relative", "must be absolute"), ("/", "destination can't be '/'"), ("/x/..", "can't be '/'")])
def test_a_tmpfs_has_a_place(volumes: Open, path: str, says: str) -> None:
    with pytest.raises(EngineError, match=says):
        volumes().mount_points(container({"Tmpfs": {path: ""}}), (), lambda name: container())


@pytest.mark.parametrize(
    ("host", "says"),
    [
        ({"Binds": ["/a:/b:rw,nocopy"]}, "VolumeOptions must not be specified"),
        ({"Binds": ["data:/b:rshared"]}, "BindOptions must not be specified"),
        ({"Binds": ["/a:b"]}, "must be absolute"),
        ({"Mounts": [{"Type": "tmpfs", "Target": "/b", "Source": "x"}]}, "field Source must not be specified"),
    ],
)
def test_what_a_mount_cannot_have(volumes: Open, host: dict[str, Any], says: str) -> None:
    with pytest.raises(EngineError, match=says):
        volumes().mount_points(container(host), (), lambda name: container())


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"device": "/x", "o": "bind"}, 'missing required option: "type"'),
        ({"type": "tmpfs"}, 'missing required option: "device"'),
        ({"size": "1m"}, "quota size requested but no quota support"),
    ],
)
def test_options_that_a_volume_needs(volumes: Open, options: dict[str, str], says: str) -> None:
    with pytest.raises(EngineError, match=says):
        volumes().create({"Name": "data", "DriverOpts": options})


def test_a_volume_whose_options_say_so_is_read_only(volumes: Open) -> None:
    them = volumes()
    for name, words, found in (("shut", "bind,ro", True), ("open", "bind", False)):
        them.create({"Name": name, "DriverOpts": {"type": "none", "device": "/x", "o": words}})
        [point] = them.mount_points(container({"Binds": [f"{name}:/b"]}), (), lambda name: container())
        assert them.is_readonly(point) is found and point["RW"]


def test_a_tmpfs_lies_on_what_another_container_has_there(volumes: Open) -> None:
    other = container({})
    other.mounts = [{"Type": "bind", "Destination": "/b", "Source": "/a", "RW": True}]
    [point] = volumes().mount_points(container({"VolumesFrom": ["x"], "Tmpfs": {"/b": ""}}), (), lambda name: other)
    assert point["Type"] == "tmpfs"
