"""`image build`: an image from a Dockerfile, in the form of `docker build`."""

from __future__ import annotations

import base64
import os
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from compose_lite import units
from compose_lite.cli.buildview import check_report
from compose_lite.cli.context import Context
from compose_lite.cli.pflag import Command, argument, flag, option, options
from compose_lite.cli.progress import progress
from compose_lite.errors import Error, UsageError
from compose_lite.project import transfers
from compose_lite.project.builds import BuildFailed, stream_build

COMMAND = Command(
    "build",
    "Build an image from a Dockerfile",
    (
        options("--add-host", help='Add a custom host-to-IP mapping (format: "host:ip")'),
        options("--allow", help='Allow extra privileged entitlement (e.g., "network.host", "security.insecure")'),
        options("--build-arg", "build_args", help="Set build-time variables"),
        options("--build-context", "build_contexts", help='Additional build contexts (e.g., "name=path")'),
        options("--cache-from", help="External cache sources (said, not used)"),
        options("--cache-to", help="Cache export destinations (said, not used)"),
        flag("--check", help="Check build configuration"),
        option("-f", "--file", default="", help='Name of the Dockerfile (default: "PATH/Dockerfile")'),
        flag("--force-rm", hidden=True),
        option("--iidfile", default="", help="Write the image ID to a file"),
        options("--label", "labels", help="Set metadata for an image"),
        flag("--load", help="Accepted: an image is always put into the store"),
        option("-m", "--memory", default="", hidden=True),
        option("--network", default="", help="Set the networking mode for the RUN instructions during build"),
        flag("--no-cache", help="Do not use cache when building the image"),
        option("--platform", default="", help="Set target platform for build"),
        option("--progress", default="auto", help='Set type of progress output ("auto", "plain", "tty", "quiet", "rawjson")'),
        option("--provenance", default="", help="Add a provenance attestation (said, not made)"),
        flag("--pull", help="Always attempt to pull all referenced images"),
        flag("--push", help="Push the image when it is built"),
        flag("-q", "--quiet", help="Suppress the build output and print image ID on success"),
        flag("--rm", default=True, hidden=True),
        option("--sbom", default="", help="Add a SBOM attestation (said, not made)"),
        options("--secret", "secrets", help='Secret to expose to the build (format: "id=mysecret[,src=/local/secret]")'),
        option("--shm-size", default="", help='Shared memory size for build containers (e.g., "64m")'),
        options("--ssh", help='SSH agent socket to expose to the build (format: "default|<id>[=<socket>]")'),
        options("-t", "--tag", "tags", help='Name and optionally a tag (format: "name:tag")'),
        option("--target", default="", help="Set the target build stage to build"),
        options("--ulimit", "ulimits", help="Ulimit options"),
        argument("path"),
    ),
)


async def build(context: Context, path: str, **o: Any) -> int:
    engine = await context.engine()
    quiet = bool(o["quiet"]) or o["progress"] == "quiet"
    report = progress(context, quiet=quiet, build_out=context.err)
    image, found = "", list[Mapping[str, Any]]()
    with _request(context, path, o) as request:
        async for event in stream_build(engine, request):
            if "errorDetail" in event:
                failed = event.get("failed") or {"says": event["error"]}
                report.build("", {"failed": failed})
                report.close()
                context.out.write(check_report(found)[0])
                raise BuildFailed("", failed)
            if "check" in event:
                found.append({"service": "", "warnings": event["check"]})
            elif "warning" in event:
                report.warn(str(event["warning"]))
            elif "aux" in event:
                image = event["aux"].get("ID") or image
            else:
                report.build("", event)
    report.close()
    if o["check"]:
        text, count = check_report(found)
        context.out.write(text.lstrip("\n"))
        return 1 if count else 0
    if o["iidfile"]:
        Path(context.cwd, o["iidfile"]).write_text(image)
    if quiet:
        context.print(image)
    if o["push"]:
        for tag in o["tags"]:
            await transfers.push(engine, tag, report)
    return 0


