"""A service and its attributes, as the Compose specification names them, in their long form.

Sections 05-services, build, deploy and develop of https://github.com/compose-spec/compose-spec. Values only: defaults
that an engine applies stay unset (None) here.
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

from pydantic import BeforeValidator

from compose_lite.spec.models.forms import (
    AMOUNT,
    BOOLEAN,
    COUNT,
    NAME,
    NULL,
    NUMBER,
    OPTIONS,
    PLAIN,
    STRING,
    STRINGS,
    TEXT_OR_NUMBER,
    TEXTS,
    UNIQUE,
    Block,
    array,
    between,
    enum,
    keyed,
    of,
    one_of,
    or_null,
    ref,
)
from compose_lite.spec.models.values import (
    AnyText,
    Bool,
    Command,
    Count,
    DeviceCount,
    Duration,
    FileMode,
    Float32,
    HealthTest,
    Hosts,
    Int,
    Mapping,
    Model,
    MultiOptions,
    OptionalText,
    Size,
    Small,
    SshKeys,
    Strings,
    SwapSize,
    TextMapping,
)

PULL_POLICY = {
    "type": "string",
    "pattern": "always|never|build|if_not_present|missing|refresh|daily|weekly|every_([0-9]+[wdhms])+",
}


class FileReference(Model):
    """A secret or config granted to a service or a build."""

    source: str = of("", "Key of the secret or config.")
    target: str = of("", "Path in the container.")
    uid: str = of("", "Owner of the file.")
    gid: str = of("", "Group of the file.")
    mode: FileMode | None = of(None, "Permissions, octal: 0440.")


class Ulimit(Model):
    """`single` when one number is meant for both, else soft and hard."""

    needed: ClassVar[tuple[str, ...]] = (
        "soft",
        "hard",
    )
    single: Int = 0
    soft: Int = of(0, "Limit that a process may raise.", cast="int")
    hard: Int = of(0, "Limit that holds.", cast="int")


Ulimits = dict[str, Annotated[Ulimit, BeforeValidator(lambda value: {"single": value} if isinstance(value, int) else value)]]


class Build(Model):
    context: str = of("", "Folder, Git repository or archive that is built.")
    dockerfile: str = of("", "Path of the Dockerfile in the context.")
    dockerfile_inline: str = of("", "The Dockerfile itself.")
    entitlements: Strings = of(list, "Rights that steps may ask for: network.host, security.insecure.")
    args: Mapping = of(dict, "Values of the Dockerfile's ARGs.", merge="append", once="name")
    provenance: AnyText = of("", "Provenance attestation.", long="printed")
    sbom: AnyText = of("", "SBOM attestation.", long="printed")
    ssh: SshKeys = of(dict, "Agents and keys for RUN --mount=type=ssh.", long="ssh")
    labels: TextMapping = of(dict, "Labels of the image.", merge="append", once="name")
    cache_from: Strings = of(list, "Where cached layers may come from.")
    cache_to: Strings = of(list, "Where cached layers go.")
    no_cache: Bool = of(False, "Make every step anew.")
    no_cache_filter: Strings = of(list, "Stages that are made anew (Compose 5.0).", TEXTS, long="listed")
    additional_contexts: TextMapping = of(
        dict, "More contexts, by name: folders, repositories, images, service:NAME.", merge="append", long="key_value", once="name"
    )
    pull: Bool = of(False, "Look for newer base images.")
    extra_hosts: Hosts = of(dict, "Names for RUN steps: host=address.", merge="append_new")
    isolation: str = of("", "Isolation of the build (Windows).")
    network: str = of("", "Network of RUN steps: default, none, host.")
    target: str = of("", "Stage to build.")
    secrets: list[FileReference] = of(list, "Secrets for RUN --mount=type=secret.", ref("files"), long="files")
    shm_size: Size = of(0, "Size of /dev/shm of RUN steps.")
    tags: Strings = of(list, "More names of the image.", once="name")
    ulimits: Ulimits = of(dict, "Limits of RUN steps.", long="ulimits", inner=False)
    platforms: Strings = of(list, "Platforms to build for.")
    privileged: Bool = of(False, "RUN steps with all rights.")


class Hook(Model):
    """A command run in the container after its start or before its stop."""

    needed: ClassVar[tuple[str, ...]] = ("command",)
    shown_when_zero: ClassVar[frozenset[str]] = frozenset({"command"})
    command: Command | None = of(None, "Command, as a line or a list.")
    user: str = of("", "User that runs it.")
    privileged: Bool = of(False, "With all rights.")
    working_dir: str = of("", "Folder in which it runs.")
    environment: Mapping = of(dict, "Variables added to the service's.")


class InitStep(Model):
    """A container of its own that runs to its end before the service's containers start (Compose 5.3).

    image: the service's unless said otherwise. per_replica: once a container, else once a service.
    """

    shown_when_zero: ClassVar[frozenset[str]] = frozenset({"command"})
    command: Command | None = of(None, "Command; the image's own if there is none.")
    image: str = of("", "Image; the service's if there is none.")
    user: str = of("", "User that runs it.")
    privileged: Bool = of(False, "With all rights.")
    working_dir: str = of("", "Folder in which it runs.")
    environment: Mapping = of(dict, "Variables added to the service's.")
    per_replica: Bool = of(False, "Once for each container instead of once for the service.")


class Trigger(Model):
    """One rule of develop.watch. action: rebuild, sync, restart, sync+restart or sync+exec."""

    needed: ClassVar[tuple[str, ...]] = (
        "path",
        "action",
    )
    shown_when_zero: ClassVar[frozenset[str]] = frozenset({"path", "action"})
    path: str = of(..., "Folder or file that is watched.")
    action: str = of(..., "What a change brings about.", enum("rebuild", "sync", "restart", "sync+restart", "sync+exec"))
    target: str = of("", "Path in the container that is kept the same.")
    exec: Hook = of(Hook(), "Command after a sync.", ref("hook"))
    include: Strings = of(list, "Patterns of what counts.", TEXTS)
    ignore: Strings = of(list, "Patterns of what does not count.", TEXTS)
    initial_sync: Bool = of(False, "Make the container the same at the start.", BOOLEAN)


class Develop(Model):
    watch: list[Trigger] = of(list, "What changes of files bring about while `watch` runs.")


class WeightDevice(Model):
    own_keys: ClassVar[bool] = False
    shown_when_zero: ClassVar[frozenset[str]] = frozenset({"path", "weight"})
    path: str = of("", "Device.")
    weight: Small = of(0, "Weight, 10 to 1000.")


class ThrottleDevice(Model):
    own_keys: ClassVar[bool] = False
    shown_when_zero: ClassVar[frozenset[str]] = frozenset({"path", "rate"})
    path: str = of("", "Device.")
    rate: Size = of(0, "Bytes or operations a second.")


class Blkio(Model):
    own_keys: ClassVar[bool] = False
    weight: Small = of(0, "Weight among the containers, 10 to 1000.")
    weight_device: list[WeightDevice] = of(list, "Weight at one device.")
    device_read_bps: list[ThrottleDevice] = of(list, "Bytes read a second.")
    device_read_iops: list[ThrottleDevice] = of(list, "Reads a second.")
    device_write_bps: list[ThrottleDevice] = of(list, "Bytes written a second.")
    device_write_iops: list[ThrottleDevice] = of(list, "Writes a second.")


class CredentialSpec(Model):
    config: str = of("", "Config that holds it.")
    file: str = of("", "File that holds it.")
    registry: str = of("", "Value of the Windows registry.")


class Dependency(Model):
    """condition: service_started, service_healthy or service_completed_successfully."""

    needed: ClassVar[tuple[str, ...]] = ("condition",)
    shown_when_zero: ClassVar[frozenset[str]] = frozenset({"required"})
    condition: str = of(
        "service_started", "What to wait for.", enum("service_started", "service_healthy", "service_completed_successfully")
    )
    restart: Bool = of(False, "Restart this service when the other one is replaced.", cast="bool")
    required: Bool = of(True, "Whether it has to be there.", BOOLEAN, cast="bool")


class UpdateConfig(Model):
    shown_when_zero: ClassVar[frozenset[str]] = frozenset({"parallelism"})
    parallelism: Count | None = of(None, "How many containers at a time; 0: all.", cast="int")
    delay: Duration = of(0, "Time between two groups.")
    failure_action: str = of("", "continue, pause or rollback.")
    monitor: Duration = of(0, "How long a new container is watched.")
    max_failure_ratio: Float32 = of(0.0, "Failures that are borne.", cast="float")
    order: str = of("", "Whether the old one ends first.", enum("start-first", "stop-first"))


class DeviceRequest(Model):
    """A GPU or the like. count: -1 is all."""

    needed: ClassVar[tuple[str, ...]] = ("capabilities",)
    capabilities: Strings = of(list, "What it has to be able to do: gpu, compute, ...", ref("strings"))
    driver: str = of("", "Driver: nvidia, cdi, ...")
    count: DeviceCount = of(0, "How many, or all.")
    device_ids: Strings = of(list, "Which ones.", ref("strings"))
    options: TextMapping = of(dict, "Options of the driver.")


class DiscreteResource(Model):
    shown_when_zero: ClassVar[frozenset[str]] = frozenset({"kind", "value"})
    kind: str = of("", "Name of the resource.")
    value: Int = of(0, "How many.", AMOUNT)


class GenericResource(Model):
    discrete_resource_spec: DiscreteResource | None = of(None, "A resource that is counted.")


class Resource(Model):
    cpus: Float32 = of(0.0, "CPUs: 0.5.")
    memory: Size = of(0, "Memory: 512M.", STRING)
    pids: Int = of(0, "Processes.")
    devices: list[DeviceRequest] = of(list, "Devices.")
    generic_resources: list[GenericResource] = of(list, "Resources that the platform counts.")


class Resources(Model):
    limits: Resource | None = of(None, "What it may have at most.", Block(Resource, ("devices", "generic_resources")))
    reservations: Resource | None = of(None, "What is kept for it.", Block(Resource, ("pids",)))


class RestartPolicy(Model):
    shown_when_zero: ClassVar[frozenset[str]] = frozenset({"delay", "max_attempts", "window"})
    condition: str = of("", "none, on-failure or any.")
    delay: Duration | None = of(None, "Time before a restart.")
    max_attempts: Count | None = of(None, "How often.", cast="int")
    window: Duration | None = of(None, "How long a start is watched.")


class Preference(Model):
    spread: str = of("", "Label over which containers are spread.")


class Placement(Model):
    constraints: Strings = of(list, "Conditions on nodes.")
    preferences: list[Preference] = of(list, "Wishes about nodes.")
    max_replicas_per_node: Count = of(0, "Containers a node.", cast="int")


class Deploy(Model):
    shown_when_zero: ClassVar[frozenset[str]] = frozenset({"replicas"})
    mode: str = of("", "replicated or global.")
    replicas: Int | None = of(None, "How many containers.", cast="int")
    labels: TextMapping = of(dict, "Labels of the service, not of its containers.", merge="append", once="name")
    update_config: UpdateConfig | None = of(None, "How running containers are replaced.")
    rollback_config: UpdateConfig | None = of(None, "How a failed update is taken back.")
    resources: Resources = of(Resources(), "CPUs, memory, processes, devices.")
    restart_policy: RestartPolicy | None = of(None, "When containers are restarted.")
    placement: Placement = of(Placement(), "On which nodes.")
    endpoint_mode: str = of("", "vip or dnsrr.")


class DeviceMapping(Model):
    """A device of the host. target may be empty for a CDI name; permissions as in `rwm`."""

    needed: ClassVar[tuple[str, ...]] = ("source",)
    source: str = of("", "Device of the machine, or a CDI name.")
    target: str = of("", "Path in the container.")
    permissions: str = of("", "rwm: read, write, mknod.")


class EnvFile(Model):
    """format: empty (Compose's grammar) or raw."""

    own_keys: ClassVar[bool] = False
    needed: ClassVar[tuple[str, ...]] = ("path",)
    shown_when_zero: ClassVar[frozenset[str]] = frozenset({"required"})
    path: str = of("", "File of variables.")
    required: Bool = of(True, "Whether it has to be there.")
    format: str = of("", "raw: lines are taken as they are.")


class Healthcheck(Model):
    """Times in nanoseconds; None: not said, the image's or the engine's default holds."""

    shown_when_zero: ClassVar[frozenset[str]] = frozenset({"interval", "timeout", "retries", "start_period", "start_interval"})
    test: HealthTest = of(list, "Command that says whether it is healthy.", one_of(STRING, STRINGS), merge="replace")
    timeout: Duration | None = of(None, "Time that one probe may take.")
    interval: Duration | None = of(None, "Time between two probes.")
    retries: Count | None = of(None, "Failures in a row that make it unhealthy.", AMOUNT, cast="int")
    start_period: Duration | None = of(None, "Time in which failures do not count.")
    start_interval: Duration | None = of(None, "Time between two probes at the start.")
    disable: Bool = of(False, "No healthcheck, not even the image's.", cast="bool")


class Logging(Model):
    driver: str = of("", "json-file, local, none, ...")
    options: TextMapping = of(
        dict, "Options of the driver: max-size, max-file.", keyed("^.+$", {"type": ["string", "number", "null"]}, strict=False)
    )


class ServiceModel(Model):
    """How a service learns of a language model."""

    endpoint_var: str = of("", "Variable that gets the model's address.")
    model_var: str = of("", "Variable that gets the model's name.")


class ServiceNetwork(Model):
    """How a service is attached to a network."""

    aliases: Strings = of(list, "More names on this network.", ref("strings"), once="name")
    driver_opts: TextMapping = of(dict, "Options of the driver.", OPTIONS)
    gw_priority: Int = of(0, "The network with the highest is the way out.", NUMBER)
    interface_name: str = of("", "Name of the interface in the container.")
    ipv4_address: str = of("", "Fixed address.")
    ipv6_address: str = of("", "Fixed IPv6 address.")
    link_local_ips: Strings = of(list, "Link-local addresses.", ref("strings"), once="name")
    mac_address: str = of("", "Hardware address.")
    priority: Int = of(0, "The network with the highest is joined first.", NUMBER)


class PortConfig(Model):
    """published: a port, a range `8000-8010`, or empty (any free port)."""

    name: str = of("", "Name for people.")
    mode: str = of("", "ingress or host.")
    host_ip: str = of("", "Address of the machine.")
    target: Count = of(0, "Port of the container.", cast="int")
    published: str = of("", "Port of the machine, or a range.", COUNT)
    protocol: str = of("", "tcp or udp.")
    app_protocol: str = of("", "What is spoken: http.")


class BindOptions(Model):
    selinux: str = of("", "z: shared, Z: for this container alone.", enum("z", "Z"))
    propagation: str = of("", "How later mounts spread: rprivate, rshared, rslave, ...")
    create_host_path: Bool = of(False, "Make the folder if it is not there.")
    recursive: str = of("", "Whether what is mounted below comes along.", enum("enabled", "disabled", "writable", "readonly"))
    idmap: str = of("", "match-user: the folder's owner is the container's user.", enum("match-user"))


class VolumeOptions(Model):
    labels: TextMapping = of(dict, "Labels of the volume.", merge="append")
    nocopy: Bool = of(False, "Leave a new volume empty.", cast="bool")
    subpath: str = of("", "Folder in the volume.")


class TmpfsOptions(Model):
    size: Size = of(0, "Size: 64m.", one_of({"type": "integer", "minimum": 0}, STRING))
    mode: Small = of(0, "Permissions as a number.", AMOUNT)


class ImageOptions(Model):
    subpath: str = of("", "Folder in the image.")


class VolumeMount(Model):
    """type: bind, volume, tmpfs, image, npipe or cluster. An anonymous volume has no source."""

    needed: ClassVar[tuple[str, ...]] = ("type",)
    type: str = of("", "Kind of mount.", enum("bind", "volume", "tmpfs", "cluster", "npipe", "image"))
    source: str = of("", "Folder of the machine, volume or image.")
    target: str = of("", "Path in the container.")
    read_only: Bool = of(False, "Not to be written to.", cast="bool")
    consistency: str = of("", "For Docker Desktop.")
    bind: BindOptions | None = of(None, "Of a bind mount.")
    volume: VolumeOptions | None = of(None, "Of a volume.")
    tmpfs: TmpfsOptions | None = of(None, "Of a tmpfs.")
    image: ImageOptions | None = of(None, "Of an image.")


class Provider(Model):
    needed: ClassVar[tuple[str, ...]] = ("type",)
    type: str = of("", "Program or plugin that provides the service.")
    options: MultiOptions = of(dict, "What the program is told.", keyed("^.+$", one_of(PLAIN, array(PLAIN)), strict=False))


class Extends(Model):
    own_keys: ClassVar[bool] = False
    needed: ClassVar[tuple[str, ...]] = ("service",)
    file: str = of("", "File in which it is.")
    service: str = of("", "Service that is taken over.")


class Service(Model):
    """One service. command and entrypoint: None keeps the image's, [] clears it."""

    shown_when_zero: ClassVar[frozenset[str]] = frozenset({"attach", "init", "scale", "stop_grace_period", "command", "entrypoint"})

    name: str
    profiles: Strings = of(list, "The service is there only with one of these profiles.", ref("strings"), once="name")
    annotations: TextMapping = of(dict, "Annotations of the container.", merge="append", once="name")
    attach: Bool | None = of(None, "Whether `up` shows its logs.")
    build: Build | None = of(None, "How its image is built.", one_of(STRING, Block(Build)), merge="build", long="build")
    develop: Develop | None = of(None, "What changes of files bring about while developing.", or_null(Block(Develop)))
    blkio_config: Blkio | None = of(None, "Weights and limits of disks.")
    cap_add: Strings = of(list, "Capabilities added to the usual ones.", UNIQUE, once="name")
    cap_drop: Strings = of(list, "Capabilities taken away.", UNIQUE, once="name")
    cgroup_parent: str = of("", "Cgroup above the container's.")
    cgroup: str = of("", "Cgroup namespace.", enum("host", "private"))
    cpu_count: Int = of(0, "CPUs (Windows).", between(0), cast="int")
    cpu_percent: Float32 = of(0.0, "Share of the CPUs (Windows).", between(0, 100), cast="float")
    cpu_period: Int = of(0, "Period of the CPU quota, microseconds.", AMOUNT, cast="int")
    cpu_quota: Int = of(0, "CPU time a period, microseconds.", AMOUNT, cast="int")
    cpu_rt_period: Int = of(0, "Period of real-time scheduling.", AMOUNT, cast="int")
    cpu_rt_runtime: Int = of(0, "CPU time of real-time scheduling.", AMOUNT, cast="int")
    cpus: Float32 = of(0.0, "CPUs: 0.5.", cast="float32")
    cpuset: str = of("", "CPUs that it may run on: 0-3.")
    cpu_shares: Int = of(0, "Weight among the containers; 1024 is usual.", AMOUNT, cast="int")
    command: Command | None = of(None, "Replaces the image's command.", merge="replace")
    configs: list[FileReference] = of(list, "Configs that it may read.", ref("files"), long="files", once="config")
    container_name: str = of("", "Fixed name of its only container.", {"type": "string", "pattern": "[a-zA-Z0-9][a-zA-Z0-9_.-]+"})
    credential_spec: CredentialSpec | None = of(None, "Account of a Windows container.")
    depends_on: dict[str, Dependency] = of(
        dict, "What has to be there first.", one_of(ref("strings"), keyed(NAME, Block(Dependency))), merge="dependencies", long="depends_on"
    )
    deploy: Deploy | None = of(None, "Replicas, resources, updates.", or_null(Block(Deploy)))
    device_cgroup_rules: Strings = of(list, "Rules for devices: c 1:3 mr.", ref("strings"))
    devices: list[DeviceMapping] = of(
        list, "Devices of the machine.", array(one_of(STRING, Block(DeviceMapping))), long="devices", once="device"
    )
    dns: Strings = of(list, "Name servers.", TEXTS, merge="append", long="without_blanks", once="name")
    dns_opt: Strings = of(list, "Options of the resolver.", UNIQUE, merge="append", once="name")
    dns_search: Strings = of(list, "Domains that are searched.", TEXTS, merge="append", once="name")
    domainname: str = of("", "Domain name.")
    entrypoint: Command | None = of(None, "Replaces the image's entrypoint.", merge="replace")
    provider: Provider | None = of(None, "A program that provides the service instead of a container.")
    environment: Mapping = of(dict, "Variables; one without a value is taken from your own.", merge="append", once="name")
    env_file: list[EnvFile] = of(
        list, "Files of variables.", one_of(STRING, array(one_of(STRING, Block(EnvFile)))), merge="append", long="env_file", once="path"
    )
    expose: Strings = of(list, "Ports for other services only.", array(TEXT_OR_NUMBER, unique=True), once="number")
    extends: Extends | None = of(None, "A service whose attributes are taken over.", one_of(STRING, Block(Extends)), long="extends")
    external_links: Strings = of(list, "Containers outside the project.", UNIQUE)
    extra_hosts: Hosts = of(dict, "Names and addresses for /etc/hosts.", merge="append_new")
    group_add: Strings = of(list, "More groups of the user.", array(TEXT_OR_NUMBER, unique=True))
    gpus: list[DeviceRequest] = of(list, "Graphics cards.", one_of(enum("all"), array(Block(DeviceRequest, closed=False))), long="gpus")
    hostname: str = of("", "Host name.")
    healthcheck: Healthcheck | None = of(None, "How to tell that it is healthy.")
    image: str = of("", "Image that it runs.")
    init: Bool | None = of(None, "A small init as first process.", cast="bool")
    ipc: str = of("", "IPC namespace: host, shareable, service:NAME.")
    isolation: str = of("", "Isolation (Windows).")
    labels: TextMapping = of(dict, "Labels of the container.", merge="append", once="name")
    label_file: Strings = of(list, "Files of labels.", one_of(STRING, STRINGS), merge="append", long="listed")
    links: Strings = of(list, "Services by another name.", UNIQUE, once="name")
    logging: Logging | None = of(None, "Where its output goes.", merge="logging")
    mem_limit: Size = of(0, "Memory: 512m.", AMOUNT)
    mem_reservation: Size = of(0, "Memory that is kept for it.")
    memswap_limit: SwapSize = of(0, "Memory and swap together; -1: no limit.")
    mem_swappiness: Size = of(0, "How readily it is swapped out, 0 to 100.")
    mac_address: str = of("", "Hardware address.")
    models: dict[str, ServiceModel | None] = of(
        dict,
        "Language models that it uses.",
        one_of(ref("strings"), keyed(NAME, one_of(Block(ServiceModel), NULL), strict=False)),
        merge="keys",
        long="keyed",
    )
    network_mode: str = of("", "none, host, service:NAME, container:NAME.")
    networks: dict[str, ServiceNetwork | None] = of(
        dict,
        "Networks that it joins.",
        one_of(ref("strings"), keyed(NAME, one_of(Block(ServiceNetwork), NULL))),
        merge="keys",
        long="keyed",
    )
    oom_kill_disable: Bool = of(False, "Not ended when memory runs out.", cast="bool")
    oom_score_adj: Int = of(0, "Who is ended first when memory runs out, -1000 to 1000.", between(-1000, 1000), cast="int")
    pid: OptionalText = of("", "PID namespace: host, service:NAME.", {"type": ["string", "null"]})
    pids_limit: Int = of(0, "Processes.", AMOUNT, cast="int")
    platform: str = of("", "os/architecture[/variant].")
    ports: list[PortConfig] = of(
        list,
        "Ports that are published: [ADDRESS:]PUBLISHED:TARGET[/PROTOCOL].",
        array(one_of(NUMBER, STRING, Block(PortConfig)), unique=True),
        long="ports",
        once="port",
    )
    privileged: Bool = of(False, "All rights and devices.", cast="bool")
    pull_policy: str = of("", "When the image is pulled.", PULL_POLICY)
    pull_refresh_after: str = of("", "Taken and left alone, as Docker Compose does; see pull_policy.", shown=False)
    read_only: Bool = of(False, "The root cannot be written to.", cast="bool")
    restart: str = of("", "no, always, on-failure[:N], unless-stopped.")
    runtime: str = of("", "OCI runtime.")
    scale: Int | None = of(None, "How many containers.", cast="int")
    secrets: list[FileReference] = of(list, "Secrets that it may read.", ref("files"), long="files", once="secret")
    security_opt: Strings = of(list, "seccomp, no-new-privileges, labels.", UNIQUE)
    shm_size: Size = of(0, "Size of /dev/shm: 64m.", AMOUNT)
    stdin_open: Bool = of(False, "Keep its input open.", cast="bool")
    stop_grace_period: Duration | None = of(None, "Time to end before it is killed: 10s.")
    stop_signal: str = of("", "Signal that ends it: SIGTERM.")
    storage_opt: dict[str, str] = of(dict, "Options of the storage driver.", {"type": "object"})
    sysctls: TextMapping = of(dict, "Kernel parameters of the container.", merge="append", once="name")
    tmpfs: Strings = of(list, "Paths in memory: /tmp:size=64m.", TEXTS, merge="append", once="name")
    tty: Bool = of(False, "A terminal.", cast="bool")
    ulimits: Ulimits = of(dict, "Limits of its processes.", each="replace", long="ulimits", cast_each="int")
    use_api_socket: Bool = of(False, "Give it the engine's socket.", BOOLEAN)
    user: str = of("", "User: name or id[:group].")
    userns_mode: str = of("", "User namespace: host.")
    uts: str = of("", "UTS namespace: host.")
    volumes: list[VolumeMount] = of(
        list,
        "Folders, volumes and the like: SOURCE:TARGET[:OPTIONS].",
        array(one_of(STRING, Block(VolumeMount)), unique=True),
        long="volumes",
        once="mount",
    )
    volumes_from: Strings = of(list, "Volumes of another service or container.", UNIQUE)
    working_dir: str = of("", "Folder in which it starts.")
    pre_start: list[InitStep] = of(list, "Containers that run to their end before it starts (Compose 5.3).")
    post_start: list[Hook] = of(list, "Commands in the container once it runs.", array(ref("hook")))
    pre_stop: list[Hook] = of(list, "Commands in the container before it ends.", array(ref("hook")))

    @property
    def replicas(self) -> int:
        """How many containers are wanted: scale, else deploy.replicas, else 1."""
        if self.scale is not None:
            return self.scale
        if self.deploy is not None and self.deploy.replicas is not None:
            return self.deploy.replicas
        return 1

    def networks_by_priority(self) -> list[str]:
        """Network keys, highest priority first, then by name: the order in which a container is attached."""
        ranks = {key: network.priority if network else 0 for key, network in self.networks.items()}
        return sorted(ranks, key=lambda key: (-ranks[key], key))


def changed(service: Service, **fields: Any) -> Service:
    """The service with these fields replaced (values already canonical)."""
    return service.model_copy(update=fields)
