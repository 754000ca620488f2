"""The form of a Compose file: which keys there are and what kinds of value they take, as JSON Schema. Pure.

SCHEMA is the one source: `check_form` is compiled from it, and schemas/compose-lite.schema.json is written from it for
editors (`python -m compose_lite.spec.schema`). It describes files as people write them, short forms included; what goes
beyond form (references, conflicts) is check.py's.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from compose_lite.errors import Place, SpecError, nearest
from compose_lite.spec.document import Map, Path, Seq, Timestamp, key_place, place_of

Schema = dict[str, Any]

STRING: Schema = {"type": "string"}
INTEGER: Schema = {"type": "integer"}
NUMBER: Schema = {"type": "number"}
BOOLEAN: Schema = {"type": "boolean"}
NULL: Schema = {"type": "null"}
FLAG: Schema = {"type": ["boolean", "string"]}
COUNT: Schema = {"type": ["integer", "string"]}
AMOUNT: Schema = {"type": ["number", "string"]}
SCALAR: Schema = {"type": ["string", "number", "boolean", "null"]}
NAME = "^[a-zA-Z0-9._-]+$"


def one_of(*choices: Schema) -> Schema:
    return {"oneOf": list(choices)}


def strings(unique: bool = True) -> Schema:
    return array(STRING, unique)


def array(items: Schema, unique: bool = False) -> Schema:
    return {"type": "array", "items": items, **({"uniqueItems": True} if unique else {})}


def enum(*words: str) -> Schema:
    return {"type": "string", "enum": list(words)}


def keyed(pattern: str, value: Schema, strict: bool = True) -> Schema:
    """A mapping whose keys are the user's."""
    return {"type": "object", "patternProperties": {pattern: value}, **({"additionalProperties": False} if strict else {})}


def block(required: tuple[str, ...] = (), /, **keys: Schema) -> Schema:
    """A mapping with these keys only, and `x-...`."""
    return {**strict_block(required, **keys), "patternProperties": {"^x-": {}}}


def strict_block(required: tuple[str, ...] = (), /, **keys: Schema) -> Schema:
    """A mapping with these keys only."""
    found: Schema = {"type": "object", "properties": keys, "additionalProperties": False}
    if required:
        found["required"] = list(required)
    return found


def or_null(schema: Schema) -> Schema:
    return {**schema, "type": [schema["type"], "null"]}


def ref(name: str) -> Schema:
    return {"$ref": f"#/definitions/{name}"}


