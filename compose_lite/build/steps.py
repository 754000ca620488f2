"""The operations of a stage, each as what its result depends on (`key`) and how its layer's folder is made (`make`).

Files are read from trees of layers mounted read-only and written into an overlay of the stage's layers, or handed to a RUN's sandbox.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import os
import stat
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from compose_lite.build import context, fetch, files, operations, phrases, solve, views
from compose_lite.build.chmod import parse_chmod
from compose_lite.build.files import Top, Tree
from compose_lite.build.host import Document, Host, RunStep, State, StepFailed
from compose_lite.build.operations import Copy, MakeFolder, Run
from compose_lite.build.writing import Look, Writer
from compose_lite.disk import locked
from compose_lite.errors import BuildError, ImageError
from compose_lite.ignore import parse_ignore

if TYPE_CHECKING:
    from compose_lite.build.execute import Build

_SOCKET = "/run/buildkit/ssh_agent.0"
_LOG_KEPT = 200


class Work(ABC):
    """One operation on one state. `close` gives back what was opened for it."""

    def __init__(self, build: Build, id: str, title: str, operation: Any, state: State) -> None:
        self.build, self.id, self.title, self.state = build, id, title, state
        self._closing = contextlib.ExitStack()

    @abstractmethod
    async def key(self) -> str:
        """What the result depends on."""

    @abstractmethod
    async def make(self) -> Path:
        """The folder that becomes the layer."""

    def close(self) -> None:
        self._closing.close()

    def note(self, text: str) -> None:
        self.build.host.tell({"step": self.id, "log": f"NOTE: {text}\n"})

    def upper(self) -> tuple[Path, Path]:
        made = self.build.views.folder("upper", "work")
        views.like_root(made / "upper", self.state.lower)
        return made / "upper", made / "work"

    @contextlib.contextmanager
    def writable(self, upper: Path, work: Path, lower: Sequence[str]) -> Any:
        """A descriptor of the merged root, which is unmounted at the end."""
        path = self.build.views.writable(lower, upper, work)
        try:
            with opened(path) as root:
                yield root
        finally:
            if path != str(upper):
                self.build.views.leave(path)


class Making(Work):
    """WORKDIR"""

    def __init__(self, build: Build, id: str, title: str, operation: MakeFolder, state: State) -> None:
        super().__init__(build, id, title, operation, state)
        self.operation = operation
        self._owner: tuple[int, int] | None = None

    async def key(self) -> str:
        user = self.operation.user
        if user:
            self._owner = await asyncio.to_thread(_chown, user, self.state.lower, self.build.host, self.note)
        return solve.folder_key(self.operation, self.state.chain, self._owner)

    async def make(self) -> Path:
        return await asyncio.to_thread(self._make)

    def _make(self) -> Path:
        upper, work = self.upper()
        with self.writable(upper, work, self.state.lower) as root:
            os.close(Writer(root, Look(self._owner), note=self.note).parents(self.operation.path))
        return upper


class Copying(Work):
    """COPY and ADD"""

    def __init__(self, build: Build, id: str, title: str, operation: Copy, state: State) -> None:
        super().__init__(build, id, title, operation, state)
        self.operation = operation
        self._owner: tuple[int, int] | None = None
        self._exclude = parse_ignore("\n".join(operation.exclude))
        self._parts: list[tuple[Tree, list[Top], bool]] = []  # the bool: fetched from elsewhere

    async def key(self) -> str:
        one, host = self.operation, self.build.host
        if one.chown:
            self._owner = await asyncio.to_thread(_chown, one.chown, self.state.lower, host, self.note)
        if one.chmod:
            parse_chmod(one.chmod)
        tree = await self.build.tree(one.source) if any(not (one.add and phrases.is_remote(s)) for s in one.sources) else None
        contents: list[str] = []
        for source in one.sources:
            contents += await asyncio.to_thread(self._look, source, tree)
        return solve.copy_key(one, self.state.chain, [*contents, *one.exclude], self._owner)

    def _look(self, source: str, tree: Tree | None) -> list[str]:
        """Finds what the source names; what the key has to know of it."""
        one, build = self.operation, self.build
        if one.add and phrases.is_remote(source):
            tree = self._fetched(source)
            tops = files.at(tree, "/" if fetch.is_git(source) else os.listdir(tree.root)[0])
        else:
            assert tree is not None
            tops = self._with_parents(tree, source) if one.parents else files.select(tree, source)
        self._parts.append((tree, tops, one.add and phrases.is_remote(source)))
        return [files.digest(tree, tops, self._exclude, build.known if tree.anonymous else None)]

    def _fetched(self, source: str) -> Tree:
        one = self.operation
        folder = self.build.views.folder()
        if fetch.is_git(source):
            place = fetch.parse_git(source)
            commit = self.build.host.clone(place, folder / "git", keep_git=one.keep_git)
            if one.checksum and not commit.startswith(one.checksum):
                raise BuildError("build-checksum", f"expected checksum to match {one.checksum}, got {commit}")
            return Tree(str(folder / "git" / place.folder), anonymous=True)
        self.build.host.download(source, folder / "url", one.checksum)
        return Tree(str(folder / "url"), anonymous=True)

    def _with_parents(self, tree: Tree, source: str) -> list[Top]:
        """--parents: a top is called by its whole path, from the `/./` in the source on."""
        kept = source.partition("/./")
        skipped = len(context.normalize_source(kept[0]).split("/")) if kept[1] and context.normalize_source(kept[0]) else 0
        found = files.select(tree, source)
        return [replace(top, name="/".join(top.inner.split("/")[skipped:])) for top in found]

    async def make(self) -> Path:
        return await asyncio.to_thread(self._make)

    def _make(self) -> Path:
        one = self.operation
        lower = self.state.lower
        upper, work = self.upper()
        look = Look(self._owner, parse_chmod(one.chmod) if one.chmod else None)
        with self.writable(upper, work, lower) as root:
            writer = Writer(root, look, note=self.note)
            try:
                for tree, tops, remote in self._parts:
                    for top in tops:
                        self._put(writer, tree, top, remote)
                for name, text in one.texts:
                    writer.put_text(name, text, one.target)
            except OSError as error:
                raise BuildError(
                    "build-copy", f"failed to copy files: {error.strerror or error}: {error.filename or one.target}"
                ) from error
            finally:
                writer.close()
        return upper

    def _put(self, writer: Writer, tree: Tree, top: Top, remote: bool) -> None:
        one = self.operation
        if one.parents:
            folder = os.path.dirname(top.name)
            target = os.path.join(one.target, top.name if top.is_folder else folder) + "/"
            writer.put(tree, replace(top, name=os.path.basename(top.name)), target, self._exclude)
            return
        wanted = one.unpack if one.unpack is not None else not remote
        stream = fetch.open_archive(top.path) if one.add and wanted and stat.S_ISREG(top.status.st_mode) else None
        if stream is None:
            writer.put(tree, top, one.target, self._exclude)
            return
        held = writer.parents(one.target)
        try:
            with stream:
                fetch.unpack(stream, os.readlink(f"/proc/self/fd/{held}"), self._owner, self.note)
        except ImageError as error:
            raise BuildError("build-archive", f"cannot unpack {top.name}: {error.says}") from error
        finally:
            os.close(held)


class Running(Work):
    """RUN"""

    def __init__(self, build: Build, id: str, title: str, operation: Run, state: State) -> None:
        super().__init__(build, id, title, operation, state)
        self.operation = operation
        self._env: list[str] = []
        self._mounts: list[Document] = []
        self._fds: dict[str, int] = {}
        self._points: list[tuple[str, bool]] = []
        self._bound: list[tuple[operations.Mount, str, str, str]] = []

    async def key(self) -> str:
        keys = []
        for mount in self.operation.mounts:
            content = ""
            if mount.kind in ("bind", "cache") and mount.source is not None:
                content = await self._source(mount)
            keys.append(solve.mount_key(mount, content))
        return solve.run_key(self.operation, self.state.chain, keys, self.build.request.sandbox)

    async def _source(self, mount: operations.Mount) -> str:
        """Where the mount's files are, remembered for `make`; what they are."""
        assert mount.source is not None
        tree = await self.build.tree(mount.source)
        if tree.anonymous:
            result = await self.build.copied(tree, mount.path, self.id)
            layer = self.build.store.layer(result.diff_id)
            assert layer is not None
            self._bound.append((mount, str(layer.path), "/m", result.diff_id))
            return result.diff_id

        def look() -> str:
            return files.digest(tree, files.at(tree, mount.path))

        content = await asyncio.to_thread(look)
        self._bound.append((mount, tree.root, mount.path, content))
        return content

    async def make(self) -> Path:
        one, build = self.operation, self.build
        upper, work = self.upper()
        await self._prepare()
        lower = await asyncio.to_thread(self._lower_with_stubs)
        step = RunStep(self.id, one, lower, upper, work, [*one.env, *one.proxies, *self._env], self._mounts, self._fds)
        tail = _Tail()

        def output(stream: int, data: bytes) -> None:
            tail.add(data)
            build.host.tell({"step": self.id, "log": data.decode("utf-8", "replace"), "stream": stream})

        status = await build.host.run(step, output)
        if status:
            says = f'process "{" ".join(one.argv)}" did not complete successfully: exit code: {status}'
            raise StepFailed("build-step", says, self.title, tail.lines(), status)
        return upper

    def _lower_with_stubs(self) -> list[str]:
        lower = self.state.lower
        stubs = self.build.views.folder("stubs") / "stubs"
        views.like_root(stubs, lower)
        points = [("/proc", True), ("/sys", True), ("/dev", True), ("/etc/hosts", False), ("/etc/resolv.conf", False), *self._points]
        some = views.make_stubs(self.build.views.read_only(lower), stubs, points)
        return [*lower, str(stubs)] if some or not lower else lower

    # Mounts

    async def _prepare(self) -> None:
        for mount in self.operation.mounts:
            await _MOUNTS[mount.kind](self, mount)
        if self.operation.script:
            name, text = self.operation.script
            folder = self.build.views.folder("pipes") / "pipes"
            (folder / name).write_text(text)
            (folder / name).chmod(0o755)
            self._bind(str(folder), "/dev/pipes", "ro", is_folder=True)

    def _bind(self, source: str, target: str, *options: str, is_folder: bool) -> None:
        self._mounts.append({"destination": target, "type": "bind", "source": source, "options": ["rbind", "rprivate", *options]})
        if not target.startswith(("/dev/", "/proc/", "/sys/")):
            self._points.append((target, is_folder))

    async def _bind_mount(self, mount: operations.Mount) -> None:
        _, root, path, _ = next(found for found in self._bound if found[0] is mount)

        def attach() -> tuple[int, bool]:
            base = root
            if not mount.readonly:
                made = self.build.views.folder("upper", "work")
                base = self.build.views.writable([root], made / "upper", made / "work")
                self._closing.callback(self.build.views.leave, base)
            fd = views.clone_of(base, path)
            self._closing.callback(os.close, fd)
            return fd, stat.S_ISDIR(os.fstat(fd).st_mode)

        fd, is_folder = await asyncio.to_thread(attach)
        name = f"m{len(self._fds)}"
        self._fds[name] = fd
        self._bind(f"fd:{name}", mount.target, *(["ro"] if mount.readonly else []), is_folder=is_folder)

    async def _cache_mount(self, mount: operations.Mount) -> None:
        cache = self.build.cache
        folder = cache.mount_folder(mount.id)
        if mount.sharing != "shared":
            folder = await self._lock_folder(folder, mount.sharing == "private")
        await asyncio.to_thread(self._make_cache, folder, mount)
        self._bind(str(folder), mount.target, *(["ro"] if mount.readonly else []), is_folder=True)

    async def _lock_folder(self, folder: Path, private: bool) -> Path:
        number = 0
        while True:
            chosen = folder.with_name(f"{folder.name}-{number}") if number else folder
            lock = locked(chosen.with_name(chosen.name + ".lock"), blocking=False)
            try:
                lock.__enter__()
            except BlockingIOError:
                if private:
                    number += 1
                else:
                    await asyncio.sleep(0.05)
                continue
            self._closing.push(lock)
            return chosen

    def _make_cache(self, folder: Path, mount: operations.Mount) -> None:
        if folder.exists():
            return
        made = self.build.views.folder("cache") / "cache"
        found = [one for one in self._bound if one[0] is mount]
        if found:
            _, root, path, _ = found[0]
            with opened(str(made)) as target:
                writer = Writer(target, Look())
                for top in files.at(Tree(root), path):
                    writer.put(Tree(root), top, "/")
                writer.close()
        with contextlib.suppress(OSError):
            os.chown(made, mount.uid, mount.gid)
        made.chmod(0o755 if mount.mode is None else mount.mode)
        with contextlib.suppress(OSError):
            made.rename(folder)

    async def _tmpfs_mount(self, mount: operations.Mount) -> None:
        options = ["nosuid", "nodev", *([f"size={mount.size}"] if mount.size else [])]
        self._mounts.append({"destination": mount.target, "type": "tmpfs", "source": "tmpfs", "options": options})
        self._points.append((mount.target, True))

    async def _secret_mount(self, mount: operations.Mount) -> None:
        secret = self.build.request.secrets.get(mount.id)
        if secret is None:
            if mount.required:
                raise BuildError("build-secret", f"secret {mount.id}: not found", remedy="Name it under `secrets:` of the build section.")
            return
        try:
            content = base64.b64decode(secret.content) if secret.content is not None else Path(secret.file).read_bytes()
        except OSError as error:
            raise BuildError("build-secret", f"secret {mount.id}: open {secret.file}: {(error.strerror or '').lower()}") from error
        if mount.env is not None:
            self._env.append(f"{mount.env or mount.id}={content.decode('utf-8', 'surrogateescape')}")
        if not mount.target:
            return
        path = self.build.host.private_file(content, 0o400 if mount.mode is None else mount.mode, mount.uid, mount.gid)
        self._closing.callback(os.unlink, path)
        self._bind(path, mount.target, "ro", is_folder=False)

    async def _ssh_mount(self, mount: operations.Mount) -> None:
        path = self.build.request.ssh.get(mount.id or "default", "")
        if not path or not os.path.exists(path):
            if mount.required:
                says = f"unset ssh forward key {mount.id or 'default'}: no ssh agent was given"
                raise BuildError("build-ssh", says, remedy="Run an agent (SSH_AUTH_SOCK) and name it under `ssh:` or with --ssh.")
            return
        if not stat.S_ISSOCK(os.stat(path).st_mode):
            raise BuildError(
                "build-ssh", f"{path} is no agent's socket: keys from files are not supported", remedy="Add the key to an agent."
            )
        target = mount.target or _SOCKET
        self._env.append(f"SSH_AUTH_SOCK={target}")
        self._bind(path, target, is_folder=False)


