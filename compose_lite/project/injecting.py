"""Configs and secrets that are no mounts, into a created container."""

from __future__ import annotations

import base64
import io
import tarfile
import time
from pathlib import Path

from compose_lite.api.protocol import Engine
from compose_lite.errors import ApiError, ProjectError
from compose_lite.project.containerspec import InjectedFile


async def inject(engine: Engine, id: str, files: list[InjectedFile]) -> None:
    """Configs and secrets that are no mounts: kept in memory by our own engine, on another one put into the created container."""
    if not files:
        return
    contents = [Path(file.source).read_bytes() if file.source else file.content.encode() for file in files]
    wishes = [
        {"Path": file.path, "Content": base64.b64encode(content).decode(), "Uid": file.uid, "Gid": file.gid, "Mode": file.mode}
        for file, content in zip(files, contents, strict=True)
    ]
    try:
        await engine.extension("PUT", f"containers/{id}/files", body={"Files": wishes})
        return
    except ApiError as error:
        if error.code != "engine-foreign":
            raise
    for file, content in zip(files, contents, strict=True):
        archive = io.BytesIO()
        with tarfile.open(fileobj=archive, mode="w") as tar:
            entry = tarfile.TarInfo(file.path.lstrip("/"))
            entry.size, entry.mode, entry.mtime = len(content), file.mode, int(time.time())
            entry.uid, entry.gid = (_number(file, owner) for owner in (file.uid, file.gid))
            tar.addfile(entry, io.BytesIO(content))
        await engine.archive_put(id, "/", archive.getvalue(), copy_uid_gid=bool(file.uid or file.gid))


def _number(file: InjectedFile, owner: str) -> int:
    if owner and not owner.isdigit():
        says = f"{file.path} is to belong to {owner!r}, but this engine takes numbers only"
        raise ProjectError("file-owner", says, remedy="Give `uid` and `gid` as numbers, or use compose-lite's own engine.")
    return int(owner or 0)