TEXTS = one_of(STRING, strings())
COMMAND = one_of(NULL, STRING, array(STRING))
KEY_VALUES = one_of(keyed(".+", SCALAR), strings())
OPTIONS = keyed("^.+$", {"type": ["string", "number"]}, strict=False)
HOSTS = one_of(keyed(".+", one_of(STRING, array(STRING))), strings())
LIMITS = keyed("^[a-z]+$", one_of(COUNT, block(("soft", "hard"), soft=COUNT, hard=COUNT)), strict=False)
HOOK = block(("command",), command=COMMAND, user=STRING, privileged=FLAG, working_dir=STRING, environment=ref("key_values"))
STEP = block(
    command=COMMAND,
    image=STRING,
    user=STRING,
    privileged=FLAG,
    working_dir=STRING,
    environment=ref("key_values"),
    per_replica=FLAG,
)
FILES = array(one_of(STRING, block(source=STRING, target=STRING, uid=STRING, gid=STRING, mode=AMOUNT)))
EXTERNAL: Schema = {
    "type": ["boolean", "string", "object"],
    "properties": {"name": STRING},
    "additionalProperties": False,
    "patternProperties": {"^x-": {}},
}
_REQUEST = {
    "capabilities": ref("strings"),
    "count": COUNT,
    "device_ids": ref("strings"),
    "driver": STRING,
    "options": ref("key_values"),
}
_THROTTLE = array(strict_block(path=STRING, rate=COUNT))
BLKIO = strict_block(
    weight=COUNT,
    weight_device=array(strict_block(path=STRING, weight=COUNT)),
    device_read_bps=_THROTTLE,
    device_read_iops=_THROTTLE,
    device_write_bps=_THROTTLE,
    device_write_iops=_THROTTLE,
)
BUILD = block(
    context=STRING,
    dockerfile=STRING,
    dockerfile_inline=STRING,
    entitlements=array(STRING),
    args=ref("key_values"),
    ssh=ref("key_values"),
    labels=ref("key_values"),
    cache_from=array(STRING),
    cache_to=array(STRING),
    no_cache=FLAG,
    no_cache_filter=TEXTS,
    additional_contexts=ref("key_values"),
    network=STRING,
    provenance=FLAG,
    sbom=FLAG,
    pull=FLAG,
    target=STRING,
    shm_size=COUNT,
    extra_hosts=ref("hosts"),
    isolation=STRING,
    privileged=FLAG,
    secrets=ref("files"),
    tags=array(STRING),
    ulimits=ref("ulimits"),
    platforms=array(STRING),
)
DEPENDENCY = block(
    ("condition",),
    restart=FLAG,
    required=BOOLEAN,
    condition=enum("service_started", "service_healthy", "service_completed_successfully"),
)
_UPDATE = block(
    parallelism=COUNT,
    delay=STRING,
    failure_action=STRING,
    monitor=STRING,
    max_failure_ratio=AMOUNT,
    order=enum("start-first", "stop-first"),
)
_GENERIC = array(block(discrete_resource_spec=block(kind=STRING, value=AMOUNT)))
DEPLOY = or_null(
    block(
        mode=STRING,
        endpoint_mode=STRING,
        replicas=COUNT,
        labels=ref("key_values"),
        rollback_config=_UPDATE,
        update_config=_UPDATE,
        resources=block(
            limits=block(cpus=AMOUNT, memory=STRING, pids=COUNT),
            reservations=block(cpus=AMOUNT, memory=STRING, generic_resources=_GENERIC, devices=array(block(("capabilities",), **_REQUEST))),
        ),
        restart_policy=block(condition=STRING, delay=STRING, max_attempts=COUNT, window=STRING),
        placement=block(constraints=array(STRING), preferences=array(block(spread=STRING)), max_replicas_per_node=COUNT),
    )
)
DEVELOP = or_null(
    block(
        watch=array(
            block(
                ("path", "action"),
                path=STRING,
                action=enum("rebuild", "sync", "restart", "sync+restart", "sync+exec"),
                target=STRING,
                exec=ref("hook"),
                include=TEXTS,
                ignore=TEXTS,
                initial_sync=BOOLEAN,
            )
        )
    )
)
HEALTHCHECK = block(
    disable=FLAG,
    interval=STRING,
    retries=AMOUNT,
    test=one_of(STRING, array(STRING)),
    timeout=STRING,
    start_period=STRING,
    start_interval=STRING,
)
ENV_FILE = one_of(STRING, array(one_of(STRING, strict_block(("path",), path=STRING, format=STRING, required=FLAG))))
ATTACHMENT = block(
    aliases=ref("strings"),
    interface_name=STRING,
    ipv4_address=STRING,
    ipv6_address=STRING,
    link_local_ips=ref("strings"),
    mac_address=STRING,
    driver_opts=OPTIONS,
    priority=NUMBER,
    gw_priority=NUMBER,
)
PORT = one_of(
    NUMBER,
    STRING,
    block(name=STRING, mode=STRING, host_ip=STRING, target=COUNT, published=COUNT, protocol=STRING, app_protocol=STRING),
)
MOUNT = one_of(
    STRING,
    block(
        ("type",),
        type=enum("bind", "volume", "tmpfs", "cluster", "npipe", "image"),
        source=STRING,
        target=STRING,
        read_only=FLAG,
        consistency=STRING,
        bind=block(
            propagation=STRING,
            create_host_path=FLAG,
            idmap=enum("match-user"),
            recursive=enum("enabled", "disabled", "writable", "readonly"),
            selinux=enum("z", "Z"),
        ),
        volume=block(labels=ref("key_values"), nocopy=FLAG, subpath=STRING),
        tmpfs=block(size=one_of({"type": "integer", "minimum": 0}, STRING), mode=AMOUNT),
        image=block(subpath=STRING),
    ),
)
_SCALAR_OR_LIST = one_of({"type": ["string", "number", "boolean"]}, array({"type": ["string", "number", "boolean"]}))
SERVICE = block(
    annotations=ref("key_values"),
    attach=FLAG,
    blkio_config=BLKIO,
    build=one_of(STRING, BUILD),
    cap_add=strings(),
    cap_drop=strings(),
    cgroup=enum("host", "private"),
    cgroup_parent=STRING,
    command=COMMAND,
    configs=ref("files"),
    container_name={"type": "string", "pattern": "[a-zA-Z0-9][a-zA-Z0-9_.-]+"},
    cpu_count=one_of(STRING, {"type": "integer", "minimum": 0}),
    cpu_percent=one_of(STRING, {"type": "integer", "minimum": 0, "maximum": 100}),
    cpu_period=AMOUNT,
    cpu_quota=AMOUNT,
    cpu_rt_period=AMOUNT,
    cpu_rt_runtime=AMOUNT,
    cpu_shares=AMOUNT,
    cpus=AMOUNT,
    cpuset=STRING,
    credential_spec=block(config=STRING, file=STRING, registry=STRING),
    depends_on=one_of(ref("strings"), keyed(NAME, DEPENDENCY)),
    deploy=DEPLOY,
    develop=DEVELOP,
    device_cgroup_rules=ref("strings"),
    devices=array(one_of(STRING, block(("source",), source=STRING, target=STRING, permissions=STRING))),
    dns=TEXTS,
    dns_opt=strings(),
    dns_search=TEXTS,
    domainname=STRING,
    entrypoint=COMMAND,
    env_file=ENV_FILE,
    environment=ref("key_values"),
    expose=array({"type": ["string", "number"]}, unique=True),
    extends=one_of(STRING, strict_block(("service",), service=STRING, file=STRING)),
    external_links=strings(),
    extra_hosts=ref("hosts"),
    gpus=one_of(enum("all"), array({"type": "object", "properties": _REQUEST})),
    group_add=array({"type": ["string", "number"]}, unique=True),
    healthcheck=HEALTHCHECK,
    hostname=STRING,
    image=STRING,
    init=FLAG,
    ipc=STRING,
    isolation=STRING,
    label_file=one_of(STRING, array(STRING)),
    labels=ref("key_values"),
    links=strings(),
    logging=block(driver=STRING, options=keyed("^.+$", {"type": ["string", "number", "null"]}, strict=False)),
    mac_address=STRING,
    mem_limit=AMOUNT,
    mem_reservation=COUNT,
    mem_swappiness=COUNT,
    memswap_limit=AMOUNT,
    models=one_of(ref("strings"), keyed(NAME, one_of(block(endpoint_var=STRING, model_var=STRING), NULL), strict=False)),
    network_mode=STRING,
    networks=one_of(ref("strings"), keyed(NAME, one_of(ATTACHMENT, NULL))),
    oom_kill_disable=FLAG,
    oom_score_adj=one_of(STRING, {"type": "integer", "minimum": -1000, "maximum": 1000}),
    pid={"type": ["string", "null"]},
    pids_limit=AMOUNT,
    platform=STRING,
    ports=array(PORT, unique=True),
    post_start=array(ref("hook")),
    pre_start=array(STEP),
    pre_stop=array(ref("hook")),
    privileged=FLAG,
    profiles=ref("strings"),
    provider=block(("type",), type=STRING, options=keyed("^.+$", _SCALAR_OR_LIST, strict=False)),
    pull_policy={
        "type": "string",
        "pattern": "always|never|build|if_not_present|missing|refresh|daily|weekly|every_([0-9]+[wdhms])+",
    },
    pull_refresh_after=STRING,
    read_only=FLAG,
    restart=STRING,
    runtime=STRING,
    scale=COUNT,
    secrets=ref("files"),
    security_opt=strings(),
    shm_size=AMOUNT,
    stdin_open=FLAG,
    stop_grace_period=STRING,
    stop_signal=STRING,
    storage_opt={"type": "object"},
    sysctls=ref("key_values"),
    tmpfs=TEXTS,
    tty=FLAG,
    ulimits=ref("ulimits"),
    use_api_socket=BOOLEAN,
    user=STRING,
    userns_mode=STRING,
    uts=STRING,
    volumes=array(MOUNT, unique=True),
    volumes_from=strings(),
    working_dir=STRING,
)
INCLUDE = one_of(STRING, strict_block(path=TEXTS, env_file=TEXTS, project_directory=STRING))
NETWORK = or_null(
    block(
        name=STRING,
        driver=STRING,
        driver_opts=OPTIONS,
        ipam=block(
            driver=STRING,
            config=array(block(subnet=STRING, ip_range=STRING, gateway=STRING, aux_addresses=keyed("^.+$", STRING))),
            options=keyed("^.+$", STRING),
        ),
        external=EXTERNAL,
        internal=FLAG,
        enable_ipv4=FLAG,
        enable_ipv6=FLAG,
        attachable=FLAG,
        labels=ref("key_values"),
    )
)
VOLUME = or_null(block(name=STRING, driver=STRING, driver_opts=OPTIONS, external=EXTERNAL, labels=ref("key_values")))
_FILE_OBJECT = {
    "name": STRING,
    "environment": STRING,
    "file": STRING,
    "external": {"type": ["boolean", "string", "object"], "properties": {"name": STRING}},
    "labels": ref("key_values"),
    "template_driver": STRING,
}
SECRET = block(**_FILE_OBJECT, driver=STRING, driver_opts=OPTIONS)
CONFIG = block(**_FILE_OBJECT, content=STRING)
MODEL = block(("model",), name=STRING, model=STRING, context_size=INTEGER, runtime_flags=array(STRING))

