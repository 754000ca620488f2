"""`publish`: the project's Compose files to a registry, as an artifact that `include` and `-f oci://` read.

Nothing leaves the machine that may be secret unless the user has said so: environment, env files, contents of configs, bind mounts.
"""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

from compose_lite import __version__
from compose_lite.cli.commands import push
from compose_lite.cli.context import Context
from compose_lite.cli.pflag import Command, argument, flag, option
from compose_lite.cli.progress import progress
from compose_lite.errors import Error, ProjectError, UsageError
from compose_lite.project import publication
from compose_lite.project.digests import pinned_project
from compose_lite.spec.models.project import Project

COMMAND = Command(
    "publish",
    "Publish compose application",
    (
        argument("repository", metavar="REPOSITORY[:TAG]"),
        flag("--app", help="Published compose application (includes referenced images)"),
        option("--oci-version", default="", help="OCI image/artifact specification version (automatically determined by default)"),
        flag("--resolve-image-digests", help="Pin image tags to digests"),
        flag("--with-env", help="Include environment variables in the published OCI artifact"),
        flag("-y", "--yes", help='Assume "yes" as answer to all prompts'),
    ),
)


async def run(
    context: Context, repository: str, app: bool, oci_version: str, resolve_image_digests: bool, with_env: bool, yes: bool
) -> int:
    if oci_version not in ("", "1.0", "1.1"):
        raise UsageError("oci-version", f"unsupported OCI version {oci_version!r}", remedy="Say 1.0 or 1.1, or leave it out.")
    project = context.load()
    refuse_secrets(project, with_env)
    questions = [_environment(project)] if with_env else []
    if not all(_agreed(context, question, yes) for question in [*questions, _binds(project)] if question):
        return 1
    publication.layers(project, {}, __version__)  # what cannot be published is said before anything is sent
    await push.run(context, (), ignore_push_failures=False, include_deps=False, quiet=False)
    digests: dict[str, str] = {}
    if resolve_image_digests or app:
        pinned = await pinned_project(project, context.engine)
        digests = {name: service.image for name, service in pinned.services.items() if service.image}
    layers = publication.layers(project, digests, __version__)
    report = progress(context, title="Publishing")
    report.deed(repository, "publishing", "")
    if not context.options.dry_run:
        _send(context, repository, layers, list(digests.values()) if app else [], oci_version)
    report.deed(repository, "published", "", done=True)
    report.close()
    return 0


def refuse_secrets(project: Project, with_env: bool) -> None:
    found = []
    for name, service in project.services.items():
        if not with_env and service.env_file:
            found.append(f"service {name!r} has env_file declared.")
        if not with_env and service.environment:
            found.append(f"service {name!r} has environment variable(s) declared.")
    if not with_env:
        found += [f"config {name!r} is declared as literal content." for name, config in project.configs.items() if config.content]
    if found:
        raise ProjectError(
            "publish-secrets",
            "\n".join(found),
            remedy="What is in them may be secret: allow it by --with-env, or take it out of the Compose file.",
        )


def _environment(project: Project) -> str:
    lines = []
    for name, service in project.services.items():
        said = [f"{key}={value}" for key, value in service.environment.items()]
        lines += [f"Service/Config  {name}", *said] if said else []
    return "\n".join(["These environment variables will be in the artifact:", *lines]) if lines else ""


def _binds(project: Project) -> str:
    found = [f"{name}: {m.source}:{m.target}" for name, service in project.services.items() for m in service.volumes if m.type == "bind"]
    return "\n".join(["These bind mounts will be in the artifact, by name and not with their files:", *found]) if found else ""


def _agreed(context: Context, question: str, yes: bool) -> bool:
    if yes:
        return True
    context.out.write(f"{question}\nPublish them? [y/N] ")
    context.out.flush()
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def _send(context: Context, repository: str, layers: list[dict[str, Any]], images: list[str], version: str) -> None:
    command = [sys.executable, "-m", "compose_lite.image.artifactpush", repository, *([version] if version else [])]
    asked = json.dumps({"layers": layers, "images": images})
    done = subprocess.run(command, cwd="/", env=dict(context.environ), input=asked, capture_output=True, text=True, check=False)
    try:
        answer = json.loads(done.stdout)
    except ValueError:
        raise Error("publish-failed", f"{repository}: {done.stderr.strip()[-300:]}") from None
    if "error" in answer:
        raise Error(answer["error"]["code"], answer["error"]["says"], remedy=answer["error"]["remedy"])
