"""The rules of `lint`: one function each, and the table of all. Pure.

A rule yields what it finds in a Subject; its code is stable and names the page docs/lint/<code>.md. A new rule is a function,
a row and a page, whose first example gives the finding and whose second does not (tests/lint/test_rules.py tries both).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import combinations

from compose_lite.errors import Place
from compose_lite.lint.finding import Edit, Finding
from compose_lite.lint.subject import Subject, anchors, block
from compose_lite.spec.document import Map, Seq, key_place, place_at
from compose_lite.spec.models.service import PortConfig, Service


@dataclass(frozen=True, slots=True)
class Found:
    """A finding before the table has put code and level to it."""

    place: Place | None
    says: str
    edit: Edit | None = None


@dataclass(frozen=True, slots=True)
class Rule:
    """about: what it is about, in a few words. remedy: what to do. level: see finding.LEVELS."""

    code: str
    about: str
    remedy: str
    check: Callable[[Subject], Iterator[Found]]
    level: str = "warning"


def findings(subject: Subject, without: frozenset[str] = frozenset()) -> list[Finding]:
    """What all rules find, by place; not what a comment `# compose-lite: ignore CODE` on the line or above it excuses."""
    found = [
        Finding(rule.code, one.place, one.says, rule.remedy, rule.level, one.edit)
        for rule in RULES
        if rule.code not in without
        for one in rule.check(subject)
    ]
    kept = [finding for finding in dict.fromkeys(found) if not _excused(subject, finding)]
    return sorted(kept, key=lambda f: (f.place.file, f.place.line, f.place.column, f.code) if f.place else ("", 0, 0, f.code))


_IGNORE = re.compile(r"#\s*compose-lite:\s*ignore\s+([\w, -]+)")


def _excused(subject: Subject, finding: Finding) -> bool:
    source = subject.sources.get(finding.place.file) if finding.place else None
    if source is None or finding.place is None:
        return False
    above = source.line(finding.place.line - 1).strip()
    for text in (source.line(finding.place.line), above if above.startswith("#") else ""):
        said = _IGNORE.search(text)
        if said and finding.code in re.split(r"[\s,]+", said[1]):
            return True
    return False


# --- what the file says ----------------------------------------------------------------------------------------


def obsolete_key(subject: Subject) -> Iterator[Found]:
    for source in subject.sources.values():
        for tree in source.documents:
            if "version" in tree:
                yield Found(key_place(tree, "version"), "`version` has no effect", block(source, tree, "version"))
            for section in ("networks", "volumes", "secrets", "configs"):
                for name, entry in _entries(tree, section):
                    if isinstance(entry, Map) and isinstance(entry.get("external"), Map):
                        says = f"{section}.{name}: `external: {{name: ...}}` is the old form of `external: true` and `name: ...`"
                        yield Found(key_place(entry, "external"), says)
    for name, service in subject.project.services.items():
        if service.links:
            says = f"services.{name}: `links` is of the time before networks: a service finds every other one on its networks by name"
            yield Found(subject.place("services", name, "links"), says)


_BASE_60 = re.compile(r"[1-9][0-9_]*(:[0-5]?[0-9])+")
"""https://yaml.org/type/int.html: `8080:80` is none, since 80 is no digit to base 60."""


def unquoted_port(subject: Subject) -> Iterator[Found]:
    for source in subject.sources.values():
        for tree in source.documents:
            for name, service in _entries(tree, "services"):
                ports = service.get("ports") if isinstance(service, Map) else None
                for index, entry in enumerate(ports if isinstance(ports, Seq) else ()):
                    at = place_at(ports.mark(index)) if isinstance(ports, Seq) else None
                    text = source.line(at.line)[at.column - 1 :] if at else ""
                    if at and isinstance(entry, str) and _BASE_60.fullmatch(entry) and text.startswith(entry):
                        end = at.column + len(entry)
                        edit = Edit(source.file, at.line, at.column, at.line, end, f'"{entry}"')
                        yield Found(at, f"services.{name}.ports: {entry} is a number to base 60 for readers of YAML 1.1", edit)