_MOUNTS = {
    "bind": Running._bind_mount,
    "cache": Running._cache_mount,
    "tmpfs": Running._tmpfs_mount,
    "secret": Running._secret_mount,
    "ssh": Running._ssh_mount,
}


class _Tail:
    """The last lines of an output."""

    def __init__(self) -> None:
        self._text = ""

    def add(self, data: bytes) -> None:
        self._text = (self._text + data.decode("utf-8", "replace"))[-32_000:]

    def lines(self) -> list[str]:
        return self._text.rstrip("\n").split("\n")[-_LOG_KEPT:] if self._text.strip() else []


@contextlib.contextmanager
def opened(path: str) -> Iterator[int]:
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield fd
    finally:
        os.close(fd)


def _chown(text: str, lower: Sequence[str], host: Host, note: Callable[[str], object]) -> tuple[int, int]:
    """`user[:group]`; numbers need no files, and a number alone is the group too. Unknown names are root's, as in BuildKit, but said."""
    user, _, group = text.partition(":")
    uid = gid = 0
    if user.isdigit():
        uid = gid = int(user)
    elif user:
        try:
            uid, gid = host.account(lower, user)
        except BuildError as error:
            note(f"{error.says}: root is taken")
    if group.isdigit():
        gid = int(group)
    elif group:
        try:
            gid = host.account(lower, f"0:{group}")[1]
        except BuildError as error:
            note(f"{error.says}: group {gid} is taken")
    return uid, gid
