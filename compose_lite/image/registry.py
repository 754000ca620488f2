"""Pulling from registries (OCI distribution specification 1.1): manifests, platform choice, blobs in threads.

Every byte is checked against the digest that named it before anything is recorded. Plain http is spoken to
loopback addresses and to mirrors that say so. `COMPOSE_LITE_REGISTRY_MIRRORS` (`docker.io=http://127.0.0.1:5000,...`) says where else to
look first. It must never follow a registry to a host with the login of another.
"""

from __future__ import annotations

import os
import ssl
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import IO, Any, TypeVar, cast
from urllib.parse import urlencode, urljoin, urlsplit

import urllib3

from compose_lite.errors import ImageError
from compose_lite.image import auth, compression
from compose_lite.image import manifest as manifests
from compose_lite.image.image import Image
from compose_lite.image.manifest import Descriptor, Platform
from compose_lite.image.store import ImageStore
from compose_lite.logins import Login, Logins
from compose_lite.reference import Reference

Progress = Callable[[str, str, int, int], None]
"""(layer's short digest, what is done with it, bytes, bytes in all)"""
_T = TypeVar("_T")
_LOOPBACK = ("localhost", "127.0.0.1", "[::1]")
_TRIES = 4


def pull(
    store: ImageStore, ref: Reference, *, platform: Platform | None = None, login: Login | None = None, progress: Progress
) -> tuple[Image, str]:
    """The image, with its layers unpacked and its name given; and the digest that the registry knows it by."""
    name = ref.with_default_tag()
    wanted = platform or manifests.host_platform()

    def bring(session: Session) -> tuple[Image, str]:
        with store.using_layers():
            return _pull(store, session, name, wanted, progress)

    return answered(name, login, bring)


@dataclass(frozen=True, slots=True)
class Distribution:
    """What a registry has under a name. platforms: in the form of OCI indexes, each as the registry tells it."""

    descriptor: Descriptor
    platforms: tuple[Mapping[str, Any], ...]


def describe(ref: Reference, *, login: Login | None = None) -> Distribution:
    """Asks the registry, whatever is on this machine. The digest is that of the index where the name means several images."""
    name = ref.with_default_tag()
    return answered(name, login, lambda session: _describe(session, name))


def answered(name: Reference, login: Login | None, ask: Callable[[Session], _T]) -> _T:
    """The answer of the first endpoint that has one; the registry's own complaint otherwise."""
    errors = []
    for base in endpoints(name.domain, dict(os.environ)):
        try:
            return ask(Session(base, name.path, login or Logins().of(name.domain)))
        except (ImageError, urllib3.exceptions.HTTPError) as error:
            errors.append(error)
    known = [error for error in errors if isinstance(error, ImageError)]
    if known:
        raise known[-1]
    last = getattr(errors[-1], "reason", None) or errors[-1]
    raise ImageError("registry-unreachable", f"cannot reach the registry {name.domain}: {last}", remedy="Check network, proxy and name.")


def endpoints(domain: str, env: Mapping[str, str]) -> list[str]:
    """Where to ask for this registry's images: its mirrors, then itself."""
    mirrors = [pair.partition("=") for pair in env.get("COMPOSE_LITE_REGISTRY_MIRRORS", "").split(",") if "=" in pair]
    found = [url.strip().rstrip("/") for name, _, url in mirrors if name.strip() == domain]
    host = "registry-1.docker.io" if domain == "docker.io" else domain
    plain = host.rpartition(":")[0] in _LOOPBACK or host in _LOOPBACK
    return [*found, f"{'http' if plain else 'https'}://{host}"]


def _connections(base: str) -> urllib3.PoolManager:
    context: ssl.SSLContext | None = None
    if base.startswith("https"):
        import truststore

        context = truststore.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    timeout, retries = urllib3.Timeout(connect=10, read=60), urllib3.Retry(2, redirect=0, raise_on_redirect=False)
    return urllib3.PoolManager(timeout=timeout, retries=retries, ssl_context=context)