def unused_anchor(subject: Subject) -> Iterator[Found]:
    for source in subject.sources.values():
        if not any("&" in line for line in source.lines):
            continue
        for name, token in anchors(source):
            start, end = token.start_mark, token.end_mark
            line = source.line(start.line + 1)
            stop = end.column + (1 if line[end.column : end.column + 1] == " " else 0)
            begin = start.column
            if not line[stop:].strip() and line[begin - 1 : begin] == " ":  # nothing follows: the blank before it goes
                begin, stop = begin - 1, end.column
            edit = Edit(source.file, start.line + 1, begin + 1, start.line + 1, stop + 1)
            yield Found(Place(source.file, start.line + 1, start.column + 1), f"nothing refers to the anchor `&{name}`", edit)


def unused_resource(subject: Subject) -> Iterator[Found]:
    for section in ("networks", "volumes", "secrets", "configs"):
        used = _used(subject, section)
        for source in subject.own_sources():
            for tree in source.documents:
                entries = [name for name, _ in _entries(tree, section)]
                idle = [name for name in entries if name not in used]
                for name in idle:
                    owner, key = (tree, section) if len(idle) == len(entries) else (tree[section], name)
                    edit = block(source, owner, key)
                    yield Found(key_place(tree[section], name), f"no service uses {section}.{name}", edit)


def _used(subject: Subject, section: str) -> set[str]:
    """Names of the section that a service refers to, whether a profile leaves it out or not."""
    found: set[str] = set()
    for service in subject.project.all_services().values():
        if section == "networks":
            found |= set(service.networks)
        elif section == "volumes":
            found |= {mount.source for mount in service.volumes if mount.type in ("volume", "cluster")}
        else:
            granted = service.secrets if section == "secrets" else service.configs
            found |= {reference.source for reference in granted}
            if section == "secrets" and service.build is not None:
                found |= {reference.source for reference in service.build.secrets}
            if section == "configs" and service.credential_spec is not None:
                found.add(service.credential_spec.config)
    return found


def _entries(tree: Map, section: str) -> list[tuple[str, object]]:
    found = tree.get(section)
    return list(found.items()) if isinstance(found, Map) else []


# --- ports -----------------------------------------------------------------------------------------------------

Taken = tuple[str, int, PortConfig]
"""Service, index of its port, the port."""
ANYWHERE = ("", "0.0.0.0", "::")


def port_clash(subject: Subject) -> Iterator[Found]:
    taken: list[Taken] = []
    for name, service in subject.project.services.items():
        for index, port in enumerate(service.ports):
            if not _numbers(port):
                continue
            taken.append((name, index, port))
            if service.replicas > len(_numbers(port)):
                says = f"services.{name}: {service.replicas} containers want host port {port.published}, which only one can have"
                yield Found(subject.place("services", name, "ports", index), says)
    by_number: dict[tuple[int, str], list[Taken]] = {}
    for one in taken:
        for number in _numbers(one[2]):
            by_number.setdefault((number, one[2].protocol or "tcp"), []).append(one)
    for (number, protocol), group in by_number.items():
        for (name, index, port), (other, other_index, second) in combinations(group, 2):
            same = port.host_ip == second.host_ip or port.host_ip in ANYWHERE or second.host_ip in ANYWHERE
            # a range that another one may dodge is no clash
            if same and len(_numbers(port)) == len(_numbers(second)) == 1:
                first = subject.place("services", name, "ports", index)
                says = f"services.{other}: host port {number}/{protocol} is taken by service '{name}'" + (f" at {first}" if first else "")
                yield Found(subject.place("services", other, "ports", other_index), says)


def _numbers(port: PortConfig) -> range:
    first, _, last = port.published.partition("-")
    if not first.isdigit() or (last and not last.isdigit()):
        return range(0)
    return range(int(first), int(last or first) + 1)


INTERNAL = {
    1433: "SQL Server", 2181: "ZooKeeper", 2375: "the Docker engine", 2379: "etcd", 3306: "MySQL", 5432: "PostgreSQL", 5672: "RabbitMQ",
    5984: "CouchDB", 6379: "Redis", 7000: "Cassandra", 8086: "InfluxDB", 8123: "ClickHouse", 9042: "Cassandra", 9092: "Kafka",
    9200: "Elasticsearch", 9300: "Elasticsearch", 11211: "Memcached", 15672: "RabbitMQ's console", 27017: "MongoDB",
}  # fmt: skip
"""Container ports of what is seldom meant for other machines."""