SCHEMA: Schema = {
    "$schema": "http://json-schema.org/draft-07/schema#",
    "$id": "https://compose-lite.dev/schemas/compose-lite.schema.json",
    "title": "Compose file as compose-lite reads it",
    **block(
        version={"type": "string", "deprecated": True},
        name=STRING,
        include=array(INCLUDE),
        services=keyed(NAME, ref("service")),
        models=keyed(NAME, ref("model"), strict=False),
        networks=keyed(NAME, ref("network"), strict=False),
        volumes=keyed(NAME, ref("volume")),
        secrets=keyed(NAME, ref("secret")),
        configs=keyed(NAME, ref("config")),
    ),
    "definitions": {
        "service": SERVICE,
        "model": MODEL,
        "network": NETWORK,
        "volume": VOLUME,
        "secret": SECRET,
        "config": CONFIG,
        "hook": HOOK,
        "files": FILES,
        "hosts": HOSTS,
        "key_values": KEY_VALUES,
        "strings": strings(),
        "ulimits": LIMITS,
    },
}


class _Problem(Exception):
    """What is wrong with a value; the path is collected on the way up, innermost first."""

    def __init__(self, says: str, key: str | None = None, known: tuple[str, ...] = ()) -> None:
        super().__init__(says)
        self.says, self.key, self.known = says, key, known
        self.path: list[str | int] = []


