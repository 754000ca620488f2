"""Containers: create, rename, update, remove. Their runs are engine/runs.py; what it says of locks and the store holds here too."""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Mapping, Sequence
from typing import Any

from compose_lite.engine import creation, devices, limits, links, ociconfig, runtimes, updating
from compose_lite.engine.lifecycle import Event, State
from compose_lite.engine.live import Live
from compose_lite.engine.record import Container
from compose_lite.engine.runs import Runs
from compose_lite.errors import EngineError
from compose_lite.ids import CONFIGURATION, new_id
from compose_lite.linux import cgroups

Document = dict[str, Any]


class Containers(Runs):
    """All containers of the engine."""

    # create

    def create(self, name: str, body: Document) -> Container:
        """POST /containers/create."""
        if not body:
            raise EngineError("config cannot be empty in order to create a container", http_status=400)
        if not body.get("Image"):
            raise EngineError("no image specified", http_status=400)
        reference = body["Image"]
        image = self.images.get(reference)
        if image is None:
            tagged = reference if ":" in reference.rsplit("/", 1)[-1] or "@" in reference else f"{reference}:latest"
            raise EngineError(f"No such image: {tagged}", http_status=404)
        id = new_id()
        plain = creation.check_name(name) if name else self._free_name()
        self._check_free(plain)
        config = creation.config_of(body, image.run_config, id, socket.gethostname())
        if not config["Cmd"] and not config["Entrypoint"]:
            raise EngineError("no command specified", http_status=400)
        host, warnings = creation.host_config_of(body, self.preparation.cgroup_version, remapped=self.preparation.remap is not None)
        runtimes.check(host)
        disks = devices.disk_numbers(host)
        warnings += limits.warnings(cgroups.unkept(ociconfig.resources(host, (), host["Privileged"], disks)), host)
        self._check_others(host)
        container = Container(
            id,
            plain,
            time.time_ns(),
            reference,
            image.id,
            config,
            host,
            dict(body.get("NetworkingConfig") or {}),
            warnings=warnings,
            layers=[str(layer) for layer in image.layers],
            rootfs=image.rootfs,
            configuration=dict(body.get(CONFIGURATION) or {}),
        )
        endpoints = container.networking_config.get("EndpointsConfig") or {}
        if "default" in endpoints:  # what the docker program says for the default bridge
            endpoints.setdefault("bridge", endpoints.pop("default"))
        try:
            self.seats.declare(container)
        except EngineError as error:
            if error.http_status != 404:  # an unknown network is told at the start, as Docker does
                raise
        container.mounts = self.volumes.mount_points(container, (), self.find)
        self.preparation.make_folders(container, self.images)
        self.all[id] = container
        self._names[plain] = id
        self.store.put_container(container)
        self.emit(container, "create")
        return container

    def _check_free(self, name: str, when: str = "") -> None:
        if name in self._names:
            says = f'{when}Conflict. The container name "/{name}" is already in use by container "{self._names[name]}"'
            raise EngineError(f"{says}. You have to remove (or rename) that container to be able to reuse that name.", http_status=409)

    def _check_others(self, host: Document) -> None:
        """That the containers exist whose namespaces it joins or that it links to; the former are called by their ids from here on."""
        for key in ("IpcMode", "PidMode", "NetworkMode"):
            mode, _, name = str(host[key]).partition(":")
            if mode == "container":
                try:
                    host[key] = f"container:{self.find(name).id}"
                except EngineError as error:
                    if key != "NetworkMode":  # that is told at the start
                        raise EngineError(error.says, http_status=400) from error
        if host["NetworkMode"] in ("bridge", "none"):
            host["Links"] = links.canonical(host["Links"], self.find)

    def _free_name(self) -> str:
        from compose_lite.engine.names import random_name

        while (name := random_name()) in self._names:
            pass
        return name

    def put_files(self, container: Container, wishes: Sequence[Document]) -> None:
        """Files that it gets in memory at every start from the next on; see Preparation.files for what is in a wish."""
        for wish in wishes:
            if not str(wish.get("Path") or "").startswith("/"):
                raise EngineError(f"a file's path has to be absolute: {wish.get('Path')!r}", http_status=400)
        container.files = list(wishes)
        self.store.put_container(container)

    def rename(self, container: Container, name: str) -> None:
        if not name:
            raise EngineError("Neither old nor new names may be empty", http_status=400)
        plain = creation.check_name(name)
        if plain == container.name:
            raise EngineError("Renaming a container with the same name as its current name", http_status=400)
        self._check_free(plain, "Error when allocating new name: ")
        old = container.name
        del self._names[old]
        self._names[plain] = container.id
        container.name = plain
        self.store.put_container(container)
        for other in self.all.values():
            if (now := links.renamed(other.host_config["Links"], old, plain)) is not None:
                other.host_config["Links"] = now
                self.store.put_container(other)
        self.emit(container, "rename", oldName=f"/{old}")

    def update(self, container: Container, body: Mapping[str, Any]) -> list[str]:
        """Limits and restart policy of a living container."""
        container.after(Event.UPDATE)
        host, warnings = updating.updated(container.id, container.host_config, body)
        if container.running:
            group = self.runtime.group(container.id)
            if unmet := group.apply(updating.limits(host, body, devices.disk_numbers(host))):
                group.apply(updating.limits(container.host_config, {}, devices.disk_numbers(host)))  # as it was
                raise EngineError(f"Cannot update container {container.id}: {', '.join(unmet)}")
        container.host_config = host
        self.store.put_container(container)
        self.emit(container, "update")
        return warnings

    # remove

    async def remove(self, container: Container, *, force: bool = False, volumes: bool = False) -> None:
        live = self.live(container.id)
        container.after(Event.REMOVE_FORCED if force else Event.REMOVE)
        gone = False
        while not gone:
            if force and (container.running or container.state is State.RESTARTING):
                with contextlib.suppress(EngineError):  # it has ended by itself
                    await self.kill(container)
            async with live.lock:
                if force and (container.running or container.state is State.RESTARTING) and container.id in self.all:
                    continue  # somebody was starting it
                await self._remove(container, live, volumes)
                gone = True

    async def _remove(self, container: Container, live: Live, volumes: bool) -> None:
        if container.id not in self.all:
            return
        await self._settled(live)
        container.move(Event.REMOVE)
        await self.births.ahead.forget(container)
        try:
            await self.births.unmake(container)
            del self.all[container.id]
            self._names.pop(container.name, None)
            self.store.delete_container(container.id)
            self._discard(container)
            if volumes:
                self._remove_volumes(container)
            self.emit(container, "destroy")
            self._wake(live, ("removed", "not-running", "next-exit"), container.exit_code)
            self._live.pop(container.id, None)
        except BaseException:
            if container.id in self.all:
                container.move(Event.LOST)
            raise

    def _discard(self, container: Container) -> None:
        with contextlib.suppress(OSError):
            self.trash.discard(self.preparation.path(container.id))
        self.preparation.forget(container)

    def _remove_volumes(self, container: Container) -> None:
        """Its anonymous volumes."""
        for point in container.mounts:
            if point["Type"] == "volume" and not point.get("x-copied"):
                with contextlib.suppress(EngineError):
                    if "com.docker.volume.anonymous" in (self.volumes.find(point["Name"])["Labels"] or {}):
                        self.volumes.remove(point["Name"])