def port_open(subject: Subject) -> Iterator[Found]:
    for name, service in subject.project.services.items():
        for index, port in enumerate(service.ports):
            if port.target in INTERNAL and port.host_ip in ANYWHERE:
                says = f"services.{name}: port {port.target} ({INTERNAL[port.target]}) can be reached from other machines"
                yield Found(subject.place("services", name, "ports", index), says)


# --- services --------------------------------------------------------------------------------------------------


def image_without_tag(subject: Subject) -> Iterator[Found]:
    services = subject.project.all_services()
    built = {service.image for service in services.values() if service.build is not None}
    for name, service in services.items():
        image = service.image
        if not image or image in built or "@" in image or image.startswith("rootfs:"):
            continue
        _, _, tag = image.rpartition("/")[2].partition(":")
        if tag in ("", "latest"):
            says = f"services.{name}: image {image} is whatever is newest on the day it is pulled"
            yield Found(subject.place("services", name, "image"), says)


_SECRET = re.compile(
    r"(^|_)(password|passwd|passphrase|secret|token|api_?key|access_?key|private_?key|secret_?key|credentials?)(_|$)", re.I
)
_WITH_PASSWORD = re.compile(r"[a-z][a-z0-9+.-]*://[^/\s:@$]*:[^/\s:@$]+@", re.I)
_NO_SECRETS = {"", "true", "false", "yes", "no", "on", "off", "0", "1"}


def secret_in_environment(subject: Subject) -> Iterator[Found]:
    for name, service in subject.project.all_services().items():
        for key, value in service.environment.items():
            named = _SECRET.search(key) and not key.upper().endswith("_FILE") and not (value or "").startswith("/")
            if not value or value.lower() in _NO_SECRETS or not (named or _WITH_PASSWORD.match(value)):
                continue
            at = subject.place("services", name, "environment", key)
            if at is None or "$" in subject.written(at) or value not in subject.written(at):
                continue  # from an env file, a variable or the shell: not written here
            yield Found(
                at, f"services.{name}.environment.{key}: a secret stands in the file, and everybody who may inspect the container sees it"
            )


def depends_on_started(subject: Subject) -> Iterator[Found]:
    services = subject.project.services
    for name, service in services.items():
        for other, dependency in service.depends_on.items():
            if other in services and dependency.condition == "service_started" and _has_healthcheck(services[other]):
                says = f"services.{name}: does not wait until '{other}' is healthy, though it has a healthcheck"
                yield Found(subject.place("services", name, "depends_on", other), says)


def _has_healthcheck(service: Service) -> bool:
    check = service.healthcheck
    return check is not None and not check.disable and bool(check.test) and check.test[:1] != ["NONE"]


_COMPOUND = re.compile(r"[;&|\n]")
_EXEC = re.compile(r"(^|[;&|\n]|\bthen\b|\bdo\b)\s*exec\s+[^\s<>&|;]")
SHELLS = ("sh", "bash", "ash", "dash", "zsh")


def shell_as_init(subject: Subject) -> Iterator[Found]:
    project = subject.project
    jobs = {
        other
        for service in project.all_services().values()
        for other, dependency in service.depends_on.items()
        if dependency.condition == "service_completed_successfully"
    }
    for name, service in project.all_services().items():
        argv = [*(service.entrypoint or ()), *(service.command or ())]
        if name in jobs or service.init or len(argv) < 3:
            continue
        shell = argv[0].rpartition("/")[2]
        script = argv[2]
        if shell not in SHELLS or not re.fullmatch(r"-\w*c", argv[1]):
            continue
        if _COMPOUND.search(script.strip()) and not _EXEC.search(script) and not re.search(r"\btrap\b", script):
            attribute = "entrypoint" if service.entrypoint else "command"
            says = f"services.{name}: {shell} is process 1 and ignores SIGTERM: a stop takes until the grace period is over"
            yield Found(subject.place("services", name, attribute), says)