class Session:
    """Requests to one repository of one registry, with its token."""

    def __init__(self, base: str, path: str, login: Login | None, actions: str = "pull") -> None:
        self.base, self.path, self._login, self._actions = base, path, login, actions
        self._authorization = ""
        self._lock = threading.Lock()
        self._pool = _connections(base)

    def get(self, what: str, headers: Mapping[str, str] | None = None) -> urllib3.BaseHTTPResponse:
        """An answer whose body has not been read yet; ImageError for all but 200 and 206."""
        url = f"{self.base}/v2/{self.path}/{what}"
        answer = self._ask(url, headers or {})
        if answer.status == 401:
            self._authorize(answer.headers.get("WWW-Authenticate", ""))
            answer.release_conn()
            answer = self._ask(url, headers or {})
        for _ in range(5):
            if answer.status not in (301, 302, 303, 307, 308):
                break
            url = urljoin(url, answer.headers["Location"])
            answer.release_conn()
            same = urlsplit(url).netloc == urlsplit(self.base).netloc
            answer = self._ask(url, headers or {}, authorized=same)
        if answer.status not in (200, 206):
            raise _refused(answer, self.path, what)
        return answer

    def authorize(self) -> None:
        """Gets the right to send before there is something to send: a body is not to be sent twice."""
        answer = self._ask(f"{self.base}/v2/", {})
        if answer.status == 401:
            self._authorize(answer.headers.get("WWW-Authenticate", ""))
        answer.release_conn()

    def send(self, method: str, what: str, *, headers: Mapping[str, str] | None = None, body: Any = None) -> urllib3.BaseHTTPResponse:
        """The answer to a request with a body, whatever its status. what: below the repository, or a whole URL."""
        url = what if "://" in what else f"{self.base}/v2/{self.path}/{what}"
        same = urlsplit(url).netloc == urlsplit(self.base).netloc
        extra = {"Authorization": self._authorization} if self._authorization and same else {}
        return self._pool.request(method, url, headers={**(headers or {}), **extra}, body=body, redirect=False, retries=False)

    def _ask(self, url: str, headers: Mapping[str, str], *, authorized: bool = True) -> urllib3.BaseHTTPResponse:
        extra = {"Authorization": self._authorization} if self._authorization and authorized else {}
        answer = self._pool.request("GET", url, headers={**headers, **extra}, preload_content=False, redirect=False)
        if answer.status == 400 and url.startswith("http://") and b"HTTPS server" in answer.data and url.startswith(self.base):
            self.base, url = (one.replace("http://", "https://", 1) for one in (self.base, url))
            self._pool = _connections(self.base)  # a loopback address that speaks TLS: from now on we do
            return self._ask(url, headers, authorized=authorized)
        return answer

    def _authorize(self, header: str) -> None:
        challenge = auth.parse_challenge(header)
        with self._lock:
            if challenge.scheme == "basic" and self._login:
                self._authorization = self._login.header()
            elif challenge.scheme == "bearer" and challenge.parameters.get("realm"):
                self._authorization = f"Bearer {self._token(challenge)}"

    def _token(self, challenge: auth.Challenge) -> str:
        """By user and password, or by an identity token (distribution: token authentication, and by OAuth2)."""
        realm = challenge.parameters["realm"]
        asked = {"service": challenge.parameters.get("service", ""), "scope": f"repository:{self.path}:{self._actions}"}
        if self._login and self._login.identity:
            asked |= {"grant_type": "refresh_token", "refresh_token": self._login.identity, "client_id": "compose-lite"}
            headers = {"Content-Type": "application/x-www-form-urlencoded"}
            answer = self._pool.request("POST", realm, headers=headers, body=urlencode(asked))
        else:
            headers = {"Authorization": self._login.header()} if self._login else {}
            answer = self._pool.request("GET", f"{realm}?{urlencode(asked)}", headers=headers)
        if answer.status != 200:
            raise _refused(answer, self.path, "a token")
        value = manifests.document(answer.data, "the registry's token")
        return str(value.get("token") or value.get("access_token", ""))


def _refused(answer: urllib3.BaseHTTPResponse, path: str, what: str) -> ImageError:
    answer.release_conn()
    if answer.status == 404:
        return ImageError("image-not-found", f"{path} has no {what} in the registry: not found", remedy="Check the name and the tag.")
    if answer.status in (401, 403):
        says = f"pull access denied for {path}, repository does not exist or may require a login"
        return ImageError("registry-denied", says, remedy="`docker login` writes the login that is used here.")
    return ImageError("registry-answer", f"the registry answers {answer.status} when asked for {what} of {path}", remedy="Try again later.")


