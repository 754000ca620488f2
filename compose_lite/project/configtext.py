"""What `config` prints: the canonical project, or one of the listings. Reads files through load.py; prints nothing itself."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace

from compose_lite.errors import SpecError, UsageError, nearest
from compose_lite.project.confighash import service_hash
from compose_lite.spec.check import check_container_names
from compose_lite.spec.interpolate import Variable, variables
from compose_lite.spec.load import Loaded, LoadOptions, load, load_model
from compose_lite.spec.models.project import Project
from compose_lite.spec.models.service import Service
from compose_lite.spec.render import as_text, model_text, render

LISTINGS = ("services", "volumes", "networks", "models", "hash", "profiles", "images", "variables", "environment")
"""Flags of which the first one given, in this order, decides what is printed."""


@dataclass(frozen=True, slots=True)
class ConfigWish:
    """listing: one of LISTINGS, empty for the project itself. hash: names for `--hash` (`*` is all), comma-separated.

    format: as given with --format (empty: the default).
    """

    listing: str = ""
    hash: str = ""
    format: str = ""


@dataclass(frozen=True, slots=True)
class ConfigText:
    """text: for stdout or --output; with --quiet nothing of it is printed."""

    text: str
    warnings: tuple[str, ...]


def config_text(options: LoadOptions, wish: ConfigWish) -> ConfigText:
    """What `config` prints for these options. Raises SpecError, UsageError."""
    if wish.listing:
        return LISTED[wish.listing](options, wish)
    format = wish.format or "yaml"
    if not options.interpolate:
        model = load_model(options)
        check_format(format)
        return ConfigText(model_text(model.tree, format), model.warnings)
    loaded = checked(options)
    check_format(format)
    return ConfigText(render(loaded.project, format), loaded.warnings)


def checked(options: LoadOptions) -> Loaded:
    """The project as `config` takes it: no two containers of one name."""
    loaded = load(options)
    if options.consistency:
        check_container_names(loaded.project)
    return loaded


def check_format(format: str) -> None:
    if format not in ("yaml", "json"):
        raise UsageError("format", f'unsupported format "{format}"', remedy=nearest(format, ("yaml", "json")) or "Say yaml or json.")


def _names(lines: list[str], warnings: tuple[str, ...]) -> ConfigText:
    return ConfigText("".join(f"{line}\n" for line in lines), warnings)


def _whole(options: LoadOptions, *, keep_services: bool = False) -> Loaded:
    """The project without its env files; the services named on the command line do not matter for most listings."""
    return load(replace(options, resolve_env=False, services=options.services if keep_services else ()))


def _services(options: LoadOptions, _: ConfigWish) -> ConfigText:
    if not options.interpolate:
        model = load_model(options)
        return _names(sorted(model.tree.get("services") or ()), model.warnings)
    loaded = _whole(options)
    return _names(_dependencies_first(loaded.project.services), loaded.warnings)


def _dependencies_first(services: Mapping[str, Service]) -> list[str]:
    """The names in order, but each behind those that it depends on."""
    found: dict[str, None] = {}

    def add(name: str, around: tuple[str, ...]) -> None:
        if name in services and name not in found and name not in around:
            for needed in sorted(services[name].depends_on):
                add(needed, (*around, name))
            found[name] = None

    for name in sorted(services):
        add(name, ())
    return list(found)


def _volumes(options: LoadOptions, _: ConfigWish) -> ConfigText:
    loaded = _whole(options)
    return _names(sorted(loaded.project.volumes), loaded.warnings)


def _networks(options: LoadOptions, _: ConfigWish) -> ConfigText:
    loaded = _whole(options)
    return _names(sorted(loaded.project.networks), loaded.warnings)


def _models(options: LoadOptions, _: ConfigWish) -> ConfigText:
    loaded = _whole(options)
    return _names(sorted(model.model for model in loaded.project.models.values() if model.model), loaded.warnings)


def _hashes(options: LoadOptions, wish: ConfigWish) -> ConfigText:
    loaded = _whole(options)
    names = sorted(loaded.project.services) if wish.hash == "*" else sorted(wish.hash.split(","))
    return _names([f"{name} {service_hash(_service(loaded.project, name))}" for name in names], loaded.warnings)


def _service(project: Project, name: str) -> Service:
    if name not in project.services:
        raise SpecError("no-such-service", f"no such service: {name}", remedy=nearest(name, project.services))
    return project.services[name]


def _profiles(options: LoadOptions, _: ConfigWish) -> ConfigText:
    loaded = _whole(options, keep_services=True)
    found = {profile for service in loaded.project.all_services().values() for profile in service.profiles}
    return _names(sorted(found), loaded.warnings)


def _images(options: LoadOptions, _: ConfigWish) -> ConfigText:
    loaded = _whole(options, keep_services=True)
    project = loaded.project
    return _names([project.image_of(project.services[name]) for name in sorted(project.services)], loaded.warnings)


def _variables(options: LoadOptions, wish: ConfigWish) -> ConfigText:
    model = load_model(replace(options, interpolate=False))
    rows = _rows(variables(model.tree))
    if wish.format == "yaml":
        lower = {v.name: {"name": v.name, "defaultvalue": v.default, "presencevalue": v.alternate, "required": v.required} for v in rows}
        return ConfigText(as_text(lower, "yaml").replace("\n  ", "\n    "), model.warnings)
    if wish.format == "json":
        named = {v.name: {"Name": v.name, "DefaultValue": v.default, "PresenceValue": v.alternate, "Required": v.required} for v in rows}
        return ConfigText(json.dumps(named, indent=4, ensure_ascii=False) + "\n", model.warnings)
    if wish.format not in ("", "table"):
        raise UsageError("format", f'format value "{wish.format}" could not be parsed: parsing failed', remedy="Say table, yaml or json.")
    return ConfigText(_table(rows), model.warnings)


def _rows(mentioned: Iterable[Variable]) -> list[Variable]:
    """A row a name: a variable that is mentioned in several ways has what the first says that says anything (the reference takes any)."""
    found: dict[str, Variable] = {}
    for one in mentioned:
        known = found.get(one.name, one)
        found[one.name] = Variable(one.name, known.default or one.default, known.alternate or one.alternate, known.required or one.required)
    return [found[name] for name in sorted(found)]


def _table(rows: list[Variable]) -> str:
    cells = [("NAME", "REQUIRED", "DEFAULT VALUE", "ALTERNATE VALUE")]
    cells += [(v.name, "true" if v.required else "false", v.default, v.alternate) for v in rows]
    widths = [max(20, *(len(row[column]) + 3 for row in cells)) for column in range(3)]
    return "".join("".join(text.ljust(width) for text, width in zip(row, widths, strict=False)) + row[3] + "\n" for row in cells)


def _environment(options: LoadOptions, _: ConfigWish) -> ConfigText:
    loaded = load(options)
    return _names([f"{key}={loaded.environment[key]}" for key in sorted(loaded.environment)], loaded.warnings)


LISTED: dict[str, Callable[[LoadOptions, ConfigWish], ConfigText]] = {
    "services": _services,
    "volumes": _volumes,
    "networks": _networks,
    "models": _models,
    "hash": _hashes,
    "profiles": _profiles,
    "images": _images,
    "variables": _variables,
    "environment": _environment,
}
