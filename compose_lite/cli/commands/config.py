"""`config` (also `convert`): the project as one file, or a listing of it (project/configtext.py)."""

from __future__ import annotations

from collections.abc import Coroutine
from pathlib import Path
from typing import Any

from compose_lite.cli.context import Context
from compose_lite.cli.pflag import Command, arguments, flag, option
from compose_lite.errors import Error, UsageError
from compose_lite.project.configtext import LISTINGS, ConfigText, ConfigWish, config_text
from compose_lite.spec.load import LoadOptions
from compose_lite.spec.schema import as_json

COMMAND = Command(
    "config",
    "Parse, resolve and render compose file in canonical format",
    (
        flag("--environment", help="Print environment used for interpolation"),
        option("--explain", default="", help="Say where a value came from: services.web.environment.DEBUG"),
        option("--format", default="", help="Format the output. Values: [yaml | json]"),
        option("--hash", default="", help="Print the service config hash, one per line"),
        flag("--images", help="Print the image names, one per line"),
        flag("--lock-image-digests", help="Produces an override file with image digests"),
        flag("--models", help="Print the model names, one per line"),
        flag("--networks", help="Print the network names, one per line"),
        flag("--no-consistency", help="Don't check model consistency - warning: may produce invalid Compose output"),
        flag("--no-env-resolution", help="Don't resolve service env files"),
        flag("--no-interpolate", help="Don't interpolate environment variables"),
        flag("--no-normalize", help="Don't normalize compose model"),
        flag("--no-path-resolution", help="Don't resolve file paths"),
        option("-o", "--output", default="", help="Save to file (default to stdout)"),
        flag("--profiles", "list_profiles", help="Print the profile names, one per line"),
        flag("-q", "--quiet", help="Only validate the configuration, don't print anything"),
        flag("--resolve-image-digests", help="Pin image tags to digests"),
        flag("--schema", help="Print the JSON Schema of Compose files, for editors"),
        flag("--services", "list_services", help="Print the service names, one per line"),
        flag("--variables", help="Print model variables and default values"),
        flag("--volumes", help="Print the volume names, one per line"),
        arguments("services"),
    ),
)


def run(
    context: Context,
    services: tuple[str, ...],
    explain: str,
    format: str,
    hash: str,
    output: str,
    quiet: bool,
    no_consistency: bool,
    no_env_resolution: bool,
    no_interpolate: bool,
    no_normalize: bool,
    no_path_resolution: bool,
    resolve_image_digests: bool,
    lock_image_digests: bool,
    schema: bool,
    list_profiles: bool,
    list_services: bool,
    **listed: bool,
) -> Coroutine[Any, Any, None] | None:
    """A coroutine when a registry has to be asked; else it is done."""
    if schema:
        _put(context, ConfigText(as_json(), ()), output)
        return None
    del no_env_resolution  # Docker Compose 2.40 takes the flag and still resolves env files in what it prints
    wished = {**listed, "services": list_services, "profiles": list_profiles, "hash": bool(hash)}
    wish = ConfigWish(next((name for name in LISTINGS if wished[name]), ""), hash, format)
    options = context.load_options(
        services=services,
        interpolate=not no_interpolate,
        normalize=not (no_normalize or context.options.compatibility),  # Docker Compose 2.40 takes the one for the other
        resolve_paths=not no_path_resolution,
        consistency=not no_consistency,
    )
    if explain:
        made = _explained(context, options, explain, format)
    elif (resolve_image_digests or lock_image_digests) and not wish.listing:
        return _pinned(context, options, wish, lock_image_digests, quiet, output)
    else:
        made = config_text(options, wish)
    _tell(context, made, quiet and not wish.listing, output)
    return None


async def _pinned(context: Context, options: LoadOptions, wish: ConfigWish, lock: bool, quiet: bool, output: str) -> None:
    from compose_lite.project.digests import pinned_text

    _tell(context, await pinned_text(options, wish.format or "yaml", lock=lock, engine=context.engine), quiet, output)


def _tell(context: Context, made: ConfigText, quiet: bool, output: str) -> None:
    for warning in made.warnings:
        context.warn(warning)
    if not quiet:
        _put(context, made, output)


def _explained(context: Context, options: LoadOptions, path: str, format: str) -> ConfigText:
    from compose_lite.project import explain as explanation

    if format not in ("", "text", "json"):
        raise UsageError("format", f'unsupported format "{format}"', remedy="With --explain say text or json.")
    found = explanation.explain(options, path)
    return ConfigText(explanation.as_json(found) if format == "json" else explanation.as_text(found, context.cwd), ())


def _put(context: Context, made: ConfigText, output: str) -> None:
    if not output:
        context.out.write(made.text)
        return
    path = Path(context.cwd, output)
    try:
        path.write_text(made.text)
    except OSError as error:
        raise Error("config-output", f"{output}: cannot be written: {error.strerror}") from error
