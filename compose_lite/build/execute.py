"""One build from its request to the image: plans the stages, runs what the cache does not have, stages side by side.

How a RUN's process is started and how images are pulled is the caller's (`Host`). All files are made in a private scratch
folder first; a build that fails or is cancelled leaves finished steps in the cache and nothing else.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

from compose_lite import reference
from compose_lite.build import context, fetch, files, operations, phrases, solve, stageplan, views
from compose_lite.build.dockerfile import lines, parse
from compose_lite.build.files import Top, Tree
from compose_lite.build.host import Host, State, StepFailed
from compose_lite.build.operations import Copy, Operation, Run, Source
from compose_lite.build.request import BuildRequest
from compose_lite.build.solve import Cache, Result
from compose_lite.build.stageplan import Base, StagePlan, Wishes
from compose_lite.build.stages import Planner
from compose_lite.build.steps import Copying, Making, Running, Work, opened
from compose_lite.build.writing import Look, Writer
from compose_lite.errors import BuildError, Error, ImageError, Place
from compose_lite.ignore import Pattern, ignored, parse_ignore
from compose_lite.image import layers as layer_files
from compose_lite.image import manifest
from compose_lite.image.image import Image
from compose_lite.image.store import ImageStore
from compose_lite.units import rfc3339

Document = dict[str, Any]


class Build:
    def __init__(self, request: BuildRequest, store: ImageStore, host: Host, scratch: Path) -> None:
        self.request, self.store, self.host, self.scratch = request, store, host, scratch
        self.cache = Cache(store.data)
        self.views = views.Views(scratch)
        self.created: dict[operations.Number, str] = {}
        self.known = self.cache.known_files()
        self._known_before = len(self.known)
        self._plans: dict[int, StagePlan] = {}
        self._images: dict[tuple[str, str], asyncio.Task[Image]] = {}
        self._trees: dict[str, Tree] = {}
        self._stages: dict[int, asyncio.Task[State]] = {}
        self._file: parse.Dockerfile | None = None

    # From the request to the image

    async def make(self) -> str:
        """The image's id; empty after a mere check. Errors have their place, and say what the failing step wrote."""
        for notice in self.request.notices:
            self.host.tell({"warning": notice})
        self._check_contexts()
        root = await self._context()
        async with self._step("definition", f"[internal] load build definition from {os.path.basename(self.request.dockerfile)}"):
            file = self._file = self._parse(root)
        ignore = self._ignore_file(root, self.request.dockerfile)
        self._trees["context"] = Tree(root, ignore, anonymous=True)
        planner = Planner(file, self._wishes())
        try:
            try:
                target = await self._plan(planner, planner.target)
            except BuildError:
                if self.request.check:
                    self._tell_warnings(file)
                raise
            self._check_ignored(file, ignore)
            self._tell_warnings(file)
            if self.request.check:
                return ""
            if file.fatal and file.warnings:
                names = ", ".join(dict.fromkeys(warning.rule for warning in file.warnings))
                first = file.warnings[0].span
                raise BuildError("build-check", f"lint violation found for rules: {names}", lines=(first.first, first.last),
                                 place=Place(file.file, first.first))  # fmt: skip
            with self.store.using_layers():
                state = await self._all_stages(planner.target)
                return await self._export(target, state)
        finally:
            if len(self.known) != self._known_before:
                await asyncio.to_thread(self.cache.keep_known_files, self.known)

    def _check_contexts(self) -> None:
        """Additional folders have to be there even if nothing is copied from them."""
        for name, value in self.request.contexts.items():
            local = not value.startswith("docker-image:") and not fetch.is_git(value) and not fetch.is_url(value)
            if value.startswith("oci-layout:"):
                raise BuildError("build-context", f"the additional context {name} is an OCI layout, which is not supported")
            if local and not os.path.isdir(value):
                raise BuildError("build-context", f"failed to get build context {name}: stat {value}: no such file or directory")

    def excerpt(self, error: BuildError) -> str:
        """The lines of the Dockerfile around the error, if it has a place there."""
        if self._file is None or not error.lines[0]:
            return ""
        return parse.excerpt(self._file.source, self._file.file, *error.lines)

    async def _context(self) -> str:
        request = self.request
        if request.tar:
            folder = self.views.folder()
            if not await asyncio.to_thread(self._unpack_context, request.tar, folder):
                raise BuildError("build-context", "the context is no tar archive")
            return str(folder)
        if fetch.is_git(request.context):
            place = fetch.parse_git(request.context)
            into = self.views.folder() / "context"
            async with self._step("git", f"[internal] load git source {request.context}"):
                await asyncio.to_thread(self.host.clone, place, into)
            return str(into / place.folder)
        if fetch.is_url(request.context):
            async with self._step("context", f"[internal] load remote build context {request.context}"):
                return await asyncio.to_thread(self._fetch_context, request.context)
        if not os.path.isdir(request.context):
            raise BuildError("build-context", f'unable to prepare context: path "{request.context}" not found')
        return os.path.realpath(request.context)

    def _fetch_context(self, url: str) -> str:
        """An archive by its address, unpacked; anything else is the Dockerfile of an empty context."""
        made = self.views.folder("context")
        file = self.host.download(url, made / "fetched")
        if not self._unpack_context(str(file), made / "context"):
            file.rename(made / "context" / os.path.basename(self.request.dockerfile))
        return str(made / "context")

    def _unpack_context(self, archive: str, folder: Path) -> bool:
        """False when it is no archive."""
        try:
            stream = fetch.open_archive(archive)
            if stream is None:
                return False
            with stream:
                layer_files.unpack(stream, folder, whiteouts=False)
            return True
        except ImageError as error:
            raise BuildError("build-context", f"the context cannot be unpacked: {error.says}") from error

    def _parse(self, root: str) -> parse.Dockerfile:
        name = self.request.dockerfile
        if self.request.inline:
            return self._remember(self.request.inline.encode(), "Dockerfile")
        path = os.path.join(root, name)
        try:
            with open(path, "rb") as file:
                content = file.read()
        except OSError as error:
            says = f"failed to read dockerfile: open {name}: {(error.strerror or str(error)).lower()}"
            raise BuildError("build-dockerfile", says) from error
        return self._remember(content, os.path.basename(name))

    def _remember(self, content: bytes, name: str) -> parse.Dockerfile:
        text = content.removeprefix(b"\xef\xbb\xbf").decode("utf-8", "replace")
        self._file = parse.Dockerfile(name, [line.rstrip("\r") for line in text.split("\n")], "\\", [], [])  # for an error's excerpt
        return parse.parse(content, name)

    def _ignore_file(self, root: str, dockerfile: str) -> tuple[Pattern, ...]:
        names = [".dockerignore"] if self.request.inline else [f"{dockerfile}.dockerignore", ".dockerignore"]
        for name in names:
            with contextlib.suppress(FileNotFoundError, NotADirectoryError), open(os.path.join(root, name), encoding="utf-8") as file:
                text = file.read()
                if any(line.strip() == "!" for line in text.splitlines()):
                    raise BuildError(
                        "build-context", f'illegal exclusion pattern: "!" in {name}', remedy="Name what is to be taken back in."
                    )
                return parse_ignore(text)
        return ()

    def _wishes(self) -> Wishes:
        request, host = self.request, manifest.host_platform()
        return Wishes(
            request.args, request.target, request.platform or host, host, request.labels, frozenset(request.contexts),
            request.network, request.entitlements, request.prefix,
        )  # fmt: skip

    # Plans

    async def _plan(self, planner: Planner, index: int) -> StagePlan:
        if index in self._plans:
            return self._plans[index]
        source = planner.source(index)
        start = planner.file.stages[index].start
        try:
            base = await self._base(planner, source)
        except BuildError as error:
            raise planner.file.error(error, start.line) from None
        plan = self._plans[index] = planner.plan(index, source, base)
        for needed in sorted(plan.needs):
            await self._plan(planner, needed)
        return plan

    async def _base(self, planner: Planner, source: Source) -> Base:
        if source.kind == "stage":
            return (await self._plan(planner, source.index)).as_base
        if source.kind == "image" or (source.kind == "named" and self._image_name(source)):
            return stageplan.image_base((await self._image(source)).config)
        return stageplan.scratch_base(planner.wishes.platform)

    def _check_ignored(self, file: parse.Dockerfile, ignore: Sequence[Pattern]) -> None:
        for plan in self._plans.values():
            for one in plan.operations:
                if isinstance(one, Copy) and one.source.kind == "context" and ignore:
                    for source in one.sources:
                        path = context.normalize_source(source)
                        if not phrases.is_remote(source) and not context.has_wildcard(source) and path and ignored(path, ignore):
                            kind = "ADD" if one.add else "COPY"
                            says = f'Attempting to {kind} file "{source}" that is excluded by .dockerignore'
                            file.warn("CopyIgnoredFile", says, one.span)

    def _tell_warnings(self, file: parse.Dockerfile) -> None:
        rows = []
        for warning in sorted(file.warnings, key=lambda warning: warning.span.first):
            rows.append({"rule": warning.rule, "says": warning.says, "url": warning.url, "line": warning.span.first,
                         "excerpt": parse.excerpt(file.source, file.file, warning.span.first, warning.span.last)})  # fmt: skip
        if self.request.check:
            self.host.tell({"check": rows})
            return
        for row in rows:
            text = f"WARN: {row['rule']}: {row['says']} (line {row['line']})"
            self.host.tell({"step": "definition", "log": text + "\n"})

    # Images

    def _image_name(self, source: Source) -> str:
        """The image that the source is, if it is one."""
        if source.kind == "image":
            return source.name
        value = self.request.contexts[source.name]
        return value.removeprefix("docker-image://") if value.startswith("docker-image:") else ""

    async def _image(self, source: Source) -> Image:
        name = self._image_name(source)
        key = (name, source.platform)
        if key not in self._images:
            self._images[key] = asyncio.ensure_future(self._load_image(name, source.platform))
        return await asyncio.shield(self._images[key])

    async def _load_image(self, name: str, platform: str) -> Image:
        try:
            shown = str(reference.parse(name).with_default_tag())
        except ImageError as error:
            raise BuildError("build-image", f'failed to parse stage name "{name}": {error.says}') from error
        wanted = manifest.parse_platform(platform) if platform else self.request.platform or manifest.host_platform()
        step = f"image {shown} {platform}"
        wanted_name = name if name.startswith("sha256:") else shown  # never by the start of an id
        async with self._step(step, f"[internal] load metadata for {shown}"):
            found = await asyncio.to_thread(self.store.get, wanted_name)
            if found is not None and not self.request.pull and self._fits(found, wanted):
                return found
            try:
                await self.host.pull(name, str(wanted), step)
            except BuildError as error:
                raise BuildError("build-image", f"{name}: failed to resolve source metadata for {shown}: {error.says}") from error
            found = await asyncio.to_thread(self.store.get, wanted_name)
            if found is None or not self._fits(found, wanted):
                raise BuildError("build-image", f"{shown}: not found for {wanted}")
            return found

    @staticmethod
    def _fits(image: Image, wanted: manifest.Platform) -> bool:
        config = image.config
        if image.rootfs:
            raise BuildError("build-image", f"{image.rootfs} of the machine cannot be built on", remedy="Name an image.")
        have = manifest.Platform(str(config.get("os") or "linux"), str(config.get("architecture") or ""), str(config.get("variant") or ""))
        return wanted.accepts(have) or have.architecture == ""

    def _state_of(self, image: Image) -> State:
        state = State()
        for diff_id in image.diff_ids:
            state = self._above(state, diff_id)
        return state

    def _above(self, state: State, diff_id: str, key: str = "") -> State:
        layer = self.store.layer(diff_id)
        if layer is None:
            raise BuildError("build-image", f"the layer {diff_id} is not here any more", remedy="Build again.")
        return state.above(diff_id, str(layer.path), key)

    # Stages

    async def _all_stages(self, target: int) -> State:
        for index in self._plans:
            self._stages[index] = asyncio.create_task(self._stage(self._plans[index]))
        try:
            await asyncio.wait(self._stages.values(), return_when=asyncio.FIRST_EXCEPTION)
            for task in self._stages.values():
                if task.done() and not task.cancelled() and task.exception() is not None:
                    raise task.exception()  # type: ignore[misc]
            return self._stages[target].result()
        finally:
            for task in self._stages.values():
                task.cancel()
            await asyncio.gather(*self._stages.values(), return_exceptions=True)

    async def _stage(self, plan: StagePlan) -> State:
        state = await self._start_of(plan)
        for operation in plan.operations:
            try:
                state = await self._operate(plan, operation, state)
            except BuildError as error:
                assert self._file is not None
                if error.place is None:
                    error.place, error.lines = Place(self._file.file, operation.span.first), (operation.span.first, operation.span.last)
                raise
        return state

    async def _start_of(self, plan: StagePlan) -> State:
        if plan.source.kind == "stage":
            return await self._await_stage(plan.source.index)
        if plan.source.kind == "scratch":
            return State()
        async with self._step(f"from {plan.index}", plan.base_title):
            if self._is_image(plan.source):
                return self._state_of(await self._image(plan.source))
            tree = await self.tree(plan.source)
            result = await self.copied(tree, "/", f"from {plan.index}")
            return self._above(State(), result.diff_id)

    async def _await_stage(self, index: int) -> State:
        return await asyncio.shield(self._stages[index])

    def _is_image(self, source: Source) -> bool:
        return source.kind == "image" or (source.kind == "named" and bool(self._image_name(source)))

    async def _operate(self, plan: StagePlan, operation: Operation, state: State) -> State:
        id, title = "{}.{}".format(*operation.number), plan.titles[operation.number]
        if isinstance(operation, Run):
            work: Work = Running(self, id, title, operation, state)
        elif isinstance(operation, Copy):
            work = Copying(self, id, title, operation, state)
        else:
            work = Making(self, id, title, operation, state)
        try:
            result = await self._result(id, title, work)
        finally:
            await asyncio.to_thread(work.close)
        self.created[operation.number] = result.created
        return self._above(state, result.diff_id, result.key)

    async def _result(self, id: str, title: str, work: Work) -> Result:
        """From the cache, else made; by one of several builds that want it at once."""
        try:
            key = await work.key()
        except BuildError as error:
            self.host.tell({"step": id, "title": title, "state": "started"})
            self.host.tell({"step": id, "title": title, "state": "error", "error": error.says})
            raise StepFailed(error.code, error.says, title) from error
        if self.request.no_cache:
            return await self._make(id, title, key, work)
        while True:
            found = self._cached(key)
            if found:
                self.host.tell({"step": id, "title": title, "state": "cached"})
                return found
            try:
                lock = self.cache.try_lock(key)
                lock.__enter__()
            except BlockingIOError:
                await asyncio.sleep(0.05)
                continue
            try:
                found = self._cached(key)
                return found or await self._make(id, title, key, work)
            finally:
                lock.__exit__(None, None, None)

    def _cached(self, key: str) -> Result | None:
        found = self.cache.find(key)
        return found if found and self.store.layer(found.diff_id) else None

    async def _make(self, id: str, title: str, key: str, work: Work) -> Result:
        async with self._step(id, title):
            try:
                folder = await work.make()
            except BuildError as error:
                if isinstance(error, StepFailed):
                    raise
                raise StepFailed(error.code, error.says, title) from error
            layer = await asyncio.to_thread(self.store.commit_folder, folder)
            result = Result(layer.diff_id, rfc3339(time.time_ns()), key)
            self.cache.keep(key, result)
            return result

    # Trees to read from

    async def tree(self, source: Source) -> Tree:
        if source.kind == "context":
            return self._trees["context"]
        if source.kind == "scratch":
            return Tree(self.views.read_only(()))
        if source.kind == "stage":
            state = await self._await_stage(source.index)
            return Tree(await asyncio.to_thread(self.views.read_only, state.lower))
        if self._is_image(source):
            state = self._state_of(await self._image(source))
            return Tree(await asyncio.to_thread(self.views.read_only, state.lower))
        name = f"named {source.name}"
        if name not in self._trees:
            self._trees[name] = await self._named_tree(source.name)
        return self._trees[name]

    async def _named_tree(self, name: str) -> Tree:
        value = self.request.contexts[name]
        if fetch.is_git(value):
            place, into = fetch.parse_git(value), self.views.folder() / "context"
            async with self._step(f"context {name}", f"[context {name}] load git source {value}"):
                await asyncio.to_thread(self.host.clone, place, into)
            return Tree(str(into / place.folder), anonymous=True)
        if fetch.is_url(value):
            async with self._step(f"context {name}", f"[context {name}] load remote build context {value}"):
                return Tree(await asyncio.to_thread(self._fetch_context, value), anonymous=True)
        root = os.path.realpath(value)
        return Tree(root, self._ignore_file(root, "Dockerfile"), anonymous=True)

    async def copied(self, tree: Tree, path: str, id: str) -> Result:
        """What an anonymous tree shows at the path, as a layer of its own (below /m), so that what is mounted is what was looked at."""

        def look() -> tuple[list[Top], str]:
            tops = files.at(tree, path)
            return tops, files.digest(tree, tops, (), self.known)

        tops, content = await asyncio.to_thread(look)
        target = "/" if id.startswith("from ") else "/m"
        key = solve.copy_key(Copy((-1, -1), lines.Span(0, 0), "", operations.CONTEXT, (), target), "", [content], None)
        found = self._cached(key)
        if found:
            return found

        def copy() -> Path:
            upper = self.views.folder("upper") / "upper"
            with opened(str(upper)) as root:
                writer = Writer(root, Look())
                writer.put(tree, tops[0], target)
                writer.close()
            return upper

        layer = await asyncio.to_thread(lambda: self.store.commit_folder(copy()))
        result = Result(layer.diff_id, rfc3339(time.time_ns()), key)
        self.cache.keep(key, result)
        return result

    # The image

    async def _export(self, plan: StagePlan, state: State) -> str:
        async with self._step("export", "exporting to image"):
            epoch = stageplan.source_date_epoch(self.request.args)
            at = rfc3339(epoch * 10**9) if epoch is not None else ""
            document = stageplan.document(plan, state.diff_ids, self.created, self.request.labels, at)
            try:
                names = [reference.parse(tag) for tag in self.request.tags]
            except ImageError as error:
                raise BuildError("build-tag", f"invalid tag: {error.says}") from error
            image = await asyncio.to_thread(lambda: self.store.commit(document, refs=names))
            self.host.tell({"step": "export", "log": f"writing image {image.id} done\n"})
            for name in names:
                self.host.tell({"step": "export", "log": f"naming to {name.with_default_tag()} done\n"})
            return image.id

    # Progress

    @contextlib.asynccontextmanager
    async def _step(self, id: str, title: str) -> AsyncIterator[None]:
        start = time.monotonic()
        self.host.tell({"step": id, "title": title, "state": "started"})
        try:
            yield
        except asyncio.CancelledError:
            self.host.tell({"step": id, "title": title, "state": "canceled"})
            raise
        except Error as error:
            self.host.tell({"step": id, "title": title, "state": "error", "error": error.says})
            raise
        self.host.tell({"step": id, "title": title, "state": "done", "seconds": round(time.monotonic() - start, 3)})