@contextmanager
def _request(context: Context, path: str, o: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """The document for the engine; what comes from stdin is in a file for the time of the build."""
    request = build_document(o, context.environ, context.cwd)
    if path != "-":
        remote = "://" in path or path.startswith(("git@", "github.com/"))
        request["context"] = path if remote else os.path.join(context.cwd, path)
        if not remote and not os.path.isdir(request["context"]):
            raise Error("build-context", f'unable to prepare context: path "{path}" not found')
        file = o["file"]
        if file == "-":
            request["dockerfile_inline"] = sys.stdin.read()
        elif file and not remote:
            request["dockerfile"] = os.path.relpath(os.path.join(context.cwd, file), request["context"])
        yield request
        return
    with tempfile.TemporaryDirectory(prefix="compose-lite-build-") as folder:
        content = sys.stdin.buffer.read()
        if _is_archive(content):
            archive = Path(folder) / "context.tar"
            archive.write_bytes(content)
            request["tar"] = str(archive)
        else:
            request["dockerfile_inline"], request["context"] = content.decode("utf-8", "replace"), folder
        yield request


def _is_archive(content: bytes) -> bool:
    return content[257:262] == b"ustar" or content.startswith((b"\x1f\x8b", b"BZh", b"\xfd7zXZ", b"\x28\xb5\x2f\xfd"))


def build_document(o: Mapping[str, Any], environ: Mapping[str, str], cwd: str) -> dict[str, Any]:
    """The command line as the engine's document, without the context. Pure but for a secret's file name."""
    try:
        shm_size = units.parse_size(o["shm_size"]) if o["shm_size"] else 0
    except ValueError as error:
        raise UsageError("build-option", f"invalid --shm-size: {error}") from None
    return {
        "dockerfile": o["file"] if o["file"] not in ("", "-") else "Dockerfile",
        "args": _pairs(o["build_args"], environ),
        "labels": {key: value for key, _, value in (entry.partition("=") for entry in o["labels"])},
        "target": o["target"],
        "tags": list(o["tags"]),
        "no_cache": o["no_cache"],
        "pull": o["pull"],
        "network": o["network"],
        "extra_hosts": [entry.replace("=", ":", 1) if "=" in entry else entry for entry in o["add_host"]],
        "shm_size": shm_size,
        "ulimits": dict(_ulimit(entry) for entry in o["ulimits"]),
        "secrets": [_secret(entry, environ, cwd) for entry in o["secrets"]],
        "ssh": [
            {"id": id_, "path": path or environ.get("SSH_AUTH_SOCK", "")} for id_, _, path in (entry.partition("=") for entry in o["ssh"])
        ],
        "additional_contexts": {name: _context(value, cwd) for name, _, value in (entry.partition("=") for entry in o["build_contexts"])},
        "cache_from": list(o["cache_from"]),
        "cache_to": list(o["cache_to"]),
        "platforms": [part for part in o["platform"].split(",") if part],
        "entitlements": list(o["allow"]),
        "provenance": o["provenance"],
        "sbom": o["sbom"],
        "check": o["check"],
    }


def _pairs(entries: Sequence[str], environ: Mapping[str, str]) -> dict[str, str]:
    split = [entry.partition("=") for entry in entries]
    return {key: value if equals else environ[key] for key, equals, value in split if equals or key in environ}


def _ulimit(entry: str) -> tuple[str, list[int]]:
    name, _, values = entry.partition("=")
    soft, _, hard = values.partition(":")
    try:
        return name, [int(soft), int(hard or soft)]
    except ValueError:
        raise UsageError("build-option", f"invalid --ulimit: {entry}", remedy="Say NAME=SOFT[:HARD].") from None


def _context(value: str, cwd: str) -> str:
    return value if "://" in value else os.path.join(cwd, value)


def _secret(entry: str, environ: Mapping[str, str], cwd: str) -> dict[str, Any]:
    """`id=x`, `id=x,src=file`, `id=x,env=VAR`, `type=file|env`."""
    given = dict(part.partition("=")[::2] for part in entry.split(","))
    name = given.get("id", "")
    if not name or set(given) - {"id", "src", "source", "env", "type"}:
        raise UsageError("build-option", f"invalid --secret: {entry}", remedy="Say id=NAME[,src=FILE] or id=NAME,env=VARIABLE.")
    variable = given.get("env") or (given.get("src") or name if given.get("type") == "env" else "")
    file = given.get("src") or given.get("source") or ""
    if variable or (not file and name in environ):
        content = environ.get(variable or name, "").encode()
        return {"id": name, "content": base64.b64encode(content).decode()}
    return {"id": name, "file": os.path.join(cwd, file or name)}
