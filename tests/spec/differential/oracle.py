"""What decides: the specification's schema, after texts became numbers and booleans, and the rules of Docker Compose beyond it.

RULES is the table of them: a name and what it refuses, on the document as it was written (its schema being right).
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from typing import Any

from tests.spec.differential.documents import spots
from tests.spec.differential.jsonschema import SCHEMA, problems, same
from tests.spec.differential.words import KINDS, kind_at

Document = dict[str, Any]
CAST = {"int": int, "count": int, "float": float, "percent": float, "bool": lambda text: text.lower() in ("true", "y", "yes", "on")}
NOT_CAST = (
    "services.*.attach", "services.*.build", "services.*.env_file", "services.*.pre_start", "services.*.post_start",
    "services.*.pre_stop", "services.*.develop", "services.*.deploy.resources",
    "services.*.volumes.[].bind",
)  # fmt: skip
"""Below these, texts become numbers and booleans after the schema only."""


def cast(document: Document) -> Document:
    """The document with the texts replaced that Docker Compose replaces before it asks the schema."""
    found = copy.deepcopy(document)
    for path, steps in list(spots(document)):
        value, owner = at(document, steps), at(found, steps[:-1])
        kind = kind_at(path)
        if isinstance(value, str) and kind in CAST and value in KINDS[kind][0] and not ".".join(path).startswith(NOT_CAST):
            owner[steps[-1]] = CAST[kind](value)
    if isinstance(found.get("include"), list):  # of its entries, too, only what is known is looked at
        found["include"] = [{k: v for k, v in one.items() if k in KNOWN} if isinstance(one, dict) else one for one in found["include"]]
    elif "include" in found and found["include"] is None:
        del found["include"]
    services = found.get("services")
    for one in services.values() if isinstance(services, dict) else ():
        extends = one.get("extends") if isinstance(one, dict) else None
        if isinstance(extends, dict) and isinstance(extends.get("service"), str):
            one["extends"] = "base"  # it is gone when the schema is asked; nobody looks at its other keys
        if isinstance(one, dict) and one.get("extends") == "base":
            for key in [key for key in ("image", "environment") if key in one and one[key] is None]:
                del one[key]  # the base has it
    for path, steps in list(spots(found)):
        if ".".join(path) in ONCE and isinstance(at(found, steps), list):
            items = at(found, steps)
            items[:] = [item for index, item in enumerate(items) if not any(same(item, other) for other in items[:index])]
    return found


KNOWN = ("path", "env_file", "project_directory")
ONCE = frozenset(
    {"networks.*.labels"}
    | {f"services.*.build.{key}" for key in ("args", "additional_contexts", "tags", "labels")}
    | {f"services.*.{key}" for key in ("annotations", "cap_add", "cap_drop", "dns", "dns_opt", "dns_search", "environment", "labels")}
    | {f"services.*.{key}" for key in ("links", "profiles", "sysctls", "tmpfs", "deploy.labels", "networks.*.aliases")}
    | {f"services.*.{key}" for key in ("networks.*.link_local_ips", "configs", "secrets", "devices", "env_file", "expose", "ports")}
    | {"services.*.volumes"}
)
"""Lists in which what is written twice counts once."""


def at(document: Any, steps: tuple[Any, ...]) -> Any:
    for step in steps:
        document = document[step]
    return document


def refusal(document: Document) -> str | None:
    """Why the document is refused; None when it is taken."""
    problem = next(problems(cast(document), SCHEMA), None)
    if problem is not None:
        return f"schema {problem}"
    return next((name for name, refuses in RULES.items() if refuses(document)), None)


def values(document: Document, pattern: str, active: bool = False) -> Iterator[Any]:
    """What stands at the pattern; active: in active services."""
    wanted = tuple(pattern.split("."))
    for path, steps in spots(document):
        if path == wanted and not (active and document["services"][steps[1]].get("profiles")):
            yield at(document, steps)


def services(document: Document) -> Iterator[tuple[str, Document]]:
    """The active ones: nobody looks at what the others refer to."""
    for name, one in document.get("services", {}).items():
        if not one.get("profiles"):
            yield name, one


def names(value: Any) -> list[str]:
    return list(value) if isinstance(value, list | dict) else []


BY_ACTIVE = frozenset({"env-file", "label-file", "env-format", "network", "file", "service", "service-mode", "link", "volumes-from"})
BY_ACTIVE |= {"model", "context", "test-head"}
"""Kinds of texts that are looked at for active services only."""


def bad_text(document: Document) -> bool:
    for path, steps in spots(document):
        value = at(document, steps)
        kind = kind_at(path)
        good, bad = KINDS.get(kind, ((), ()))
        if kind in BY_ACTIVE and document["services"][steps[1]].get("profiles"):
            continue
        if path[2:4] == ("env_file", "[]") and replaced_entry(document, steps):
            continue
        if isinstance(value, str) and (value in bad or (good and value not in good)):
            return True
    return False


def number(value: Any) -> float:
    return float(value) if value is not None else 0


def no_source(document: Document) -> bool:
    return any(not ({"build", "provider", "extends"} & one.keys() or one.get("image")) for _, one in services(document))


def unknown_base(document: Document) -> bool:
    for one in document.get("services", {}).values():
        extends = one.get("extends", "base")
        if "extends" in one and (isinstance(extends, str) or extends.get("file") is None) and "base" not in document["services"]:
            return True
    return False


def two_dockerfiles(document: Document) -> bool:
    return any(
        one.get("dockerfile") and one.get("dockerfile_inline")
        for one in values(document, "services.*.build", active=True)
        if isinstance(one, dict)
    )


def foreign_platform(document: Document) -> bool:
    for _, one in services(document):
        platforms = one["build"].get("platforms") if isinstance(one.get("build"), dict) else None
        if platforms and one.get("platform") and one["platform"] not in platforms:
            return True
    return False


def undeclared(document: Document) -> bool:
    """Networks, models, secrets and configs that nobody declares."""
    for _, one in services(document):
        if any(name != "default" and name not in (document.get("networks") or {}) for name in names(one.get("networks"))):
            return True
        if any(name not in document.get("models", {}) for name in names(one.get("models"))):
            return True
        build = one["build"] if isinstance(one.get("build"), dict) else {}
        for granted, section in ((one.get("secrets"), "secrets"), (one.get("configs"), "configs"), (build.get("secrets"), "secrets")):
            for entry in granted or ():
                source = entry if isinstance(entry, str) else entry.get("source", "")
                if source not in document.get(section, {}):
                    return True
    return False


def undeclared_volume(document: Document) -> bool:
    for one in values(document, "services.*.volumes.[]", active=True):
        source = one.get("source") if isinstance(one, dict) and one["type"] == "volume" else None
        if isinstance(one, str) and one.startswith("data:/"):
            source = "data"
        if source and source not in (document.get("volumes") or {}):
            return True
    return False


def mode_and_networks(document: Document) -> bool:
    return any(one.get("network_mode") and one.get("networks") for _, one in services(document))


def wrong_test(document: Document) -> bool:
    return any(
        isinstance(test, list) and test and test[0] not in ("CMD", "CMD-SHELL", "NONE")
        for test in values(document, "services.*.healthcheck.test", active=True)
    )


def needs(document: Document, name: str) -> set[str]:
    one = document["services"][name]
    found = set(names(one.get("depends_on")))
    found |= {link.split(":")[0] for link in one.get("links", ())}
    found |= {source.split(":")[0] for source in one.get("volumes_from", ()) if not source.startswith("container:")}
    for shared in ("network_mode", "ipc", "pid", "uts", "cgroup"):
        if str(one.get(shared)).startswith("service:"):
            found.add(one[shared].removeprefix("service:"))
    return found


def unknown_dependency(document: Document) -> bool:
    return any(not needs(document, name) <= document["services"].keys() for name, _ in services(document))


def circle(document: Document) -> bool:
    def leads_back(name: str, wanted: str, seen: set[str]) -> bool:
        following = needs(document, name) - seen
        return wanted in needs(document, name) or any(leads_back(other, wanted, seen | following) for other in following)

    return any(leads_back(name, name, set()) for name, _ in services(document))


def replicas(document: Document) -> bool:
    for _, one in services(document):
        deploy = one.get("deploy") or {}
        scale, wanted = one.get("scale"), deploy.get("replicas")
        if scale is not None and wanted is not None and number(scale) != number(wanted):
            return True
        count = number(scale if scale is not None else wanted if wanted is not None else 1)
        if count < 0 or number(wanted) < 0 or (count > 1 and one.get("container_name")):
            return True
    return False


def external_with_more(document: Document) -> bool:
    for volume in (document.get("volumes") or {}).values():
        external = (volume or {}).get("external")
        if isinstance(external, str):
            external = CAST["bool"](external)
        if (external is True or isinstance(external, dict)) and any(
            key not in ("name", "external") and not key.startswith("x-") for key in volume
        ):
            return True
    return False


def external_twice_named(document: Document) -> bool:
    for section in ("networks", "volumes", "secrets", "configs"):
        for one in (document.get(section) or {}).values():
            external = (one or {}).get("external")
            if isinstance(external, dict) and "name" in external and one.get("name", external["name"]) != external["name"]:
                return True
    return False


def sources(document: Document) -> bool:
    for section, keys in (("secrets", ("file", "environment")), ("configs", ("file", "environment", "content"))):
        for one in document.get(section, {}).values():
            given = [key for key in keys if key in one]
            if len(given) > 1 or not (given or "driver" in one or "external" in one):
                return True
    return False


def secret_without_source(document: Document) -> bool:
    for one in document.get("secrets", {}).values():
        external = one.get("external", False)
        external = CAST["bool"](external) if isinstance(external, str) else external is not False
        if not external and not one.get("file") and not one.get("environment"):
            return True
    return False


def count_and_ids(document: Document) -> bool:
    for pattern in ("services.*.gpus.[]", "services.*.deploy.resources.reservations.devices.[]"):
        if any("count" in one and "device_ids" in one for one in values(document, pattern)):
            return True
    return False


def limits(document: Document) -> bool:
    for _, one in services(document):
        resources = (one.get("deploy") or {}).get("resources", {})
        for own, part, other in (
            ("cpus", "limits", "cpus"),
            ("mem_limit", "limits", "memory"),
            ("mem_reservation", "reservations", "memory"),
            ("pids_limit", "limits", "pids"),
        ):
            if part in resources and size(one.get(own), own) and size(one[own], own) != size(resources[part].get(other), own):
                return True
    return False


_SIZES = {"64m": 64 << 20, "1gb": 1 << 30, "1.5k": 1536, "2KiB": 2048, "1 MB": 1 << 20}


def size(value: Any, attribute: str) -> float:
    found = float(_SIZES[value] if value in _SIZES else number(value))
    return found if attribute == "cpus" else int(found)


def watch_without_target(document: Document) -> bool:
    return any(
        one["action"] not in ("rebuild", "restart") and not one.get("target")
        for one in values(document, "services.*.develop.watch.[]", active=True)
    )


def mount_form(document: Document) -> bool:
    """Long forms without what merging them by needs, or bind without source."""
    for one in values(document, "services.*.volumes.[]"):
        if isinstance(one, dict) and ("target" not in one or (one["type"] == "bind" and "source" not in one)):
            return True
    if any(isinstance(one, dict) and "target" not in one for one in values(document, "services.*.devices.[]")):
        return True
    return any(isinstance(one, dict) and "target" not in one for one in values(document, "services.*.ports.[]"))


def broken_number(document: Document) -> bool:
    return any(isinstance(one, float) for pattern in ("expose", "group_add") for one in values(document, f"services.*.{pattern}.[]"))


def negative_number(document: Document) -> bool:
    for path, steps in spots(document):
        value = at(document, steps)
        if kind_at(path) in ("count", "no-text") and "ulimits" not in path and isinstance(value, int) and value < 0:
            return True
    return False


def wrong_port_number(document: Document) -> bool:
    return any(
        isinstance(one, int | float) and (one != int(one) or not 1 <= one <= 65535) for one in values(document, "services.*.ports.[]")
    )


def mounted_twice(document: Document) -> bool:
    for _, one in services(document):
        tmpfs = one.get("tmpfs") or ()
        temporary = {text.split(":")[0] for text in ([tmpfs] if isinstance(tmpfs, str) else tmpfs)}
        targets = {KNOWN_TARGETS.get(v, v) if isinstance(v, str) else v["target"] for v in one.get("volumes") or ()}
        if temporary & targets:
            return True
    return False


KNOWN_TARGETS = {
    "./b:/b": "/b", "data:/a:ro": "/a", "~/c:/c:z,nocopy": "/c", "/d:/d2:rshared": "/d2", "data:/z": "/z", "c:/z": "/z",
}  # fmt: skip


def replaced_entry(document: Document, steps: tuple[Any, ...]) -> bool:
    """Whether a later entry of the list is for the same file."""
    entries, index = document["services"][steps[1]]["env_file"], steps[3]
    paths = [one if isinstance(one, str) else one["path"] for one in entries]
    return paths[index] in paths[index + 1 :]


def wrong_base_file(document: Document) -> bool:
    """On which the reference crashes."""
    files = [one.get("file") for one in values(document, "services.*.extends") if isinstance(one, dict)]
    return any(file is not None and not isinstance(file, str) for file in files)


RULES: dict[str, Callable[[Document], bool]] = {
    "extends.file is no text": wrong_base_file,
    "nothing in it": lambda document: not document.keys() - {"version"},
    "a text that means nothing": bad_text,
    "a service without image, build or provider": no_source,
    "unknown base": unknown_base,
    "dockerfile and dockerfile_inline": two_dockerfiles,
    "platform that is not built": foreign_platform,
    "undeclared network, model, secret or config": undeclared,
    "undeclared volume": undeclared_volume,
    "network_mode and networks": mode_and_networks,
    "healthcheck.test": wrong_test,
    "unknown dependency": unknown_dependency,
    "dependency circle": circle,
    "scale and replicas": replicas,
    "external volume with more": external_with_more,
    "external with two names": external_twice_named,
    "secret or config sources": sources,
    "secret without source": secret_without_source,
    "count and device_ids": count_and_ids,
    "limits said twice": limits,
    "watch without target": watch_without_target,
    "mount form": mount_form,
    "broken number for a text": broken_number,
    "mounted twice": mounted_twice,
    "negative number": negative_number,
    "port number": wrong_port_number,
}
