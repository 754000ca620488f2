"""`watch` and `up --watch`: looks at the folders of develop.watch, and syncs, rebuilds, restarts what their changes ask for.

What a change means is decided in project/watch.py. A failure is told and the watching goes on.
"""

from __future__ import annotations

import hashlib
import io
import os
import socket
import tarfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import IO, Any

import anyio

from compose_lite import ids
from compose_lite.api.protocol import DockerEngine
from compose_lite.cli.context import Context
from compose_lite.cli.copying import written
from compose_lite.cli.progress import Quiet, progress
from compose_lite.cli.upping import Upping
from compose_lite.errors import ApiError, Error, ProjectError, first_error
from compose_lite.graph.services import needs
from compose_lite.project.builds import build_images
from compose_lite.project.containerspec import hook_body
from compose_lite.project.observe import containers_of
from compose_lite.project.stopping import grace
from compose_lite.project.watch import Rule, Work, initial, rules_of, work
from compose_lite.spec.models.project import Project
from compose_lite.units import parse_rfc3339

SETTLE_MS = 50  # changes closer together than this are one batch
LONGEST_MS = 1000


@dataclass(slots=True)
class Watching:
    """quiet: build output is not shown; prune: images that a rebuild leaves without a name go."""

    context: Context
    project: Project
    services: Sequence[str]
    quiet: bool = False
    prune: bool = True
    rules: list[Rule] = field(default_factory=list)
    _lock: socket.socket | None = None

    def prepare(self) -> None:
        """Reads the rules; refuses what cannot be watched, and a second watch of the same project."""
        names = list(self.services) or [n for n, s in self.project.services.items() if s.develop and s.develop.watch]
        self.rules, warnings = rules_of(self.project, names, _dockerignore)
        for warning in warnings:
            self.context.warn(warning)
        key = hashlib.sha256(f"{self.context.folders.run}\0{self.project.name}".encode()).hexdigest()[:32]
        self._lock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        try:
            self._lock.bind(f"\0compose-lite/watch/{key}")  # abstract: it goes with this process, however that ends
        except OSError:
            says = f"cannot take exclusive lock for project {self.project.name!r}: another watch of it is running"
            raise ProjectError("watch-twice", says, remedy="End the other one first.") from None

    async def run(self) -> None:
        """For ever; another one may begin when this one is cancelled."""
        assert self._lock
        with self._lock:
            engine = await self.context.engine()
            early = initial(self.rules, {r.path: _files(r.path) for r in self.rules if r.initial_sync})
            await self._act(engine, await self._newer(engine, early))
            await self._until_roots_change(engine, first=True)
            while True:
                await self._until_roots_change(engine)

    async def _until_roots_change(self, engine: DockerEngine, first: bool = False) -> None:
        """Folders are watched with all below them, files and what is not there yet through the folder they stand in."""
        import watchfiles  # for this command alone

        deep, flat = self._roots()
        stop, lock = anyio.Event(), anyio.Lock()

        async def look(roots: Iterable[str], recursive: bool) -> None:
            async for changes in watchfiles.awatch(
                *roots,
                watch_filter=lambda _, path: self._matters(path),
                debounce=LONGEST_MS,
                step=SETTLE_MS,
                stop_event=stop,
                recursive=recursive,
            ):
                paths = {path for _, path in changes}
                for path in [p for p in paths if os.path.isdir(p) and not os.path.islink(p)]:
                    paths |= {p for p in _files(path) if self._matters(p)}  # made before anybody looked into the new folder
                async with lock:
                    await self._act(engine, work(self.rules, paths))
                if self._roots() != (deep, flat):
                    stop.set()

        async def release() -> None:
            """A cancelled watcher is let go at once; by itself it looks up only every five seconds."""
            try:
                await stop.wait()
            finally:
                stop.set()

        async with anyio.create_task_group() as group:
            group.start_soon(release)
            if deep:
                group.start_soon(look, _outermost(deep), True)
            if flat:
                group.start_soon(look, flat, False)
            if first:
                await anyio.sleep(0)  # both have made their watchers when they first wait
                self.say("Watch enabled")

    def _roots(self) -> tuple[set[str], set[str]]:
        deep = {r.path for r in self.rules if os.path.isdir(r.path)}
        covered = tuple(path.rstrip("/") + "/" for path in deep)
        return deep, {_standing(r.path) for r in self.rules if r.path not in deep and not r.path.startswith(covered)}

    def _matters(self, path: str) -> bool:
        """It is a rule's, or a folder that leads to one's path."""
        return any(rule.takes(path) or rule.path.startswith(path + "/") for rule in self.rules)

    async def _newer(self, engine: DockerEngine, first: Work) -> Work:
        """initial_sync copies only what changed after the container was made."""
        for service in list(first.sync):
            born = [parse_rfc3339((await engine.container(c.id))["Created"]) for c in await self._containers(engine, service)]
            oldest = min(born, default=0)
            first.sync[service] = {t: p for t, p in first.sync[service].items() if os.stat(p).st_mtime_ns > oldest}
            if not first.sync[service]:
                del first.sync[service]
        return first

    async def _containers(self, engine: DockerEngine, service: str) -> list[Any]:
        return [c for c in await containers_of(engine, self.project.name, [service], all=False) if c.state == "running"]

    async def _act(self, engine: DockerEngine, todo: Work) -> None:
        try:
            if todo.rebuild:
                await self._rebuild(engine, sorted(todo.rebuild))
            for service, paths in todo.sync.items():
                self.say(f'Syncing service "{service}" after {len(paths)} changes were detected')
                for container in await self._containers(engine, service):
                    await sync(engine, container.id, paths)
            if todo.restart:
                await self._restart(engine, sorted(todo.restart))
            for service, hooks in todo.run.items():
                for container in await self._containers(engine, service):
                    for hook in hooks:
                        await self._exec(engine, container.id, service, hook)
        except* (Error, OSError) as failed:
            for error in failed.exceptions:
                self.context.warn(f"Error handling changed files: {error}")

    async def _rebuild(self, engine: DockerEngine, names: list[str]) -> None:
        shown = " ".join(f'"{n}"' for n in names)
        self.say(f"Rebuilding service(s) [{shown}] after changes were detected...")
        report = Quiet(self.context.err) if self.quiet else progress(self.context)
        try:
            await build_images(engine, self.project, [self.project.services[n] for n in names], report)
        except (Error, BaseExceptionGroup) as failed:
            self.say(f"Build failed. Error: {first_error(failed)}")
            raise
        finally:
            report.close()
        self.say(f"service(s) [{shown}] successfully built")
        options = {"force_recreate": True, "no_deps": True, "no_build": True}
        await Upping(self.context, self.project, Quiet(self.context.err), tuple(names), options).converge(start=True)
        if self.prune:
            wanted = {"dangling": ["true"], "label": [f"{ids.PROJECT}={self.project.name}"]}
            await engine.prune_images(filters=wanted)

    async def _restart(self, engine: DockerEngine, names: list[str]) -> None:
        also = {s.name for s in self.project.services.values() for o, d in needs(s).items() if d.restart and o in names}
        for service in [*names, *sorted(also - set(names))]:
            for container in await containers_of(engine, self.project.name, [service]):
                await engine.restart(container.id, timeout=grace(self.project.services[service], None))
        shown = " ".join(f'"{n}"' for n in names)
        self.say(f"service(s) [{shown}] restarted")

    async def _exec(self, engine: DockerEngine, id: str, service: str, hook: Any) -> None:
        exec_id = await engine.exec_create(id, hook_body(hook, self.project.services[service]))
        async with await engine.exec_start(exec_id) as stream:
            async for number, data in stream.frames():
                out = self.context.err if number == 2 else self.context.out
                out.write(data.decode("utf-8", "replace"))
                out.flush()
        code = (await engine.exec_inspect(exec_id))["ExitCode"]
        if code:
            raise ProjectError("watch-exec", f"the command of {service} ended with status {code}")

    def say(self, text: str) -> None:
        mark = "        ⦿ " if self.context.out.isatty() else ""
        self.context.print(f"{mark}{text}")
        self.context.out.flush()


