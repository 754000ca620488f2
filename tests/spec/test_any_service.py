"""Services put together at random out of valid attributes: each loads or is refused in words, `config` reads its own output,
and what the engine would be asked for can be said."""

from __future__ import annotations

import contextlib
import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from compose_lite.errors import Error
from compose_lite.project.configtext import ConfigWish, config_text
from compose_lite.project.containerspec import Instance, create_body
from compose_lite.spec.load import LoadOptions, load
from compose_lite.spec.models.service import Service

# Each attribute in the forms that the Compose Specification gives it.
FORMS: dict[str, list[Any]] = {
    "annotations": [{"a": "b"}, ["a=b"]],
    "attach": [True, False],
    "blkio_config": [{"weight": 100, "device_read_bps": [{"path": "/dev/sda", "rate": "1mb"}]}],
    "build": [".", {"context": ".", "args": ["A=1", "B"], "target": "x"}, {"dockerfile_inline": "FROM a"}],
    "cap_add": [["ALL"], ["NET_ADMIN"]],
    "cap_drop": [["ALL"]],
    "cgroup": ["host", "private"],
    "cgroup_parent": ["x"],
    "command": ["a b 'c d'", ["a", "b"], [], "", None],
    "configs": [["c"], [{"source": "c", "target": "/x", "mode": 0o440, "uid": "1"}]],
    "container_name": ["named"],
    "cpu_count": [2],
    "cpu_percent": [50],
    "cpu_period": ["10ms", 10000],
    "cpu_quota": [50000],
    "cpu_shares": [512],
    "cpus": [0.5, "1.5"],
    "cpuset": ["0-1"],
    "depends_on": [["b"], {"b": {"condition": "service_healthy", "restart": True, "required": False}}],
    "deploy": [{"replicas": 2, "resources": {"limits": {"cpus": "0.5", "memory": "64M"}}}, {"restart_policy": {"condition": "any"}}],
    "develop": [{"watch": [{"path": ".", "action": "sync", "target": "/x"}]}],
    "device_cgroup_rules": [["c 1:3 mr"]],
    "devices": [["/dev/null"], ["/dev/null:/dev/x:r"], [{"source": "/dev/null"}]],
    "dns": ["1.1.1.1", ["1.1.1.1", "8.8.8.8"]],
    "dns_opt": [["ndots:1"]],
    "dns_search": ["a", ["a", "b"]],
    "domainname": ["example"],
    "entrypoint": ["a b", ["a"], []],
    "environment": [{"A": "1", "B": None, "C": 1.5, "D": True}, ["A=1", "B", "C="]],
    "expose": [["80", 90], ["80-82/udp"]],
    "external_links": [["x:y"]],
    "extra_hosts": [["a:1.2.3.4"], {"a": "1.2.3.4", "b": "::1"}, ["h=host-gateway"]],
    "gpus": ["all", [{"driver": "x", "count": 1}]],
    "group_add": [["1", "x"]],
    "healthcheck": [{"test": "true"}, {"test": ["CMD", "a"], "interval": "1m30s", "retries": 3}, {"disable": True}],
    "hostname": ["h"],
    "image": ["a", "a:1", "rootfs:/"],
    "init": [True],
    "ipc": ["host", "shareable", "service:b"],
    "label_file": [],
    "labels": [{"a": "b", "c": None, "d": 1}, ["a=b", "c"]],
    "links": [["b"], ["b:x"]],
    "logging": [{"driver": "json-file", "options": {"max-size": "1m"}}],
    "mac_address": ["02:42:ac:11:65:43"],
    "mem_limit": ["64m", 67108864],
    "mem_reservation": ["32m"],
    "mem_swappiness": [10],
    "memswap_limit": ["128m", -1],
    "network_mode": ["host", "none", "bridge", "service:b"],
    "networks": [["n"], {"n": {"aliases": ["x"], "ipv4_address": "172.28.0.5", "priority": 5}, "default": None}],
    "oom_kill_disable": [True],
    "oom_score_adj": [100],
    "pid": ["host", "service:b"],
    "pids_limit": [50],
    "platform": ["linux/amd64"],
    "ports": [["80"], ["127.0.0.1:8080-8081:80-81/udp"], [{"target": 80, "published": "8080", "host_ip": "::1"}]],
    "post_start": [[{"command": "a"}]],
    "pre_start": [[{"image": "b"}], [{"command": "a b", "environment": ["A=1"], "per_replica": "true"}]],
    "pre_stop": [[{"command": ["a"], "user": "x", "environment": ["A=1"]}]],
    "privileged": [True],
    "profiles": [["p"]],
    "pull_policy": ["always", "missing", "every_12h"],
    "read_only": [True, "true"],
    "restart": ["no", "always", "on-failure:3"],
    "runtime": ["runc"],
    "scale": [2, 0],
    "secrets": [["s"], [{"source": "s", "target": "x"}]],
    "security_opt": [["no-new-privileges:true"]],
    "shm_size": ["64m"],
    "stdin_open": [True],
    "stop_grace_period": ["1m", "1.5s"],
    "stop_signal": ["SIGINT"],
    "storage_opt": [{"size": "1G"}],
    "sysctls": [{"net.core.somaxconn": 1024}, ["a.b=1"]],
    "tmpfs": ["/t", ["/t:size=1m"]],
    "tty": [True],
    "ulimits": [{"nproc": 5, "nofile": {"soft": 1, "hard": 2}}],
    "use_api_socket": [True],
    "user": ["1000:1000", 0],
    "userns_mode": ["host"],
    "uts": ["host"],
    "volumes": [["v:/v"], ["./a:/a:ro", "/x"], [{"type": "tmpfs", "target": "/t", "tmpfs": {"size": "1m"}}]],
    "volumes_from": [["b"], ["b:ro"], ["container:x"]],
    "working_dir": ["/w"],
}  # fmt: skip
# Not among them: what reads files of the disk, and what is no attribute of a container.
ELSEWHERE = {"name", "extends", "env_file", "credential_spec", "isolation", "provider", "models", "pull_refresh_after"}
ELSEWHERE |= {"cpu_rt_period", "cpu_rt_runtime"}
ONE = st.sets(st.sampled_from(sorted(FORMS)), max_size=8).flatmap(
    lambda names: st.fixed_dictionaries({name: st.sampled_from(FORMS[name]) for name in sorted(names) if FORMS[name]})
)
REST = {
    "volumes": {"v": None},
    "networks": {"n": {"ipam": {"config": [{"subnet": "172.28.0.0/16"}]}}},
    "secrets": {"s": {"environment": "X"}},
    "configs": {"c": {"content": "x ${X}"}},
}


def test_every_attribute_has_its_forms() -> None:
    assert set(Service.model_fields) - set(FORMS) - ELSEWHERE == set()


def options(text: str) -> LoadOptions:
    return LoadOptions(
        {"X": "1", "B": "from outside"}, "/nonexistent-folder", files=("-",), project_name="p", profiles=("*",), stdin=lambda: text
    )


@given(ONE, ONE)
def test_config_reads_its_own_output(first: dict[str, Any], second: dict[str, Any]) -> None:
    text = json.dumps({"services": {"a": {"image": "x", **first}, "b": {"image": "y", **second}}, **REST})
    try:
        project = load(options(text)).project
        shown = config_text(options(text), ConfigWish()).text
    except Error as error:
        assert "\n" not in error.says.strip()
        return
    assert config_text(options(shown), ConfigWish()).text == shown
    assert json.loads(config_text(options(shown), ConfigWish(format="json")).text)["services"].keys() == project.services.keys()
    for service in project.services.values():
        with contextlib.suppress(Error):
            json.dumps(create_body(Instance(project, service, 1, f"p-{service.name}-1", containers={"a": "1" * 64, "b": "2" * 64})))