Checker = Callable[[Any], None]
Rule = dict[type, Checker | None]
"""Class of a value -> its checker, None where every value of the class is fine. A class not in it is refused."""

_CLASSES: dict[str, tuple[type, ...]] = {
    "object": (Map,),
    "array": (Seq,),
    "string": (str,),
    "integer": (int, float),
    "number": (int, float),
    "boolean": (bool,),
    "null": (type(None),),
}
_SPOKEN = {Map: "mapping", Seq: "list", str: "string", int: "number", float: "number", bool: "boolean", type(None): "null"}
_ANYTHING: Rule = dict.fromkeys([one for classes in _CLASSES.values() for one in classes] + [Timestamp])


class _Compiler:
    """Schema -> Rule. References are compiled once."""

    def __init__(self, definitions: Schema) -> None:
        self.definitions = definitions
        self.done: dict[str, Rule] = {}

    def rule(self, schema: Schema) -> Rule:
        if "$ref" in schema:
            name = schema["$ref"].rpartition("/")[2]
            if name not in self.done:
                self.done[name] = {}
                self.done[name].update(self.rule(self.definitions[name]))
            return self.done[name]
        if "oneOf" in schema:  # the choices differ in kind
            return {kind: check for choice in schema["oneOf"] for kind, check in self.rule(choice).items()}
        if not schema:
            return _ANYTHING
        found: Rule = {}
        kinds = schema["type"]
        for kind in [kinds] if isinstance(kinds, str) else kinds:
            found.update({one: self.checker(kind, one, schema) for one in _CLASSES[kind]})
        return found

    def checker(self, kind: str, one: type, schema: Schema) -> Checker | None:
        if kind == "object":
            return self.mapping(schema)
        if kind == "array":
            return _list_checker(self.rule(schema["items"]), schema.get("uniqueItems", False))
        if kind == "string" and ("enum" in schema or "pattern" in schema):
            return _text_checker(schema.get("enum"), schema.get("pattern"))
        if kind in ("integer", "number") and ("minimum" in schema or "maximum" in schema or (kind == "integer" and one is float)):
            return _number_checker(kind == "integer", schema.get("minimum"), schema.get("maximum"))
        return None

    def mapping(self, schema: Schema) -> Checker | None:
        known = {key: self.rule(value) for key, value in schema.get("properties", {}).items()}
        patterns = [(re.compile(p).search, self.rule(v)) for p, v in schema.get("patternProperties", {}).items()]
        if not known and not patterns:
            return None
        return _mapping_checker(known, patterns, schema.get("additionalProperties", True), tuple(schema.get("required", ())))


