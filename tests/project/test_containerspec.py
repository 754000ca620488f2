"""What the engine is asked for on behalf of a service."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from compose_lite.errors import ProjectError
from compose_lite.project.containerspec import Instance, container_name, create_body
from compose_lite.spec.load import LoadOptions, load


def body(folder: Path, service: str, beside: str = "") -> dict[str, Any]:
    (folder / "compose.yaml").write_text(f"services:\n  a: {{image: x, {service}}}\n{beside}")
    project = load(LoadOptions(environ={}, cwd=str(folder))).project
    return create_body(Instance(project, project.services["a"], 1, "p-a-1", "", read=lambda path: '{"defaultAction": "A"}'))


@pytest.mark.parametrize(("said", "asked"), [("[]", []), ('""', []), ("[run, it]", ["run", "it"]), ("null", None)])
def test_an_empty_entrypoint_clears_the_images_and_leaves_its_command(tmp_path: Path, said: str, asked: list[str] | None) -> None:
    assert body(tmp_path, f"entrypoint: {said}").get("Entrypoint") == asked


@pytest.mark.parametrize(
    ("said", "asked"),
    [
        ("no-new-privileges:true", "no-new-privileges:true"),
        ("seccomp:unconfined", "seccomp:unconfined"),
        ("label=type:x_t", "label=type:x_t"),
        ("seccomp:profile.json", 'seccomp={"defaultAction":"A"}'),
        ("seccomp=profile.json", 'seccomp={"defaultAction":"A"}'),
    ],
)
def test_security_options_go_as_they_are_and_profiles_as_text(tmp_path: Path, said: str, asked: str) -> None:
    assert body(tmp_path, f"security_opt: ['{said}']")["HostConfig"]["SecurityOpt"] == [asked]


@pytest.mark.parametrize(
    ("said", "binds", "mounts"),
    [
        ("/a:/b", ["/a:/b:rw"], []),
        ("'/a:/b:ro,z'", ["/a:/b:ro,z"], []),
        ("/a:/b:rslave", None, ["/b"]),
        ("data:/b", ["p_data:/b:rw"], []),
        ("data:/b:nocopy", None, ["/b"]),
        ("/a:/b:nocopy", ["/a:/b:rw,nocopy"], []),
        ("data:/b:rslave", ["p_data:/b:rw,rslave"], []),
        ("data:/b:z", ["p_data:/b:rw,z"], []),
        ("/b", None, ["/b"]),
        ("{type: bind, source: /a, target: /b, bind: {create_host_path: false}}", None, ["/b"]),
        ("{type: bind, source: '/a:c', target: /b}", None, ["/b"]),
        ("{type: volume, source: data, target: /b, volume: {subpath: x}}", None, ["/b"]),
        ("{type: tmpfs, target: /b}", None, ["/b"]),
    ],
)
def test_what_needs_no_option_is_a_bind(tmp_path: Path, said: str, binds: list[str] | None, mounts: list[str]) -> None:
    host = body(tmp_path, f"volumes: [{said}]", "name: p\nvolumes: {data: {}}\n")["HostConfig"]
    assert (host["Binds"], [mount["Target"] for mount in host["Mounts"]]) == (binds, mounts)


def test_unmasked_paths_are_said_by_empty_lists(tmp_path: Path) -> None:
    host = body(tmp_path, "security_opt: ['systempaths=unconfined', 'no-new-privileges']")["HostConfig"]
    assert (host["SecurityOpt"], host["MaskedPaths"], host["ReadonlyPaths"]) == (["no-new-privileges"], [], [])


@pytest.mark.parametrize(
    ("said", "asked"),
    [
        ("mac_address: '02:42:ac:11:00:02'", "02:42:ac:11:00:02"),
        ("networks: {default: {mac_address: '02:42:ac:11:00:03'}}", "02:42:ac:11:00:03"),
        ("network_mode: none, mac_address: '02:42:ac:11:00:02'", None),
        ("tty: true", None),
    ],
)
def test_the_hardware_address_is_that_of_a_network(tmp_path: Path, said: str, asked: str | None) -> None:
    assert body(tmp_path, said).get("MacAddress") == asked


def test_aliases_are_those_of_docker_compose_twice_or_not(tmp_path: Path) -> None:
    (endpoint,) = body(tmp_path, "networks: {default: {aliases: [a, b]}}")["NetworkingConfig"]["EndpointsConfig"].values()
    assert endpoint["Aliases"] == ["p-a-1", "a", "a", "b"]


def test_a_variable_that_is_not_set_gives_no_file(tmp_path: Path) -> None:
    with pytest.raises(ProjectError, match=r'"GONE" required by config "p_c" is not set'):
        body(tmp_path, "configs: [c]", "name: p\nconfigs: {c: {environment: GONE}}\n")


def test_a_start_interval_needs_a_start_period(tmp_path: Path) -> None:
    check = "healthcheck: {test: 'true', start_interval: 1s"
    assert body(tmp_path, check + ", start_period: 5s}")["Healthcheck"]["StartInterval"] == 10**9
    with pytest.raises(ProjectError, match="start_interval requires healthcheck"):
        body(tmp_path, check + "}")


def test_a_linked_service_has_its_containers_names_too(tmp_path: Path) -> None:
    (tmp_path / "compose.yaml").write_text("name: p\nservices:\n  a: {image: x, links: ['b:alias']}\n  b: {image: x}\n")
    project = load(LoadOptions(environ={}, cwd=str(tmp_path))).project
    networks = create_body(Instance(project, project.services["a"], 1, "p-a-1", ""))["NetworkingConfig"]["EndpointsConfig"]
    assert networks["p_default"]["Links"] == ["p-b-1:alias", "p-b-1:b-1", "p-b-1:p-b-1"]


@pytest.mark.parametrize(
    ("said", "name", "count"), [("on-failure:3", "on-failure", 3), ("on-failure:x", "on-failure", 0), ("always", "always", 0)]
)
def test_restart_policies(tmp_path: Path, said: str, name: str, count: int) -> None:
    assert body(tmp_path, f"restart: '{said}'")["HostConfig"]["RestartPolicy"] == {"Name": name, "MaximumRetryCount": count}


def test_a_share_of_windows_cpus_is_not_passed_on(tmp_path: Path) -> None:
    host = body(tmp_path, "cpu_count: 1, cpu_percent: 50")["HostConfig"]
    assert host["CpuCount"] == 1 and "CpuPercent" not in host


def test_names_with_compatibility(tmp_path: Path) -> None:
    """As recorded from Docker Compose with --compatibility: names of containers, built images and links with `_`."""
    (tmp_path / "compose.yaml").write_text("name: p\nservices:\n  a: {image: x}\n  b: {build: ., links: ['a:x']}\n")
    project = load(LoadOptions(environ={}, cwd=str(tmp_path))).project.with_separator("_")
    b = project.services["b"]
    assert (container_name(project, b, 2), project.image_of(b), project.image_of(project.services["a"])) == ("p_b_2", "p_b", "x")
    made = create_body(Instance(project, b, 1, "p_b_1", ""))
    links = made["NetworkingConfig"]["EndpointsConfig"]["p_default"]["Links"]
    assert (made["Image"], links) == ("p_b", ["p_a_1:x", "p_a_1:a_1", "p_a_1:p_a_1"])
