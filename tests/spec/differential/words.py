"""What texts stand where in the documents, and which of them are refused although the schema takes any text.

KINDS: kind -> (texts that are taken, texts that are refused). AT: pattern of a path -> kind (`*` is a
key of the user's, `[]` an entry of a list); elsewhere every text is taken.
"""

from __future__ import annotations

Texts = tuple[tuple[str, ...], tuple[str, ...]]

KINDS: dict[str, Texts] = {
    "int": (("0", "7", "-3", "+2"), ("", "x", "1.5", " 1", "1_0", "0x1")),
    "count": (("0", "7", "+2"), ("", "x", "1.5", "-3")),
    "percent": (("0", "50", "1e1"), ("", "x", "0.5", "101")),
    "no-text": ((), ("7", "x")),
    "float": (("0", "0.5", "2", "1e1", ".5"), ("", "x", "1,5")),
    "bool": (("true", "FALSE", "yes", "n", "Off"), ("", "maybe", "1", "t")),
    "duration": (("10s", "1m30s", "0", "1.5h", "100us", "-1s", "2d"), ("", "x", "5", "1 s")),
    "size": (("64m", "1gb", "1.5k", "100", "2KiB", "1 MB"), ("", "x", "-5", "1zb", "1m2")),
    "swap": (("64m", "100", "-1"), ("", "x")),
    "mode": (("0440", "755"), ("", "0999", "x")),
    "port": (("80", "80:90", "8080-8081:80-81/udp", "127.0.0.1:80:90", "[::1]:8:9", "9000-9002", "8000-8009:80", "::80"),
             ("", "x", "0", "80:x", "70000", "1.2.3:80:80", "80-70", "1-2:1-3", "80/icmp", "80:", "a:80:80")),
    "volume": (("/x", "b", "./b:/b", "data:/a:ro", "~/c:/c:z,nocopy", "/d:/d2:rshared", "data:/z", "c:/z"),
               ("", ":/x", "zz:/undeclared")),
    "device": (("/dev/x", "/dev/x:/dev/y", "/dev/x:/dev/y:r", "vendor.com/class=a"), ("a:b:c:d",)),
    "ip": (("127.0.0.1", "::1"), ("", "x", "1.2.3", "[::1]")),
    "host": (("a:1.2.3.4", "a=1.2.3.4", "a=::1", "a:[::1]"), ("", "a", ":1.2.3.4")),
    "pair": (("a=b", "a="), ("a", "")),
    "ssh": (("default", "k=/x"), ("k", "")),
    "variable": (("A=1", "B=", "C", ""), ("A =1",)),
    "env-file": (("there.env",), ("gone.env", "bad.env", ".")),
    "env-format": (("raw",), ("x", "dotenv")),
    "label-file": (("there.env",), ("gone.env",)),
    "command": (("a b 'c d'", "", 'x "y"', "a\\ b", "a;b | c"), ("'", 'a "b', "a `b")),
    "network": (("a", "default"), ("zz",)),
    "file": (("a",), ("zz",)),
    "service": (("db",), ("zz",)),
    "service-mode": (("host", "none", "service:db", "container:x"), ("service:zz",)),
    "link": (("db", "db:x"), ("zz", "zz:x")),
    "volumes-from": (("db", "db:ro", "container:x"), ("zz",)),
    "context": (("./x", "https://example.org/x", "service:built"), ("service:zz", "service:db")),
    "count-or-all": (("all", "3", "ALL"), ("x", "1.5")),
    "extends": (("base",), ("zz",)),
    "extends-file": (("there.yaml",), ("gone.yaml",)),
    "model": (("m",), ("zz",)),
    "platform": (("linux/amd64", "linux/arm64"), ()),
    "include": (("other.yaml",), ("gone.yaml",)),
    "test-head": (("CMD", "NONE", "x", "cmd"), ()),
    "path": (("./x", "/y"), ("",)),
    "name": (("p", "some-name"), ()),
    "variable-name": (("IS_SET", "NOT_SET"), ()),
}  # fmt: skip
_UPDATES = ("deploy.update_config", "deploy.rollback_config")
_HOOKS = ("pre_start.[]", "post_start.[]", "pre_stop.[]", "develop.watch.[].exec")
_OF_SERVICES: dict[str, tuple[str, ...]] = {
    "int": (
        *("cpu_period", "cpu_quota", "cpu_rt_period", "cpu_rt_runtime", "cpu_shares", "oom_score_adj", "pids_limit"),
        *("ulimits.*", "ulimits.*.hard", "ulimits.*.soft", "deploy.resources.limits.pids"),
        *("build.ulimits.*.hard", "build.ulimits.*.soft"),
        "deploy.resources.reservations.generic_resources.[].discrete_resource_spec.value",
    ),
    "count": (
        *("cpu_count", "scale", "ports.[].target", "healthcheck.retries", "deploy.replicas"),
        *("deploy.restart_policy.max_attempts", "deploy.placement.max_replicas_per_node"),
        *(f"{update}.parallelism" for update in _UPDATES),
    ),
    "no-text": ("volumes.[].tmpfs.mode", "blkio_config.weight", "blkio_config.weight_device.[].weight", "build.ulimits.*"),
    "percent": ("cpu_percent",),
    "float": (
        *("cpus", "deploy.resources.limits.cpus", "deploy.resources.reservations.cpus"),
        *(f"{update}.max_failure_ratio" for update in _UPDATES),
    ),
    "bool": (
        *("attach", "init", "oom_kill_disable", "privileged", "read_only", "stdin_open", "tty", "healthcheck.disable"),
        *("build.no_cache", "build.pull", "build.privileged", "depends_on.*.restart", "depends_on.*.required", "env_file.[].required"),
        *("volumes.[].read_only", "volumes.[].bind.create_host_path", "volumes.[].volume.nocopy", "pre_start.[].per_replica"),
        *(f"{hook}.privileged" for hook in _HOOKS),
    ),
    "duration": (
        *("stop_grace_period", "deploy.restart_policy.delay", "deploy.restart_policy.window"),
        *(f"healthcheck.{key}" for key in ("interval", "timeout", "start_period", "start_interval")),
        *(f"{update}.{key}" for update in _UPDATES for key in ("delay", "monitor")),
    ),
    "size": (
        *("mem_limit", "mem_reservation", "mem_swappiness", "shm_size", "build.shm_size", "volumes.[].tmpfs.size"),
        *("deploy.resources.limits.memory", "deploy.resources.reservations.memory"),
        *(f"blkio_config.device_{way}.[].rate" for way in ("read_bps", "read_iops", "write_bps", "write_iops")),
    ),
    "swap": ("memswap_limit",),
    "mode": ("secrets.[].mode", "configs.[].mode", "build.secrets.[].mode"),
    "port": ("ports.[]",),
    "ip": ("ports.[].host_ip",),
    "volume": ("volumes.[]",),
    "device": ("devices.[]",),
    "host": ("extra_hosts.[]", "build.extra_hosts.[]"),
    "pair": ("build.additional_contexts.[]",),
    "context": ("build.additional_contexts.*",),
    "ssh": ("build.ssh.[]",),
    "variable": ("environment.[]", "build.args.[]", *(f"{hook}.environment.[]" for hook in _HOOKS)),
    "env-file": ("env_file", "env_file.[]", "env_file.[].path"),
    "env-format": ("env_file.[].format",),
    "label-file": ("label_file", "label_file.[]"),
    "command": ("command", "entrypoint", *(f"{hook}.command" for hook in _HOOKS)),
    "platform": ("platform", "build.platforms.[]"),
    "path": ("develop.watch.[].path",),
    "network": ("networks.[]",),
    "file": ("secrets.[]", "configs.[]", "secrets.[].source", "configs.[].source", "build.secrets.[]", "build.secrets.[].source"),
    "service": ("depends_on.[]",),
    "service-mode": ("network_mode",),
    "link": ("links.[]",),
    "volumes-from": ("volumes_from.[]",),
    "count-or-all": ("gpus.[].count", "deploy.resources.reservations.devices.[].count"),
    "extends": ("extends", "extends.service"),
    "extends-file": ("extends.file",),
    "model": ("models.[]",),
    "test-head": ("healthcheck.test.[]",),
}
AT: dict[str, str] = {
    **{f"services.*.{path}": kind for kind, paths in _OF_SERVICES.items() for path in paths},
    **{f"{section}.*.external": "bool" for section in ("networks", "volumes", "secrets", "configs")},
    **{f"networks.*.{key}": "bool" for key in ("internal", "attachable", "enable_ipv4", "enable_ipv6")},
    **{f"{section}.*.environment": "variable-name" for section in ("secrets", "configs")},
    "name": "name",
    **dict.fromkeys(("include.[]", "include.[].path", "include.[].path.[]"), "include"),
}


def kind_at(path: tuple[str, ...]) -> str:
    return AT.get(".".join(path), "")
