"""A stage's operations, configuration and history from a Dockerfile's text and a base image's configuration."""

from __future__ import annotations

from typing import Any

import pytest

from compose_lite.build import phrases, stageplan
from compose_lite.build.dockerfile import parse
from compose_lite.build.operations import Copy, MakeFolder, Run
from compose_lite.build.stageplan import StagePlan, Wishes
from compose_lite.build.stages import Planner
from compose_lite.errors import BuildError

BASE: dict[str, Any] = {
    "architecture": "amd64",
    "os": "linux",
    "config": {"Env": ["PATH=/bin"], "Cmd": ["sh"]},
    "history": [{"created": "2024-01-02T03:04:05Z", "created_by": "base"}],
}


def planned(text: str, *, base: dict[str, Any] = BASE, **wishes: Any) -> tuple[Planner, StagePlan]:
    planner = Planner(parse.parse(text.encode()), Wishes(**wishes))
    made: dict[int, StagePlan] = {}

    def plan(index: int) -> StagePlan:
        if index not in made:
            source = planner.source(index)
            start = plan(source.index).as_base if source.kind == "stage" else stageplan.image_base(base)
            made[index] = planner.plan(index, source, start)
        return made[index]

    return planner, plan(planner.target)


def config(text: str, **wishes: Any) -> dict[str, Any]:
    return planned(text, **wishes)[1].image["config"]


def refusal(text: str, **wishes: Any) -> BuildError:
    with pytest.raises(BuildError) as caught:
        planned(text, **wishes)
    return caught.value


def test_scopes_of_arg():
    text = "ARG G=1\nARG H=2\nFROM a\nARG G\nARG L=l-$G\nRUN x\nENV E=$L U=$H\n"
    plan = planned(text, args={"G": "9"})[1]
    run = plan.operations[0]
    assert isinstance(run, Run) and run.env == ("PATH=/bin", "G=9", "L=l-9")
    assert plan.image["config"]["Env"] == ["PATH=/bin", "E=l-9", "U="]
    assert "RUN |2 G=9 L=l-9 /bin/sh -c x # buildkit" in [e.created_by for e in plan.history if isinstance(e, stageplan.Entry)]


def test_the_later_of_env_and_arg_counts_and_all_pairs_see_the_old_values():
    plan = planned("FROM a\nENV A=env\nARG A=arg\nRUN x\nENV A=new B=$A\n")[1]
    assert isinstance(plan.operations[0], Run) and "A=arg" in plan.operations[0].env
    assert plan.image["config"]["Env"] == ["PATH=/bin", "A=new", "B=arg"]


def test_proxies_reach_run_but_neither_history_nor_key():
    run = planned("FROM a\nRUN x\n", args={"HTTP_PROXY": "p"})[1].operations[0]
    assert isinstance(run, Run) and run.proxies == ("HTTP_PROXY=p", "http_proxy=p") and run.env == ("PATH=/bin",)


def test_entrypoint_drops_the_cmd_of_the_base_only():
    assert "Cmd" not in config('FROM a\nENTRYPOINT ["x"]\n')
    assert config('FROM a\nCMD ["mine"]\nENTRYPOINT ["x"]\n')["Cmd"] == ["mine"]


def test_shell_and_heredocs_make_the_command():
    text = 'FROM a\nSHELL ["/bin/bash", "-c"]\nRUN <<EOF\none\nEOF\nRUN cat <<A >/a\nx\nA\nRUN <<EOF\n#!/bin/x\nEOF\n'
    runs = [one for one in planned(text)[1].operations if isinstance(one, Run)]
    assert runs[0].argv == ("/bin/bash", "-c", "one\n")
    assert runs[1].argv[-1] == "cat <<A >/a\nx\nA"
    assert runs[2].argv[-1] == "/dev/pipes/EOF" and runs[2].script == ("EOF", "#!/bin/x\n")


def test_workdir_chain_and_targets():
    text = "FROM a\nWORKDIR /a\nUSER u\nWORKDIR b/../c\nCOPY x .\nCOPY x y d\nRUN --mount=target=m x\n"
    operations = planned(text)[1].operations
    assert [one.path for one in operations if isinstance(one, MakeFolder)] == ["/a", "/a/c"]
    assert [one.target for one in operations if isinstance(one, Copy)] == ["/a/c/", "/a/c/d"]
    assert isinstance(operations[-1], Run) and operations[-1].mounts[0].target == "/a/c/m" and operations[-1].mounts[0].readonly


def test_triggers_run_in_the_child_and_go_no_further():
    base = {**BASE, "config": {"OnBuild": ["ENV T=1", "RUN x"]}}
    plan = planned("FROM a\nENV S=$T\n", base=base)[1]
    assert "S=1" in plan.image["config"]["Env"] and "OnBuild" not in plan.image["config"]
    assert plan.titles[(0, 0)] == "[2/2] ONBUILD RUN x"


