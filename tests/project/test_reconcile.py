"""Wanted against seen: which steps, in which order; and that a plan, once applied, leaves nothing to do."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compose_lite import ids
from compose_lite.errors import ProjectError
from compose_lite.project.confighash import service_hash
from compose_lite.project.observe import Seen, Snapshot
from compose_lite.project.plan import (
    AwaitCondition,
    CreateContainer,
    CreateNetwork,
    CreateVolume,
    Plan,
    RemoveContainer,
    RemoveNetwork,
    RemoveVolume,
    Rollout,
    StartContainer,
    StopContainer,
)
from compose_lite.project.reconcile import Wishes, diverged_volumes, reconcile, sharing_of
from compose_lite.spec.models.project import Project
from compose_lite.spec.models.resources import Network, Volume
from compose_lite.spec.models.service import Dependency, Deploy, InitStep, PortConfig, Provider, Service, UpdateConfig, VolumeMount, changed


def service(name: str, *needs: str, networks: tuple[str, ...] = ("default",), volumes: tuple[str, ...] = (), **more: Any) -> Service:
    mounts = [VolumeMount(type="volume", source=v, target=f"/{v}") for v in volumes]
    depends = {n: Dependency() for n in needs}
    return Service(name=name, image="i", depends_on=depends, networks=dict.fromkeys(networks), volumes=mounts, **more)


def project(*services: Service, networks: Mapping[str, Network] | None = None, volumes: Mapping[str, Volume] | None = None) -> Project:
    return Project(
        name="p",
        services={s.name: s for s in services},
        networks={"default": Network(name="p_default"), **(networks or {})},
        volumes=dict(volumes or {}),
    )


def applied(project: Project, before: Snapshot, plan: Plan) -> Snapshot:
    """What the engine would show after the plan; raises where a step comes before what it needs."""
    containers = {c.id: c for c in before.containers}
    networks, volumes = dict(before.networks), dict(before.volumes)
    names = {c.name: c.id for c in before.containers}
    for number, planned in enumerate(plan.steps, 1):
        assert all(earlier < number for earlier in planned.after)
        match planned.step:
            case CreateNetwork(name, body):
                assert name not in networks
                networks[name] = {"Name": name, "Id": f"{name}#{number}", "Labels": body["Labels"]}
            case RemoveNetwork(name):
                del networks[name]
            case CreateVolume(name, body):
                volumes[name] = {"Name": name, "Labels": body["Labels"]}
            case RemoveVolume(name):
                del volumes[name]
            case CreateContainer(service=who, number=index, name=name, replaces=old):
                if old:
                    del containers[old]
                names[name] = f"{name}#{number}"
                sharing = sharing_of(Snapshot(tuple(containers.values())))
                containers[names[name]] = seen(project.services[who], index, names[name], "created", networks, project, sharing)
            case Rollout():
                for one in planned.step.replacements:
                    del containers[one.replaces]
                    sharing = sharing_of(Snapshot(tuple(containers.values())))
                    who, new = project.services[one.service], f"{one.name}#{number}"
                    containers[new] = seen(who, one.number, new, "running", networks, project, sharing)
                    names[one.name] = new
            case StopContainer(id):
                containers[id] = with_state(containers[id], "exited")
            case RemoveContainer(id):
                assert not containers[id].running
                del containers[id]
            case StartContainer(name=name, id=id):
                containers[id or names[name]] = with_state(containers[id or names[name]], "running")
    return Snapshot(tuple(containers.values()), networks, volumes)


def seen(
    service: Service, number: int, id: str, state: str, networks: Mapping[str, Any], project: Project, sharing: Mapping[str, str]
) -> Seen:
    joined = {project.networks[k].name: {"NetworkID": networks[project.networks[k].name]["Id"]} for k in service.networks}
    mounts = [{"Name": project.volumes[v.source].name} for v in service.volumes]
    labels = {ids.CONFIG_HASH: service_hash(service, sharing), ids.ONEOFF: "False"}
    document = {"NetworkSettings": {"Networks": joined}, "Mounts": mounts}
    name = service.container_name or f"p-{service.name}-{number}"
    return Seen(id, name, service.name, number, state, "", 0, "i", "", labels, document)


def with_state(container: Seen, state: str) -> Seen:
    return Seen(*[state if f == "state" else getattr(container, f) for f in Seen.__slots__])


def up(wanted: Project, before: Snapshot | None = None, **wishes: Any) -> tuple[Plan, Snapshot]:
    plan = reconcile(wanted, before or Snapshot(), Wishes(**wishes))
    return plan, applied(wanted, before or Snapshot(), plan)


# --- examples


def test_a_first_up_makes_all_before_it_starts_anything() -> None:
    plan, after = up(project(service("web", "db"), service("db", volumes=("d",)), volumes={"d": Volume(name="p_d")}))
    assert str(plan) == (
        "#1 create network p_default\n"
        "#2 create volume p_d\n"
        "#3 create container p-db-1  [after #1, #2]\n"
        "#4 create container p-web-1  [after #1, #2]\n"
        "#5 start container p-db-1  [after #3, #4]\n"
        "#6 start container p-web-1  [after #3, #4, #5]\n"
    )
    assert not up(project(service("web", "db"), service("db", volumes=("d",)), volumes={"d": Volume(name="p_d")}), after)[0].changes


def test_a_paused_container_is_told_of_by_its_start() -> None:
    """As Docker Compose: `up` is not done while one is paused (it was called running, and `--wait` never came back)."""
    wanted = project(service("web", "db"), service("db"))
    _, after = up(wanted)
    paused = Snapshot(tuple(with_state(c, "paused") if c.service == "db" else c for c in after.containers), after.networks, after.volumes)
    plan = reconcile(wanted, paused, Wishes())
    assert [step.name for planned in plan.steps if isinstance(step := planned.step, StartContainer)] == ["p-db-1"]
    assert not reconcile(wanted, paused, Wishes(start=False)).changes


def test_update_config_replaces_running_containers_a_few_at_a_time() -> None:
    def web(value: str, **update: Any) -> Service:
        deploy = Deploy(replicas=3, update_config=UpdateConfig(**update))
        return service("web", environment={"A": value}, deploy=deploy)

    api = changed(service("api"), depends_on={"web": Dependency(restart=True)})
    _, before = up(project(web("1"), api))
    wanted = project(web("2", parallelism=2, order="start-first", failure_action="rollback", delay="2s"), api)
    plan, after = up(wanted, before)
    assert str(plan) == (
        "#1 replace containers p-web-1, p-web-2, p-web-3, 2 at a time, start-first: configuration changed\n"
        "#2 stop container p-api-1: web is recreated  [after #1]\n"
        "#3 start container p-api-1  [after #1, #2]\n"
    )
    rollout = plan.steps[0].step
    assert isinstance(rollout, Rollout)
    assert (rollout.delay, rollout.failure_action) == (2.0, "rollback")
    assert not up(wanted, after)[0].changes
    stopped = Snapshot(tuple(with_state(c, "exited") for c in before.containers), before.networks)
    assert "replace" not in str(up(wanted, stopped)[0])


def test_pre_start_runs_once_and_not_while_the_service_runs() -> None:
    wanted = project(service("web", pre_start=[InitStep(command=["a"])], scale=2))
    plan, after = up(wanted)
    assert "#4 run pre_start of web  [after #2, #3]\n#5 start container p-web-1  [after #2, #3, #4]" in str(plan)
    assert "pre_start" not in str(up(wanted, after)[0])
    assert "pre_start" not in str(up(wanted, after, scale={"web": 3})[0])
    stopped = Snapshot(tuple(with_state(c, "exited") for c in after.containers), after.networks)
    assert "pre_start" in str(up(wanted, stopped)[0])
    assert "pre_start" not in str(up(project(service("web", pre_start=[InitStep(command=["a"], per_replica=True)])))[0])


def test_a_fixed_port_cannot_belong_to_two_containers() -> None:
    def web(value: str) -> Service:
        deploy = Deploy(update_config=UpdateConfig(order="start-first"))
        return service("web", environment={"A": value}, deploy=deploy, ports=[PortConfig(target=80, published="80")])

    _, before = up(project(web("1")))
    plan, _ = up(project(web("2")), before)
    assert "stop-first" in str(plan)
    assert plan.warnings


def test_conditions_are_waited_for() -> None:
    web = changed(service("web"), depends_on={"db": Dependency(condition="service_healthy", required=False)})
    plan, _ = up(project(web, service("db")))
    steps = [p.step for p in plan.steps]
    assert AwaitCondition("web", "db", "service_healthy", False, ("p-db-1",)) in steps


def test_scaling_down_takes_the_highest_numbers_and_up_goes_on_counting() -> None:
    three = up(project(service("web", scale=3)))[1]
    plan, two = up(project(service("web", scale=2)), three)
    assert [s.name for s in (p.step for p in plan.steps) if isinstance(s, RemoveContainer)] == ["p-web-3"]
    assert sorted(c.name for c in up(project(service("web", scale=4)), two)[1].containers) == [f"p-web-{n}" for n in (1, 2, 3, 4)]


def test_what_goes_is_stopped_first_though_it_does_not_run() -> None:
    """Docker Compose says Stopping and Stopped of it."""
    three = up(project(service("web", scale=3)), start=False)[1]
    plan = up(project(service("web", scale=2)), three, start=False)[0]
    assert [str(p.step) for p in plan.steps[:2]] == ["stop container p-web-3: scaled down", "remove container p-web-3: scaled down"]


def test_a_network_that_changed_is_made_anew_and_its_containers_with_it() -> None:
    old = up(project(service("web"), service("lone", networks=())))[1]
    wanted = project(service("web"), service("lone", networks=()), networks={"default": Network(name="p_default", internal=True)})
    plan, after = up(wanted, old)
    assert [str(p.step).split(":")[0] for p in plan.steps] == [
        "stop container p-web-1",
        "remove network p_default",
        "create network p_default",
        "keep container p-lone-1",
        "recreate container p-web-1",
        "start container p-web-1",
    ]
    assert not up(wanted, after)[0].changes


def test_a_network_that_somebody_else_made_anew_is_joined_again() -> None:
    wanted = project(service("web"))
    after = up(wanted)[1]
    other = {"p_default": {**after.networks["p_default"], "Id": "another"}}
    plan, _ = up(wanted, Snapshot(after.containers, other, {}))
    assert "network p_default is another one now" in str(plan)


def test_a_network_of_somebody_else_is_refused_and_a_volume_is_warned_of() -> None:
    with pytest.raises(ProjectError, match="incorrect label"):
        reconcile(project(service("web")), Snapshot((), {"p_default": {"Name": "p_default", "Labels": {}}}), Wishes())
    wanted = project(service("web", volumes=("v",)), volumes={"v": Volume(name="p_v")})
    plan = reconcile(wanted, Snapshot((), {}, {"p_v": {"Name": "p_v", "Labels": {ids.PROJECT: "q"}}}), Wishes())
    assert "was created for project 'q'" in plan.warnings[0]


def test_a_volume_that_changed_is_made_anew_only_if_that_is_wished() -> None:
    old = up(project(service("web", volumes=("v",)), volumes={"v": Volume(name="p_v")}))[1]
    wanted = project(service("web", volumes=("v",)), volumes={"v": Volume(name="p_v", labels={"a": "b"})})
    assert diverged_volumes(wanted, old) == ["p_v"]
    assert not up(wanted, old)[0].changes
    plan, after = up(wanted, old, recreate_volumes=True)
    assert "remove volume p_v: configuration changed" in str(plan) and "create container p-web-1" in str(plan)
    assert diverged_volumes(wanted, after) == []


def test_ground_only_and_all_resources() -> None:
    wanted = project(service("web"), networks={"spare": Network(name="p_spare")}, volumes={"v": Volume(name="p_v")})
    assert [str(p.step) for p in up(wanted, ground_only=True)[0].steps] == ["create network p_default"]
    assert len(up(wanted, ground_only=True, all_resources=True)[0].steps) == 3


def test_orphans_are_warned_of_or_removed() -> None:
    old = up(project(service("web"), service("gone")))[1]
    plan, _ = up(project(service("web")), old)
    assert "p-gone-1" in plan.warnings[0] and not plan.changes
    assert "remove container p-gone-1: orphan" in str(up(project(service("web")), old, remove_orphans=True)[0])
    assert not up(project(service("web")), old, ignore_orphans=True)[0].warnings


def test_what_shares_a_namespace_follows_its_owner() -> None:
    owner, guest = service("owner"), service("guest", networks=(), network_mode="service:owner")
    old = up(project(owner, guest))[1]
    plan, _ = up(project(changed(owner, image="j"), guest), old)
    assert "recreate container p-guest-1: shares with owner, which is recreated" in str(plan)
    gone = Snapshot(tuple(c for c in old.containers if c.service != "owner"), old.networks, {})
    plan, after = up(project(owner, guest), gone)
    assert "recreate container p-guest-1" in str(plan)
    assert not up(project(owner, guest), after)[0].changes
    alone = up(project(changed(owner, image="j"), guest), old, services=("owner",), no_deps=True)[1]
    assert "recreate container p-guest-1: configuration changed" in str(up(project(changed(owner, image="j"), guest), alone)[0])


def test_a_dependency_that_is_recreated_restarts_who_says_so() -> None:
    web = changed(service("web"), depends_on={"db": Dependency(restart=True)})
    old = up(project(web, service("db")))[1]
    plan, after = up(project(web, changed(service("db"), image="j")), old)
    assert "stop container p-web-1: db is recreated" in str(plan)
    assert all(c.running for c in after.containers)


def test_without_starts_it_is_stopped_for_it() -> None:
    """`up --no-start` and `create`: as with Docker Compose; the next `up` starts it."""
    web = changed(service("web"), depends_on={"db": Dependency(restart=True)})
    old = up(project(web, service("db")))[1]
    plan, after = up(project(web, changed(service("db"), image="j")), old, start=False)
    assert "stop container p-web-1: db is recreated" in str(plan)
    assert not any(c.running for c in after.containers)
    assert "stop container" not in str(up(project(web, service("db")), old, start=False)[0])


def test_providers_have_no_containers() -> None:
    plan, _ = up(project(service("web", "db"), changed(service("db"), provider=Provider(type="x"))))
    assert "p-db-1" not in str(plan)


def test_a_container_name_cannot_be_scaled() -> None:
    with pytest.raises(ProjectError, match="custom container name"):
        up(project(service("web", container_name="w", scale=2)))


# --- properties

NAMES = ("a", "b", "c")


@st.composite
def projects(draw: st.DrawFn) -> Project:
    chosen = draw(st.lists(st.sampled_from(NAMES), min_size=1, max_size=3, unique=True))
    services = []
    for at, name in enumerate(chosen):
        services.append(
            service(
                name,
                *draw(st.lists(st.sampled_from(chosen[:at]), unique=True) if at else st.just([])),
                networks=tuple(draw(st.lists(st.sampled_from(("default", "n")), unique=True))),
                volumes=tuple(draw(st.lists(st.sampled_from(("v", "w")), unique=True))),
                scale=draw(st.integers(0, 3)),
                hostname=draw(st.sampled_from(("", "h"))),
            )
        )
    networks = {"n": Network(name="p_n", internal=draw(st.booleans()))}
    volumes = {key: Volume(name=f"p_{key}", labels=draw(st.sampled_from(({}, {"l": "1"})))) for key in ("v", "w")}
    return project(*services, networks=networks, volumes=volumes)


@given(projects(), projects(), st.booleans(), st.booleans())
def test_a_plan_once_applied_leaves_nothing_to_do(old: Project, wanted: Project, force: bool, recreate_volumes: bool) -> None:
    before = up(old)[1]
    plan, after = up(wanted, before, force_recreate=force, remove_orphans=True, recreate_volumes=recreate_volumes)
    again, _ = up(wanted, after, remove_orphans=True)
    assert not again.changes, f"{plan}\nthen\n{again}"
    assert {(c.service, c.number) for c in after.containers if c.running} == {(c.service, c.number) for c in after.containers}
    assert {s.name: s.replicas for s in wanted.services.values() if s.replicas} == {
        name: sum(c.service == name for c in after.containers) for name in {c.service for c in after.containers}
    }


@given(projects())
def test_equal_arguments_give_an_equal_plan(wanted: Project) -> None:
    assert str(up(wanted)[0]) == str(up(wanted)[0])


def test_a_recreation_that_was_broken_off_leaves_one_container() -> None:
    """The new one stood beside the old, or alone, under its name for the time between."""
    wanted = project(service("web"))
    _, after = up(wanted)
    (old,) = after.containers
    between = Seen(*["new" if f == "id" else "0123456789ab_p-web-1" if f == "name" else getattr(old, f) for f in Seen.__slots__])
    both = Snapshot((between, old), after.networks, after.volumes)
    assert [p.step for p in up(wanted, both)[0].steps if isinstance(p.step, RemoveContainer | CreateContainer)] == [
        RemoveContainer("new", between.name, "web", "a recreation was broken off")
    ]
    alone = Snapshot((between,), after.networks, after.volumes)
    (made,) = [p.step for p in up(wanted, alone)[0].steps if isinstance(p.step, CreateContainer)]
    assert (made.name, made.replaces) == ("p-web-1", "new")


def test_conditions_are_asked_of_what_runs_already() -> None:
    wanted = project(changed(service("web"), depends_on={"db": Dependency(condition="service_healthy")}), service("db"))
    plan, _ = up(wanted, up(wanted)[1])
    assert AwaitCondition("web", "db", "service_healthy", True, ("p-db-1",)) in [p.step for p in plan.steps]
    assert not plan.changes