def privileged(subject: Subject) -> Iterator[Found]:
    for name, service in subject.project.all_services().items():
        if service.privileged:
            says = f"services.{name}: a privileged container can do on the machine whatever root can"
            yield Found(subject.place("services", name, "privileged"), says)


MIGHTY = {"ALL", "SYS_ADMIN", "SYS_MODULE", "SYS_PTRACE", "SYS_RAWIO", "DAC_READ_SEARCH", "BPF"}


def mighty_capability(subject: Subject) -> Iterator[Found]:
    for name, service in subject.project.all_services().items():
        for index, word in enumerate(service.cap_add):
            if word.upper().removeprefix("CAP_") in MIGHTY:
                yield Found(subject.place("services", name, "cap_add", index), f"services.{name}: with {word} it can leave its container")


SOCKETS = ("docker.sock", "podman.sock", "containerd.sock", "crio.sock")


def engine_socket(subject: Subject) -> Iterator[Found]:
    for name, service in subject.project.all_services().items():
        says = f"services.{name}: who has the engine's socket is root on the machine"
        if service.use_api_socket:
            yield Found(subject.place("services", name, "use_api_socket"), says)
        for index, mount in enumerate(service.volumes):
            if mount.type == "bind" and mount.source.rpartition("/")[2] in SOCKETS:
                yield Found(subject.place("services", name, "volumes", index), says)


HOST_FOLDERS = {"/", "/etc", "/root", "/boot", "/proc", "/sys", "/dev", "/var/lib/docker"}


def host_folder(subject: Subject) -> Iterator[Found]:
    for name, service in subject.project.all_services().items():
        for index, mount in enumerate(service.volumes):
            if mount.type == "bind" and not mount.read_only and mount.source in HOST_FOLDERS:
                says = f"services.{name}: it can write to the machine's {mount.source}"
                yield Found(subject.place("services", name, "volumes", index), says)


def host_namespace(subject: Subject) -> Iterator[Found]:
    for name, service in subject.project.all_services().items():
        for attribute in ("network_mode", "pid", "ipc"):
            if getattr(service, attribute) == "host":
                what = {"network_mode": "every port and local service", "pid": "every process", "ipc": "the shared memory"}[attribute]
                yield Found(subject.place("services", name, attribute), f"services.{name}: it shares {what} of the machine")


RULES = (
    Rule(
        "depends-on-started", "A dependency with a healthcheck is not waited for", "Say `condition: service_healthy`.", depends_on_started
    ),
    Rule("engine-socket", "The engine's socket in a container", "Use a proxy that lets through only what is needed.", engine_socket),
    Rule(
        "host-folder", "A folder of the system, writable in a container", "Mount what is needed only, and `read_only: true`.", host_folder
    ),
    Rule(
        "host-namespace", "A namespace of the machine", "Publish ports, or share with one service: `service:NAME`.", host_namespace, "note"
    ),
    Rule("image-without-tag", "An image without a tag", "Name a version, or a digest.", image_without_tag),
    Rule("mighty-capability", "A capability that leads out of the container", "Give the one capability that is needed.", mighty_capability),
    Rule("obsolete-key", "A key of older times", "Take it out.", obsolete_key),
    Rule("port-clash", "A host port wanted twice", "Choose another host port, or let the engine choose one.", port_clash),
    Rule("port-open", "A database open to other machines", "Publish it on 127.0.0.1, or not: services need no published port.", port_open),
    Rule("privileged", "A privileged container", "Give it the capability or the device that it needs.", privileged),
    Rule("secret-in-environment", "A secret in the file", "Use `secrets:`, or a variable: `${NAME:?}`.", secret_in_environment),
    Rule("shell-as-init", "A shell that swallows SIGTERM", "Write `exec` before the last command, or `init: true`.", shell_as_init),
    Rule("unquoted-port", "A port without quotes", "Put it in quotes.", unquoted_port),
    Rule("unused-anchor", "An anchor that nothing refers to", "Take it out.", unused_anchor, "note"),
    Rule("unused-resource", "A network, volume, secret or config that no service uses", "Take it out.", unused_resource),
)
