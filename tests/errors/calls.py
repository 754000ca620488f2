"""Errors that no command line gives without an engine, a registry or a certain machine: a call of ours that gives each.

The example of the page shows a command; what it prints is what the call here raises.
"""

from __future__ import annotations

import io
import ipaddress
import json
import tarfile
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

import anyio

from compose_lite import disk, ids, ignore, logins, reference, subordinate
from compose_lite.api import client
from compose_lite.build import fetch, request, stageplan, stages
from compose_lite.build.dockerfile import parse, words
from compose_lite.cli import copying, dryrun, gotemplate, nouns
from compose_lite.engine import addressing, cdi, runtimes, volumes
from compose_lite.errors import ApiError, first_error
from compose_lite.image import archive, layers, manifest, removal, tarstream
from compose_lite.image.store import ImageStore
from compose_lite.network import addresses, publish
from compose_lite.project import digests, images, ownership, providers
from compose_lite.project.containerspec import Instance, create_body
from compose_lite.project.report import Silent
from compose_lite.spec import check
from compose_lite.spec.load import LoadOptions, load
from compose_lite.spec.models.project import Project
from tests.errors.enginecalls import ENGINE_CALLS

Call = Callable[[Path], Any]
NET = ipaddress.ip_network("172.28.0.0/30")


def project(folder: Path) -> Project:
    """The page's compose.yaml."""
    return load(LoadOptions({}, str(folder), project_name="shop")).project


def body(folder: Path, service: str = "web") -> Any:
    """What the engine would be asked for."""
    loaded = project(folder)
    return create_body(Instance(loaded, loaded.services[service], 1, f"shop-{service}-1", read=lambda path: Path(path).read_text()))


def store(folder: Path) -> ImageStore:
    return ImageStore(folder / "images")


def tar(files: dict[str, bytes], links: dict[str, str] | None = None) -> io.BytesIO:
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w") as out:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            out.addfile(entry, io.BytesIO(content))
        for name, target in (links or {}).items():
            entry = tarfile.TarInfo(name)
            entry.type, entry.linkname = tarfile.LNKTYPE, target
            out.addfile(entry)
    raw.seek(0)
    return raw


def empty(folder: Path) -> Path:
    (folder / "layer").mkdir()
    return folder / "layer"


def short_tar(folder: Path) -> None:
    raw = io.BytesIO(tar({"a": b"x" * 600}).getvalue()[:700])
    for _, content in tarstream.entries(raw):
        content.all()


def dockerfile(text: str, **wishes: Any) -> None:
    planner = stages.Planner(parse.parse(text.encode()), stageplan.Wishes(**wishes))
    planner.plan(planner.target, planner.source(planner.target), stageplan.image_base({"architecture": "amd64", "os": "linux"}))


def provided(folder: Path) -> None:
    for program in folder.glob("tool"):
        program.chmod(0o755)
    anyio.run(providers.provided, project(folder), ["db"], Silent(), {"PATH": f"{folder}:/bin:/usr/bin"})


def docker_config(folder: Path) -> None:
    (folder / "config.json").write_text("{")
    logins.Logins({"DOCKER_CONFIG": str(folder)}).of("registry.example.org")


def image_digest(folder: Path) -> None:
    async def unknown(name: str) -> None:
        raise ApiError("shop/web has no manifests/1 in the registry: not found", http_status=404)

    async def engine() -> Any:
        return SimpleNamespace(distribution=unknown)

    try:
        anyio.run(digests.pinned_project, project(folder), engine)
    except BaseExceptionGroup as group:
        raise first_error(group) from None


def bound(folder: Path) -> None:
    publish.parse_bindings({"80/tcp": [{"HostPort": "http"}]}, ipv6=False)


def foreign_folder(folder: Path) -> None:
    (folder / "mine").symlink_to("/")
    disk.make_private(folder / "mine")


def foreign_project(folder: Path) -> None:
    labels = {ids.WORKING_DIR: "/home/me/other", ids.CONFIG_FILES: "/home/me/other/compose.yaml"}
    raise ownership.refusal(project(folder), [SimpleNamespace(name="shop-web-1", labels=labels)])  # type: ignore[list-item]


def runtime_init(folder: Path) -> None:
    with mock.patch.object(runtimes, "_find", lambda name: None):
        runtimes.init_program("runsc")