async def sync(engine: DockerEngine, id: str, paths: Mapping[str, str]) -> None:
    """Copies what is there to its place in the container, and removes what is not there any more. paths: place -> path here."""
    there = {target: path for target, path in paths.items() if os.path.lexists(path)}
    gone = sorted(target for target in paths if target not in there)
    if gone:
        await _remove(engine, id, gone)
    if there:

        def write(out: IO[bytes]) -> None:
            with tarfile.open(fileobj=out, mode="w|", format=tarfile.PAX_FORMAT) as tar:
                for target, path in sorted(there.items()):
                    _pack(tar, path, target.lstrip("/"))

        await engine.archive_put(id, "/", written(write), copy_uid_gid=True)


def _pack(tar: tarfile.TarFile, path: str, name: str) -> None:
    """What vanishes meanwhile is left out."""
    try:
        entry = tar.gettarinfo(path, name)
        if entry is None:
            return
        entry.uid = entry.gid = 0
        entry.uname = entry.gname = ""
        if entry.isreg():
            entry.type, entry.linkname = tarfile.REGTYPE, ""
            with open(path, "rb") as file:
                data = file.read()
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))
        else:
            tar.addfile(entry)
    except FileNotFoundError:
        return


async def _remove(engine: DockerEngine, id: str, targets: list[str]) -> None:
    """By `rm` inside, as Docker Compose does it: the API has no call for it."""
    body = {"Cmd": ["rm", "-rf", *targets], "User": "0", "AttachStdout": True, "AttachStderr": True}
    exec_id = await engine.exec_create(id, body)
    said = b""
    async with await engine.exec_start(exec_id) as stream:
        async for _, data in stream.frames():
            said += data
    if (await engine.exec_inspect(exec_id))["ExitCode"]:
        raise ApiError(f"cannot remove {' '.join(targets)}: {said.decode('utf-8', 'replace').strip()}", code="watch-remove")


def _files(path: str) -> list[str]:
    if not os.path.isdir(path):
        return [path] if os.path.exists(path) else []
    return [os.path.join(folder, name) for folder, _, names in os.walk(path) for name in names]


def _standing(path: str) -> str:
    """The nearest folder above the path that is there."""
    path = os.path.dirname(path)
    while not os.path.isdir(path):
        path = os.path.dirname(path)
    return path


def _outermost(paths: set[str]) -> set[str]:
    """Without those that lie in another one."""
    return {p for p in paths if not any(p != q and p.startswith(q.rstrip("/") + "/") for q in paths)}


def _dockerignore(context: str) -> str:
    try:
        with open(os.path.join(context, ".dockerignore"), encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return ""
