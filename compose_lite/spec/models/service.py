"""A service and its attributes, as the Compose specification names them, in their long form.

Sections 05-services, build, deploy and develop of https://github.com/compose-spec/compose-spec. Values only: defaults
that an engine applies stay unset (None) here.
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

from pydantic import BeforeValidator

from compose_lite.spec.models.values import (
    DICT,
    LIST,
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


class FileReference(Model):
    """A secret or config granted to a service or a build."""

    source: str = ""
    target: str = ""
    uid: str = ""
    gid: str = ""
    mode: FileMode | None = None


class Ulimit(Model):
    """`single` when one number is meant for both, else soft and hard."""

    single: Int = 0
    soft: Int = 0
    hard: Int = 0


Ulimits = dict[str, Annotated[Ulimit, BeforeValidator(lambda value: {"single": value} if isinstance(value, int) else value)]]


class Build(Model):
    context: str = ""
    dockerfile: str = ""
    dockerfile_inline: str = ""
    entitlements: Strings = LIST
    args: Mapping = DICT
    provenance: AnyText = ""
    sbom: AnyText = ""
    ssh: SshKeys = DICT
    labels: TextMapping = DICT
    cache_from: Strings = LIST
    cache_to: Strings = LIST
    no_cache: Bool = False
    no_cache_filter: Strings = LIST
    additional_contexts: TextMapping = DICT
    pull: Bool = False
    extra_hosts: Hosts = DICT
    isolation: str = ""
    network: str = ""
    target: str = ""
    secrets: list[FileReference] = LIST
    shm_size: Size = 0
    tags: Strings = LIST
    ulimits: Ulimits = DICT
    platforms: Strings = LIST
    privileged: Bool = False


class Hook(Model):
    """A command run in the container after its start or before its stop."""

    shown_when_zero: ClassVar[frozenset[str]] = frozenset({"command"})
    command: Command | None = None
    user: str = ""
    privileged: Bool = False
    working_dir: str = ""
    environment: Mapping = DICT


class InitStep(Model):
    """A container of its own that runs to its end before the service's containers start (Compose 5.3).

    image: the service's unless said otherwise. per_replica: once a container, else once a service.
    """

    shown_when_zero: ClassVar[frozenset[str]] = frozenset({"command"})
    command: Command | None = None
    image: str = ""
    user: str = ""
    privileged: Bool = False
    working_dir: str = ""
    environment: Mapping = DICT
    per_replica: Bool = False


class Trigger(Model):
    """One rule of develop.watch. action: rebuild, sync, restart, sync+restart or sync+exec."""

    shown_when_zero: ClassVar[frozenset[str]] = frozenset({"path", "action"})
    path: str
    action: str
    target: str = ""
    exec: Hook = Hook()
    include: Strings = LIST
    ignore: Strings = LIST
    initial_sync: Bool = False


class Develop(Model):
    watch: list[Trigger] = LIST


class WeightDevice(Model):
    shown_when_zero: ClassVar[frozenset[str]] = frozenset({"path", "weight"})
    path: str = ""
    weight: Small = 0


class ThrottleDevice(Model):
    shown_when_zero: ClassVar[frozenset[str]] = frozenset({"path", "rate"})
    path: str = ""
    rate: Size = 0


class Blkio(Model):
    weight: Small = 0
    weight_device: list[WeightDevice] = LIST
    device_read_bps: list[ThrottleDevice] = LIST
    device_read_iops: list[ThrottleDevice] = LIST
    device_write_bps: list[ThrottleDevice] = LIST
    device_write_iops: list[ThrottleDevice] = LIST


class CredentialSpec(Model):
    config: str = ""
    file: str = ""
    registry: str = ""


class Dependency(Model):
    """condition: service_started, service_healthy or service_completed_successfully."""

    shown_when_zero: ClassVar[frozenset[str]] = frozenset({"required"})
    condition: str = "service_started"
    restart: Bool = False
    required: Bool = True


class UpdateConfig(Model):
    shown_when_zero: ClassVar[frozenset[str]] = frozenset({"parallelism"})
    parallelism: Count | None = None
    delay: Duration = 0
    failure_action: str = ""
    monitor: Duration = 0
    max_failure_ratio: Float32 = 0.0
    order: str = ""


class DeviceRequest(Model):
    """A GPU or the like. count: -1 is all."""

    capabilities: Strings = LIST
    driver: str = ""
    count: DeviceCount = 0
    device_ids: Strings = LIST
    options: TextMapping = DICT


class DiscreteResource(Model):
    shown_when_zero: ClassVar[frozenset[str]] = frozenset({"kind", "value"})
    kind: str = ""
    value: Int = 0


class GenericResource(Model):
    discrete_resource_spec: DiscreteResource | None = None


class Resource(Model):
    cpus: Float32 = 0.0
    memory: Size = 0
    pids: Int = 0
    devices: list[DeviceRequest] = LIST
    generic_resources: list[GenericResource] = LIST


class Resources(Model):
    limits: Resource | None = None
    reservations: Resource | None = None


class RestartPolicy(Model):
    shown_when_zero: ClassVar[frozenset[str]] = frozenset({"delay", "max_attempts", "window"})
    condition: str = ""
    delay: Duration | None = None
    max_attempts: Count | None = None
    window: Duration | None = None


class Preference(Model):
    spread: str = ""


class Placement(Model):
    constraints: Strings = LIST
    preferences: list[Preference] = LIST
    max_replicas_per_node: Count = 0


class Deploy(Model):
    shown_when_zero: ClassVar[frozenset[str]] = frozenset({"replicas"})
    mode: str = ""
    replicas: Int | None = None
    labels: TextMapping = DICT
    update_config: UpdateConfig | None = None
    rollback_config: UpdateConfig | None = None
    resources: Resources = Resources()
    restart_policy: RestartPolicy | None = None
    placement: Placement = Placement()
    endpoint_mode: str = ""


class DeviceMapping(Model):
    """A device of the host. target may be empty for a CDI name; permissions as in `rwm`."""

    source: str = ""
    target: str = ""
    permissions: str = ""


class EnvFile(Model):
    """format: empty (Compose's grammar) or raw."""

    shown_when_zero: ClassVar[frozenset[str]] = frozenset({"required"})
    path: str = ""
    required: Bool = True
    format: str = ""


class Healthcheck(Model):
    """Times in nanoseconds; None: not said, the image's or the engine's default holds."""

    shown_when_zero: ClassVar[frozenset[str]] = frozenset({"interval", "timeout", "retries", "start_period", "start_interval"})
    test: HealthTest = LIST
    timeout: Duration | None = None
    interval: Duration | None = None
    retries: Count | None = None
    start_period: Duration | None = None
    start_interval: Duration | None = None
    disable: Bool = False


class Logging(Model):
    driver: str = ""
    options: TextMapping = DICT


class ServiceModel(Model):
    """How a service learns of a language model."""

    endpoint_var: str = ""
    model_var: str = ""


class ServiceNetwork(Model):
    """How a service is attached to a network."""

    aliases: Strings = LIST
    driver_opts: TextMapping = DICT
    gw_priority: Int = 0
    interface_name: str = ""
    ipv4_address: str = ""
    ipv6_address: str = ""
    link_local_ips: Strings = LIST
    mac_address: str = ""
    priority: Int = 0


class PortConfig(Model):
    """published: a port, a range `8000-8010`, or empty (any free port)."""

    name: str = ""
    mode: str = ""
    host_ip: str = ""
    target: Count = 0
    published: str = ""
    protocol: str = ""
    app_protocol: str = ""


class BindOptions(Model):
    selinux: str = ""
    propagation: str = ""
    create_host_path: Bool = False
    recursive: str = ""
    idmap: str = ""


class VolumeOptions(Model):
    labels: TextMapping = DICT
    nocopy: Bool = False
    subpath: str = ""


class TmpfsOptions(Model):
    size: Size = 0
    mode: Small = 0


class ImageOptions(Model):
    subpath: str = ""


class VolumeMount(Model):
    """type: bind, volume, tmpfs, image, npipe or cluster. An anonymous volume has no source."""

    type: str = ""
    source: str = ""
    target: str = ""
    read_only: Bool = False
    consistency: str = ""
    bind: BindOptions | None = None
    volume: VolumeOptions | None = None
    tmpfs: TmpfsOptions | None = None
    image: ImageOptions | None = None


class Provider(Model):
    type: str = ""
    options: MultiOptions = DICT


class Extends(Model):
    service: str = ""
    file: str = ""


class Service(Model):
    """One service. command and entrypoint: None keeps the image's, [] clears it."""

    shown_when_zero: ClassVar[frozenset[str]] = frozenset({"attach", "init", "scale", "stop_grace_period", "command", "entrypoint"})

    name: str
    profiles: Strings = LIST
    annotations: TextMapping = DICT
    attach: Bool | None = None
    build: Build | None = None
    develop: Develop | None = None
    blkio_config: Blkio | None = None
    cap_add: Strings = LIST
    cap_drop: Strings = LIST
    cgroup_parent: str = ""
    cgroup: str = ""
    cpu_count: Int = 0
    cpu_percent: Float32 = 0.0
    cpu_period: Int = 0
    cpu_quota: Int = 0
    cpu_rt_period: Int = 0
    cpu_rt_runtime: Int = 0
    cpus: Float32 = 0.0
    cpuset: str = ""
    cpu_shares: Int = 0
    command: Command | None = None
    configs: list[FileReference] = LIST
    container_name: str = ""
    credential_spec: CredentialSpec | None = None
    depends_on: dict[str, Dependency] = DICT
    deploy: Deploy | None = None
    device_cgroup_rules: Strings = LIST
    devices: list[DeviceMapping] = LIST
    dns: Strings = LIST
    dns_opt: Strings = LIST
    dns_search: Strings = LIST
    domainname: str = ""
    entrypoint: Command | None = None
    provider: Provider | None = None
    environment: Mapping = DICT
    env_file: list[EnvFile] = LIST
    expose: Strings = LIST
    extends: Extends | None = None
    external_links: Strings = LIST
    extra_hosts: Hosts = DICT
    group_add: Strings = LIST
    gpus: list[DeviceRequest] = LIST
    hostname: str = ""
    healthcheck: Healthcheck | None = None
    image: str = ""
    init: Bool | None = None
    ipc: str = ""
    isolation: str = ""
    labels: TextMapping = DICT
    label_file: Strings = LIST
    links: Strings = LIST
    logging: Logging | None = None
    mem_limit: Size = 0
    mem_reservation: Size = 0
    memswap_limit: SwapSize = 0
    mem_swappiness: Size = 0
    mac_address: str = ""
    models: dict[str, ServiceModel | None] = DICT
    network_mode: str = ""
    networks: dict[str, ServiceNetwork | None] = DICT
    oom_kill_disable: Bool = False
    oom_score_adj: Int = 0
    pid: OptionalText = ""
    pids_limit: Int = 0
    platform: str = ""
    ports: list[PortConfig] = LIST
    privileged: Bool = False
    pull_policy: str = ""
    pull_refresh_after: str = ""
    read_only: Bool = False
    restart: str = ""
    runtime: str = ""
    scale: Int | None = None
    secrets: list[FileReference] = LIST
    security_opt: Strings = LIST
    shm_size: Size = 0
    stdin_open: Bool = False
    stop_grace_period: Duration | None = None
    stop_signal: str = ""
    storage_opt: dict[str, str] = DICT
    sysctls: TextMapping = DICT
    tmpfs: Strings = LIST
    tty: Bool = False
    ulimits: Ulimits = DICT
    use_api_socket: Bool = False
    user: str = ""
    userns_mode: str = ""
    uts: str = ""
    volumes: list[VolumeMount] = LIST
    volumes_from: Strings = LIST
    working_dir: str = ""
    pre_start: list[InitStep] = LIST
    post_start: list[Hook] = LIST
    pre_stop: list[Hook] = LIST

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

    def image_name(self, project: str) -> str:
        """The image to run: the one named, else the one that is built here."""
        return self.image or f"{project}-{self.name}"


def changed(service: Service, **fields: Any) -> Service:
    """The service with these fields replaced (values already canonical)."""
    return service.model_copy(update=fields)