CALLS: dict[str, Call] = {
    **ENGINE_CALLS,
    "address-in-use": lambda folder: addresses.check_address("172.28.0.2", [NET], {ipaddress.ip_address("172.28.0.2")}),
    "address-outside": lambda folder: addressing.check_wish(
        {"x-wished": [{"Subnet": str(NET)}]}, {"IPAMConfig": {"IPv4Address": "10.0.0.5"}}
    ),
    "address-pools-used-up": lambda folder: addresses.choose_subnet([ipaddress.ip_network("0.0.0.0/0")]),
    "archive-kind": lambda folder: archive.load(store(folder), tar({"readme": b"x"})),
    "archive-member": lambda folder: archive.load(store(folder), tar({"manifest.json": b'[{"Config": "config.json", "Layers": []}]'})),
    "archive-path": lambda folder: layers.unpack(tar({}, {"a": "gone"}), empty(folder)),
    "archive-short": short_tar,
    "bad-address": lambda folder: addresses.parse_address("10.0.0"),
    "bad-gateway": lambda folder: addressing._config({"Subnet": "172.28.0.0/16", "Gateway": "10.0.0.1"}, ()),
    "bad-port": bound,
    "bad-subnet": lambda folder: addresses.parse_subnet("10.0.0.0/33"),
    "build-entitlement": lambda folder: request.parse({"entitlements": ["network.everything"]}),
    "build-network": lambda folder: request.parse({"network": "back"}),
    "build-platform": lambda folder: request.parse({"platforms": ["linux/amd64", "linux/arm64"]}),
    "build-target": lambda folder: dockerfile("FROM scratch AS runtime\n", target="runtim"),
    "build-url": lambda folder: fetch.download("http://127.0.0.1:1/", folder),
    "cdi-device": lambda folder: cdi.combined([{"hooks": [{"hookName": "beforeAll", "path": "/bin/true"}]}], 0, 0),
    "container-name-twice": lambda folder: check.check_container_names(project(folder)),
    "copy-directory": lambda folder: copying.target_of("/etc/hosts", "conf", folder=True, exists=True, is_folder=False),
    "credential-spec": body,
    "device-driver": lambda folder: cdi.asked([{"Driver": "acme", "Capabilities": [["tpu"]]}], cdi.Registry({})),
    "digest-algorithm": lambda folder: manifest.check_digest(b"x", "md5:00", "the manifest of nginx"),
    "digest-mismatch": lambda folder: manifest.check_digest(b"x", f"sha256:{'0' * 64}", "the manifest of nginx"),
    "docker-config": docker_config,
    "dockerfile": lambda folder: parse.parse((folder / "Dockerfile").read_bytes()),
    "dry-run": lambda folder: (_ for _ in ()).throw(dryrun._refusal()),
    "engine-too-old": lambda folder: client.negotiate("1.20"),
    "expansion": lambda folder: words.expand("${NAME", {}),
    "external-file": body,
    "healthcheck-start-interval": body,
    "mac-address-twice": body,
    "variable-unset": body,
    "foreign-folder": foreign_folder,
    "foreign-project": foreign_project,
    "ignore-pattern": lambda folder: ignore.compile_pattern("src/[z-a]"),
    "image-conflict": lambda folder: (_ for _ in ()).throw(removal._conflict('unable to remove repository reference "nginx"')),
    "image-digest": image_digest,
    "image-document": lambda folder: manifest.document(b"{", "the manifest of nginx"),
    "image-name": lambda folder: reference.parse("Shop/Web"),
    "image-not-found": lambda folder: store(folder).require("nginx"),
    "image-platform": lambda folder: manifest.choose(
        {"manifests": [{"digest": "sha256:0", "platform": {"os": "linux", "architecture": "s390x"}}]},
        manifest.Platform("linux", "amd64", ""),
        "nginx",
    ),
    "image-schema": lambda folder: manifest.manifest({"schemaVersion": 1}, "the manifest of old"),
    "mount-type": body,
    "image-rootfs": lambda folder: archive.save(store(folder), ["rootfs:/"], bytes),
    "layer-missing": lambda folder: store(folder).add_image(
        json.dumps({"os": "linux", "architecture": "amd64", "rootfs": {"type": "layers", "diff_ids": [f"sha256:{'0' * 64}"]}}).encode()
    ),
    "no-build": lambda folder: images.image_need(
        (loaded := project(folder)), loaded.services["web"], None, build=False, no_build=False, pull="", now=0
    ),
    "no-free-address": lambda folder: addresses.choose_address(NET, set(NET.hosts())),
    "pair": lambda folder: nouns.pairs(["mtu"], "--opt"),
    "platform": lambda folder: manifest.parse_platform("linux/arm/v7/x"),
    "port-protocol": lambda folder: publish.parse_bindings({"80/sctp": [{"HostPort": "80"}]}, ipv6=False),
    "provider-answer": provided,
    "provider-failed": provided,
    "provider-parameter": lambda folder: providers.words(
        "shop", project(folder).services["db"], "up", {"up": {"parameters": [{"name": "size", "required": True}]}}
    ),
    "runtime-init": runtime_init,
    "userns-remap": lambda folder: subordinate.remapping({subordinate.SETTING: "somebody"}, root=True),
    "volume-address": lambda folder: volumes.resolved("addr=nas..lan"),
    "runtime-unknown": lambda folder: runtimes.program("runsc"),
    "seccomp-profile": body,
    "shared-service": body,
    "template": lambda folder: gotemplate.compile("{{.Name"),
    "subnet-overlap": lambda folder: addressing._config({"Subnet": "172.28.0.0/24"}, [NET]),
}