def _pull(store: ImageStore, session: Session, name: Reference, platform: Platform, progress: Progress) -> tuple[Image, str]:
    content, digest = _manifest(session, name.digest or name.tag)
    value = manifests.document(content, f"the manifest of {name.familiar}")
    if "manifests" in value:
        chosen = manifests.choose(value, platform, name.familiar)
        content, _ = _manifest(session, chosen.digest)
        value = manifests.document(content, f"the manifest of {name.familiar}")
    manifest = manifests.manifest(value, name.familiar)
    config = manifests.check_digest(session.get(f"blobs/{manifest.config.digest}").data, manifest.config.digest, "the configuration")
    diff_ids = manifests.layers_of(manifests.document(config, f"the configuration of {name.familiar}"), name.familiar)
    if len(diff_ids) != len(manifest.layers):
        raise ImageError("image-document", f"{name.familiar} has {len(manifest.layers)} layers for {len(diff_ids)} of its configuration")
    with ThreadPoolExecutor(max_workers=3, thread_name_prefix="layer") as workers:
        pairs = zip(manifest.layers, diff_ids, strict=True)
        for job in [workers.submit(_layer, store, session, layer, diff, progress) for layer, diff in pairs]:
            job.result()
    stored = store.write_blob(content)
    image = store.add_image(config, manifest=stored, refs=[name] if name.tag and not name.digest else [])
    store.note_digest(image.id, name, digest)
    return store.require(image.id), digest


def _describe(session: Session, name: Reference) -> Distribution:
    content, digest = _manifest(session, name.digest or name.tag)
    value = manifests.document(content, f"the manifest of {name.familiar}")
    platforms: list[Mapping[str, Any]] = []
    if "manifests" in value:
        kind = manifests.OCI_INDEX
        platforms = [entry["platform"] for entry in value["manifests"] or () if isinstance(entry, dict) and entry.get("platform")]
    else:
        kind = manifests.OCI_MANIFEST
        config = manifests.manifest(value, name.familiar).config
        if config.media_type in (manifests.OCI_CONFIG, manifests.DOCKER_CONFIG):
            raw = manifests.check_digest(session.get(f"blobs/{config.digest}").data, config.digest, "the configuration")
            platforms = [manifests.platform_document(manifests.document(raw, f"the configuration of {name.familiar}"))]
    return Distribution(Descriptor(str(value.get("mediaType") or kind), digest, len(content)), tuple(platforms))


def _manifest(session: Session, wanted: str) -> tuple[bytes, str]:
    content = session.get(f"manifests/{wanted}", {"Accept": manifests.ACCEPT}).data
    if ":" in wanted:
        manifests.check_digest(content, wanted, "a manifest")
    return content, manifests.digest_of(content)


def _layer(store: ImageStore, session: Session, layer: Descriptor, diff_id: str, progress: Progress) -> None:
    short = layer.digest.removeprefix("sha256:")[:12]
    if store.layer(diff_id):
        progress(short, "Already exists", 0, 0)
        return
    with store.blob_writer() as blob:
        _download(session, layer, blob.write, lambda done: progress(short, "Downloading", done, layer.size))
        digest = blob.adopt(wanted=layer.digest)
    progress(short, "Download complete", layer.size, layer.size)
    with store.blob(digest).open("rb") as raw:
        try:
            reader = compression.of_stream(raw).reader(raw)
            store.unpack_layer(reader, diff_id, finish_blob=lambda: digest, media_type=layer.media_type)
        except compression.READ_ERRORS as error:
            if isinstance(error, OSError) and error.errno:
                raise
            raise ImageError("layer-broken", f"the layer {layer.digest} cannot be decompressed: {error}") from error
    progress(short, "Pull complete", layer.size, layer.size)


def _download(session: Session, layer: Descriptor, write: Callable[[bytes], object], told: Callable[[int], None]) -> None:
    """All bytes of the blob; a broken connection is taken up again where it broke."""
    done = 0
    for attempt in range(_TRIES):
        try:
            answer = session.get(f"blobs/{layer.digest}", {"Range": f"bytes={done}-"} if done else {})
            if done and answer.status == 200:
                skip = cast("IO[bytes]", answer)
                left = done
                while left and (piece := skip.read(min(left, 1 << 20))):
                    left -= len(piece)
            while piece := answer.read(1 << 18, decode_content=False):
                write(piece)
                done += len(piece)
                told(done)
            answer.release_conn()
            if layer.size < 0 or done >= layer.size:
                return
        except urllib3.exceptions.HTTPError:
            if attempt == _TRIES - 1:
                raise
    raise ImageError(
        "registry-short", f"the registry ended the blob {layer.digest} after {done} of {layer.size} bytes", remedy="Try again."
    )


def progress_document(layer: str, status: str, done: int, total: int) -> dict[str, Any]:
    """A row of Docker's pull stream."""
    return {"status": status, "progressDetail": {"current": done, "total": total} if total and status == "Downloading" else {}, "id": layer}
