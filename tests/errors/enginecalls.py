"""Errors of the engine, of registries and of what containers do, each given by a call of ours (calls.py) to the part that raises it."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import io
import json
import socket
import tarfile
from collections.abc import Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast
from unittest import mock

import anyio

from compose_lite import reference
from compose_lite.api.client import EngineClient
from compose_lite.build import fetch
from compose_lite.cli import unitfile
from compose_lite.cli.commands import engine as engine_command
from compose_lite.cli.commands import publish
from compose_lite.cli.context import Context, Globals
from compose_lite.disk import Folders
from compose_lite.engine.containers import Containers
from compose_lite.engine.events import Bus
from compose_lite.engine.networks import Networks
from compose_lite.engine.store import Store
from compose_lite.image import archive, artifact, compression, layers, manifest, registry
from compose_lite.image.store import ImageStore
from compose_lite.linux import unix
from compose_lite.logins import Login
from compose_lite.project import injecting, stopping, waiting
from compose_lite.project.report import Silent
from compose_lite.runtime import lines
from compose_lite.spec.models.service import Hook, Service
from tests.engine.kernel import Clock, Kernel
from tests.image.served import Registry, serving

Call = Callable[[Path], Any]


def context(folder: Path) -> Context:
    own = {"COMPOSE_LITE_RUN_DIR": f"{folder}/run", "COMPOSE_LITE_DATA_DIR": f"{folder}/data"}
    return Context(Globals(), own, io.StringIO(), io.StringIO())


# --- networks


BACK = {"Name": "back", "IPAM": {"Config": [{"Subnet": "10.213.7.0/24"}]}}


def networks(act: Callable[[Networks], Awaitable[object]]) -> None:
    """Done on an engine that has a network `back`."""

    async def run() -> None:
        store: Any = SimpleNamespace(networks=list, put_network=lambda *_: None, delete_network=lambda *_: None)
        made = Networks(store, lambda *_: None, {}, SimpleNamespace(made={}))  # type: ignore[arg-type]
        await made.create(BACK)
        await act(made)

    asyncio.run(run())


async def find(made: Networks) -> None:
    made.find("bakc")


async def listed(made: Networks) -> None:
    made.listing({"colour": ["red"]})


# --- images and registries


@contextmanager
def holding(kind: str, content: bytes, size: int = 0) -> Iterator[Registry]:
    """A registry with an image me/app:1 of one layer, which the manifest says to be of this kind and size."""
    with serving() as server:
        config = json.dumps({"os": "linux", **_platform(), "rootfs": {"type": "layers", "diff_ids": ["sha256:" + "0" * 64]}}).encode()
        layer = {**server.blob(content, kind), **({"size": size} if size else {})}
        value = {
            "schemaVersion": 2,
            "mediaType": manifest.OCI_MANIFEST,
            "config": server.blob(config, manifest.OCI_CONFIG),
            "layers": [layer],
        }
        server.manifest("1", value, manifest.OCI_MANIFEST)
        yield server


def _platform() -> dict[str, str]:
    return {"architecture": manifest.host_platform().architecture}


def pull(folder: Path, server: Registry, login: Login | None = None) -> None:
    name = reference.parse(f"{server.name}/me/app:1")
    registry.pull(ImageStore(folder / "images"), name, login=login, progress=lambda *_: None)


def short(folder: Path) -> None:
    with holding(manifest.OCI_LAYER, b"x" * 1000, 31457280) as server:
        pull(folder, server)


def broken(folder: Path) -> None:
    with holding(manifest.OCI_LAYER + "+gzip", gzip.compress(b"x" * 1000, mtime=0)[:-8]) as server:
        pull(folder, server)


def denied(folder: Path) -> None:
    with serving() as server:
        server.login = Login("me", "secret")
        pull(folder, server, Login("me", "wrong"))


def bad_gateway(folder: Path) -> None:
    with serving() as server:
        server.status = 502
        pull(folder, server)


def unreachable(folder: Path) -> None:
    registry.describe(reference.parse("127.0.0.1:1/me/app"))


def no_compose_file(folder: Path) -> None:
    with serving() as server, mock.patch.object(registry, "endpoints", lambda domain, env: [f"http://{server.name}"]):
        config = server.blob(b"{}", "application/vnd.oci.empty.v1+json")
        server.manifest("1", {"schemaVersion": 2, "config": config, "layers": []}, manifest.OCI_MANIFEST)
        with mock.patch.object(artifact, "endpoints", registry.endpoints):
            artifact.bring("registry.example.org/me/page:1", folder)


def zstd(folder: Path) -> None:
    with mock.patch("importlib.import_module", side_effect=ImportError):
        compression.ZSTD.reader(io.BytesIO())


def ambiguous(folder: Path) -> None:
    """Of 17 images two have ids that begin with the same digit."""
    store = ImageStore(folder / "images")
    for number in range(17):
        config = {"os": "linux", "author": str(number), "rootfs": {"type": "layers", "diff_ids": []}}
        store.add_image(json.dumps(config).encode())
    first = [image.id.removeprefix("sha256:")[0] for image in store.all()]
    store.require(min(digit for digit in first if first.count(digit) > 1))


def linked(folder: Path) -> None:
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w") as out:
        for name, target in (("a", "b"), ("b", "a")):
            entry = tarfile.TarInfo(name)
            entry.type, entry.linkname = tarfile.SYMTYPE, target
            out.addfile(entry)
        out.addfile(tarfile.TarInfo("a/c"), io.BytesIO())
    raw.seek(0)
    (folder / "layer").mkdir()
    layers.unpack(raw, folder / "layer")


def checksum(folder: Path) -> None:
    with serving() as server:
        digest = server.blob(b"tool", "text/plain")["digest"]
        with mock.patch("urllib.request.OpenerDirector.open", _from(server, digest)):
            fetch.download("https://example.org/tool.tar.gz", folder, checksum="sha256:" + "0" * 64)


def _from(server: Registry, digest: str) -> Any:
    import urllib.request

    answer = urllib.request.urlopen(f"http://{server.name}/v2/x/blobs/{digest}")
    return lambda *_, **__: answer


def no_git(folder: Path) -> None:
    with mock.patch("shutil.which", lambda name: None):
        fetch.clone(SimpleNamespace(url="https://example.org/shop.git"), folder / "into")  # type: ignore[arg-type]


# --- the engine itself


def not_started(folder: Path) -> None:
    said = "the engine ended while it was starting; see engine.log in its data folder"
    with mock.patch("compose_lite.starting.start", lambda env: said):
        anyio.run(context(folder).engine)


def not_ended(folder: Path) -> None:
    async def nothing() -> list[Any]:
        return []

    async def own(_: Context) -> Any:
        return SimpleNamespace(containers=nothing, aclose=nothing)

    with (
        mock.patch.object(engine_command, "listening_pid", lambda path: 4711),
        mock.patch.object(engine_command, "own_engine", own),
        mock.patch.object(engine_command, "_END_SECONDS", 0),
        mock.patch("os.kill"),
    ):
        anyio.run(engine_command.stop, context(folder), False, None)


def silent(folder: Path) -> None:
    @asynccontextmanager
    async def stream(*_: Any, **__: Any) -> Any:
        await anyio.sleep_forever()
        yield

    async def run() -> None:
        with mock.patch.object(EngineClient, "stream", stream):
            await EngineClient("tcp://slow:2375").json("GET", "/containers/json", timeout=0.01)

    anyio.run(run)


def not_published(folder: Path) -> None:
    with mock.patch("subprocess.run", lambda *_, **__: SimpleNamespace(stdout="", stderr="Killed\n")):
        publish._send(context(folder), "registry.example.org/me/app", [], [], "")


# --- what containers do


class Engine:
    """With one container in this state, which stays so."""

    def __init__(self, **state: Any) -> None:
        self.state = {"Status": "running", "ExitCode": 0, **state}

    async def extension(self, method: str, path: str, *, query: Any = None, body: Any = None) -> Any:
        probe = {"Count": 3, "ExitCode": 1, "Output": "connection refused\n"}
        return {"Version": query["since"] + 1, "State": self.state, "Probed": probe}

    async def container(self, id: str) -> Any:
        return {"State": self.state}

    async def exec_create(self, id: str, body: Any) -> str:
        return "e"

    @asynccontextmanager
    async def _stream(self) -> Any:
        async def none() -> Any:
            for frame in ():
                yield frame

        yield SimpleNamespace(frames=none)

    async def exec_start(self, id: str) -> Any:
        return self._stream()

    async def exec_inspect(self, id: str) -> Any:
        return {"ExitCode": 3}


def waited(how: Any, name: str, **state: Any) -> Call:
    return lambda folder: anyio.run(how, Engine(**state), Silent(), "0", name)


def migrated(folder: Path) -> None:
    anyio.run(waiting.ended_well, Engine(Status="exited", ExitCode=1), Silent(), "0", "shop-migrate-1", "migrate")


def hooked(folder: Path) -> None:
    service = Service(name="web")
    anyio.run(stopping.run_hooks, Engine(), Silent(), "0", "shop-web-1", [Hook(command=["./seed.sh"])], service)


def pause_that_does_not_freeze(folder: Path) -> None:
    """On the kernel of tests/engine/kernel.py, whose processes hang here (tests/engine/test_pause.py)."""

    class Stiff(Kernel):
        def group(self, id: str) -> Any:
            return SimpleNamespace(freeze=lambda on: None, frozen=lambda: False, has_freezer=True)

    async def act() -> None:
        with contextlib.closing(Store(folder / "state.db")) as store:
            kernel = Stiff()
            engine = Containers(store, Folders(folder, folder), kernel, Bus())  # type: ignore[arg-type]
            engine.runtime = engine.births.preparation = kernel  # type: ignore[assignment]
            with mock.patch("compose_lite.engine.containers.new_id", lambda: "3f1c9a2b7d10".ljust(64, "0")):
                one = engine.create("web", {"Image": "x", "Cmd": ["x"]})
            await engine.start(one)
            await engine.pause(one)

    with asyncio.Runner(loop_factory=Clock) as runner:
        runner.run(act())


def monitor_that_is_killed(folder: Path) -> None:
    """After it was asked, before it has answered."""

    async def act() -> None:
        ours, theirs = unix.socketpair()
        ours.setblocking(False)
        asking = asyncio.ensure_future(lines.talk(cast(socket.socket, ours), {"op": "attach"}))
        await asyncio.sleep(0.01)
        theirs.close()
        with contextlib.closing(ours):
            await asking

    asyncio.run(act())


ENGINE_CALLS: dict[str, Call] = {
    "archive-broken": lambda folder: archive.load(ImageStore(folder / "images"), io.BytesIO(b"x" * 1024)),
    "archive-link": linked,
    "artifact": no_compose_file,
    "bad-filter": lambda folder: networks(listed),
    "build-checksum": checksum,
    "build-git": no_git,
    "container-pause": pause_that_does_not_freeze,
    "dependency-failed": migrated,
    "dependency-unhealthy": waited(
        waiting.healthy, "shop-db-1", Health={"Status": "unhealthy", "Log": [{"Output": "connection refused\n"}]}
    ),
    "engine-start": not_started,
    "engine-stop": not_ended,
    "engine-timeout": silent,
    "file-owner": lambda folder: injecting._number(SimpleNamespace(path="/run/secrets/token"), "app"),  # type: ignore[arg-type]
    "hook-failed": hooked,
    "image-ambiguous": ambiguous,
    "layer-broken": broken,
    "monitor-gone": monitor_that_is_killed,
    "network-driver": lambda folder: networks(lambda made: made.create({"Name": "far", "Driver": "overlay"})),
    "network-exists": lambda folder: networks(lambda made: made.create(BACK)),
    "network-name": lambda folder: networks(lambda made: made.create({"Name": ""})),
    "network-predefined": lambda folder: networks(lambda made: made.remove("bridge")),
    "network-unknown": lambda folder: networks(find),
    "no-healthcheck": waited(waiting.healthy, "shop-db-1"),
    "publish-failed": not_published,
    "registry-answer": bad_gateway,
    "registry-denied": denied,
    "registry-short": short,
    "registry-unreachable": unreachable,
    "unit-file": lambda folder: unitfile.enable(Path("/proc/systemd/compose-lite.service"), "", 0),
    "wait-exited": waited(waiting.ready, "shop-web-1", Status="exited", ExitCode=1),
    "zstd-missing": zstd,
}
