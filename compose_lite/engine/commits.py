"""`docker commit` and `docker import`: images out of a container's layer or out of a root file system's tar.

`configured` is pure: Dockerfile instructions (`--change`) on an image's configuration. The rest is blocking: in a thread.
"""

from __future__ import annotations

import os
import re
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any, BinaryIO, cast

from compose_lite import reference
from compose_lite.build.dockerfile import instructions as ins
from compose_lite.build.dockerfile import parse as dockerfile
from compose_lite.build.dockerfile import words
from compose_lite.engine.differences import is_place
from compose_lite.engine.record import Container
from compose_lite.errors import EngineError, Error
from compose_lite.image import compression, layers, manifest
from compose_lite.image.image import Image
from compose_lite.image.store import ImageStore
from compose_lite.units import rfc3339

Document = dict[str, Any]
_ALLOWED = ("CMD", "ENTRYPOINT", "ENV", "EXPOSE", "HEALTHCHECK", "LABEL", "ONBUILD", "STOPSIGNAL", "USER", "VOLUME", "WORKDIR")
# What of a container's Config is about this one container alone (Docker leaves it out of the image, too).
_OWN = ("Hostname", "Domainname", "MacAddress", "AttachStdin", "AttachStdout", "AttachStderr", "Tty", "OpenStdin", "StdinOnce", "Image")


def configured(config: Mapping[str, Any], changes: Sequence[str]) -> Document:
    """The configuration after the instructions. Raises EngineError in Docker's words."""
    if not changes:
        return dict(config)
    for line in changes:
        name = line.strip().split(None, 1)[0].upper() if line.strip() else ""
        if name not in _ALLOWED:
            raise EngineError(f"{name.lower()} is not a valid change command", http_status=400)
    try:
        found = dockerfile.parse(("FROM scratch\n" + "\n".join(changes)).encode(), "--change")
    except Error as error:
        raise EngineError(error.says, http_status=400) from error
    made = {**config}
    for instruction in found.stages[0].instructions:
        _apply(made, instruction)
    return made


def _apply(config: Document, instruction: ins.Instruction) -> None:
    env = dict(pair.partition("=")[::2] for pair in config.get("Env") or () if "=" in pair)

    def word(text: str) -> str:
        return words.expand(text, env).text

    match instruction:
        case ins.Env(pairs=pairs):
            env |= {word(name): word(value) for name, value in pairs}
            config["Env"] = [f"{name}={value}" for name, value in env.items()]
        case ins.Label(pairs=labels):
            config["Labels"] = {**(config.get("Labels") or {}), **{(word(n) if plain else n): word(v) for n, v, plain in labels}}
        case ins.Command(args=args, exec=exact, entrypoint=entrypoint):
            argv = list(args) if exact else [*(config.get("Shell") or ("/bin/sh", "-c")), *args]
            config["Entrypoint" if entrypoint else "Cmd"] = argv
        case ins.Expose(ports=ports):
            shown = [port if "/" in port else f"{port}/tcp" for port in map(word, ports)]
            config["ExposedPorts"] = {**(config.get("ExposedPorts") or {}), **{port: {} for port in shown}}
        case ins.Volume(paths=paths):
            config["Volumes"] = {**(config.get("Volumes") or {}), **{word(path): {} for path in paths}}
        case ins.Healthcheck() as check:
            times = {"Interval": check.interval, "Timeout": check.timeout, "StartPeriod": check.start_period, "Retries": check.retries}
            config["Healthcheck"] = {"Test": list(check.test), **{k: v for k, v in times.items() if v}}
        case ins.Onbuild(text=text):
            config["OnBuild"] = [*(config.get("OnBuild") or ()), text]
        case ins.Word(line=line, text=text):
            key = {"user": "User", "workdir": "WorkingDir", "stopsignal": "StopSignal"}[line.name]
            text = word(text)
            config[key] = os.path.join(config.get("WorkingDir") or "/", text) if key == "WorkingDir" else text


def commit(
    store: ImageStore, container: Container, upper: Path, *, name: str, comment: str, author: str, config: Mapping[str, Any]
) -> Image:
    """An image of the container's image and its own layer."""
    base = store.require(container.image_id)
    if base.rootfs:
        raise EngineError(f"{container.image} is a folder of this machine: a container of it cannot be committed", http_status=400)
    with tempfile.TemporaryFile(dir=store.data, prefix=".commit-") as spool, store.using_layers():
        packed = layers.pack(upper, spool.write, leave_out=lambda path: is_place(str(upper), f"/{path}"))
        spool.seek(0)
        added = [store.unpack_layer(cast(IO[bytes], spool), packed.digest).diff_id] if packed.entries else []
        now = rfc3339(time.time_ns())
        step = {"created": now, "created_by": " ".join(container.argv), "comment": comment, **({} if added else {"empty_layer": True})}
        value = {
            **base.config,
            "created": now,
            "author": author,
            "config": {k: v for k, v in config.items() if k not in _OWN},
            "rootfs": {"type": "layers", "diff_ids": [*base.diff_ids, *added]},
            "history": [*(base.config.get("history") or ()), step],
        }
        return store.commit(value, parent=base.id, refs=_names(name))


def load_root(store: ImageStore, source: IO[bytes], *, name: str, comment: str, config: Mapping[str, Any], platform: str = "") -> Image:
    """An image of one layer out of a tar of a root file system, compressed or not. source: can be sought."""
    where = manifest.parse_platform(platform) if platform else manifest.host_platform()
    with tempfile.TemporaryFile(dir=store.data, prefix=".import-") as spool, store.using_layers():
        start = source.read(compression.PEEK)
        source.seek(0)
        plain = compression.detect(start).reader(cast(BinaryIO, source))
        with store.scratch() as scratch:
            target = scratch / "diff"
            target.mkdir()
            target.chmod(0o755)
            layers.unpack(plain, target)
            packed = layers.pack(target, spool.write)
        spool.seek(0)
        layer = store.unpack_layer(cast(IO[bytes], spool), packed.digest)
        now = rfc3339(time.time_ns())
        value = {
            "architecture": where.architecture,
            "os": where.os,
            "created": now,
            "config": dict(config),
            "rootfs": {"type": "layers", "diff_ids": [layer.diff_id]},
            "history": [{"created": now, "comment": comment or "Imported from -"}],
        }
        return store.commit(value, refs=_names(name))


def _names(name: str) -> list[reference.Reference]:
    if not name:
        return []
    if re.fullmatch(r"[0-9a-f]{64}", name):
        raise EngineError(f"invalid repository name ({name}), cannot specify 64-byte hexadecimal strings", http_status=400)
    return [reference.parse_tagged(name)]