def _mapping_checker(known: dict[str, Rule], patterns: list[Any], free: bool, required: tuple[str, ...]) -> Checker:
    def check(value: Map) -> None:
        for key, child in value.items():
            rule = known.get(key)
            if rule is None:
                rule = next((r for matches, r in patterns if matches(key)), None)
                if rule is None:
                    if free:
                        continue
                    unknown = [k for k in value if k not in known and not any(m(k) for m, _ in patterns)]
                    words = ", ".join(f"'{k}'" for k in unknown)
                    raise _Problem(f"additional properties {words} not allowed", key, tuple(known))
            try:
                checker = rule[child.__class__]
                if checker is not None:
                    checker(child)
            except KeyError:
                problem = _wrong_kind(rule, child)
                problem.path.append(key)
                raise problem from None
            except _Problem as problem:
                problem.path.append(key)
                raise
        for key in required:
            if key not in value:
                raise _Problem(f"missing property '{key}'")

    return check


def _list_checker(rule: Rule, unique: bool) -> Checker:
    def check(items: Seq) -> None:
        for index, item in enumerate(items):
            try:
                checker = rule[item.__class__]
                if checker is not None:
                    checker(item)
            except KeyError:
                problem = _wrong_kind(rule, item)
                problem.path.append(index)
                raise problem from None
            except _Problem as problem:
                problem.path.append(index)
                raise
        if unique and len(items) > 1:
            _check_unique(items)

    return check


def _check_unique(items: Seq) -> None:
    simple = [(item.__class__, item) for item in items if not isinstance(item, dict | list)]
    if len(simple) == len(items) and len(set(simple)) == len(simple):
        return
    for second, item in enumerate(items):
        for first in range(second):
            if items[first] == item and items[first].__class__ is item.__class__:
                problem = _Problem(f"items at {first} and {second} are equal")
                problem.path.append(second)
                raise problem


def _text_checker(words: list[str] | None, pattern: str | None) -> Checker:
    matches = re.compile(pattern).search if pattern else None

    def check(text: str) -> None:
        if words is not None and text not in words:
            raise _Problem(f"value must be one of {', '.join(repr(w) for w in words)}", text, tuple(words))
        if matches and not matches(text):
            raise _Problem(f"'{text}' does not match pattern '{pattern}'")

    return check


def _number_checker(whole: bool, low: int | None, high: int | None) -> Checker:
    def check(number: float) -> None:
        if whole and isinstance(number, float) and not number.is_integer():
            raise _Problem("must be a whole number")
        if low is not None and number < low:
            raise _Problem(f"must be greater than or equal to {low}")
        if high is not None and number > high:
            raise _Problem(f"must be less than or equal to {high}")

    return check


def _wrong_kind(rule: Rule, value: Any) -> _Problem:
    wanted = sorted({_SPOKEN[kind] for kind in rule if kind in _SPOKEN})
    words = wanted[0] if len(wanted) == 1 else f"{', '.join(wanted[:-1])} or {wanted[-1]}"
    if isinstance(value, Timestamp):
        return _Problem(f"must be a {words}, not a date: put {value} in quotes")
    return _Problem(f"must be a {words}, not {_a(_SPOKEN[value.__class__])}")


def _a(word: str) -> str:
    return word if word == "null" else f"a {word}"


_CHECK = _Compiler(SCHEMA["definitions"]).rule(SCHEMA)[Map]


def check_form(tree: Map, file: str) -> None:
    """Raises SpecError at the first value that is not of the form that SCHEMA says."""
    try:
        assert _CHECK is not None
        _CHECK(tree)
    except _Problem as problem:
        raise _form_error(tree, file, problem) from None


def _form_error(tree: Map, file: str, problem: _Problem) -> SpecError:
    path: Path = tuple(reversed(problem.path))
    owner: Any = tree
    for step in path:
        owner = owner[step]
    place = key_place(owner, problem.key) if problem.key is not None and isinstance(owner, Map) else None
    dotted = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path).removeprefix(".")
    remedy = nearest(problem.key, problem.known) if problem.key is not None else None
    if remedy is None and problem.key is not None and isinstance(owner, Map) and problem.known:
        remedy = "Own keys begin with x-."
    says = f"{dotted or 'the top level'}: {problem.says}"
    return SpecError("schema", says, place=place or place_of(tree, path) or Place(file), remedy=remedy)


def as_json() -> str:
    """The text of schemas/compose-lite.schema.json."""
    import json

    return json.dumps(SCHEMA, indent=2, sort_keys=False) + "\n"


if __name__ == "__main__":
    import sys

    sys.stdout.write(as_json())
