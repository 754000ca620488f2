"""debian:bookworm-slim without any registry: debootstrap makes it, Debian's docker-registry serves it on loopback.

    python tests/stack/debian_base.py --port 5005 --folder /var/tmp/stack-base

serves until it is interrupted; then `COMPOSE_LITE_REGISTRY_MIRRORS=docker.io=http://127.0.0.1:5005 compose-lite up` in
examples/stack builds as with the internet's registry. Needs root, debootstrap and docker-registry (Debian packages).
"""

from __future__ import annotations

import argparse
import contextlib
import gzip
import hashlib
import io
import json
import re
import shutil
import subprocess
import tarfile
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path

NAME, TAG, SUITE = "library/debian", "bookworm-slim", "bookworm"
PROGRAMS = ("debootstrap", "docker-registry")
_LAYER, _CONFIG, _MANIFEST = (
    "application/vnd.docker.image.rootfs.diff.tar.gzip",
    "application/vnd.docker.container.image.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
)
_LEFTOVERS = ("var/cache/apt/archives/*.deb", "var/lib/apt/lists/*_*", "usr/share/doc/*", "usr/share/man/*", "var/log/*.log")


def missing_programs() -> list[str]:
    return [program for program in PROGRAMS if not shutil.which(program)]


def mirror() -> str:
    """The machine's own Debian mirror, from sources.list(5) in either form."""
    found = "".join(path.read_text() for path in sorted(Path("/etc/apt").rglob("sources*")) if path.is_file())
    found += "".join(path.read_text() for path in sorted(Path("/etc/apt/sources.list.d").glob("*")) if path.is_file())
    match = re.search(r"^(?:URIs:\s*|deb\s+(?:\[[^]]*\]\s*)?)(\S+/debian/?)(?:\s|$)", found, re.M)
    return match[1] if match else "http://deb.debian.org/debian"


def make_layer(folder: Path) -> Path:
    """The gzipped layer; made once a folder."""
    layer = folder / "layer.tar.gz"
    if layer.exists():
        return layer
    root = folder / "root"
    shutil.rmtree(root, ignore_errors=True)
    subprocess.run(["debootstrap", "--variant=minbase", SUITE, str(root), mirror()], check=True, stdout=subprocess.DEVNULL)
    for pattern in _LEFTOVERS:
        for leftover in root.glob(pattern):
            shutil.rmtree(leftover) if leftover.is_dir() and not leftover.is_symlink() else leftover.unlink()
    partial = folder / "layer.partial"
    with tarfile.open(partial, "w:gz", compresslevel=1, format=tarfile.PAX_FORMAT) as tar:
        tar.add(root, arcname=".", filter=lambda entry: None if entry.name.startswith("./dev/") else entry)
    shutil.rmtree(root)
    return partial.rename(layer)


@contextlib.contextmanager
def registry(folder: Path, port: int) -> Iterator[str]:
    """Debian's docker-registry on loopback, storage in the folder; its URL."""
    config = folder / "registry.json"  # JSON is YAML
    config.write_text(
        json.dumps(
            {
                "version": 0.1,
                "log": {"level": "error"},
                "storage": {"filesystem": {"rootdirectory": str(folder / "registry")}},
                "http": {"addr": f"127.0.0.1:{port}"},
            }
        )
    )
    url = f"http://127.0.0.1:{port}"
    server = subprocess.Popen(["docker-registry", "serve", str(config)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        for _ in range(100):
            with contextlib.suppress(OSError):
                urllib.request.urlopen(f"{url}/v2/", timeout=5).close()
                break
            time.sleep(0.1)
        yield url
    finally:
        server.terminate()
        server.wait()


def upload(url: str, layer: Path) -> None:
    """Blobs, then the manifest under its tag; distribution-spec, "Pushing"."""
    data = layer.read_bytes()
    plain = hashlib.sha256()
    with gzip.open(io.BytesIO(data)) as unpacked:
        while piece := unpacked.read(1 << 20):
            plain.update(piece)
    config = json.dumps(
        {
            "architecture": "amd64",
            "os": "linux",
            "created": "2025-01-01T00:00:00Z",
            "config": {"Cmd": ["bash"], "Env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"]},
            "rootfs": {"type": "layers", "diff_ids": [f"sha256:{plain.hexdigest()}"]},
            "history": [{"created": "2025-01-01T00:00:00Z", "created_by": "debootstrap"}],
        }
    ).encode()
    manifest = {
        "schemaVersion": 2,
        "mediaType": _MANIFEST,
        "config": _blob(url, _CONFIG, config),
        "layers": [_blob(url, _LAYER, data)],
    }
    _send("PUT", f"{url}/v2/{NAME}/manifests/{TAG}", json.dumps(manifest).encode(), _MANIFEST)


def _blob(url: str, kind: str, data: bytes) -> dict[str, object]:
    digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
    where = urllib.parse.urljoin(url, _send("POST", f"{url}/v2/{NAME}/blobs/uploads/", b"", kind))
    _send("PUT", f"{where}{'&' if '?' in where else '?'}digest={urllib.parse.quote(digest)}", data, "application/octet-stream")
    return {"mediaType": kind, "size": len(data), "digest": digest}


def _send(method: str, url: str, data: bytes, kind: str) -> str:
    asked = urllib.request.Request(url, data, {"Content-Type": kind}, method=method)
    with urllib.request.urlopen(asked, timeout=120) as answer:
        return str(answer.headers.get("Location") or "")


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--port", type=int, default=5005)
    options.add_argument("--folder", type=Path, default=Path("/var/tmp/compose-lite-debian-base"))
    given = options.parse_args()
    given.folder.mkdir(parents=True, exist_ok=True)
    layer = make_layer(given.folder)
    with registry(given.folder, given.port) as url:
        upload(url, layer)
        print(f"COMPOSE_LITE_REGISTRY_MIRRORS=docker.io={url}", flush=True)
        with contextlib.suppress(KeyboardInterrupt):
            while True:
                time.sleep(3600)


if __name__ == "__main__":
    main()