def test_only_needed_stages_and_their_order():
    planner, plan = planned("FROM a AS x\nFROM a AS y\nFROM a\nCOPY --from=x /f /f\nRUN --mount=from=1,target=/m x\n")
    assert plan.needs == {0, 1} and planner.target == 2


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("FROM a AS me\nCOPY --from=me /x /x\n", "circular dependency detected on stage: me"),
        ("FROM a\nCOPY --from=5 /x /x\n", "invalid stage index 5"),
        ("FROM a\nFROM a AS b\nCOPY --from=c / /\nFROM b AS c\n", 'cannot copy from stage "c"'),
        ("FROM a\nCOPY --from=$X /x /x\n", "variable expansion is not supported for --from"),
        ("FROM a\nENV A=${B:?gone}\n", "gone"),
        ("FROM a\nEXPOSE eighty\n", "invalid containerPort: eighty"),
        ("FROM a\nSTOPSIGNAL SIGNOPE\n", "invalid signal: SIGNOPE"),
        ("FROM a\nRUN --network=host x\n", "network.host is not allowed"),
        ("ARG X\nFROM $X\n", "should not be blank"),
        ("FROM a\nVOLUME /x $NOTHING\n", "VOLUME specified can not be an empty string"),
        ("FROM a\nRUN --mount=type=bind,target=/ x\n", 'invalid mount target "/"'),
        ("FROM a\nRUN --mount=from=b x\n", 'invalid mount target "/"'),
        ("FROM a\nRUN --mount=type=cache,target=$NOTHING x\n", 'invalid mount target "/"'),
    ],
)
def test_refused_with_the_line(text: str, says: str):
    error = refusal(text)
    assert says in error.says and error.place and error.place.line


def test_missing_target():
    assert 'target stage "zzz" could not be found' in refusal("FROM a AS x\n", target="zzz").says


def test_checks_that_need_values():
    planner, _ = planned("ARG B\nFROM ${B:-a}${NOPE}\nWORKDIR rel\nCOPY x /$UNDEFINED\n")
    assert {"UndefinedArgInFrom", "WorkdirRelativePath", "UndefinedVar"} <= {w.rule for w in planner.file.warnings}


@pytest.mark.parametrize("mount", ["from=b", "type=cache", "type=tmpfs", "type=bind,from=b,target="])
def test_a_mount_without_a_target_is_on_the_working_folder(mount: str):
    run = planned(f"FROM a AS b\nFROM a\nWORKDIR /w\nRUN --mount={mount} x\n")[1].operations[-1]
    assert isinstance(run, Run) and [one.target for one in run.mounts] == ["/w"]


@pytest.mark.parametrize(
    ("platform", "rules"),
    [
        ("$TARGETPLATFORM", ["RedundantTargetPlatform"]),
        ("${TARGETPLATFORM:-linux/amd64}", ["RedundantTargetPlatform"]),
        ("$BUILDPLATFORM", []),
        ("$TARGETOS/$TARGETARCH", []),
        ("linux/amd64$NOTHING", ["UndefinedArgInFrom"]),
        ("$TARGETPLATFORM$NOTHING", ["UndefinedArgInFrom"]),
        ("linux/amd64", ["FromPlatformFlagConstDisallowed"]),
    ],
)
def test_platforms_that_say_nothing(platform: str, rules: list[str]):
    planner, _ = planned(f"FROM --platform={platform} a\n")
    assert [w.rule for w in planner.file.warnings] == rules


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("ARG A\nENV B=$A\n", []),
        ("ARG A\nFROM a AS x\nARG B\nFROM x\nENV C=$B D=$A\n", ["$A'"]),
        ("ARG $A=1\n", []),
        ("EXPOSE $A\n", []),
        ("ENV B=$HTTP_PROXY\n", ["$HTTP_PROXY'"]),
        ("ENV B=$GIVEN\n", ["$GIVEN'"]),
        ("ARG B=$B\n", ["$B'"]),
        ("ENV B= C=$B\n", ["$B'"]),
        ("ENV a=1\nENV B=$b C=$abc D=$abcd\n", ["$abc' (did you mean $a?)", "$abcd'", "$b' (did you mean $a?)"]),
        ("ENV A=$PTH\n", ["$PTH' (did you mean $PATH?)"]),
        ("ENV abc=1 abd=2\nENV B=$abe\n", ["$abe' (did you mean $abc?)"]),
    ],
)
def test_variables_that_are_not_there(text: str, says: list[str]):
    planner, _ = planned("FROM a\n" + text, args={"GIVEN": "1"})
    assert sorted(w.says for w in planner.file.warnings) == [f"Usage of undefined variable '{rest}" for rest in says]


def test_ports():
    assert phrases.parse_ports("8000-8002/udp") == ["8000/udp", "8001/udp", "8002/udp"]
    assert phrases.parse_ports("80:90") == ["90/tcp"]


def test_configuration_of_the_image():
    plan = planned("FROM a\nLABEL l=1\nRUN x\nENV A=1\n")[1]
    made = stageplan.document(plan, ["sha256:a", "sha256:b"], {(0, 0): "2026-01-01T00:00:00Z"}, {"from": "outside"})
    assert made["created"] == "2026-01-01T00:00:00Z" and made["config"]["Labels"] == {"l": "1", "from": "outside"}
    assert [bool(row.get("empty_layer")) for row in made["history"]] == [False, True, False, True]
    fixed = stageplan.document(plan, [], {(0, 0): "2026-01-01T00:00:00Z"}, {}, "2001-09-09T01:46:40Z")
    assert fixed["created"] == "2001-09-09T01:46:40Z" == fixed["history"][-1]["created"]


def test_a_healthcheck_is_in_the_history_as_buildkit_writes_it():
    plan = planned('FROM busybox\nHEALTHCHECK --interval=5s --retries=3 CMD ["sh", "-c", "true \\"x\\""]\n')[1]
    assert plan.image["config"]["Healthcheck"] == {"Test": ["CMD", "sh", "-c", 'true "x"'], "Interval": 5 * 10**9, "Retries": 3}
    said = stageplan.document(plan, [], {}, {})["history"][-1]["created_by"]
    assert 'HEALTHCHECK &{["CMD" "sh" "-c" "true \\"x\\""] "5s" "0s" "0s" "0s" \'\\x03\'}' in said
